# Names that the other files share. No rules and no heavy imports: this file is read twice per cluster job.
import re
import sys
from pathlib import Path

SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from snakemake.exceptions import WorkflowError

from laser.cluster.environment import check_paths, set_environment
from laser.config.plan import Plan
from laser.config.searches import GRADIENT, RACING, searches_by
from laser.cost.requests import (
    check_gpus,
    resource_functions,
)
from laser.config.jobs import job_spec
from laser.config.specs import as_word
from laser.config.paths import PATTERNS, Folders, rho_name
from laser.errors import UserError
from laser.tasks.planned import check_planned

try:
    PLAN = Plan.load(config, ROOT)
    check_paths(checkout=ROOT, results=PLAN.results, cache=PLAN.config["cache"])
    check_gpus(PLAN)
    if workflow.is_main_process:
        check_planned(PLAN)
except UserError as error:
    raise WorkflowError(str(error)) from None

set_environment(
    SCRIPTS,
    Folders(PLAN.results, PLAN.config["cache"]),
    PLAN.config.get("node_local", ""),
    workflow.is_main_process,
)


FILES = PATTERNS
PATHS = PLAN.files.folders
RHOS = [rho_name(rho) for rho in PLAN.rhos]
# Priority of the jobs that make models and data: they run before all others, which wait for them.
FIRST = 10**9
EACH_RHO = PLAN.study["one_job_per"] == "rho"
LAYER = "layer{layer}-rho{rho}" if EACH_RHO else "layer{layer}"
TRAINED = [name for name in PLAN.models if PLAN.is_trained(name)]

# The command of every job. A job finds what it reads and writes by name, below the two folders (laser.config.paths).
# The folders are environment variables, not params: Snakemake reruns a job if its params have changed, and the models
# and data in the cache serve every study.
JOB = (
    'python ${{LASER_FORKS:+"$LASER_FORKS"}} ${{LASER_SCRIPTS:-workflow/scripts}}/{params.script}.py'
    " --spec {params.spec:q}"
    ' --results "$LASER_RESULTS_FOLDER" --cache "$LASER_CACHE_FOLDER" --log {log:q}'
)


def any_of(names):
    """A wildcard's constraint: any of the names; without names, a pattern that matches nothing."""
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
    """The params of a rule, from which `JOB` is made."""
    return {"script": script, "spec": lambda wildcards: as_word(spec(wildcards))}


def job(name):
    """The params of a rule that has its own kind of spec."""
    return command(
        name,
        lambda wildcards: job_spec(PLAN, name, dict(wildcards.items())),
    )


def needs(name):
    """Memory, GPU and run time of a rule's jobs, from the model's size and the work; each retry asks for more."""
    return resource_functions(PLAN, name)
