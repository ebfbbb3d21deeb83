"""What a study and config/config.yaml may say. Keys, defaults and descriptions are declared only here.

`laser.config.json_schemas` writes the JSON schemas for editors and for Snakemake's catalogue from them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from laser.config.entries import Pools, StudyDataset, StudyModel
from laser.config.fields import (
    ABSENT,
    ChosenLayers,
    Distinct,
    Hint,
    Matrices,
    Name,
    Names,
    Positive,
    Rhos,
    Seed,
    Settings,
    Text,
    Whole,
)

PAPER_REDUCTIONS = [10, 25, 40, 50, 60, 75, 90, 92.5, 95, 97.5, 98, 98.5, 99, 99.5, 99.75]


class ModelGrid(Settings):
    """What is tried in one model, where it differs from the grid."""

    matrices: Matrices = ABSENT
    layers: ChosenLayers = ABSENT


class Grid(Settings):
    """The interventions that are tried: every matrix of every layer at every ρ."""

    matrices: Matrices = Field(description="q, k, v, o, u_in, u_gate, u_out: as far as the architecture has them.")
    layers: ChosenLayers = Field(description="all, or a list of layers counted from 0.")
    rhos: Rhos = Field(description="ρ, the kept fraction of the maximum rank, in (0, 1].")
    models: dict[str, ModelGrid] = Field(ABSENT, description="By model: its own matrices or layers.")


class Cells(Settings):
    """The cells (model, dataset) of the study that an evaluation covers: all, or some."""

    models: Names = Field(ABSENT, description="Of the study's models; all by default.")
    datasets: Names = Field(ABSENT, description="Of the study's datasets; all by default.")


class Figures(Cells):
    """The cells of which figures are drawn."""


class Landscape(Cells):
    """fig10, smallest, fig2_clusters, and fig2 of these cells: every matrix at many reductions, on validation rows."""

    kinds: Annotated[list[Literal["svd", "pruning", "smallest", "clustered"]], *Distinct] = Field(
        ["svd", "pruning"],
        description="smallest keeps only the smallest singular values; clustered reduces clusters of rows one by one.",
    )
    clusters: Annotated[int, Field(ge=2, le=64), Whole] = Field(4, description="Of a matrix's rows, for clustered.")
    matrices: Matrices = Field(ABSENT, description="All that the architecture has by default.")
    layers: ChosenLayers = Field(ABSENT, description="All by default.")
    reductions: Annotated[
        list[Annotated[float, Field(ge=0, lt=100), Hint("Percent of the rank, or of the weights, that is removed.")]],
        *Distinct,
    ] = Field(PAPER_REDUCTIONS, description="Percent; the paper's by default.")
    rows: Positive = Field(ABSENT, description="The first validation rows only.")


class Compose(Cells):
    """compose, fig4: greedy composition of interventions over layers."""

    matrices: Matrices = Field(ABSENT, description="Those of the grid by default.")
    rhos: Rhos = Field(ABSENT, description="Those of the grid by default.")


class Seeds(Cells):
    """seeds: the randomised SVD under several seeds."""

    count: Annotated[int, Field(ge=2, le=1000), Whole] = Field(5, description="Of the seeds.")


class Transfer(Cells):
    """transfer, transfer_map: what is chosen on each dataset, applied to a model's other datasets."""


class RankRules(Cells):
    """rank_rules, edges: rules that say ρ from singular values alone, beside the grid's best."""


class Prompts(Cells):
    """prompts: the chosen intervention under other wordings of the questions."""

    rows: Positive = Field(ABSENT, description="The first rows only.")


class HigherOrder(Cells):
    """fig5b, fig5c: answers of the smallest singular values alone."""

    percents: Annotated[list[Annotated[float, Field(ge=0, le=100)]], *Distinct] = Field(
        [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 100],
        description="Percent of the singular values, from the smallest; 0 is the control, the matrix zeroed.",
    )


