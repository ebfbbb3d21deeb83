"""The gymnasium interface."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from laser.sokoban.batch import BatchedRooms
from laser.sokoban.env import SokobanEnv
from laser.sokoban.generate import generate_room
from laser.sokoban.rules import action_numbers

from .rooms import CORRIDOR, ONE_PUSH

ROOMS = [generate_room(7, 7, 2, seed=0, index=index) for index in range(5)]


@pytest.mark.parametrize("encoding", ["grid", "pixels"])
@pytest.mark.filterwarnings("error::UserWarning")
def test_gymnasiums_own_check_passes(encoding):
    check_env(SokobanEnv(ROOMS, encoding, render_mode="rgb_array"), skip_render_check=True)


def test_it_is_the_batch_with_one_room():
    env, batch = SokobanEnv(ROOMS, step_limit=40), BatchedRooms([ROOMS[3]], 40)
    seen, info = env.reset(seed=1, options={"room": 3})
    assert info == {"room": 3, "solved": False} and (seen == batch.observe("grid")[0]).all()
    env.action_space.seed(0)
    for _ in range(40):
        action = env.action_space.sample()
        seen, reward, terminated, truncated, info = env.step(action)
        assert reward == batch.step(np.array([action]))[0]
        assert (seen == batch.observe("grid")[0]).all()
        assert terminated == batch.solved[0] and (terminated or truncated) == batch.done[0]
        if terminated or truncated:
            break
    assert terminated or truncated


def test_solved_terminates_and_the_limit_truncates():
    env = SokobanEnv([CORRIDOR], step_limit=4)
    env.reset(seed=0)
    for action in action_numbers("rR"):
        assert env.step(action)[2:4] == (False, False)
    assert env.step(3)[2:] == (True, False, {"room": 0, "solved": True})
    env.reset(seed=0)
    assert [env.step(0)[2:4] for _ in range(4)] == [(False, False)] * 3 + [(False, True)]


def test_the_seed_chooses_the_rooms():
    def chosen(seed):
        env = SokobanEnv(ROOMS)
        return [env.reset(seed=seed if one == 0 else None)[1]["room"] for one in range(20)]

    assert chosen(1) == chosen(1) != chosen(2)
    assert set(chosen(1)) == set(range(5))


def test_it_renders_a_picture_where_it_is_asked_to():
    env = SokobanEnv([ONE_PUSH], render_mode="rgb_array")
    env.reset()
    assert env.render().shape == (48, 80, 3)
    assert SokobanEnv([ONE_PUSH]).render() is None


def test_gymnasiums_wrappers_work():
    env = gymnasium.wrappers.RecordEpisodeStatistics(SokobanEnv([ONE_PUSH]))
    env.reset(seed=0)
    info = env.step(3)[4]
    assert info["episode"]["r"] == pytest.approx(10.9) and info["episode"]["l"] == 1
