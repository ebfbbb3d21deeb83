# Input functions and names that the other files share. No rules, no heavy imports: this is read twice per cluster job.
import os
import re
import sys
import time
from pathlib import Path

STARTED = time.time()
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from snakemake.exceptions import WorkflowError
from snakemake.rules import Rule as workflow_rule

from laser.cluster.environment import check_paths, set_environment
from laser.provenance.copied_inputs import (
    all_copies,
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
    hash_of_declarations,
    possible_artefacts,
)
from laser.cost.requests import (
    check_gpus,
    fetch_memory_mb,
    resource_functions,
    training_memory_mb,
    urgency,
)
from laser.cluster import slurm_executor
from laser.cluster.slurm_jobs import tell_failures
from laser.config.jobs import job_spec
from laser.config.paths import PATTERNS, Folders, rho_name
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


FILES = PATTERNS
PATHS = PLAN.files.folders
RHOS = [rho_name(rho) for rho in PLAN.rhos]
# Before every job that has a priority of its own: what makes models and data, on which all others wait.
FIRST = 10**9
EACH_RHO = PLAN.study["one_job_per"] == "rho"
LAYER = "layer{layer}-rho{rho}" if EACH_RHO else "layer{layer}"
TRAINED = [name for name in PLAN.models if PLAN.is_trained(name)]

# The command of every job. What it reads and writes it finds by name, below the two folders (laser.config.paths).
JOB = (
    "python ${{LASER_SCRIPTS:-workflow/scripts}}/{params.script}.py --spec {params.spec:q}"
    " --results {params.results:q} --cache {params.cache:q} --log {log:q}"
)


def any_of(names):
    """A wildcard's constraint: one of some names; without any, a pattern that nothing matches."""
    return "|".join(sorted({re.escape(name) for name in names})) or "(?!)"


wildcard_constraints:
    model=any_of(PLAN.models),
    dataset=any_of(PLAN.datasets),
    layer=r"\d+",
    rho=r"[0-9.e-]+",
    chunk=r"\d+",
    chunks=r"\d+",
    model_key=any_of(map(PLAN.model_key, PLAN.models)),
    data_key=any_of(map(PLAN.data_key, PLAN.datasets)),
    corpus_key=any_of(map(PLAN.corpus_key, TRAINED)),
    pool_key=any_of(PLAN.pool_keys),
    text_key=r"[A-Za-z0-9_.-]+",


def command(script, spec):
    """The params of a rule: what `JOB` is made of."""
    return {
        "script": script,
        "spec": spec,
        "results": lambda wildcards: PLAN.results,
        "cache": lambda wildcards: PLAN.config["cache"],
    }


def job(name):
    """The params of a rule that has its own kind of spec."""
    return command(
        name, lambda wildcards: job_spec(PLAN, name, dict(wildcards.items()))
    )


def study_job(name, **settings):
    """The params of a job about the whole study; settings may be functions of the wildcards."""

    def spec(wildcards):
        given = {
            key: value(wildcards) if callable(value) else value
            for key, value in settings.items()
        }
        return PLAN.artefact_spec(name, files=PLAN.files.spec(), **given)

    return command(name, spec)


def per_rho(kind):
    """One file per rho: all of them from one job, or one job each (`one_job_per` in the study)."""
    pattern = FILES[kind]
    return pattern if EACH_RHO else expand(pattern, rho=RHOS, allow_missing=True)


def corpus_of_model(wildcards):
    name = PLAN.model_of_key(wildcards.model_key)
    return PATHS.text("corpus", corpus_key=PLAN.corpus_key(name))


def room_chunks(wildcards):
    """The shares of all jobs that make a pool of rooms."""
    count = PLAN.chunks(wildcards.pool_key)
    return PATHS.each(
        "rooms", pool_key=wildcards.pool_key, chunk=range(count), chunks=count
    )


def episodes_of_policy(wildcards):
    key = PLAN.pool_of_model(PLAN.model_of_key(wildcards.model_key))
    return PATHS.text("episodes", pool_key=key)


def episodes_of_dataset(wildcards):
    """The episodes that a dataset of rooms is prepared from; nothing for any other."""
    key = PLAN.pool_of_dataset(PLAN.dataset_of_key(wildcards.data_key))
    return PATHS.text("episodes", pool_key=key) if key else []


def model_card(wildcards):
    return PATHS.text("model", model_key=PLAN.model_key(wildcards.model))


def data_rows(wildcards):
    return PATHS.text("rows", data_key=PLAN.data_key(wildcards.dataset))


def text_of_model(wildcards):
    return PLAN.text_file(wildcards.model)


def texts(wildcards):
    """The texts on which the study measures perplexity."""
    if "perplexity" not in PLAN.study["artefacts"]:
        return []
    return sorted({PLAN.text_file(model) for model, _ in PLAN.cells_of("perplexity")})


def files_of_cell(*kinds):
    """All files of some kinds of a job's model and dataset."""
    return lambda wildcards: [
        path
        for kind in kinds
        for path in PLAN.files.of_cell(kind, wildcards.model, wildcards.dataset)
    ]


def cheap_search_files(wildcards):
    """What the cheap search rests on, where the study compares it with the exhaustive one."""
    if not PLAN.compares_searches(wildcards.model, wildcards.dataset):
        return []
    return files_of_cell("gradients", "sweep")(wildcards)


def study_files(*kinds):
    """All files of some kinds."""
    return [path for kind in kinds for path in PLAN.files.paths(kind)]


def evaluation_files(wildcards):
    """Every file that the tables rest on: asked for by name, so that a deleted one is noticed and made again."""
    return [
        path
        for kind, cells in PLAN.evaluated().items()
        for path in PLAN.files.paths(kind, cells)
    ]


def needs(name):
    """Memory, GPU and run time of a rule's jobs, from the model's size and the work; more at every further attempt."""
    return resource_functions(PLAN, name)


def artefact_files(wildcards):
    """Every file of every table and figure that the study asks for."""
    made = [getattr(rules, name).output for name in PLAN.study["artefacts"]]
    return [
        path
        for output in made
        for path in output
        if path not in (output.record, output.run_record)
    ]


def longest_first(name):
    """A rule's priority; a number, where Snakemake is older than its functions of wildcards."""
    if not hasattr(workflow_rule, "expand_priority"):
        return 0
    return lambda wildcards: urgency(PLAN, name, dict(wildcards.items()))


def artefact_names(wildcards):
    """The files of all tables and figures, below the study's folder."""
    return [os.path.relpath(path, PLAN.results) for path in artefact_files(wildcards)]


def record_files(wildcards):
    """Record and run of every job of the study (docs/provenance.md): one that is deleted is made again with its job."""
    files = [
        *artefact_files(wildcards),
        *evaluation_files(wildcards),
        rules.report.output.page,
    ]
    files = [file.replace("<results>", PLAN.results) for file in files]
    return records_of(workflow.rules, [*files, rules.inputs.output.study])


def warn_of_unreachable_models():
    """Say before any job starts which checkpoints cannot be had, and how to help; --keep-going runs the rest."""
    from laser.models.sources import check

    folders = Folders(PLAN.results, PLAN.config["cache"])
    missing = [
        name
        for name in PLAN.models
        if not folders.path("model", model_key=PLAN.model_key(name)).exists()
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