class Perplexity(Cells):
    """perplexity: of the base and the chosen model on a text."""

    corpus: str = Field(
        "laboratory",
        description="A name in config/corpora.yaml, or laboratory: the held-out text of each model's own corpus.",
    )
    rows: Positive = Field(ABSENT, description="The first documents only.")


class Efficacy(Cells):
    """efficacy: how probable the false targets of CounterFact, or of rows of your own, are beside the true answers."""


class Clustered(Cells):
    """clustered, clusters: rows of the chosen matrix in clusters, each reduced on its own."""

    clusters: Annotated[list[Annotated[int, Field(ge=1, le=256), Whole]], *Distinct] = Field(
        [1, 2, 4, 8], description="Numbers of clusters; 1 is LASER's own reduction, the control."
    )
    rhos: Rhos = Field(ABSENT, description="Those of the grid by default.")
    rows: Positive = Field(ABSENT, description="The first validation rows only.")


WEIGHT_BASELINES = 4
"""Number of baselines that change weights, not counting the random subspaces."""
WORDINGS = 4
"""Number of wordings of each dataset's prompt, the original included (`laser.tasks.variants`)."""


class Baselines(Cells):
    """baselines: LASER beside the matrix zeroed, scaled, pruned or cut at random, and other baselines."""

    subspaces: Annotated[int, Field(ge=1, le=100), Whole] = Field(3, description="Random subspaces, a seed each.")


class Gradient(Settings):
    """The cheap search: places ranked by the gradients of their singular values."""

    examples: Positive = Field(100, description="On which gradients are taken.")
    keep: Positive = Field(2, description="Matrices that are swept under search: gradient, or race with racing.")


class Racing(Settings):
    """Racing: candidates that cannot win any more on validation stop (docs/racing.md)."""

    error: Annotated[float, Field(gt=0, lt=1)] = Field(0.05, description="Largest chance that the winner is stopped.")
    blocks: Annotated[int, Field(ge=2, le=1000), Whole] = Field(
        10, description="Blocks of validation rows, after each of which candidates may stop."
    )


def _name_or_entry(value: Any) -> str:
    return "(name)" if isinstance(value, str) else "(entry)"


