"""What is added to the SLURM executor, on stand-ins; tests/slurm has what a real SLURM on one host can show.

The refusals by a QOS or an account are stand-ins only: they need SLURM's database, which that SLURM does not have.
"""

import asyncio
import inspect
import logging
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as real

from laser.cluster import slurm_executor


def test_min_job_age_is_remembered_while_the_controller_is_away():
    answers = iter([300, 120, None, None, 60])
    plugin = ModuleType("plugin")
    plugin.get_min_job_age = lambda: next(answers)
    slurm_executor.remember_min_job_age(plugin)
    assert [plugin.get_min_job_age() for _ in range(4)] == [120, 120, 120, 60]


@pytest.mark.parametrize("states", [{"1": "PREEMPTED", "2": "RUNNING", "3": "COMPLETED"}, None])
def test_a_preempted_job_is_a_cancelled_one(states):
    async def ask(command, logger):
        return states, 0.1

    plugin = ModuleType("plugin")
    plugin.query_job_status = ask
    slurm_executor.fail_preempted(plugin)
    found, _ = asyncio.run(plugin.query_job_status("squeue", logging.getLogger()))
    assert found == (states and {"1": "CANCELLED", "2": "RUNNING", "3": "COMPLETED"})


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("1234\n", "1234"),
        ("1234;cluster\n", "1234"),
        ("Welcome to cluster 2: 3 of its 4 nodes are up\n1234\n", "1234"),
        ("2\n1234;gpu2\n\n", "1234"),
        ("Your quota: 17\n  99 \n", "99"),
        ("Submitted batch job 77", "77"),
    ],
)
def test_the_last_line_is_the_id(output, expected):
    plugin = ModuleType("plugin")
    plugin.validate_or_get_slurm_job_id = real.validate_or_get_slurm_job_id
    slurm_executor.read_last_line(plugin)
    assert plugin.validate_or_get_slurm_job_id(output.strip().split(";")[0], output) == expected


class Executor:
    """Submits to an sbatch that refuses with the given words, as often as there are any."""

    def __init__(self, refusals):
        self.refusals, self.submitted, self.failed = list(refusals), 0, []
        self.logger = SimpleNamespace(warning=lambda text: self.failed.append(("told", text)))
        self._job_submission_executor = ThreadPoolExecutor(1)

    def run_job(self, job):
        if self.refusals:
            words = f"SLURM sbatch failed. The error message was '{self.refusals.pop(0)}'.\n    sbatch call:\n"
            self._report_job_error_threadsafe(SimpleNamespace(job=job), words)
        else:
            self.submitted += 1

    def _report_job_error_threadsafe(self, job_info, msg):
        self.failed.append((job_info.job.attempt, msg))


@pytest.fixture
def submit():
    def run(*refusals):
        kind = type("Fresh", (Executor,), {})
        slurm_executor.wait_when_refused(kind, seconds=0)
        executor, job = kind(refusals), SimpleNamespace(attempt=1, restart_times=2)
        executor._job_submission_executor.submit(executor.run_job, job).result()
        while not executor.submitted and not [one for one in executor.failed if one[0] != "told"]:
            pass
        executor._job_submission_executor.shutdown()
        return executor, job

    return run


LIMITS = [
    "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates "
    "accounting/QOS policy (job submit limit, user's size and/or time limits)",
    "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS "
    "policy (job submit limit, user's size and/or time limits)",
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size "
    "and/or time limits)",
    "sbatch: error: Batch job submission failed: Resource temporarily unavailable",
    "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
    "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
    "sbatch: error: Batch job submission failed: Required partition not available (inactive or drain)",
]


@pytest.mark.parametrize("words", LIMITS)
def test_what_is_refused_for_now_is_submitted_again_as_it_was(submit, words):
    executor, job = submit(words, words, words)
    assert executor.submitted == 1 and job.attempt == 1
    ((kind, told),) = executor.failed
    assert kind == "told" and words in told


FOR_GOOD = [
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
    "sbatch: error: Batch job submission failed: Requested node configuration is not available",
    "sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: Batch job submission failed: Job violates "
    "accounting/QOS policy (job submit limit, user's size and/or time limits)",
    "sbatch: error: invalid partition specified: gpus",
    "sbatch: error: Memory specification can not be satisfied",
]


@pytest.mark.parametrize("words", FOR_GOOD)
def test_what_is_refused_for_good_fails_once_with_sbatchs_words(submit, words):
    executor, job = submit(words, words, words)
    assert executor.submitted == 0 and len(executor.refusals) == 2
    ((attempt, message),) = executor.failed
    assert attempt == 3 and job.restart_times <= attempt - 1  # Snakemake tries a job again while this does not hold
    assert words in message and "not tried again" in message


def test_any_other_error_is_reported_as_it_is():
    kind = type("Fresh", (Executor,), {})
    slurm_executor.wait_when_refused(kind, seconds=0)
    executor = kind([])
    executor._report_job_error_threadsafe(SimpleNamespace(job=SimpleNamespace(attempt=2)), "SLURM-job '3' failed")
    assert executor.failed == [(2, "SLURM-job '3' failed")]


def test_the_installed_executor_is_the_one_that_this_is_written_for():
    source = inspect.getsource(real)
    for used in (
        "min_job_age = get_min_job_age()",
        "await query_job_status(",
        "validate_or_get_slurm_job_id(slurm_jobid, out)",
        'status == "PREEMPTED"',
        "SLURM sbatch failed. ",
        "The error message was '{e.output.strip()}'.\\n",
    ):
        assert used in source, used
    assert callable(real.Executor._report_job_error_threadsafe)
