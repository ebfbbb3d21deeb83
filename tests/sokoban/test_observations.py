"""The two encodings, cell by cell."""

import numpy as np
import pytest

from laser.sokoban.batch import BatchedRooms
from laser.sokoban.observations import cells_of, encode, feature_count, room_of
from laser.sokoban.room import parse_room

ROOM = parse_room("#####\n#+$*#\n#$. #\n#####")


def test_a_room_becomes_cells_and_back():
    assert room_of(cells_of(ROOM), 4, 5) == ROOM


def test_the_planes_say_what_stands_where():
    seen = BatchedRooms([ROOM, ROOM]).observe("grid")
    assert seen.shape == (2, feature_count("grid", 4, 5)) == (2, 80) and seen.dtype == np.float32
    walls, targets, boxes, player = seen[1].reshape(4, 20)
    assert set(np.flatnonzero(walls)) == ROOM.walls
    assert set(np.flatnonzero(targets)) == {6, 8, 12}
    assert set(np.flatnonzero(boxes)) == {7, 8, 11}
    assert set(np.flatnonzero(player)) == {6}
    assert set(np.unique(seen)) == {0, 1}


COLOURS = {  # gym_sokoban/envs/render_utils.py, room_to_tiny_world_rgb
    "#": (0, 0, 0), " ": (243, 248, 238), ".": (254, 126, 125), "*": (254, 95, 56), "$": (142, 121, 56),
    "@": (160, 212, 56), "+": (219, 212, 56),
}  # fmt: skip


def test_the_pixels_have_gym_sokobans_colours():
    text = "#######\n#@$.* #\n#$. ###\n#######"
    seen = BatchedRooms([parse_room(text)]).observe("pixels")
    assert seen.shape == (1, 28 * 3) and seen.dtype == np.float32
    expected = [COLOURS[one] for one in text.replace("\n", "")]
    assert np.allclose(seen[0].reshape(28, 3) * 255, expected, atol=1e-4)
    standing = BatchedRooms([ROOM]).observe("pixels")[0].reshape(4, 5, 3)
    assert np.allclose(standing[1, 1] * 255, COLOURS["+"], atol=1e-4)


def test_a_cell_can_be_several_pixels_wide():
    batch = BatchedRooms([ROOM])
    small = batch.observe("pixels")[0].reshape(4, 5, 3)
    large = batch.observe("pixels", pixels_per_cell=3)
    assert large.shape == (1, feature_count("pixels", 4, 5, 3))
    large = large[0].reshape(12, 15, 3)
    for row in range(3):
        for column in range(3):
            assert (large[row::3, column::3] == small).all()


@pytest.mark.parametrize(("encoding", "size"), [("grid", 1), ("pixels", 1), ("pixels", 2)])
def test_many_cells_at_once_are_encoded_as_one_by_one(encoding, size):
    drawn = np.random.default_rng(0)
    cells = drawn.choice([0, 1, 2, 4, 6, 8, 10], size=(3, 5, 20)).astype(np.uint8)
    whole = encode(cells, encoding, 4, 5, size)
    assert whole.shape == (3, 5, feature_count(encoding, 4, 5, size))
    for i in range(3):
        for j in range(5):
            assert (whole[i, j] == encode(cells[i, j], encoding, 4, 5, size)).all()


def test_an_encoding_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="'planes' is not one of"):
        feature_count("planes", 4, 5)
