# Input functions and names that the other files share. No rules, no heavy imports: this is read twice per cluster job.
import re
import shlex
import sys
import time
from pathlib import Path

STARTED = time.time()
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from snakemake.exceptions import WorkflowError

from laser.cluster.environment import check_paths, set_environment
from laser.provenance.copied_inputs import (
    copies,
    count_copies,
    lost,
    published_copies,
    workflow_copies,
)
from laser.cluster.locks import note_run, take_over, tell_of_another_host
from laser.config.plan import Plan
from laser.config.artefacts import (
    artefact_inputs,
    artefact_outputs,
    artefact_spec,
    declared,
    described,
    possible_artefacts,
)
from laser.cost.requests import (
    check_gpus,
    fetch_memory_mb,
    resource_functions,
    training_memory_mb,
)
from laser.cluster import slurm_executor
from laser.cluster.slurm_jobs import tell_failures
from laser.config.paths import rho_name
from laser.provenance.declared import declare_records, records_of
from laser.errors import UserError

try:
    PLAN = Plan.load(config, ROOT)
    check_paths(checkout=ROOT, results=PLAN.results, cache=PLAN.config["cache"])
    check_gpus(PLAN)
except UserError as error:
    raise WorkflowError(str(error)) from None

set_environment(
    SCRIPTS,
    PLAN.config.get("node_local", ""),
    PLAN.results,
    PLAN.config["cache"],
    workflow.is_main_process,
)

# A run that was killed leaves its lock and its jobs in SLURM: the next run simply goes on. A job on a node reads this
# file too, and leaves its run's lock alone; a dry run changes nothing.
if workflow.is_main_process and not workflow.output_settings.dryrun:
    take_over(say=logger.warning)


RHOS = [rho_name(rho) for rho in PLAN.rhos]
EACH_RHO = PLAN.study["one_job_per"] == "rho"


wildcard_constraints:
    model="|".join(map(re.escape, PLAN.models)),
    dataset="|".join(map(re.escape, PLAN.datasets)),
    layer=r"\d+",
    rho=r"[0-9.e-]+",
    model_key="|".join(re.escape(PLAN.model_key(name)) for name in PLAN.models),
    data_key="|".join(re.escape(PLAN.data_key(name)) for name in PLAN.datasets),
    text_key=r"[A-Za-z0-9_.-]+",


def per_rho(pattern):
    """One file per rho: all of them from one job, or one job each (`one_job_per` in the study)."""
    return pattern if EACH_RHO else expand(pattern, rho=RHOS, allow_missing=True)


def rho_of(wildcards):
    return wildcards.rho if EACH_RHO else None


def model_folder(name):
    return f"{PLAN.config['cache']}/models/{PLAN.model_key(name)}"


def data_folder(name):
    return f"{PLAN.config['cache']}/data/{PLAN.data_key(name)}"


def corpus_folder(name):
    return f"{PLAN.config['cache']}/corpora/{PLAN.corpus_key(name)}"


def episodes_file(pool_key):
    return f"{PLAN.config['cache']}/rooms/{pool_key}/episodes.parquet"


def room_chunks(wildcards):
    """The shares of all jobs that make a pool of rooms."""
    count = PLAN.chunks(wildcards.pool_key)
    folder = f"{PLAN.config['cache']}/rooms/{wildcards.pool_key}/chunks"
    return [f"{folder}/{chunk}-of-{count}.parquet" for chunk in range(count)]


def pool_of_data(wildcards):
    """The episodes that a dataset of rooms is prepared from; nothing for any other."""
    key = PLAN.pool_of_dataset(PLAN.dataset_of_key(wildcards.data_key))
    return episodes_file(key) if key else []


def texts(wildcards):
    """The texts on which the study measures perplexity."""
    if "perplexity" not in PLAN.study["artefacts"]:
        return []
    return sorted({PLAN.text_path(model) for model, _ in PLAN.cells_of("perplexity")})


def model_card(wildcards):
    return f"{model_folder(wildcards.model)}/card.json"


def data_rows(wildcards):
    return f"{data_folder(wildcards.dataset)}/rows.parquet"


def reduction_files(model):
    return expand(
        "<results>/reductions/{model}/layer{layer}/rho{rho}.json",
        model=model,
        layer=PLAN.layers(model),
        rho=RHOS,
    )


def sweep_files(model, dataset):
    return expand(
        "<results>/sweep/{model}/{dataset}/layer{layer}/rho{rho}.parquet",
        model=model,
        dataset=dataset,
        layer=PLAN.layers(model),
        rho=RHOS,
    )


def files_of(pattern, cells):
    """The pattern's file for each of the (model, dataset) pairs."""
    return [pattern.format(model=model, dataset=dataset) for model, dataset in cells]


def cell_files(pattern):
    """The pattern's file for every (model, dataset) of the study."""
    return files_of(pattern, PLAN.cells())


def models_of(cells):
    return list(dict.fromkeys(model for model, _ in cells))


def datasets_of(cells):
    return list(dict.fromkeys(dataset for _, dataset in cells))


def data_of(cells):
    """The prepared rows of the cells' datasets."""
    return [f"{data_folder(name)}/rows.parquet" for name in datasets_of(cells)]


