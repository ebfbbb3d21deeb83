"""Several runs, or several users, on one cache at the same time, some of them killed: nothing is ever half there."""

import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import pytest
import torch

from laser.config.yaml_files import read_yaml
from laser.io.files import atomic, read_json, read_parquet, read_spec, sha256_file
from laser.models import sources
from laser.models.card import hashes
from laser.models.sources import fetch
from laser.reduction import factors
from laser.reduction.factors import FactorStore
from laser.reduction.svd import check, within_bounds
from laser.tasks.prepare import prepare
from tests import tiny
from tests.workflow.runner import ROOT, command, contents, fork_of_jobs, forked

SILENT = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


def started(function, *arguments):
    """Start a process that calls a function of this module."""
    process = PROCESSES.Process(target=function, args=arguments, daemon=True)
    # The process that is forked, and imports this module, starts with the first.
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))):
        process.start()
    return process


def halfway_in(function, *arguments):
    """Start a process that calls a function with an event, wait until the function sets it, and return the process."""
    halfway = PROCESSES.Event()
    process = started(function, *arguments, halfway)
    assert halfway.wait(60)
    return process


def kill_when(process, seen, seconds=60):
    """Kill a process as soon as `seen()` is true; fail if it ends before, or if it never is."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.join()


def succeed(processes):
    for one in processes:
        one.join(timeout=240)
        assert one.exitcode == 0


# Fetching


@pytest.fixture
def entry(tmp_path):
    return tiny.entry("tiny-llama", tiny.checkpoint(tmp_path / "origin"))


def fetching(entry, folder, halfway=None):
    """Fetch a model; stop for a minute after half a file if there is an event that waits for it."""

    def half(source, target):
        Path(target).write_bytes(Path(source).read_bytes()[:100])
        halfway.set()
        time.sleep(60)

    if halfway:
        sources.shutil.copyfile = half
    fetch(entry, folder, lambda text: None)


def test_many_fetch_one_model_and_one_of_them_is_killed(entry, tmp_path):
    folder = tmp_path / "cache/models/tiny-llama-0"
    killed = halfway_in(fetching, entry, folder)
    others = [started(fetching, entry, folder) for _ in range(2)]
    time.sleep(1)
    assert not folder.exists()  # a half folder never stands in its place
    killed.kill()
    succeed(others)
    assert read_json(folder / "card.json")["files"] == hashes(folder)
    assert not list(folder.parent.glob("*.part"))


def test_a_lost_card_comes_back_and_the_files_that_others_read_stay(entry, tmp_path):
    """Snakemake deletes the card of a fetch that failed or was interrupted: the checkpoint itself is still whole."""
    folder = tmp_path / "models/tiny-llama-0"
    card = fetch(entry, folder, lambda text: None)
    before = {path.name: path.stat().st_ino for path in folder.glob("*.*") if path.name != "card.json"}
    (folder / "card.json").unlink()
    said = []
    assert fetch(entry, folder, said.append) == card == read_json(folder / "card.json")
    assert {path.name: path.stat().st_ino for path in folder.glob("*.*") if path.name != "card.json"} == before
    (folder / "card.json").unlink()
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert fetch(entry, folder, said.append)["files"] == hashes(folder) == card["files"]


# Preparing


def worldfacts():
    """Return the catalogue's entry of worldfacts as a study has it."""
    return read_yaml(ROOT / "config/datasets.yaml")["worldfacts"] | {"name": "worldfacts", "limit": None}


def prepared(folder, population, times):
    entry = worldfacts()
    entry["options"]["minimum_population"] = population
    for _ in range(times):
        prepare(entry, folder, entry)


def preparing(folder, population, times):
    return started(prepared, folder, population, times)


def described(folder):
    """Read card and rows as another run would; return whether they belong together."""
    card, rows = read_json(folder / "card.json"), read_parquet(folder / "rows.parquet")
    return card["rows"] == len(rows) and card["spec"] == read_spec(folder / "rows.parquet")


def test_readers_never_see_a_card_without_its_rows_while_others_prepare(tmp_path):
    folder = tmp_path / "data/worldfacts-0"
    succeed([preparing(folder, 50_000_000, 1)])
    before = sha256_file(folder / "rows.parquet"), sha256_file(folder / "card.json")
    inode = (folder / "rows.parquet").stat().st_ino
    others = [preparing(folder, 50_000_000, 5) for _ in range(3)]
    looked = 0
    while any(one.is_alive() for one in others):
        assert described(folder)
        looked += 1
    succeed(others)
    assert looked > 3
    assert (sha256_file(folder / "rows.parquet"), sha256_file(folder / "card.json")) == before
    assert (folder / "rows.parquet").stat().st_ino == inode


