"""One cluster per worker, and what all tests start from: made once, by local runs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from tests.slurm import bed as cluster
from tests.slurm.harness import Place, copied, troubled_environment
from tests.slurm.settings import Settings
from tests.workflow.runner import copy_of_repository

# `make test` leaves these tests alone: they need root and install packages.
collect_ignore_glob = [] if os.environ.get("LASER_TEST_SLURM") == "1" else ["test_*.py"]

LAYERS = [0, 1, 2]
SWEEP = "results/small/sweep/tiny-llama/worldfacts"


@pytest.fixture(scope="session")
def bed():
    """A running cluster of this worker's own."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    folder = Settings.of_environment().folder
    settings = Settings(folder / str(number), port=16800 + 50 * number)
    try:
        cluster.start(settings)
    except cluster.RefusedError as error:
        pytest.exit(str(error), returncode=3)
    yield settings
    cluster.stop(settings)


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder for what the workers share; each takes its lock to make a part of it."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    from tests.slurm import studies

    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            copy_of_repository(folder / "clone")
            troubled_environment(folder / "environment")
            studies.small(folder, LAYERS)
            studies.quickstart(folder)
            (folder / "no trouble").mkdir()
    return folder


def template(shared: Path, study: str) -> Place:
    """Return the untouched clone with one of the studies."""
    return Place(None, shared / "clone", shared / f"{study}.yaml", shared / "environment/bin", shared / "no trouble")


def place(shared: Path, folder: Path, study: str) -> Place:
    """Return a fresh clone in `folder`."""
    return copied(template(shared, study), folder, folder.with_name(f"{folder.name} trouble"))


@pytest.fixture(scope="session")
def made(shared) -> dict[str, Place]:
    """Clones in which local runs have made the study `small`, more and more of it.

    `before sweeps`: reductions and base. `before one sweep`: all but the sweep of layer 0. `local`: all.
    """
    folder = shared / "made"
    steps = {
        "before sweeps": ("reductions", f"{SWEEP}/base.parquet"),
        "before one sweep": tuple(f"{SWEEP}/layer{layer}/rho0.5.parquet" for layer in LAYERS[1:]),
        "local": ("all",),
    }
    found = {}
    with FileLock(f"{folder}.lock"):
        before = None
        for name, targets in steps.items():
            own = folder / name.replace(" ", "_")
            if not (folder / f"{name}.done").exists():
                folder.mkdir(exist_ok=True)
                trouble = folder / f"{name} trouble"
                fresh = copied(before, own, trouble) if before else place(shared, own, "small")
                fresh.start(local=True, targets=targets).succeed()
                (folder / f"{name}.done").touch()
            before = found[name] = replace(template(shared, "small"), folder=own)
    return found


@pytest.fixture
def on_cluster(bed, made, tmp_path):
    """Return a function that copies one of the `made` clones for a run on the cluster."""
    places = []

    def copy(name: str) -> Place:
        own = replace(copied(made[name], tmp_path / "clone", tmp_path / "trouble"), bed=bed)
        places.append(own)
        return own

    yield copy
    for own in places:
        own.end()
        ids = [job["id"] for job in own.jobs() if job["state"] in ("PENDING", "RUNNING", "COMPLETING")]
        if ids:
            own.slurm("scancel", *ids)


def pytest_collection_modifyitems(items):
    """The longest test first, so that no worker is left alone with it."""
    items.sort(key=lambda item: "quickstart" not in item.nodeid)