def sweeps_of(cells):
    return [path for model, dataset in cells for path in sweep_files(model, dataset)]


def braces(values):
    """Bash's shorthand for several words: a command line that names thousands of files would be too long."""
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else "{" + ",".join(words) + "}"


def by_model(pattern, cells, layers):
    """The pattern for the shell, a word per model with its datasets, layers and rhos in braces; not to be quoted."""
    words = []
    for model in models_of(cells):
        datasets = braces(name for one, name in cells if one == model)
        words.append(
            pattern.format(
                results=shlex.quote(PLAN.results),
                model=model,
                dataset=datasets,
                layer=braces(layers(model)),
                rho=braces(RHOS),
            )
        )
    return " ".join(words)


def sweep_words(cells):
    """All sweep files of some cells, as words for the shell."""
    return by_model(
        "{results}/sweep/{model}/{dataset}/layer{layer}/rho{rho}.parquet",
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
        "{results}/reductions/{model}/layer{layer}/rho{rho}.json",
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
        rhos=run["rhos"],
        rows=run.get("rows"),
    )


def sweep_inputs(wildcards):
    """Under `search: gradient` a sweep evaluates only what the gradients point to."""
    if PLAN.study["search"] != "gradient":
        return {}
    return {
        "gradients": f"<results>/gradients/{wildcards.model}/{wildcards.dataset}.json"
    }


def choice_inputs(wildcards):
    """What the cheap search rests on, where the study compares it with the exhaustive one."""
    cell = (wildcards.model, wildcards.dataset)
    if "search" not in PLAN.study["artefacts"] or cell not in DRAWN:
        return {}
    return {
        "gradients": f"<results>/gradients/{wildcards.model}/{wildcards.dataset}.json",
        "sweep": sweep_files(wildcards.model, wildcards.dataset),
    }


def published_cells():
    """The cells for which the paper's Table 3 has a choice of its own."""
    return [cell for cell in PLAN.cells() if PLAN.published_choice(*cell)]


RUN_FILES = {
    "compose": ("json", "parquet"),
    "seeds": ("parquet",),
    "prompts": ("parquet",),
    "higher_order": ("parquet",),
    "perplexity": ("parquet",),
}


def run_patterns():
    """One file per cell: the patterns of what the tables rest on beside reductions and sweeps, each with its cells."""
    patterns = {
        "sweep/{model}/{dataset}/base.parquet": PLAN.cells(),
        "selection/{model}/{dataset}.json": PLAN.cells(),
        "test/{model}/{dataset}.parquet": PLAN.cells(),
    }
    for run, endings in RUN_FILES.items():
        if run in NEEDED:
            for ending in endings:
                patterns[f"{run}/{{model}}/{{dataset}}.{ending}"] = PLAN.cells_of(run)
    return patterns


NEEDED = {declared()[name].needs for name in PLAN.study["artefacts"]}


def run_files(wildcards):
    """Every file that the tables rest on: asked for by name, so that a deleted one is noticed and made again."""
    made = [path for model in PLAN.models for path in reduction_files(model)]
    made += sweeps_of(PLAN.cells())
    if "landscape" in NEEDED:
        made += landscapes_of(PLAN.cells_of("landscape"))
    for pattern, cells in run_patterns().items():
        made += files_of(f"<results>/{pattern}", cells)
    return made


def run_words():
    """`run_files` and the study's inputs, as words for the shell."""
    words = [f"{shlex.quote(PLAN.results)}/inputs/study.json"]
    words += [reduction_words(PLAN.models), sweep_words(PLAN.cells())]
    if "landscape" in NEEDED:
        words.append(landscape_words(PLAN.cells_of("landscape")))
    for pattern, cells in run_patterns().items():
        words.append(by_model(f"{{results}}/{pattern}", cells, PLAN.layers))
    return " ".join(words)


def needs(stage):
    """Memory, GPU and run time of a rule's jobs, from the model's size and the work; more at every further attempt."""
    return resource_functions(PLAN, stage)


def artefact_files(wildcards):
    """Every file of every table and figure that the study asks for."""
    made = [getattr(rules, name).output for name in PLAN.study["artefacts"]]
    return [
        path
        for output in made
        for path in output
        if path not in (output.record, output.run_record)
    ]


DRAWN = PLAN.cells_of("figures")


def landscapes_of(cells):
    return [
        path for model, dataset in cells for path in landscape_files(model, dataset)
    ]


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


def tell_of_failed_slurm_jobs():
    """Say at the end which jobs failed in SLURM, and why; those too that a retry made good."""
    logs = getattr(workflow.executor_settings, "logdir", None)
    if logs:
        tell_failures(Path(logs), STARTED, logger.warning)


onstart:
    tell_of_another_host(Path(), logger.warning)
    executor = slurm_executor.executor_of(workflow)
    note_run(slurm_jobs=executor and executor.run_uuid)
    if executor:
        slurm_executor.complete(executor)
    warn_of_unreachable_models()


onsuccess:
    tell_of_failed_slurm_jobs()


onerror:
    tell_of_failed_slurm_jobs()
