"""The whole path through Snakemake on a tiny model: what is made, what is made again, and what survives."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from laser.io.files import read_json, read_parquet
from laser.provenance.compare import differences
from laser.provenance.manifest import CRATE, MANIFEST, MANIFEST_RUN, is_covered
from tests import tiny
from tests.workflow.runner import (
    LONGEST_WORD,
    ROOT,
    command,
    contents,
    copy_of_repository,
    fork_of_jobs,
    longest_command,
    planned,
    run,
    tool,
)

COLUMNS = [
    "model",
    "dataset",
    "metric",
    "arm",
    "value",
    "low",
    "high",
    "n",
    "p_value",
    "constant",
    "matrix",
    "layer",
    "rho",
]
SWEEP = "sweep/tiny-llama/worldfacts"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a finished study: (folder, study file, results folder)."""
    folder = tmp_path_factory.mktemp("finished")
    study = tiny.study(folder, tiny.checkpoint(folder / "model"))
    done = run(folder, study, "all")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, study, folder / "results/tiny"


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished study, file times included, to do things to."""
    folder, study, _ = finished
    shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy", study, tmp_path / "copy/results/tiny"


def test_makes_every_artefact(finished):
    _, _, results = finished
    for name in ("table1", "table3"):
        assert {path.suffix for path in (results / "tables").glob(f"{name}.*")} == {".csv", ".md", ".tex"}
    figure = results / "figures/fig2/tiny-llama"
    assert {path.name for path in figure.iterdir()} == {f"worldfacts-corrected.{end}" for end in ("svg", "pdf", "csv")}
    page = (results / "report/index.html").read_text()
    assert "tiny-llama" in page and "http://" not in page.replace("http://www.w3.org", "")


def test_table1_has_its_columns_and_a_row_per_metric_and_arm(finished):
    table = pd.read_csv(finished[2] / "tables/table1.csv")
    assert list(table.columns[: len(COLUMNS)]) == COLUMNS
    assert sorted(zip(table["metric"], table["arm"], strict=True)) == sorted(
        (metric, arm) for metric in ("accuracy", "loss") for arm in ("base", "laser")
    )
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()


def test_table1_can_be_recomputed_from_the_rows(finished):
    _, _, results = finished
    rows = read_parquet(results / "test/tiny-llama/worldfacts.parquet")
    table = pd.read_csv(results / "tables/table1.csv").set_index(["metric", "arm"])
    for arm in ("base", "laser"):
        own = rows[rows["arm"] == arm]
        assert table.loc[("accuracy", arm), "value"] == pytest.approx(100 * own["correct"].mean())
        assert table.loc[("loss", arm), "value"] == pytest.approx(own["loss"].mean())
        assert table.loc[("loss", arm), "n"] == len(own)


def test_validation_and_test_rows_are_disjoint_by_fact(finished):
    folder, _, results = finished
    (path,) = (folder / "cache/data").glob("worldfacts-*/rows.parquet")
    group = read_parquet(path).set_index("id")["group"]
    swept = set(group[read_parquet(results / SWEEP / "layer0/rho0.1.parquet")["id"]])
    tested = set(group[read_parquet(results / "test/tiny-llama/worldfacts.parquet")["id"]])
    assert swept and tested and not swept & tested


def test_each_reduction_has_its_record(finished):
    record = read_json(finished[2] / "reductions/tiny-llama/layer1/rho0.1.json")
    assert set(record["matrices"]) == {"u_gate", "u_out"}
    assert record["matrices"]["u_out"]["kept_rank"] == 3
    assert record["spec"]["layer"] == 1


def test_every_result_repeats_its_spec(finished):
    import pyarrow.parquet as pq

    made = set(finished[2].rglob("*.parquet")) - set((finished[2] / "inputs").rglob("*"))
    for path in made:
        spec = json.loads(pq.read_schema(path).metadata[b"laser_spec"])
        assert spec["code"] and spec["model"]["name"] == "tiny-llama" and spec["run"]["device"] == "cpu"


def test_a_second_run_does_nothing(finished):
    folder, study, _ = finished
    assert planned(folder, study, "all") == {}


def test_another_study_shares_model_and_data(finished, tmp_path):
    """In both directions: what the second study needs of the cache is there, and the first one's need not be remade."""
    folder, first, _ = finished
    second = tmp_path / "second.yaml"
    second.write_text(first.read_text())
    assert {"fetch", "prepare"}.isdisjoint(planned(folder, second, "all"))
    (card,) = (folder / "cache/models").glob("*/card.json")
    made = run(folder, second, str(card.relative_to(folder)), flags=("--forcerun", "fetch"))
    assert made.returncode == 0, made.stdout + made.stderr
    assert "1 of 1 steps" in made.stdout + made.stderr
    assert planned(folder, first, "all") == {}


