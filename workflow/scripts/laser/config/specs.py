"""The spec of each kind of job, as a typed record.

A spec holds everything that shapes a job's output, and what its paths are made of (`laser.config.paths`). As canonical
JSON it is what Snakemake compares, what the job is given, and what its results repeat; `read_spec` reads it back.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from laser.errors import UserError

FORMAT = 2
"""Format of result files, raised when their content changes. Files of another format are refused."""

Record = dict[str, Any]
"""An entry of a catalogue or study, as plain values by key."""


@dataclass(frozen=True)
class Compute:
    """Where the numbers are computed: `device` (auto, cpu or cuda) and CPU `threads`."""

    device: str
    threads: int


@dataclass(frozen=True)
class ModelSpec:
    """The model of an evaluation.

    Attributes:
        name: as in the study.
        key: its folder in the cache.
        dtype: the dtype in which it runs.
        architecture, layers: as in its entry.
        mapping: names of its weights, if its architecture is not built in.
        play: for a policy, how it is played.
    """

    name: str
    key: str
    dtype: str
    architecture: str
    layers: int
    mapping: Record | None = None
    play: Record | None = None


@dataclass(frozen=True)
class DatasetSpec:
    """The dataset of an evaluation.

    Attributes:
        name: as in the study.
        key: its folder in the cache.
        builder: the builder of its rows.
        asked: for own rows, how they are scored and how many tokens are generated, as far as the study says.
    """

    name: str
    key: str
    builder: str
    asked: Record | None = None


@dataclass(frozen=True)
class Grid:
    """The matrices and layers at which interventions are tried."""

    matrices: tuple[str, ...]
    layers: tuple[int, ...]


@dataclass(frozen=True)
class Site:
    """Where the paper applied its intervention: matrix, layer, and the fraction of the rank that it kept."""

    matrix: str
    layer: int
    rho: float


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What all specs have in common.

    Attributes:
        code: the fingerprint of the rule's script and of all that it imports.
        format: the format of the job's results.
    """

    code: str
    format: int = FORMAT


@dataclass(frozen=True, kw_only=True)
class FetchSpec(Spec):
    """A checkpoint to fetch: the part of the model's entry that its files depend on, and its folder in the cache."""

    model: Record
    key: str


@dataclass(frozen=True, kw_only=True)
class CorpusSpec(Spec):
    """A corpus to make."""

    corpus: Record
    key: str


@dataclass(frozen=True, kw_only=True)
class TrainSpec(Spec):
    """A model to train, on a corpus or on a pool of rooms."""

    model: Record
    key: str
    compute: Compute
    corpus_key: str | None = None
    pool_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class RoomsSpec(Spec):
    """One job's share of a pool of rooms: `chunk`, from 0, of `chunks`."""

    pool: Record
    key: str
    chunk: int
    chunks: int


@dataclass(frozen=True, kw_only=True)
class EpisodesSpec(Spec):
    """A pool's episodes, from the shares of `chunks` jobs."""

    pool: Record
    key: str
    chunks: int


@dataclass(frozen=True, kw_only=True)
class TextSpec(Spec):
    """A text for perplexity."""

    text: Record
    key: str


@dataclass(frozen=True, kw_only=True)
class PrepareSpec(Spec):
    """A dataset to prepare.

    Attributes:
        dataset: its entry.
        key: its folder in the cache.
        pool_key: for rooms, the pool whose episodes it is made from.
        files: for own rows in local files, the sha256 of each file, so that an edited file is read again.
    """

    dataset: Record
    key: str
    pool_key: str | None = None
    files: Record | None = None


@dataclass(frozen=True, kw_only=True)
class FalseTargetsSpec(Spec):
    """A dataset whose false targets are read; its entry, key and files as in `PrepareSpec`."""

    dataset: Record
    key: str
    files: Record | None = None


