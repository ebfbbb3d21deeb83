"""Level files: small ones written here, and real ones where they are at hand.

The real files are not part of the repository: LASER_SHARED names the folder that has data/boxoban.
"""

import os
import re
from pathlib import Path

import pytest

from laser.errors import UserError
from laser.io.files import sha256_file
from laser.sokoban.boxoban import read_levels
from laser.sokoban.room import parse_room, room_text

SHARED = Path(os.environ.get("LASER_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
REAL = SHARED / "data/boxoban"
real = pytest.mark.skipif(not REAL.is_dir(), reason=f"no {REAL}: set LASER_SHARED to the folder that has data/boxoban")

ROOMS = ["#####\n#@$.#\n#####", "#####\n#.$@#\n#####", "#####\n# $+#\n#####"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_text(f"; 0\n{ROOMS[0]}\n\n; 1\n{ROOMS[1]}\n\n")
    (tmp_path / "sub/c.txt").write_text(f"; 0\n{ROOMS[2]}")
    (tmp_path / "README.md").write_text("no level")
    return tmp_path


def texts(rooms):
    return [room_text(room) for room in rooms]


def test_a_file_and_a_folder_are_read_in_order(folder):
    assert texts(read_levels(folder / "b.txt")) == ROOMS[:2]
    assert texts(read_levels(folder)) == ROOMS
    assert texts(read_levels(folder, limit=1)) == ROOMS[:1]
    assert texts(read_levels(str(folder), limit=3)) == ROOMS


def test_files_are_checked_against_their_digits(folder):
    digits = {name: sha256_file(folder / name) for name in ("b.txt", "sub/c.txt")}
    assert texts(read_levels(folder, digits)) == ROOMS
    assert texts(read_levels(folder / "b.txt", {"b.txt": digits["b.txt"].upper()})) == ROOMS[:2]
    with pytest.raises(UserError, match=r"b\.txt: its sha256 is [0-9a-f]{64}, but 00 is expected"):
        read_levels(folder / "b.txt", {"b.txt": "00"})
    with pytest.raises(UserError, match=r"no sha256 is given for sub/c\.txt"):
        read_levels(folder, {"b.txt": digits["b.txt"]})
    with pytest.raises(UserError, match=r"has no file d\.txt"):
        read_levels(folder, {**digits, "d.txt": "00"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "contains no room"),
        ("; 0\n\n; 1\n", "contains no room"),
        (f"; 0\n{ROOMS[0]}\n; 17\n#####\n#@$.#\n####", r"b\.txt, level 17, line 3 .* has 4 characters"),
        ("; 3\n#####\n#@$?#\n#####", r"level 3, line 2 .*'\?' is not known"),
    ],
)
def test_a_damaged_file_is_named_with_the_level(folder, text, message):
    (folder / "b.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_levels(folder / "b.txt")


def test_a_missing_place_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt: no level file"):
        read_levels(tmp_path / "none.txt")
    with pytest.raises(UserError, match="no level file"):
        read_levels(tmp_path)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as text"):
        read_levels(tmp_path)


@real
def test_the_public_files_are_read_whole():
    source = (REAL / "SOURCE.txt").read_text()
    digits = {name: one for one, name in re.findall(r"([0-9a-f]{64})  (\S+\.txt)", source)}
    (name,) = [one for one in digits if one == "hard/003.txt"]
    rooms = read_levels(REAL / name, {Path(name).name: digits[name]})
    assert len(rooms) == (REAL / name).read_text().count(";") == 332
    for room in rooms:
        assert (room.height, room.width, len(room.boxes)) == (10, 10, 4)
        assert parse_room(room_text(room)) == room


@real
def test_a_limit_spans_files():
    rooms = read_levels(REAL / "unfiltered/valid", limit=1002)
    assert len(rooms) == 1002
    assert rooms[1000] == read_levels(REAL / "unfiltered/valid/001.txt", limit=1)[0]