def test_new_file_times_alone_make_nothing_again(copy):
    folder, study, _ = copy
    moved = copy_of_repository(folder / "elsewhere")
    for path in moved.rglob("*"):
        os.utime(path)
    assert planned(folder, study, "all", root=moved) == {}


def test_one_figure_needs_only_its_own_jobs(finished, tmp_path):
    _, study, _ = finished
    assert set(planned(tmp_path, study, "fig2")) == {"fetch", "prepare", "reduce", "base", "sweep", "fig2"}
    one = "results/tiny/reductions/tiny-llama/layer1/rho0.1.json"
    assert planned(tmp_path, study, one) == {"fetch": 1, "reduce": 1}


def test_one_job_per_rank(finished, tmp_path):
    folder, _, _ = finished
    study = tiny.study(tmp_path, folder / "model", one_job_per="rho")
    jobs = planned(tmp_path, study, "all")
    assert (jobs["reduce"], jobs["sweep"]) == (4, 4)
    one = "results/tiny/sweep/tiny-llama/worldfacts/layer1/rho0.1.parquet"
    assert planned(tmp_path, study, one) == {"fetch": 1, "prepare": 1, "reduce": 1, "sweep": 1}


@pytest.mark.parametrize(("search", "gradients"), [("racing", 0), ("gradient-racing", 1)])
def test_a_race_takes_the_place_of_the_sweeps(finished, tmp_path, search, gradients):
    folder, _, _ = finished
    jobs = planned(tmp_path, tiny.study(tmp_path, folder / "model", search=search), "all")
    assert (jobs["race"], jobs["survivors"], jobs.get("gradients", 0)) == (1, 2, gradients)
    assert "sweep" not in jobs


def test_a_new_rank_leaves_model_data_and_base_alone(copy):
    folder, _, _ = copy
    study = tiny.study(folder, folder.parent / "unused", name="tiny")
    text = study.read_text().replace(str(folder.parent / "unused"), read_model_path(folder))
    study.write_text(text.replace("- 0.1", "- 0.2"))
    assert set(planned(folder, study, "all")) == {
        "reduce",
        "sweep",
        "select_intervention",
        "test_intervention",
        "table1",
        "table3",
        "fig2",
        "report",
        "inputs",
        "manifest",
    }


def read_model_path(folder):
    (card,) = (folder / "cache/models").glob("*/card.json")
    return read_json(card)["source"]["path"]


@pytest.mark.parametrize(
    ("edited", "expected"),
    [
        ("workflow/report/fig2.rst", {"report", "manifest"}),
        (
            "workflow/scripts/laser/evaluation/select.py",
            {"select_intervention", "test_intervention", "table1", "table3", "report", "manifest"},
        ),
        ("config/published/table1.csv", {"table1", "table3", "fig2", "report", "inputs", "manifest"}),
    ],
)
def test_an_edit_makes_again_what_depends_on_it(copy, edited, expected):
    folder, study, _ = copy
    changed = copy_of_repository(folder / "elsewhere")
    path = changed / edited
    # A blank line means nothing in Python (laser.config.fingerprint).
    path.write_text(path.read_text() + ("\nEDITED = True\n" if path.suffix == ".py" else "\n"))
    assert set(planned(folder, study, "all", root=changed)) == expected


