# Input functions and names that the other files share. No rules, no heavy imports: this is read twice per cluster job.
import re
import shlex
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from snakemake.exceptions import WorkflowError

from laser.config.environment import set_environment
from laser.config.locks import note_run, release_stale_lock
from laser.config.plan import Plan
from laser.config.resources import check_gpus, fetch_memory_mb, resource_functions
from laser.config.study import rank_name
from laser.errors import UserError

try:
    PLAN = Plan.load(config, ROOT)
    check_gpus(PLAN)
except UserError as error:
    raise WorkflowError(str(error)) from None

set_environment(SCRIPTS)

# A run that was killed leaves its lock and marks of unfinished outputs: the next run simply goes on.
release_stale_lock()


RANKS = [rank_name(rank) for rank in PLAN.ranks]
EACH_RANK = PLAN.study["one_job_per"] == "rank"


wildcard_constraints:
    model="|".join(map(re.escape, PLAN.models)),
    dataset="|".join(map(re.escape, PLAN.datasets)),
    layer=r"\d+",
    rank=r"[0-9.e-]+",
    model_key="|".join(re.escape(PLAN.model_key(name)) for name in PLAN.models),
    data_key="|".join(re.escape(PLAN.data_key(name)) for name in PLAN.datasets),
    text_key=r"[A-Za-z0-9_.-]+",


def per_rank(pattern):
    """One file per rank: all of them from one job, or one job each (`one_job_per` in the study)."""
    return pattern if EACH_RANK else expand(pattern, rank=RANKS, allow_missing=True)


def rank_of(wildcards):
    return wildcards.rank if EACH_RANK else None


def model_folder(name):
    return f"{PLAN.config['cache']}/models/{PLAN.model_key(name)}"


def data_folder(name):
    return f"{PLAN.config['cache']}/data/{PLAN.data_key(name)}"


def model_card(wildcards):
    return f"{model_folder(wildcards.model)}/card.json"


def data_rows(wildcards):
    return f"{data_folder(wildcards.dataset)}/rows.parquet"


def reduction_files(model):
    return expand(
        "<results>/reductions/{model}/layer{layer}/rank{rank}.json",
        model=model,
        layer=PLAN.layers(model),
        rank=RANKS,
    )


def sweep_files(model, dataset):
    return expand(
        "<results>/sweep/{model}/{dataset}/layer{layer}/rank{rank}.parquet",
        model=model,
        dataset=dataset,
        layer=PLAN.layers(model),
        rank=RANKS,
    )


def cell_files(pattern):
    """The pattern's file for every (model, dataset) of the study."""
    return [
        pattern.format(model=model, dataset=dataset) for model, dataset in PLAN.cells()
    ]


def braces(values):
    """Bash's shorthand for several words: a command line that names thousands of files would be too long."""
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else "{" + ",".join(words) + "}"


def by_model(pattern, cells, layers):
    """The pattern for the shell, a word per model with its datasets, layers and ranks in braces; not to be quoted."""
    words = []
    for model in dict.fromkeys(model for model, _ in cells):
        datasets = braces(name for one, name in cells if one == model)
        words.append(
            pattern.format(
                results=shlex.quote(PLAN.results),
                model=model,
                dataset=datasets,
                layer=braces(layers(model)),
                rank=braces(RANKS),
            )
        )
    return " ".join(words)


def sweep_words(cells):
    """All sweep files of some cells, as words for the shell."""
    return by_model(
        "{results}/sweep/{model}/{dataset}/layer{layer}/rank{rank}.parquet",
        cells,
        PLAN.layers,
    )


def landscape_words(cells):
    """All landscape files of some cells, as words for the shell."""
    return by_model(
        "{results}/landscape/{model}/{dataset}/layer{layer}.parquet",
        cells,
        lambda model: PLAN.study["landscape"]["grid"][model]["layers"],
    )


def reduction_words(models):
    """All reduction records of some models, as words for the shell."""
    return by_model(
        "{results}/reductions/{model}/layer{layer}/rank{rank}.json",
        [(model, "") for model in models],
        PLAN.layers,
    )