@dataclass(frozen=True, kw_only=True)
class ReduceSpec(Spec):
    """The decompositions of one layer, recorded for some values of ρ."""

    model: ModelSpec
    layer: int
    matrices: tuple[str, ...]
    rhos: tuple[float, ...]
    compute: Compute


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec(Spec):
    """What evaluations of a model on a dataset share; the rules base, test_intervention and compose_test need no more.

    Attributes:
        study: its name.
        model, dataset: what is evaluated on what.
        protocols: names of the protocols (`laser.config.protocols`).
        engine: fast or naive.
        token_budget: upper bound of edits times tokens that run at once.
        seed: seed of the randomised step.
        compute: where the numbers are computed.
    """

    study: str
    model: ModelSpec
    dataset: DatasetSpec
    protocols: tuple[str, ...]
    engine: str
    token_budget: int
    seed: int
    compute: Compute

    @property
    def cell(self) -> dict[str, str]:
        """What the paths of the cell's results are made of."""
        return {"model": self.model.name, "dataset": self.dataset.name}

    @property
    def label(self) -> str:
        """The cell in words."""
        return f"{self.model.name} {self.dataset.name}"


@dataclass(frozen=True, kw_only=True)
class SweepSpec(EvaluationSpec):
    """One layer of the sweep; with `keep`, only matrices among the first `keep` of the gradients file."""

    layer: int
    matrices: tuple[str, ...]
    rhos: tuple[float, ...]
    keep: int | None = None


@dataclass(frozen=True, kw_only=True)
class SweepTogetherSpec(SweepSpec):
    """One layer of the sweeps of several datasets. In a result file `dataset` is the file's own, in a job the first.

    Attributes:
        together: all of the datasets.
    """

    together: tuple[DatasetSpec, ...]


@dataclass(frozen=True, kw_only=True)
class RaceSpec(EvaluationSpec):
    """Candidates to race (`laser.evaluation.racing`): those of a grid, or of its first `keep` matrices by gradients.

    Attributes:
        grid, rhos: the candidates.
        error: largest probability that the winner is stopped.
        blocks: number of blocks of rows.
        keep: if given, only the first `keep` matrices of the gradients file race.
    """

    grid: Grid
    rhos: tuple[float, ...]
    error: float
    blocks: int
    keep: int | None = None


@dataclass(frozen=True, kw_only=True)
class SelectSpec(Spec):
    """The choice of a cell's intervention from its sweep."""

    model: ModelSpec
    dataset: DatasetSpec
    grid: Grid
    rhos: tuple[float, ...]
    protocols: tuple[str, ...]
    keep_at_least: int | None = None


@dataclass(frozen=True, kw_only=True)
class LandscapeSpec(EvaluationSpec):
    """One layer of the landscape: every kind at every matrix and ρ, on all validation rows or the first `rows`.

    `clusters` is how many clusters of rows the kind `clustered` has; None without it.
    """

    layer: int
    kinds: tuple[str, ...]
    matrices: tuple[str, ...]
    rhos: tuple[float, ...]
    rows: int | None = None
    clusters: int | None = None


@dataclass(frozen=True, kw_only=True)
class GradientsSpec(EvaluationSpec):
    """Matrices to rank by the gradients of their singular values on the first `examples` validation rows."""

    grid: Grid
    rhos: tuple[float, ...]
    examples: int


@dataclass(frozen=True, kw_only=True)
class ComposeSpec(EvaluationSpec):
    """A greedy search over several layers."""

    layers: tuple[int, ...]
    matrices: tuple[str, ...]
    rhos: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class CheapSearch:
    """What the cheap search inspects: the first `keep` matrices of the gradients file, in the sweep of `layers`."""

    keep: int
    layers: tuple[int, ...]
    rhos: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ChoicesSpec(EvaluationSpec):
    """Other choices to evaluate on the test rows: the paper's, the cheap search's, or both."""

    published_choice: Site | None = None
    cheap_search: CheapSearch | None = None


@dataclass(frozen=True, kw_only=True)
class SeedsSpec(EvaluationSpec):
    """Seeds of the randomised step to evaluate, at the paper's choice where it has one."""

    seeds: tuple[int, ...]
    published_choice: Site | None = None


@dataclass(frozen=True, kw_only=True)
class TransferSpec(EvaluationSpec):
    """Choices of a model's `datasets`, the cell's own among them, to evaluate on the cell's test rows.

    Attributes:
        datasets: in the study's order.
        matrices: the grid's, whose order decides ties.
    """

    datasets: tuple[str, ...]
    matrices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SpectraSpec(Spec):
    """A model's matrices whose singular values are described; `rhos` are those of its reductions."""

    model: ModelSpec
    grid: Grid
    rhos: tuple[float, ...]
    compute: Compute