class Study(Settings):
    """A study: models, datasets, the interventions that are tried, and the tables and figures to make."""

    title: Text = Field(description="What the report is called.")
    description: str = Field(ABSENT, description="What it is about, in the report.")
    protocols: Annotated[list[Literal["corrected", "published"]], *Distinct] = Field(
        description="corrected is ours, published is the released code's (docs/protocols.md)."
    )
    models: Annotated[
        list[
            Annotated[
                Annotated[Name, Tag("(name)")] | Annotated[StudyModel, Tag("(entry)")], Discriminator(_name_or_entry)
            ]
        ],
        Field(min_length=1),
    ] = Field(description="Names in models.yaml, or entries of your own.")
    datasets: Annotated[
        list[
            Annotated[
                Annotated[Name, Tag("(name)")] | Annotated[StudyDataset, Tag("(entry)")], Discriminator(_name_or_entry)
            ]
        ],
        Field(min_length=1),
    ] = Field(description="Names in datasets.yaml, or entries; keys of an entry take the place of the catalogue's.")
    grid: Grid = Field(description="The interventions that are tried.")
    pools: Pools = Field(ABSENT, description="Pools of rooms beside those of rooms.yaml, or in place of them.")
    keep_at_least: Positive = Field(
        ABSENT,
        description="A smaller kept rank is swept, and shown, and never chosen; 1 excludes rank 0, which deletes.",
    )
    engine: Literal["fast", "naive"] = Field("fast", description="naive is the reference, and slow.")
    one_job_per: Literal["layer", "rho"] = Field("layer", description="rho: smaller jobs, more of them.")
    sweep_together: Annotated[Names, Field(min_length=2)] = Field(
        ABSENT,
        description="Datasets whose sweeps of a layer are one job, which runs prompts that begin alike once.",
    )
    token_budget: Annotated[int, Field(ge=16), Whole, Hint("Most edits times tokens that run at once.")] = 2048
    seed: Seed = Field(0, description="Of the randomised SVD, the bootstrap and the permutation tests.")
    resamples: Annotated[
        int, Field(ge=100, le=1_000_000), Whole, Hint("Resamples of the bootstrap and of the permutation test.")
    ] = 10_000
    artefacts: Annotated[list[str], *Distinct] = Field(
        ABSENT,
        description="Tables and figures; table1, table3, fig2 by default (table2 instead of table1 for policies).",
    )
    figures: Figures = Field(ABSENT, description="Which cells figures show; all by default.")
    landscape: Landscape = Field(ABSENT, description="For fig10, smallest and fig2_clusters, and fig2 of these cells.")
    compose: Compose = Field(ABSENT, description="For compose and fig4.")
    seeds: Seeds = Field(ABSENT, description="For seeds.")
    transfer: Transfer = Field(ABSENT, description="For transfer and transfer_map.")
    rank_rules: RankRules = Field(ABSENT, description="For rank_rules and edges.")
    prompts: Prompts = Field(ABSENT, description="For prompts.")
    higher_order: HigherOrder = Field(ABSENT, description="For fig5b and fig5c.")
    perplexity: Perplexity = Field(ABSENT, description="For perplexity.")
    efficacy: Efficacy = Field(ABSENT, description="For efficacy.")
    clustered: Clustered = Field(ABSENT, description="For clustered and clusters.")
    baselines: Baselines = Field(ABSENT, description="For baselines.")
    search: Literal["exhaustive", "gradient", "racing", "gradient-racing"] = Field(
        "exhaustive",
        description="gradient: only the places that gradients point to are swept. racing: candidates that cannot win "
        "any more stop (docs/racing.md). gradient-racing: both.",
    )
    gradient: Gradient = Field(ABSENT, description="For search: gradient, and for the artefact search.")
    racing: Racing = Field(ABSENT, description="For search: racing, and for the artefact search.")
    counts: dict[str, str] = Field(
        ABSENT, description="By dataset: a file of training frequencies, for fig3b and fig3c (config/data.md)."
    )


EVALUATIONS: dict[str, type[Settings]] = {
    key: field.annotation
    for key, field in Study.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Cells | Gradient | Racing)
}
"""Keys of a study that hold settings of an evaluation, of the figures or of a search."""


class Gpu(Settings):
    """A kind of GPU of the cluster, as the site names it."""

    memory_gb: Annotated[float, Field(gt=0)]
    gpu_model: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_.]+$"),
        Hint("Letters, digits, _ and . only: for other names give constraint, or gres in the profile."),
    ] = ABSENT
    constraint: Text = ABSENT
    partition: Text = ABSENT
    longest_hours: Annotated[float, Field(gt=0)] = Field(ABSENT, description="The longest run time there.")
    fp32_tflops: Annotated[float, Field(gt=0)] = Field(ABSENT, description="Its peak; an A100's if absent.")
    fp16_tflops: Annotated[float, Field(gt=0)] = Field(ABSENT, description="Its peak; an A100's if absent.")


class Configuration(Settings):
    """config/config.yaml: what a run makes, and where it works."""

    study: Text = Field(description="A file under config/studies/ without its ending, or the path of a .yaml file.")
    cache: Text = Field(
        description="Folder of models, prepared data and factors; studies share it. ~ and $VARIABLES are expanded."
    )
    results: Text = Field(description="Folder of results/<study>/. ~ and $VARIABLES are expanded.")
    device: Literal["auto", "cpu", "cuda"] = Field(description="auto takes CUDA where there is one.")
    threads: Positive = Field(
        description="CPU threads that each job computes with; fixed, since last digits depend on their number."
    )
    node_local: str = Field(
        ABSENT, description="Folder on each node's own disk for copies of checkpoints; empty for none."
    )
    accept_terms: list[Name] = Field(
        ABSENT,
        description="Models whose terms of use are accepted; on the command line one name, or several with commas.",
    )
    gpus: list[Gpu] = Field(
        ABSENT, description="GPUs of the cluster: each job asks for the smallest that has the memory it needs."
    )
