# Before a run, when it starts, and when it ends.
import time

from laser.cluster.locks import note_run, take_over, tell_of_another_host
from laser.cluster import forks, rate_limit, slurm_executor
from laser.cluster.slurm_jobs import tell_failures
from laser.config.paths import Folders
from laser.config.study_note import check_note, write_note
from laser.config.targets import check_targets
from laser.cost import progress
from laser.errors import UserError

STARTED = time.time()

try:
    if workflow.is_main_process:
        check_note(PLAN.results, PLAN.config["study"], ROOT)
        check_targets(PLAN, sys.argv[1:], [rule.name for rule in workflow.rules])
except UserError as error:
    raise WorkflowError(str(error)) from None

# A run that was killed leaves its lock, and its jobs in SLURM: the next run takes over and continues. A job on a node
# reads this file too and does not touch its run's lock; a dry run changes nothing.
if workflow.is_main_process and not workflow.output_settings.dryrun:
    take_over(say=logger.warning)


def warn_of_unreachable_models():
    """Warn before any job starts which checkpoints are unavailable, and how to help; --keep-going runs the rest."""
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
    """Report at the end which jobs failed in SLURM, and why, including those that succeeded on a retry."""
    logs = getattr(workflow.executor_settings, "logdir", None)
    if logs:
        tell_failures(Path(logs), STARTED, logger.warning)


onstart:
    rate_limit.remove_default(workflow.scheduler, workflow.scheduling_settings)
    write_note(PLAN.results, PLAN.config["study"], ROOT)
    tell_of_another_host(Path(), logger.warning)
    executor = slurm_executor.executor_of(workflow)
    note_run(slurm_jobs=executor and executor.run_uuid)
    if executor:
        slurm_executor.complete(executor)
    device = progress.device_of_run(PLAN.config["device"], here=workflow.local_exec)
    if forks.are_possible(workflow, device):
        os.environ |= forks.start()
    planned = progress.planned_jobs(PLAN, workflow.dag, device)
    progress.write_note(PLAN.results, planned)
    logger.info(
        f"{len(planned)} jobs with a log of their own",
        extra={"planned_jobs": planned},
    )
    warn_of_unreachable_models()


onsuccess:
    tell_of_failed_slurm_jobs()


onerror:
    tell_of_failed_slurm_jobs()