@dataclass(frozen=True, kw_only=True)
class RankRulesSpec(EvaluationSpec):
    """Rules for ρ to evaluate on the test rows; `matrices` and `rhos` are the grid's."""

    matrices: tuple[str, ...]
    rhos: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PromptsSpec(EvaluationSpec):
    """Other prompts to evaluate, on all test rows or the first `rows`."""

    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class HigherOrderSpec(EvaluationSpec):
    """Percentages of the singular values, from the smallest, that are kept while all others are dropped."""

    percents: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ClusteredSpec(EvaluationSpec):
    """Numbers of row clusters and values of ρ to try, on all validation rows or the first `rows`."""

    clusters: tuple[int, ...]
    rhos: tuple[float, ...]
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class PerplexitySpec(EvaluationSpec):
    """A text to read: a prepared one, or the held-out text of the model's own corpus."""

    text_key: str | None = None
    corpus_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class BaselinesSpec(EvaluationSpec):
    """Baselines to evaluate alongside the chosen intervention.

    Attributes:
        seeds: seeds of the random subspaces.
        corpus_key: for a model that the pipeline trains, the folder of its corpus, whose noise is known.
    """

    seeds: tuple[int, ...]
    corpus_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExportSpec(EvaluationSpec):
    """A chosen intervention to export as a checkpoint: of one protocol, dense or factored."""

    protocol: str
    form: str


S = TypeVar("S")


def as_json(value: Any) -> Any:
    """Return a spec, or part of one, as plain JSON values; what is None is left out."""
    if dataclasses.is_dataclass(value):
        named = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return {name: as_json(inner) for name, inner in named.items() if inner is not None}
    return list(map(as_json, value)) if isinstance(value, tuple) else value


PARTIAL = "partial_rows"
"""Key beside the spec of prepared rows whose source has only part of the dataset; its value is the reason."""


def check_format(metadata: Any, where: str) -> None:
    """Refuse the metadata of a result file of another format."""
    number = metadata.get("format", 1) if isinstance(metadata, Mapping) else None
    if number != FORMAT:
        raise UserError(
            f"{where}: is of format {number}, and this version of the workflow reads format {FORMAT}. Run the study "
            "again, or use the version that made it."
        )


def from_metadata(kind: type[S], metadata: Any, where: str) -> S:
    """Return the spec in a result file's metadata, without what the run added to it."""
    check_format(metadata, where)
    names = {each.name for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return read_spec(kind, {name: value for name, value in metadata.items() if name in names}, where)


LONGEST_WORD = 1 << 15
"""Length in bytes from which a spec is compressed on a command line: Linux takes at most 128 KiB in one word."""
COMPRESSED = "zlib:"


def as_word(spec: str) -> str:
    """Return a spec's JSON as one word of a command line; a long one is compressed, and begins with `zlib:`."""
    raw = spec.encode()
    return spec if len(raw) < LONGEST_WORD else COMPRESSED + base64.b64encode(zlib.compress(raw, 9)).decode()


def from_word(word: str) -> Any:
    """Return the values of a spec that `as_word` returned. Raises ValueError if it is none."""
    if not word.startswith(COMPRESSED):
        return json.loads(word)
    try:
        return json.loads(zlib.decompress(base64.b64decode(word.removeprefix(COMPRESSED), validate=True)))
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"a spec that begins with {COMPRESSED} cannot be decompressed ({error})") from error


def read_spec(kind: type[S], value: Any, where: str) -> S:
    """Turn JSON values into a spec; a key that is missing, unknown or of another type is a `UserError`.

    Args:
        kind: the class of the spec.
        value: what `as_json` returned, read again.
        where: the file or job, for the message.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        adapter = TypeAdapter(kind, config=None)
        return adapter.validate_json(json.dumps(value), strict=True, extra="forbid")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=True)[0]
        key = ".".join(map(str, first["loc"])) or "spec"
        reason = {"missing": "is missing", "unexpected_keyword_argument": "is unknown"}.get(first["type"])
        raise UserError(
            f"{where}: key '{key}' of its {kind.__name__} {reason or first['msg']}. It is of another version of the "
            "workflow: delete it and run again."
        ) from None
