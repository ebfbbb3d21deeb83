"""The copy of a checkpoint on the node's disk: whole or not used, one for all jobs, and never a reason to fail."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from laser.cluster import local_copy
from laser.cluster.environment import NODE_LOCAL, set_environment
from laser.cluster.local_copy import local_folder
from laser.config.paths import Folders
from laser.io.files import sha256_file, write_json

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow/scripts"


@pytest.fixture
def shared(tmp_path):
    """A folder in the shared cache: some files, and a card with their sha256."""
    folder = tmp_path / "cache/models/tiny-0123"
    folder.mkdir(parents=True)
    for number, name in enumerate(("model.safetensors", "config.json", "tokenizer.json")):
        (folder / name).write_bytes(os.urandom(100_000 * (3 - number)))
    files = {path.name: sha256_file(path) for path in folder.iterdir()}
    write_json(folder / "card.json", {"name": "tiny", "files": files})
    return folder


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node's own disk, named as a job finds it."""
    place = tmp_path / "disk"
    monkeypatch.setenv(NODE_LOCAL, str(place))
    return place


def same(left, right):
    return {path.name: path.read_bytes() for path in left.iterdir()} == {
        path.name: path.read_bytes() for path in right.iterdir()
    }


def said():
    lines = []
    return lines, lines.append


def test_without_a_folder_the_shared_one_is_read(shared, monkeypatch):
    monkeypatch.delenv(NODE_LOCAL, raising=False)
    assert local_folder(shared) == shared


def test_the_copy_is_whole_private_and_made_once(shared, node):
    lines, say = said()
    copy = local_folder(shared, say=say)
    assert copy.parent == node / f"laser-models-{os.getuid()}" and same(copy, shared)
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    made = (copy / "model.safetensors").stat().st_ino
    assert local_folder(shared, say=say) == copy
    assert (copy / "model.safetensors").stat().st_ino == made and len(lines) == 1
    assert sorted(path.name for path in copy.parent.iterdir()) == [f".{copy.name}.lock", copy.name]


def test_other_contents_have_another_copy(shared, node):
    before = local_folder(shared)
    (shared / "config.json").write_text("{}")
    card = json.loads((shared / "card.json").read_text())
    card["files"]["config.json"] = sha256_file(shared / "config.json")
    write_json(shared / "card.json", card)
    after = local_folder(shared)
    assert after != before and same(after, shared)


def test_a_reader_of_a_part_uses_a_copy_and_makes_none(shared, node):
    assert local_folder(shared, copy=False) == shared
    copy = local_folder(shared)
    assert local_folder(shared, copy=False) == copy


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"short")])
def test_a_copy_of_which_a_cleaner_took_files_is_made_anew(shared, node, damage):
    copy = local_folder(shared)
    damage(copy / "tokenizer.json")
    assert local_folder(shared) == copy and same(copy, shared)


def test_using_a_copy_keeps_cleaners_of_old_files_away(shared, node):
    copy = local_folder(shared)
    for path in copy.iterdir():
        os.utime(path, (1, 1))
    local_folder(shared)
    assert all(time.time() - path.stat().st_mtime < 60 for path in copy.iterdir())


def test_a_damaged_checkpoint_is_not_copied(shared, node):
    path = shared / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    lines, say = said()
    assert local_folder(shared, say=say) == shared
    assert "does not have the sha256 on its card" in lines[-1]
    assert not list((node / f"laser-models-{os.getuid()}").glob("*tiny*/*"))


def test_a_full_disk_is_told_and_the_shared_folder_is_read(shared, node, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(local_copy.shutil, "disk_usage", lambda path: usage(10**12, 10**12 - 10**6, 10**6))
    lines, say = said()
    assert local_folder(shared, say=say) == shared
    assert "0.0 GB free and 1.0 GB are needed" in lines[-1]


def test_a_disk_that_fills_in_mid_copy_leaves_nothing_behind(shared, node, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local_copy, "_copy", full)
    lines, say = said()
    assert local_folder(shared, say=say) == shared
    assert "No space left" in lines[-1]
    assert [path.suffix for path in (node / f"laser-models-{os.getuid()}").iterdir()] == [".lock"]


def test_a_folder_that_others_can_write_to_is_not_used(shared, node):
    own = node / f"laser-models-{os.getuid()}"
    own.mkdir(parents=True)
    own.chmod(0o777)
    lines, say = said()
    assert local_folder(shared, say=say) == shared and "others can write" in lines[-1]
    own.rmdir()
    own.symlink_to(shared.parent)
    assert local_folder(shared, say=say) == shared and len(lines) == 2


def test_a_place_that_is_no_folder_is_told(shared, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(NODE_LOCAL, str(tmp_path / "file"))
    lines, say = said()
    assert local_folder(shared, say=say) == shared and len(lines) == 1


CODE = f"""
import sys; sys.path.insert(0, {str(SCRIPTS)!r})
from pathlib import Path
import laser.cluster.local_copy as one
if len(sys.argv) > 2:
    import time
    def slow(folder, part, files):
        (part / "model.safetensors").write_bytes(b"half")
        print("copying", flush=True); time.sleep(60)
    one._copy = slow
print(one.local_folder(Path(sys.argv[1]), say=lambda text: None), flush=True)
"""


def test_many_processes_make_one_copy_after_one_was_killed_in_the_middle(shared, node):
    killed = subprocess.Popen([sys.executable, "-c", CODE, str(shared), "slow"], stdout=subprocess.PIPE, text=True)
    assert killed.stdout.readline() == "copying\n"
    started = [
        subprocess.Popen([sys.executable, "-c", CODE, str(shared)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    time.sleep(0.5)
    assert all(one.poll() is None for one in started)  # they wait for the one that copies
    killed.send_signal(signal.SIGKILL)
    answers = {one.communicate(timeout=60)[0].strip() for one in started}
    (copy,) = answers
    assert same(Path(copy), shared)
    assert sorted(path.name for path in Path(copy).parent.iterdir()) == [f".{Path(copy).name}.lock", Path(copy).name]


@pytest.mark.parametrize(
    ("configured", "there", "inherited", "expected"),
    [
        ("", {}, "/old", ""),
        ("/scratch/$WHO", {"WHO": "me"}, None, "/scratch/me"),
        ("$SLURM_TMPDIR", {}, None, "$SLURM_TMPDIR"),  # on the login node
        ("$SLURM_TMPDIR", {"SLURM_TMPDIR": "/local/7"}, "$SLURM_TMPDIR", "/local/7"),  # in the job
        ("$SLURM_TMPDIR", {}, "/local/7", "/local/7"),  # in the job's inner step
    ],
)
def test_variables_are_expanded_where_they_are_known(monkeypatch, configured, there, inherited, expected):
    monkeypatch.delenv("SLURM_TMPDIR", raising=False)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    for name in ("LASER_SCRIPTS", "LASER_RESULTS_FOLDER", "LASER_CACHE_FOLDER"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv(NODE_LOCAL, inherited or "")
    if inherited is None:
        monkeypatch.delenv(NODE_LOCAL)
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    set_environment(SCRIPTS, Folders("results", "cache"), configured)
    assert os.environ[NODE_LOCAL] == expected


def test_an_unset_variable_is_told(shared, monkeypatch):
    monkeypatch.setenv(NODE_LOCAL, "$NOT_HERE/x")
    lines, say = said()
    assert local_folder(shared, say=say) == shared and "not set on this node" in lines[-1]
