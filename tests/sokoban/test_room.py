"""Texts of rooms, and the hash that turned and mirrored rooms share."""

import random

import pytest

from laser.errors import UserError
from laser.sokoban.generate import generate_room
from laser.sokoban.room import Room, parse_room, room_hash, room_text, side_of

TEXT = "######\n#.$@ #\n# *  #\n#    #\n######"


def test_a_room_is_read_from_its_characters():
    room = parse_room(TEXT)
    assert (room.height, room.width, room.player) == (5, 6, 9)
    assert room.targets == {7, 14} and room.boxes == {8, 14}
    assert len(room.walls) == 18
    assert room_text(room) == TEXT


def test_a_player_on_a_target_is_both():
    room = parse_room("#####\n#+$*#\n#####")
    assert room.player == 6 and room.targets == {6, 8} and room.boxes == {7, 8}
    assert room_text(room) == "#####\n#+$*#\n#####"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least 3 lines"),
        ("###\n#@#", "at least 3 lines"),
        ("#####\n#@$.\n#####", r"room, line 2 \('#@\$\.'\): has 4 characters"),
        ("#####\n#@$x#\n#####", r"line 2 .*'x' is not known"),
        ("#####\n @$.#\n#####", r"line 2 .*rim"),
        ("#####\n#@$.#\n## ##", r"line 3 .*rim"),
        ("#####\n#@$.#\n#@$.#\n#####", "has 2 players"),
        ("#####\n# $.#\n#####", "has 0 players"),
        ("#####\n#@$ #\n#####", "1 boxes .* and 0 targets"),
        ("#####\n#@  #\n#####", "0 boxes"),
    ],
)
def test_what_is_no_room_is_refused_by_its_line(text, message):
    with pytest.raises(UserError, match=message):
        parse_room(text)


def turned(room):
    """The room a quarter turn on, worked out from the cells."""

    def place(cell):
        row, column = divmod(cell, room.width)
        return column * room.height + (room.height - 1 - row)

    sets = (frozenset(map(place, cells)) for cells in (room.walls, room.targets, room.boxes))
    return Room(room.width, room.height, *sets, place(room.player))


def mirrored(room):
    return parse_room("\n".join(row[::-1] for row in room_text(room).split("\n")))


def test_turned_and_mirrored_rooms_share_their_hash_and_others_do_not():
    rooms = [generate_room(6, 7, 1, seed=0, index=index) for index in range(20)]
    hashes = set()
    for room in rooms:
        forms = [room, mirrored(room)]
        for _ in range(3):
            forms += [turned(one) for one in forms[-2:]]
        assert len({room_text(one) for one in forms}) == 8
        (found,) = {room_hash(one) for one in forms}
        hashes.add(found)
    assert len(hashes) == 20


def test_the_hash_sees_every_part_of_a_room():
    assert room_hash(parse_room(TEXT)) != room_hash(parse_room(TEXT.replace("@ ", " @")))
    assert room_hash(parse_room(TEXT)) != room_hash(parse_room(TEXT.replace("#    #", "##   #")))


def test_the_side_follows_from_the_hash_and_the_share():
    drawn = random.Random(0)
    hashes = [f"{drawn.getrandbits(256):064x}" for _ in range(4000)]
    sides = [side_of(one, 0.25) for one in hashes]
    assert 900 < sides.count("evaluation") < 1100
    # Whoever takes a smaller share takes some of the same rooms.
    assert all(side == "evaluation" for one, side in zip(hashes, sides, strict=True) if side_of(one, 0.1) != "training")
    assert {side_of(one, 0.0) for one in hashes} == {"training"}
    assert {side_of(one, 1.0) for one in [*hashes, "f" * 64]} == {"evaluation"}
