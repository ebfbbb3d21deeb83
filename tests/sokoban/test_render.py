"""Pictures and films."""

import numpy as np
import pytest
from PIL import Image

from laser.sokoban.generate import generate_room
from laser.sokoban.observations import BOX, PLAYER, TARGET, WALL
from laser.sokoban.render import _tiles, picture, write_film
from laser.sokoban.room import parse_room

ROOM = parse_room("######\n#@$.*#\n#$.  #\n######")


def tile_of(drawn, cell, tile=16):
    row, column = divmod(cell, 6)
    return drawn[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile]


@pytest.mark.parametrize("tile", [4, 16, 31])
def test_a_picture_is_made_of_tiles(tile):
    drawn = picture(ROOM, tile)
    assert drawn.shape == (4 * tile, 6 * tile, 3) and drawn.dtype == np.uint8
    for cell, bits in ((0, WALL), (7, PLAYER), (8, BOX), (9, TARGET), (10, BOX | TARGET), (16, 0)):
        assert (tile_of(drawn, cell, tile) == _tiles(tile)[bits]).all()


def test_tiles_differ_in_grey_too():
    """No two kinds of cell look alike without colour: they differ in many pixels by more than a shade."""
    kinds = [0, WALL, TARGET, BOX, BOX | TARGET, PLAYER, PLAYER | TARGET]
    for tile in (16, 32):
        grey = _tiles(tile)[kinds] @ np.array([0.299, 0.587, 0.114])
        for i in range(len(kinds)):
            for j in range(i):
                assert (abs(grey[i] - grey[j]) > 40).mean() > 0.08, (tile, kinds[i], kinds[j])


def test_a_picture_is_the_callers_own():
    before = picture(ROOM)
    picture(ROOM)[:] = 0
    assert (picture(ROOM) == before).all()


def test_a_film_shows_its_frames_in_their_colours_and_time(tmp_path):
    frames = [picture(generate_room(7, 7, 2, seed=0, index=index)) for index in range(4)]
    write_film(frames, tmp_path / "film.gif", 120)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 4 and film.info["loop"] == 0
        for number, frame in enumerate(frames):
            film.seek(number)
            assert film.info["duration"] == 120
            shown = np.asarray(film.convert("RGB")).astype(int)
            assert abs(shown - frame).max() <= 12


def test_equal_frames_give_equal_bytes(tmp_path):
    frames = [picture(ROOM), picture(generate_room(4, 6, 1, seed=0, index=0))]
    for name in ("a", "b"):
        write_film([frame.copy() for frame in frames], tmp_path / f"{name}.gif")
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
