"""What a person sees of a run, from Snakemake's log records."""

import io
import logging

import pytest

from laser.cost.progress import PlannedJob
from laser.cost.terminal import Terminal, cause


@pytest.fixture
def seen(tmp_path):
    """A terminal without colours in front of three planned jobs, its clock, and its text."""
    clock = [1000.0]
    terminal = Terminal(io.StringIO(), colours=False, clock=lambda: clock[0])
    jobs = [
        PlannedJob(number, "prepare", f"set{number}", str(tmp_path / f"{number}.log"), "", 10.0) for number in (1, 2, 3)
    ]
    log(terminal, planned_jobs=jobs)
    return terminal, clock


def log(terminal, message=None, level=logging.INFO, **extra):
    record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    record.__dict__.update(extra)
    terminal.record(record)


def lines(terminal):
    return terminal.stream.getvalue().splitlines()


def test_events_that_come_together_make_one_line(seen):
    terminal, clock = seen
    log(terminal, event="job_started", jobs=[1, 2])
    terminal.tick()
    assert lines(terminal) == []
    clock[0] += 1
    terminal.tick()
    log(terminal, event="job_finished", job_id=1)
    log(terminal, event="job_started", jobs=[3])
    clock[0] += 1
    terminal.tick()
    shown = lines(terminal)
    assert shown[0] == "[study] 0/3 jobs, 2 running"
    assert shown[1].startswith("[study] 1/3 jobs, 2 running, about ") and len(shown) == 2


def test_a_line_comes_again_after_a_minute_only_if_it_differs(seen):
    terminal, clock = seen
    for _ in range(5):
        clock[0] += 100
        terminal.tick()
    assert lines(terminal) == ["[study] 0/3 jobs, 0 running"]


def test_the_end_of_a_failed_run_is_its_causes(seen, tmp_path):
    terminal, _ = seen
    (tmp_path / "2.log").write_text("head\n[prepare set2] 5 rows\n[prepare set2] ERROR: rows.csv: row 3 is empty.\n")
    log(terminal, event="job_started", jobs=[1, 2])
    log(terminal, "Error in rule prepare, jobid: 2\n    shell: ...", logging.ERROR, event="job_error", jobid=2)
    log(terminal, "RuleException:\nCalledProcessError: 'python ...' returned non-zero exit status 1.", logging.ERROR)
    log(terminal, "Cannot restore cache/card.json: no backup found.", logging.WARNING)
    log(terminal, event="job_finished", job_id=1)
    log(terminal, "Exiting because a job execution failed. Look below for error messages", logging.ERROR)
    log(terminal, "WorkflowError:\nAt least one job did not complete successfully.", logging.ERROR, event="error")
    terminal.close()
    assert lines(terminal)[-3:] == [
        "[study] 1 job failed (1 more were not made):",
        "  prepare set2: rows.csv: row 3 is empty.",
        f"    log: {tmp_path / '2.log'}",
    ]
    assert lines(terminal)[:-3] == ["[study] 1/3 jobs, 0 running, 1 failed"]


def test_a_retry_that_succeeds_is_no_failure(seen):
    terminal, _ = seen
    log(terminal, event="job_error", jobid=1, level=logging.ERROR)
    log(terminal, event="job_started", jobs=[1])
    log(terminal, event="job_finished", job_id=1)
    terminal.close()
    assert "failed" not in terminal.stream.getvalue()


def test_warnings_and_errors_before_any_job_are_shown():
    terminal = Terminal(io.StringIO(), colours=False)
    log(terminal, "grid.rhos[0] is 2", logging.ERROR, event="error")
    log(terminal, "the hub cannot be reached", logging.WARNING)
    log(terminal, "Building DAG of jobs...")
    log(terminal, "Nothing to be done (all requested files are present and up to date).")
    terminal.tick()
    terminal.close()
    shown = lines(terminal)
    assert shown[:2] == ["grid.rhos[0] is 2", "the hub cannot be reached"]
    assert "nothing to be done" in shown[2] and len(shown) == 3


def test_a_dry_run_shows_the_jobs_by_rule_once():
    terminal = Terminal(io.StringIO(), colours=False, dry_run=True)
    for _ in range(2):
        log(terminal, "Job stats:\njob  count\nall  1\n", event="run_info")
    log(terminal, "Job 1: prepare", event="job_info")
    terminal.close()
    assert lines(terminal) == ["Job stats:", "job  count", "all  1"]


def test_colours_are_for_a_terminal_alone():
    terminal = Terminal(io.StringIO(), colours=True)
    log(terminal, "careful", logging.WARNING)
    assert terminal.stream.getvalue().startswith("\033[33mcareful\033[0m")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("head\n[a] ERROR: first\n[a] ERROR: second\n", "second"),
        ("head\n[a] 5 of 7 rows\n", "[a] 5 of 7 rows"),
        ("head\n", "it was killed, or ended without a message"),
        (None, "it has left no log"),
    ],
)
def test_the_cause_is_the_last_message_in_the_log(tmp_path, text, expected):
    if text is not None:
        (tmp_path / "a.log").write_text(text)
    assert cause(tmp_path / "a.log") == expected