def test_a_deleted_sweep_file_comes_back_with_the_same_bytes(copy):
    folder, study, results = copy
    before = contents(results, "sweep/**/*.parquet") | contents(results, "tables/*")
    (results / SWEEP / "layer1/rho0.1.parquet").unlink()
    jobs = planned(folder, study, "all")
    assert jobs["sweep"] == 1
    assert "reduce" not in jobs and "base" not in jobs
    done = run(folder, study, "all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(results, "sweep/**/*.parquet") | contents(results, "tables/*") == before


@pytest.mark.parametrize(
    ("paths", "jobs", "untouched"),
    [
        ([f"records/{SWEEP}/layer1.json", f"runs/{SWEEP}/layer0.json"], {"sweep": 2}, {"reduce", "base"}),
        (["records/table1/table1.json"], {"table1": 1}, {"table3"}),
        (["records/inputs/inputs.json", "records/manifest/manifest.json"], {"inputs": 1}, {"report"}),
        (["runs/report/report.json"], {"report": 1}, {"table1"}),
    ],
)
def test_a_deleted_record_or_run_is_made_again_with_its_job(copy, paths, jobs, untouched):
    folder, study, results = copy
    for path in paths:
        (results / path).unlink()
    made = planned(folder, study, "all")
    assert jobs.items() | {("manifest", 1)} <= made.items() and not untouched & set(made)


def test_a_deleted_record_comes_back_with_the_same_bytes(copy):
    folder, study, results = copy

    def lasting():
        # The manifest's own record names files that differ from run to run, with their hashes.
        files = contents(results, "records/**/*") | contents(results, "manifest.json")
        return {path: content for path, content in files.items() if path != "records/manifest/manifest.json"}

    before = lasting()
    (results / "records/table1/table1.json").unlink()
    done = run(folder, study, "all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lasting() == before
    # Snakemake compared the manifest's params when it planned this run: table 1's new log counts at the next one.
    assert set(planned(folder, study, "all")) <= {"manifest"}


def audited(results):
    """Audit a study; return the exit status and what is shown."""
    done = tool("audit", results)
    return done.returncode, done.stdout + done.stderr


def test_a_study_passes_its_audit_after_single_files_were_made_again(copy):
    """Made again by their names, in the cache and in the study: the next `all` writes the manifest that fits them."""
    folder, study, results = copy
    gone = [results / name for name in ("tables/table1.csv", "report/run.html")]
    for path in gone:
        path.unlink()
    again = run(folder, study, *(str(path.relative_to(folder)) for path in gone))
    assert again.returncode == 0, again.stdout + again.stderr
    assert audited(results)[0] == 1
    done = run(folder, study, "all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert audited(results)[0] == 0, audited(results)[1]
    assert planned(folder, study, "all") == {}


def test_a_file_that_snakemake_does_not_track_is_noticed(copy):
    """Which files these are: tests/provenance/test_manifest.py."""
    folder, study, results = copy
    (file, *_) = results.glob("logs/prepare/*.log")
    file.unlink()
    assert planned(folder, study, "all") == {"manifest": 1}


def adverse(folder):
    """Return variables under which Python's warnings are errors, asserts are gone, and PATH has an unreadable folder.

    Its commands cannot be executed either, which stops even root.
    """
    folder.mkdir()
    for name in ("git", "nvidia-smi", "sacct", "sbatch", "scontrol", "squeue"):
        (folder / name).touch(mode=0o600)
    folder.chmod(0o000)
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    return {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PATH": path}


def test_one_core_a_kill_and_an_adverse_environment_give_the_same_manifest(finished, tmp_path):
    """Snakemake is killed with its jobs in mid-run; the next run goes on, without a flag, to the same bytes."""
    _, study, results = finished
    folder = tmp_path / "elsewhere-and-with-a-longer-path"
    folder.mkdir()
    process = subprocess.Popen(
        command(folder, study, "all", cores=1),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | fork_of_jobs(),
    )
    again = folder / "results/tiny"
    deadline = time.monotonic() + 300
    while not list((again / SWEEP).glob("layer*/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list((again / SWEEP).glob("layer*/*.parquet"))
    assert not (again / "tables/table1.csv").exists()
    done = run(folder, study, "all", cores=1, variables=adverse(tmp_path / "unreadable"), alone=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fault of the workflow" not in done.stdout + done.stderr
    assert differences(results, again) == []
    assert (results / MANIFEST).read_bytes() == (again / MANIFEST).read_bytes()


def test_the_manifests_have_every_file(finished):
    _, _, results = finished
    named = {entry["path"] for name in (MANIFEST, MANIFEST_RUN) for entry in read_json(results / name)["files"]}
    there = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    assert {name for name in there if is_covered(name)} == named
    assert CRATE in named
    made = read_json(results / MANIFEST)["files"]
    assert len(made) > 50 and all(entry["record"] or entry["path"].startswith("records/") for entry in made)


def test_no_record_tells_where_it_was_made(finished):
    folder, _, results = finished
    for path in (results / "records").rglob("*.json"):
        if path.parent.name not in ("inputs", "report", "manifest"):  # they hold the study, with its model's path
            assert str(folder) not in path.read_text()


def test_every_rule_has_the_log_by_which_its_record_is_called():
    text = "".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    blocks = re.split(r"^ *rule ?(\w*):$", text, flags=re.M)[1:]
    assert len(blocks) >= 30
    for rule, block in zip(blocks[::2], blocks[1::2], strict=True):
        (log,) = re.findall(r'log:\s+f?"<logs>/([^"]+)\.log"', block)
        assert log.split("/")[0] == rule or (not rule and log.startswith("{"))  # a rule of a loop has its name from it


def test_a_damaged_result_is_named_and_not_used(copy):
    folder, study, results = copy
    path = results / "test/tiny-llama/worldfacts.parquet"
    path.write_bytes(path.read_bytes()[:100])
    done = run(folder, study, "table1")
    shown = done.stdout + done.stderr
    assert done.returncode != 0
    assert "test/tiny-llama/worldfacts.parquet" in shown and "Delete" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        ("quickstrat", "did you mean 'quickstart'"),
        ({"grid": {"matrices": ["u_out"], "layers": [5], "rhos": [0.5]}}, "has 2 layers"),
        ({"grid": {"matrices": ["u_out"], "layers": "all", "rhos": [2]}}, "grid.rhos[0] is 2"),
    ],
)
def test_a_wrong_study_is_one_message_before_any_job(tmp_path, study, expected):
    if isinstance(study, dict):
        study = tiny.study(tmp_path, Path("nowhere"), **study)
    done = run(tmp_path, study, "all")
    shown = done.stdout + done.stderr
    assert done.returncode != 0 and expected in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "results").exists()


def test_a_missing_model_folder_is_one_message(tmp_path):
    study = tiny.study(tmp_path, tmp_path / "nowhere")
    done = run(tmp_path, study, "all")
    shown = done.stdout + done.stderr
    assert done.returncode != 0
    assert "nowhere" in shown and "Traceback" not in shown


def test_snakemakes_own_report_and_rule_graph(finished):
    folder, study, _ = finished
    graph = run(folder, study, "all", flags=("--rulegraph",))
    assert graph.stdout.startswith("digraph") and '"sweep' in graph.stdout.replace("label = ", "")
    done = run(folder, study, "all", flags=("--report", str(folder / "snakemake-report.html")))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "snakemake-report.html").stat().st_size > 100_000


def test_nothing_is_written_outside_the_configured_folders(finished):
    folder, _, _ = finished
    assert {path.name for path in folder.iterdir()} <= {
        *("model", "tiny.yaml", "cache", "results", ".snakemake", "snakemake-report.html")
    }
    assert {path.name for path in (folder / "cache").iterdir()} == {"models", "data", "factors"}


def test_no_command_line_of_the_laboratory_is_too_long_for_the_system(tmp_path):
    done = run(tmp_path, "laboratory", "all", flags=("--dry-run", "--printshellcmds"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert longest_command(done) < LONGEST_WORD / 2