def test_of_two_that_prepare_different_rows_one_pair_is_left(tmp_path):
    """What cannot be in one cache (the key is made of the options) still ends with a card that fits its rows."""
    folder = tmp_path / "data/worldfacts-0"
    succeed([preparing(folder, size, 4) for size in (50_000_000, 100_000_000, 150_000_000)])
    assert described(folder)


def test_prepare_that_is_killed_at_any_moment_is_made_good_by_the_next(tmp_path):
    folder = tmp_path / "data/worldfacts-0"
    first = preparing(folder, 50_000_000, 100)
    kill_when(first, lambda: (folder / ".rows.parquet.new").exists())
    if (folder / "card.json").exists():
        assert described(folder)
    succeed([preparing(folder, 100_000_000, 1)])
    assert described(folder)


# Factors


def decomposing(folder, halfway=None):
    """Decompose a matrix three times; stop for a minute in mid-file if there is an event that waits for it."""

    def half(path, tensors, metadata):
        with atomic(path) as temporary:
            temporary.write_bytes(b"half")
            halfway.set()
            time.sleep(60)

    if halfway:
        factors.write_tensors = half
    for _ in range(3):
        factors.FactorStore(folder).get(matrix(600, 400))


def matrix(rows, columns):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


def test_many_decompose_one_matrix_and_one_of_them_is_killed(tmp_path):
    store = FactorStore(tmp_path / "factors")
    weight = matrix(600, 400)
    killed = halfway_in(decomposing, store.folder)
    others = [started(decomposing, store.folder) for _ in range(3)]
    killed.kill()
    succeed(others)
    path = store.path(weight)
    assert {one.name for one in store.folder.iterdir() if not one.name.startswith(".")} == {path.name}
    assert within_bounds(check(store.get(weight), weight))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])  # by a system that lost power, say
    assert within_bounds(check(store.get(weight), weight)) and path.read_bytes() == whole


# Two users


def used(model, cache):
    """Fetch, prepare and decompose in a cache, and leave damaged files there for the next user to replace."""
    facts = worldfacts()
    fetch(model, cache / "models/tiny", lambda text: None)
    prepare(facts, cache / "data/worldfacts", facts)
    FactorStore(cache / "factors").get(matrix(60, 40))
    for path in [cache / "models/tiny/config.json", *(cache / "factors").glob("*.safetensors")]:
        path.unlink()
        path.write_bytes(b"damaged")


