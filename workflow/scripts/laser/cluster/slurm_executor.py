"""Additions to Snakemake's SLURM executor (2.8.0) that no key of the profile provides; applied when a run starts.

Each function says what fails without it; docs/cluster.md names the test that shows it.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

PLUGIN = "snakemake_executor_plugin_slurm"
SECONDS_BETWEEN_SUBMISSIONS = 60
PASSING = re.compile(
    r"temporarily un|not available now|inactive or drain|Unable to contact"
    r"|Socket timed out|Zero Bytes|Connection (refused|timed out|reset)|not responding",
    re.IGNORECASE,
)
"""Messages of sbatch after which the same submission may be accepted later."""
POLICY = "Job violates accounting/QOS policy"
"""Message for every limit of an account or QOS, after a line with the limit's name (AssocMaxSubmitJobLimit)."""


def executor_of(workflow: Any) -> Any | None:
    """Return the SLURM executor of a run; None if it uses another one."""
    executor = getattr(workflow.scheduler, "_executor", None)
    return executor if type(executor).__module__ == PLUGIN else None


def complete(executor: Any) -> None:
    """Apply all additions of this module to the executor's module and class."""
    plugin = sys.modules[PLUGIN]
    remember_min_job_age(plugin)
    if not executor.workflow.executor_settings.requeue:
        fail_preempted(plugin)
    read_last_line(plugin)
    wait_when_refused(type(executor))


def remember_min_job_age(plugin: ModuleType) -> None:
    """Keep asking squeue while the cluster's controller does not answer.

    Before each query the executor reads MinJobAge from the controller. If that fails it uses sacct, and without an
    accounting database it loses its jobs and waits forever.
    """
    ask: Callable[[], int | None] = plugin.get_min_job_age
    last = ask()

    def remembered() -> int | None:
        nonlocal last
        now = ask()
        last = last if now is None else now
        return last

    plugin.get_min_job_age = remembered  # type: ignore[attr-defined]


def fail_preempted(plugin: ModuleType) -> None:
    """Treat a preempted job as failed: SLURM does not requeue it, and the executor would wait for it forever."""
    ask = plugin.query_job_status

    async def query(command: str, logger: Any) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await ask(command, logger)
        if states is not None:
            states = {job: "CANCELLED" if state == "PREEMPTED" else state for job, state in states.items()}
        return states, seconds

    plugin.query_job_status = query  # type: ignore[attr-defined]


def read_last_line(plugin: ModuleType) -> None:
    """Read the job's id from the last line that can be one: the executor also accepts a number in a site's banner.

    It then takes the submission for failed, and submits the job a second time.
    """
    validate = plugin.validate_or_get_slurm_job_id

    def job_id(first: str, output: str) -> str:
        for line in reversed(output.splitlines()):
            if parsable := re.fullmatch(r"(\d+)(;\S*)?", line.strip()):
                return parsable[1]
        return str(validate(first, output))

    plugin.validate_or_get_slurm_job_id = job_id  # type: ignore[attr-defined]


def may_pass(refusal: str) -> bool:
    """Return True if sbatch may accept the same submission later: there was no answer, or the queue is full."""
    if POLICY not in refusal:
        return PASSING.search(refusal) is not None
    limit = re.search(r"\b(QOS|Assoc)\w+", refusal.partition("Batch job")[0])
    return limit is None or "Submit" in limit[0]


def wait_when_refused(executor_class: type, seconds: float = SECONDS_BETWEEN_SUBMISSIONS) -> None:
    """Submit a job again later if sbatch refuses it for now, and do not retry a job that it will always refuse.

    The executor counts either as a failure of the job: all attempts are used within a minute, each with more memory.
    """
    report = executor_class._report_job_error_threadsafe  # type: ignore[attr-defined]
    told = set()

    def reported(executor: Any, job_info: Any, msg: str) -> None:
        refusal = re.match(r"SLURM sbatch failed\. The error message was '(.*?)'\.\n", msg, re.DOTALL)
        if refusal is None:
            report(executor, job_info, msg)
            return
        job, words = job_info.job, refusal[1].strip()
        if may_pass(words):
            if words not in told:
                executor.logger.warning(f"SLURM takes no more jobs for now; they are submitted later. It says: {words}")
                told.add(words)
            pool, deadline = executor._job_submission_executor, time.monotonic() + seconds
            while time.monotonic() < deadline and not pool._shutdown:
                time.sleep(min(1, seconds))
            if not pool._shutdown:
                pool.submit(executor.run_job, job)
                return
        job.attempt = job.restart_times + 1
        report(executor, job_info, f"SLURM refuses this job, so it is not tried again. {msg}")

    executor_class._report_job_error_threadsafe = reported  # type: ignore[attr-defined]
