"""What is left of a run, from the model's times corrected by those of the jobs that have ended."""

import subprocess
from pathlib import Path

import pytest

from laser.config.plan import Plan
from laser.config.yaml_files import read_yaml
from laser.cost.progress import (
    PlannedJob,
    Progress,
    device_of_run,
    duration,
    expected_job_seconds,
    note_path,
    read_note,
    write_note,
)

ROOT = Path(__file__).resolve().parents[2]


def job(number, rule="sweep", seconds=100.0):
    return PlannedJob(number, rule, f"m d {number}", f"logs/{rule}/{number}.log", f"runs/{rule}/{number}.json", seconds)


def progress(*jobs):
    return Progress({one.id: one for one in jobs})


def run(state, number, start, end):
    state.start(number, start)
    state.finish(number, end)


def test_nothing_is_said_of_the_time_before_a_job_has_ended():
    state = progress(job(1), job(2))
    state.start(1, 0.0)
    assert state.seconds_left(10.0) is None and state.line(10.0) == "0/2 jobs, 1 running"


@pytest.mark.parametrize(("factor", "least", "most"), [(1.0, 190, 210), (3.0, 480, 610), (0.5, 100, 130)])
def test_the_models_times_are_corrected_by_what_ran(factor, least, most):
    state = progress(*(job(number) for number in range(4)))
    run(state, 0, 0.0, 100.0 * factor)
    run(state, 1, 0.0, 100.0 * factor)
    state.most = 1
    assert least <= state.seconds_left(100.0 * factor) <= most


def test_each_rule_is_corrected_by_its_own_jobs():
    state = progress(job(1, "base"), job(2, "base"), job(3), job(4))
    run(state, 1, 0.0, 1000.0)
    run(state, 3, 1000.0, 1100.0)
    state.most = 1
    slow = state.seconds_left(1100.0)
    run(state, 2, 1100.0, 2100.0)
    assert slow - state.seconds_left(2100.0) > 600


def test_quick_jobs_that_the_model_does_not_know_do_not_shorten_those_that_it_knows():
    state = progress(*(job(number, "prepare", 8.0) for number in range(20)), job(20, seconds=3000.0))
    for number in range(20):
        run(state, number, 0.0, 1.0)
    assert state.seconds_left(20.0) == pytest.approx(3000.0)


def test_slow_jobs_that_the_model_does_not_know_do_not_lengthen_the_others():
    state = progress(job(1, "train", 8.0), job(2, seconds=1000.0), job(3, "train", 8.0))
    run(state, 1, 0.0, 80.0)
    known = state.seconds_left(80.0)
    assert 1000 <= known <= 1000 + 80


def test_a_job_that_runs_longer_than_expected_counts_before_it_ends():
    state = progress(job(0, "base", 1.0), *(job(number) for number in range(1, 5)))
    run(state, 0, 0.0, 1.0)
    state.start(1, 1.0)
    before, late = state.seconds_left(90.0), state.seconds_left(401.0)
    assert before < 350 and late > 3 * 300


def test_jobs_side_by_side_share_the_time_but_the_longest_bounds_it():
    state = progress(job(1), job(2), job(3), job(4, seconds=1000.0))
    state.start(1, 0.0)
    state.start(2, 0.0)
    state.finish(1, 100.0)
    assert state.seconds_left(100.0) == pytest.approx(1000.0)
    state.finish(2, 100.0)
    state.start(4, 100.0)
    assert state.seconds_left(600.0) == pytest.approx(500.0)


def test_the_line_counts_each_job_once():
    state = progress(job(1), job(2), job(3))
    run(state, 1, 0.0, 100.0)
    state.start(2, 100.0)
    state.fail(2)
    assert state.line(100.0).startswith("1/3 jobs, 0 running, 1 failed, about ")
    state.start(2, 100.0)
    assert "failed" not in state.line(100.0)
    state.finish(2, 200.0)
    run(state, 3, 200.0, 300.0)
    assert state.line(300.0) == "3/3 jobs, 0 running"
    for strange in (99, -1):
        state.start(strange, 0.0), state.finish(strange, 0.0), state.fail(strange)
    assert state.line(300.0) == "3/3 jobs, 0 running"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "5 s"),
        (38, "40 s"),
        (360, "6 min"),
        (3599, "1 h"),
        (7800, "2 h 10 min"),
        (3 * 86400 + 4 * 3600, "3 days 4 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_note_is_read_back_and_a_damaged_one_is_none(tmp_path):
    results = tmp_path / "results/own"
    write_note(results, [job(1), job(2)])
    started, jobs = read_note(results)
    assert started > 0 and jobs == [job(1), job(2)] and jobs[0].name == "sweep m d 1"
    for text in ("", "[]", '{"started": 1, "jobs": [{"id": 1}]}'):
        note_path(results).write_text(text)
        assert read_note(results) is None
    assert read_note(tmp_path / "results/other") is None


def test_a_plan_of_policies_ends_in_a_plain_line_where_there_is_no_estimate():
    shown = subprocess.run(
        ["make", "-n", "--no-print-directory", "plan", "STUDY=sokoban"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    estimate = shown.stdout.splitlines()[-1]
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", estimate], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0 and ended.stderr == ""
    assert ended.stdout.startswith("No estimate of the time: model 'decision-transformer-small' is a policy")


@pytest.mark.parametrize(
    "asked, here, files, expected",
    [
        ("auto", True, ["null", "nvidiactl"], "cpu"),
        ("auto", True, ["nvidia0"], "auto"),
        ("auto", True, ["kfd"], "auto"),
        ("auto", False, ["null"], "auto"),
        ("cuda", True, ["null"], "cuda"),
        ("cpu", True, ["nvidia0"], "cpu"),
    ],
)
def test_a_run_on_a_machine_without_a_gpu_is_expected_to_take_a_processors_time(tmp_path, asked, here, files, expected):
    for name in files:
        (tmp_path / name).touch()
    assert device_of_run(asked, here, tmp_path) == expected


def test_a_processor_is_expected_to_take_longer_than_a_gpu():
    plan = Plan.load(read_yaml(ROOT / "config/config.yaml") | {"study": "pocket"}, ROOT)
    sweep = {"model": "smollm2-135m", "dataset": "fever", "layer": "0"}
    assert expected_job_seconds(plan, "sweep", sweep, "cpu") > 5 * expected_job_seconds(plan, "sweep", sweep, "auto")
