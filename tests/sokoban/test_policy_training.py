"""Windows of expert episodes, and the training of a policy: what it sees, and that a break leaves no trace."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from laser.config.specs import Compute, EpisodesSpec, RoomsSpec, TrainSpec
from laser.errors import UserError
from laser.models.adapter import locate, matrices, read_matrix
from laser.policies.inputs import action_logits
from laser.policies.pool import collect, make_chunk
from laser.policies.windows import batch_of, steps_of, symmetries, windows
from laser.sokoban.batch import BatchedRooms
from laser.sokoban.episodes import label
from laser.sokoban.generate import generate_room
from laser.sokoban.room import parse_room, room_hash, room_text
from laser.sokoban.rules import action_numbers
from laser.training import policy as training
from laser.training.policy import policy_loss, schedule, train_policy, untrained_policy
from tests.sokoban.small_study import POOL, TRAINING, entry, source


def silent(rooms: int):
    return lambda done: None


POOL_ENTRY = {"name": "few"} | {key: value for key, value in POOL.items() if key != "chunks"}


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    """The episodes of a small pool, made in two shares."""
    folder = tmp_path_factory.mktemp("pool")
    parts = []
    for chunk in range(2):
        parts.append(folder / f"{chunk}.parquet")
        make_chunk(share(POOL_ENTRY, chunk, 2), parts[-1], silent)
    collect(whole_pool(POOL_ENTRY), parts, folder)
    return folder / "episodes.parquet"


@pytest.fixture(scope="module")
def steps(episodes):
    return training.training_steps(episodes)[0]


def spec(**changes):
    model = entry(pool=POOL_ENTRY, **changes)
    return TrainSpec(model=model, key="model", pool_key="pool", compute=Compute("cpu", 1), code="code")


def share(pool, chunk, chunks):
    return RoomsSpec(pool=pool, key="pool", chunk=chunk, chunks=chunks, code="code")


def whole_pool(pool):
    return EpisodesSpec(pool=pool, key="pool", chunks=2, code="code")


def test_a_pool_does_not_depend_on_its_shares(episodes, tmp_path):
    whole = tmp_path / "whole.parquet"
    make_chunk(share(POOL_ENTRY, 0, 1), whole, silent)
    card = collect(whole_pool(POOL_ENTRY), [whole], tmp_path)
    assert (tmp_path / "episodes.parquet").read_bytes() == episodes.read_bytes()
    frame = pd.read_parquet(episodes)
    assert frame["hash"].is_unique and frame["index"].is_monotonic_increasing and frame["solved"].all()
    assert card["rooms"] == 240 == card["kept"] + card["duplicates"] + card["unsolved"]
    assert card["sides"] == frame["side"].value_counts().to_dict()
    assert card["by_boxes"]["1"]["rooms"] == 120 and card["by_boxes"]["2"]["moves"]["mean"] > 1


def test_unsolved_and_repeated_rooms_are_dropped_and_counted(tmp_path):
    rooms = [generate_room(6, 6, 2, 3, index) for index in range(1, 40, 2)]
    turned = parse_room("\n".join(row[::-1] for row in room_text(rooms[0]).splitlines()))
    rows = label([*rooms, turned], 5000, 0.5)
    rows[3] |= {"solved": False, "actions": "", "moves": -1, "pushes": -1}
    frame = pd.DataFrame([{"index": place} | row for place, row in enumerate(rows)])
    from laser.io.files import write_parquet

    write_parquet(tmp_path / "part.parquet", frame, {"pool": POOL_ENTRY})
    card = collect(whole_pool(POOL_ENTRY), [tmp_path / "part.parquet"], tmp_path)
    distinct = len({room_hash(room) for place, room in enumerate(rooms) if place != 3})
    assert (card["rooms"], card["unsolved"], card["kept"]) == (21, 1, distinct)
    with pytest.raises(UserError, match="belongs to another pool"):
        collect(whole_pool(POOL_ENTRY | {"seed": 4}), [tmp_path / "part.parquet"], tmp_path)


def test_steps_are_the_episodes_one_after_the_other(episodes, steps):
    frame = pd.read_parquet(episodes)
    frame = frame[(frame["side"] == "training") & (frame["actions"] != "")].reset_index(drop=True)
    assert len(steps) == frame["actions"].str.len().sum()
    for number in (0, 7, len(frame) - 1):
        own = np.flatnonzero(steps.episodes == number)
        room, moves = parse_room(frame["text"][number]), action_numbers(frame["actions"][number])
        assert steps.actions[own].tolist() == moves and steps.numbers[own].tolist() == list(range(len(moves)))
        rooms, rewards = BatchedRooms([room]), []
        for place, action in zip(own, moves, strict=True):
            np.testing.assert_array_equal(steps.cells[place], rooms.cells[0])
            rewards.append(rooms.step(np.array([action]))[0])
        np.testing.assert_allclose(steps.to_go[own], np.cumsum(rewards[::-1])[::-1], rtol=1e-6)
    with pytest.raises(ValueError, match="episode 1 does not end with its room solved"):
        steps_of(frame["text"][:2].tolist(), [frame["actions"][0], frame["actions"][1][:-1] or "u"])


@pytest.mark.parametrize("context", [1, 3])
def test_every_step_is_in_one_window_of_its_episode(steps, context):
    first, lengths = windows(steps, context, 0, 0)
    covered = np.concatenate([np.arange(at, at + size) for at, size in zip(first, lengths, strict=True)])
    assert sorted(covered) == list(range(len(steps))) and lengths.max() <= context
    assert (steps.episodes[first] == steps.episodes[first + lengths - 1]).all()
    assert not np.array_equal(windows(steps, 3, 0, 1)[0], windows(steps, 3, 0, 0)[0])


def test_the_forms_of_a_room_are_rooms_in_which_the_renamed_moves_solve(steps):
    order, renamed = symmetries(steps.height, steps.width)
    assert len(order) == 8 and len({tuple(row) for row in order.tolist()}) == 8
    own = np.flatnonzero(steps.episodes == 5)
    for form in range(8):
        rooms = BatchedRooms([parse_room(_text(steps, own[0]))])
        rooms.cells = steps.cells[own[:1]][:, order[form]].copy()
        rooms.player = np.flatnonzero(rooms.cells[0] & 8).astype(np.int64)
        for place in own:
            np.testing.assert_array_equal(rooms.cells[0], steps.cells[place][order[form]])
            rooms.step(renamed[form][steps.actions[[place]]])
        assert rooms.solved[0]


def _text(steps, place):
    from laser.sokoban.observations import room_of

    return room_text(room_of(steps.cells[place], steps.height, steps.width))


def test_a_batch_is_what_its_windows_say_whatever_stands_beside_them(steps):
    model, sight = untrained_policy(source(), 6, 6, 0)
    first, lengths = windows(steps, 3, 0, 0)
    batch = batch_of(steps, first[:9], lengths[:9], 3)
    total, count = 0.0, 0
    for at, size in zip(first[:9], lengths[:9], strict=True):
        own = slice(at, at + size)
        logits = action_logits(
            model, sight, steps.cells[None, own], steps.actions[None, own], steps.to_go[None, own], steps.numbers[[at]]
        )
        chosen = torch.log_softmax(logits[0], dim=-1)[range(size), steps.actions[own]]
        total, count = total - float(chosen.sum().detach()), count + size
    assert float(policy_loss(model, sight, batch).detach()) == pytest.approx(total / count, abs=1e-5)


def test_training_lowers_the_loss_and_leaves_a_checkpoint(episodes, tmp_path):
    training_of = TRAINING | {"steps": 60, "save_every": 100}
    card = train_policy(spec(training=training_of), episodes, tmp_path / "model", lambda line: None)
    curve = pd.read_csv(tmp_path / "model/training.csv")
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0] and curve["step"].iloc[-1] == 60
    assert card["task"] == "policy" and card["layers"] == 2 and card["architecture"] == "decision_transformer"
    assert card["episodes"]["count"] > 100 and card["training"]["symmetries"] is True
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert config["policy"] == {"encoding": "grid", "height": 6, "width": 6, "context": 3, "timesteps": 8}
    assert config["action_tanh"] is False
    assert set(matrices(config)) == {"q", "k", "v", "o", "u_in", "u_out"}
    shapes = {name: tuple(read_matrix(tmp_path / "model", locate(config, 1, name)).shape) for name in matrices(config)}
    assert shapes == {**dict.fromkeys("qkvo", (16, 16)), "u_in": (24, 16), "u_out": (16, 24)}
    assert not (tmp_path / ".model.training").exists()


def test_a_break_leaves_no_trace(episodes, tmp_path, monkeypatch):
    train_policy(spec(), episodes, tmp_path / "whole/model", lambda line: None)
    plain, seen = training.policy_loss, []

    def broken(model, sight, batch):
        seen.append(1)
        if len(seen) == 24:
            raise KeyboardInterrupt
        return plain(model, sight, batch)

    monkeypatch.setattr(training, "policy_loss", broken)
    with pytest.raises(KeyboardInterrupt):
        train_policy(spec(), episodes, tmp_path / "broken/model", lambda line: None)
    assert (tmp_path / "broken/.model.training/state.json").is_file()
    monkeypatch.setattr(training, "policy_loss", plain)
    said: list[str] = []
    train_policy(spec(), episodes, tmp_path / "broken/model", said.append)
    assert "resuming after step 20" in said
    for name in ("model.safetensors", "training.csv", "config.json", "card.json"):
        assert (tmp_path / "whole/model" / name).read_bytes() == (tmp_path / "broken/model" / name).read_bytes(), name


def test_what_a_step_sees_does_not_depend_on_where_the_training_began(steps):
    settings = training.DEFAULTS | TRAINING | {"steps": 200}
    later = dict(schedule(steps, 3, settings, 150))
    whole = {step: batch for step, batch in schedule(steps, 3, settings, 0) if step > 150}
    assert list(later) == list(whole)
    for step, batch in later.items():
        np.testing.assert_array_equal(batch.cells, whole[step].cells)
        np.testing.assert_array_equal(batch.actions, whole[step].actions)


def test_episodes_without_a_training_room(episodes, tmp_path):
    frame = pd.read_parquet(episodes)
    frame[frame["side"] == "evaluation"].to_parquet(tmp_path / "episodes.parquet")
    with pytest.raises(UserError, match="no solved room on the training side"):
        train_policy(spec(), tmp_path / "episodes.parquet", tmp_path / "model", lambda line: None)


def test_a_pool_of_level_files(tmp_path):
    levels = [room_text(generate_room(10, 10, 1, 5, index)) for index in range(5)]
    text = "\n\n".join(f"; {number}\n{level}" for number, level in enumerate(levels))
    (tmp_path / "000.txt").write_text(text + "\n")
    pool = {"name": "levels", "source": "boxoban", "path": str(tmp_path / "000.txt"), "count": 4}
    pool |= {"evaluation_share": 0.5, "max_nodes": 20_000}
    frame = make_chunk(share(pool, 1, 2), tmp_path / "part.parquet", silent)
    assert frame["index"].tolist() == [1, 3] and frame["text"].tolist() == [levels[1], levels[3]]
    with pytest.raises(UserError, match="job 9 of 10 has no room"):
        make_chunk(share(pool, 9, 10), tmp_path / "none.parquet", silent)