def landscape_files(model, dataset):
    return expand(
        "<results>/landscape/{model}/{dataset}/layer{layer}.parquet",
        model=model,
        dataset=dataset,
        layer=PLAN.study["landscape"]["grid"][model]["layers"],
    )


def landscape_spec(wildcards):
    """The spec of one layer of the landscape: the run's own matrices and reductions."""
    run = PLAN.study["landscape"]
    return PLAN.run_spec(
        "sweep_landscape",
        wildcards.model,
        wildcards.dataset,
        layer=int(wildcards.layer),
        kinds=run["kinds"],
        matrices=run["grid"][wildcards.model]["matrices"],
        ranks=run["ranks"],
        rows=run.get("rows"),
    )


def choice_inputs(wildcards):
    """What the cheap search rests on, where the study compares it with the exhaustive one."""
    if "search" not in PLAN.study["artefacts"]:
        return {}
    return {
        "gradients": f"<results>/gradients/{wildcards.model}/{wildcards.dataset}.json",
        "sweep": sweep_files(wildcards.model, wildcards.dataset),
    }


def choice_cells():
    """The cells for which another choice than the selected one is tested: the paper's, or the cheap search's."""
    every = "search" in PLAN.study["artefacts"]
    return [
        cell
        for cell in PLAN.cells()
        if every
        or ("table3" in PLAN.study["artefacts"] and PLAN.published_choice(*cell))
    ]


def files_of(pattern, cells):
    """The pattern's file for each of the (model, dataset) pairs."""
    return [pattern.format(model=model, dataset=dataset) for model, dataset in cells]


def run_files(wildcards):
    """Every file that the tables rest on: asked for by name, so that a deleted one is noticed and made again."""
    made = [path for model in PLAN.models for path in reduction_files(model)]
    for model, dataset in PLAN.cells():
        made += sweep_files(model, dataset)
    for pattern in (
        "sweep/{model}/{dataset}/base.parquet",
        "selection/{model}/{dataset}.json",
        "test/{model}/{dataset}.parquet",
    ):
        made += cell_files(f"<results>/{pattern}")
    return made


def needs(stage):
    """Memory, GPU and run time of a rule's jobs, from the model's size and the work; more at every further attempt."""
    return resource_functions(PLAN, stage)


def artefact_files(wildcards):
    """Every file of every table and figure that the study asks for."""
    made = {name: getattr(rules, name).output for name in PLAN.study["artefacts"]}
    return [path for output in made.values() for path in output]


def reported(path, artefact, category, **labels):
    """Mark an output for Snakemake's own report, with the artefact's caption."""
    caption = f"{ROOT}/workflow/report/{artefact}.rst"
    return report(
        path, caption=caption, category=category, labels={"artefact": artefact} | labels
    )


def table_outputs(name):
    """CSV, Markdown and LaTeX of one table."""
    return {
        ending: reported(
            f"<results>/tables/{name}.{ending}", name, "Tables", format=ending
        )
        for ending in ("csv", "md", "tex")
    }


def figure_outputs(name):
    """SVG, PDF and CSV of one figure for every (model, dataset, protocol)."""
    cells = [
        (model, dataset, protocol)
        for model, dataset in PLAN.cells()
        for protocol in PLAN.study["protocols"]
    ]
    return {
        ending: [
            reported(
                f"<results>/figures/{name}/{model}/{dataset}-{protocol}.{ending}",
                name,
                "Figures",
                model=model,
                dataset=dataset,
                protocol=protocol,
                format=ending,
            )
            for model, dataset, protocol in cells
        ]
        for ending in ("svg", "pdf", "csv")
    }


def warn_of_unreachable_models():
    """Say before any job starts which checkpoints cannot be had, and how to help; --keep-going runs the rest."""
    from laser.models.sources import check

    missing = [
        name
        for name in PLAN.models
        if not Path(f"{model_folder(name)}/card.json").exists()
    ]
    for name in missing:
        try:
            check(PLAN.model(name))
        except UserError as error:
            logger.warning(
                f"{error} With --keep-going everything that does not need '{name}' is made all the same."
            )


onstart:
    note_run()
    warn_of_unreachable_models()