def used_by_two(model, own, shared, errors):
    """Use a shared cache as one user after the other, and send the error of one that cannot."""
    # Everything is imported and used as root before, because other users may not be able to read this Python.
    used(model, own)
    used(model, own)
    for user in (54321, 54322):
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(4321)
            os.setuid(user)
            os.umask(0o002)
            try:
                used(model, shared)
            except BaseException as error:
                errors.send(f"{type(error).__name__}: {error}")
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit(1)


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_two_users_of_one_group_share_a_cache(entry, tmp_path):
    """As docs/cluster.md says: the cache's folder belongs to the group, keeps it (setgid), and both have umask 002."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        origin = shutil.copytree(entry["source"]["path"], place / "origin")
        for path in origin.iterdir():
            path.chmod(0o644)
        cache = place / "cache"
        cache.mkdir()
        os.chown(cache, 0, 4321)
        cache.chmod(0o2775)
        shared = {**entry, "source": {"kind": "local", "path": str(origin)}}
        errors, sent = PROCESSES.Pipe(duplex=False)
        process = started(used_by_two, shared, tmp_path / "own", cache, sent)
        process.join(timeout=120)
        said = errors.recv() if errors.poll() else ""
        if "Permission denied" in said and str(place) not in said:
            pytest.skip(f"other users cannot read what the test needs: {said}")
        assert process.exitcode == 0, said
        assert described(cache / "data/worldfacts")
        assert {path.stat().st_uid for path in (cache / "data/worldfacts").iterdir()} <= {54321, 54322}


# Whole runs


SMALL = {"matrices": ["u_out"], "layers": [1], "rhos": [0.1]}


def run_in(folder, study, target, cache, *settings):
    line = command(folder, study, target, cores=1)
    place = line.index("device=cpu") + 1
    return [*line[:place], f"cache={cache}", *settings, *line[place:]]


def results_of(folder):
    return {
        name: data
        for pattern in (
            "sweep/**/*.parquet",
            "test/**/*.parquet",
            "selection/**/*.json",
            "reductions/**/*.json",
            "tables/*",
        )
        for name, data in contents(folder / "results/tiny", pattern).items()
    }


def test_runs_on_one_cache_agree_one_killed_and_another_with_copies_on_its_node(tmp_path):
    """Three runs in folders of their own start together; one is killed; one more would find everything there."""
    study = tiny.study(tmp_path, tiny.checkpoint(tmp_path / "model"), grid=SMALL, artefacts=["table3"])
    cache, disk = tmp_path / "cache", tmp_path / "disk"
    folders = [tmp_path / name for name in ("killed", "one", "two", "last")]
    for folder in folders:
        folder.mkdir()
    environment = os.environ | fork_of_jobs()
    settings = [(), (), (f"node_local={disk}",)]
    runs = [
        subprocess.Popen(
            run_in(folder, study, "table3", cache, *some), env=environment, start_new_session=True, **SILENT
        )
        for folder, some in zip(folders, settings, strict=False)
    ]
    deadline = time.monotonic() + 240
    while not list(cache.glob("models/*/card.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(runs[0].pid, signal.SIGKILL)
    assert [one.wait(timeout=400) for one in runs[1:]] == [0, 0]
    assert list(disk.glob("laser-models-*/tiny-llama-*/card.json"))  # the second did read its own copy
    assert results_of(folders[1]) == results_of(folders[2])
    line = run_in(folders[3], study, "table3", cache)
    last = forked([*line[:3], "--dry-run", *line[3:]], os.environ)
    assert last.returncode == 0, last.stdout + last.stderr
    planned = re.findall(r"^(\w+) +\d+$", last.stdout + last.stderr, re.M)  # the table of jobs
    assert "sweep" in planned and not {"fetch", "prepare"} & set(planned)


# What is written where

WRITES = (
    "openat",
    "open",
    "creat",
    "mkdir",
    "mkdirat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlinkat",
)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_nothing_is_written_outside_the_configured_folders(tmp_path):
    """Every file that any process of a run creates, opens for writing or moves, as the system saw it."""
    run, home, temporary, disk = (tmp_path / name for name in ("run", "home", "temporary", "disk"))
    for folder in (run, home, temporary):
        folder.mkdir()
    study = tiny.study(run, tiny.checkpoint(run / "model"), grid=SMALL, artefacts=["fig2"])
    inputs = contents(run)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HOME": str(home), "TMPDIR": str(temporary)}
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
        environment.pop(name, None)
    trace = tmp_path / "trace"
    trace.mkdir()
    watched = [
        "strace",
        "-ff",
        "--seccomp-bpf",
        "-qq",
        "-y",
        "-o",
        str(trace / "of"),
        "-e",
        f"trace={','.join(WRITES)}",
    ]
    line = run_in(run, study, "all", run / "cache", f"node_local={disk}")
    done = subprocess.run(watched + line, capture_output=True, text=True, env=environment, timeout=1800)
    if "Operation not permitted" in done.stderr and not (run / "results").exists():
        pytest.skip("strace is not allowed here")
    assert done.returncode == 0, done.stdout + done.stderr
    written = {path for file in trace.iterdir() for path in written_paths(file.read_text(errors="replace"), run)}
    assert any(path.is_relative_to(run / "results") for path in written)
    allowed = [run / "cache", run / "results", run / ".snakemake", disk, temporary, Path("/dev"), Path("/proc")]
    # Snakemake's own, made before the workflow is read and empty at the end: XDG_CACHE_HOME says where.
    allowed.append(home / ".cache/snakemake")
    outside = {path for path in written if not any(path.is_relative_to(one) for one in allowed)}
    assert outside <= {home / ".cache"}
    assert not [path for path in home.rglob("*") if path.is_file()]
    assert {name: data for name, data in contents(run).items() if name in inputs} == inputs


def written_paths(text, folder):
    """Yield the paths that succeeded system calls wrote to; relative ones start at the folder that -y shows."""
    for call, arguments in re.findall(r"^(\w+)\((.*)\)\s+= \d+", text, re.M):
        if call in ("open", "openat") and not re.search(r"O_WRONLY|O_RDWR|O_CREAT", arguments):
            continue
        for base, path in re.findall(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"', arguments):
            yield Path(os.path.normpath(os.path.join(base or folder, path)))
