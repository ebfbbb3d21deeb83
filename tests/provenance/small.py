"""A study of three jobs, made by the functions that rule scripts use, in milliseconds."""

import json
import sys

from laser.io.files import write_json
from laser.provenance.closure import close
from laser.provenance.job import run_job
from laser.provenance.jobs import jobs
from laser.provenance.manifest import MANIFEST, MANIFEST_RUN, deterministic_files, manifest, volatile_files

SPEC = {"study": "small", "title": "A small study", "code": "0123456789abcdef"}


def job(folder, log, text, inputs=(), outputs=(), spec=None, fails=False):
    """Run a job that writes its inputs' texts and its own into every output."""

    def main(running):
        read = "".join(path.read_text() for path in running.reads(*inputs))
        for path in running.writes(*outputs):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(read + text)
        if fails:
            raise KeyError("a fault")

    arguments = ["--spec", json.dumps(spec or SPEC | {"seed": 1}), "--log", str(folder / "logs" / log)]
    run_job(main, "", arguments=[*arguments, "--results", str(folder)])


def study(root, monkeypatch, text="rows"):
    """Make results/small below `root`, which becomes the working directory; return its (relative) folder."""
    root.mkdir(exist_ok=True)
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["workflow/scripts/make_rows.py", "--spec", "…"])
    folder = type(root)("results/small")
    inputs = ("inputs/study.json", SNAKEFILE, "README.md", "inputs/workflow/workflow/scripts/make_rows.py")
    job(folder, "inputs/inputs.log", "copy", outputs=[folder / path for path in inputs])
    job(folder, "test/m/d.log", text, [folder / "inputs/study.json"], [folder / "test/m/d.parquet"])
    job(folder, "table1/table1.log", "table", [folder / "test/m/d.parquet"], [folder / "tables/table1.csv"])
    return folder


SNAKEFILE = "inputs/workflow/Snakefile"


def closed(folder):
    """Return what the table rests on."""
    return close(folder, [folder / "tables/table1.csv"])


def write_manifests(folder):
    """Write both manifests; return the closure and the jobs."""
    found = closed(folder)
    write_json(folder / MANIFEST, manifest(SPEC, deterministic_files(found)))
    write_json(folder / MANIFEST_RUN, manifest(SPEC, volatile_files(found)))
    return found, jobs(found)
