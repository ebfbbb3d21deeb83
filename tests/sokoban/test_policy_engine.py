"""The engine for policies against plain loops: play, teacher forcing, batches, edits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from laser.errors import UserError
from laser.models.load import LoadedModel
from laser.policies.engine import evaluate, play_all
from laser.policies.games import Game, GameRequests, games, score_games
from laser.policies.inputs import sight_of
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.sokoban.batch import BatchedRooms
from laser.sokoban.observations import encode
from laser.sokoban.rules import MOVES, action_numbers
from tests.sokoban.tiny_policy import SIZE, policy, some_games


def one_by_one(loaded: LoadedModel, game: Game, requests: GameRequests, forced: bool) -> tuple[str, list[np.ndarray]]:
    """Play a game alone, giving the model the whole window anew through transformers' own arguments."""
    sight = sight_of(loaded.config)
    limit = len(game.expert) if forced else requests.step_limit
    rooms = BatchedRooms([game.room], step_limit=limit)
    seen, done, to_go, logprobs, moves = [], [], [], [], ""
    while not rooms.done[0]:
        seen.append(encode(rooms.cells, sight.encoding, SIZE, SIZE)[0])
        to_go.append((requests.target_return - rooms.returns[0]) / 10)
        last = slice(max(0, len(seen) - sight.context), len(seen))
        actions = torch.zeros(1, len(seen), 4)
        for step, action in enumerate(done):
            actions[0, step, action] = 1
        actions[0, -1, 0] = 1
        steps = torch.arange(len(seen)).clamp(max=sight.timesteps - 1)
        with torch.inference_mode():
            output = loaded.model(
                states=torch.tensor(np.array(seen))[None, last],
                actions=actions[:, last],
                returns_to_go=torch.tensor(to_go, dtype=torch.float32)[None, last, None],
                timesteps=steps[None, last],
                attention_mask=torch.ones(1, len(seen))[:, last],
            )
        logprobs.append(torch.log_softmax(output.action_preds[0, -1], dim=-1).numpy())
        action = game.expert[len(done)] if forced else int(logprobs[-1].argmax())
        done.append(action)
        moves += MOVES[action]
        rooms.step(np.array([action]))
    return moves, logprobs


@pytest.mark.parametrize("encoding", ["grid", "pixels"])
def test_rooms_side_by_side_are_played_as_one_by_one(tmp_path, encoding):
    loaded, asked = policy(tmp_path, encoding), some_games()
    played = play_all(loaded, asked.requests, token_budget=45)  # batches of five rooms
    assert len({one.moves for one in played}) > 3  # the policy looks at the room
    for game, one in zip(asked.items, played, strict=True):
        moves, _ = one_by_one(loaded, game, asked.requests, forced=False)
        assert one.moves.lower() == moves
        _, logprobs = one_by_one(loaded, game, asked.requests, forced=True)
        wanted = [row[action] for row, action in zip(logprobs, game.expert, strict=True)]
        np.testing.assert_allclose(one.logprobs, wanted, atol=1e-5)
        assert one.rank == 1 + int((logprobs[0] > wanted[0]).sum())


def test_return_solved_and_steps_follow_from_room_and_moves(tmp_path):
    loaded, asked = policy(tmp_path), some_games(count=30, step_limit=14)
    for game, one in zip(asked.items, play_all(loaded, asked.requests, 4096), strict=True):
        rooms = BatchedRooms([game.room], step_limit=14)
        for place, action in enumerate(action_numbers(one.moves)):
            assert not rooms.done[0]
            before = rooms.room(0).boxes
            rooms.step(np.array([action]))
            assert one.moves[place].isupper() == (before != rooms.room(0).boxes)
        assert rooms.done[0]
        assert (one.solved, one.total) == (bool(rooms.solved[0]), float(rooms.returns[0]))


def test_an_edit_of_full_rank_leaves_play_as_it_is_and_a_low_one_does_not(tmp_path):
    loaded, asked, store = policy(tmp_path / "model"), some_games(), FactorStore(tmp_path / "factors")
    edits = [()] + [
        (Intervention(matrix=matrix, layer=1, rho=rho, kind="svd"),)
        for rho in (1.0, 0.05)
        for matrix in ("q", "k", "v", "o", "u_in", "u_out")
    ]
    base, *edited = evaluate(loaded, asked.requests, edits, store)
    (again,) = evaluate(loaded, asked.requests, [()], store)
    assert again == base  # the weights are back, to the last bit
    for one in edited[:6]:
        assert [game.moves for game in one] == [game.moves for game in base]
        np.testing.assert_allclose(
            np.concatenate([game.logprobs for game in one]),
            np.concatenate([game.logprobs for game in base]),
            atol=1e-4,
        )
    changed = [np.abs(np.concatenate([g.logprobs for g in one]) - np.concatenate([g.logprobs for g in base])).max()
               for one in edited[6:]]  # fmt: skip
    assert min(changed) > 1e-4


def test_the_future_is_not_looked_at(tmp_path):
    """The last step's logits do not depend on its own action, nor on padding behind the window."""
    from laser.policies.inputs import action_logits

    loaded = policy(tmp_path)
    sight, drawn = sight_of(loaded.config), np.random.default_rng(0)
    cells = drawn.integers(0, 2, (2, 3, SIZE * SIZE)).astype(np.uint8)
    actions, to_go = drawn.integers(0, 4, (2, 3)), drawn.normal(size=(2, 3))
    first = np.array([0, 5])
    whole = action_logits(loaded.model, sight, cells, actions, to_go, first)
    other = actions.copy()
    other[:, -1] = (other[:, -1] + 1) % 4
    torch.testing.assert_close(action_logits(loaded.model, sight, cells, other, to_go, first), whole)
    short = action_logits(loaded.model, sight, cells[:, :2], actions[:, :2], to_go[:, :2], first)
    torch.testing.assert_close(short, whole[:, :2])
    moved = other.copy()
    moved[:, 0] = (moved[:, 0] + 1) % 4
    assert not torch.allclose(action_logits(loaded.model, sight, cells, moved, to_go, first)[:, 1:], whole[:, 1:])


def test_scores(tmp_path):
    loaded, asked = policy(tmp_path), some_games(count=5)
    played = play_all(loaded, asked.requests, 4096)
    for game, one, row in zip(asked.items, played, score_games(asked, played), strict=True):
        assert row.id == game.example.id and row.correct == one.solved and row.prediction == one.moves
        assert row.answer_tokens == len(game.example.answer) and row.steps == len(one.moves)
        assert row.loss == pytest.approx(-np.mean(one.logprobs)) and row.logprob == pytest.approx(sum(one.logprobs))
        assert row.in_top5 and row.in_top10 and 1 <= row.answer_rank <= 4


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_policy_that_overflows_solves_nothing(tmp_path, value):
    loaded, asked = policy(tmp_path), some_games(count=3)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.fill_(value)
    for row in score_games(asked, play_all(loaded, asked.requests, 4096)):
        assert not row.correct and row.answer_rank is None and not row.in_top5
        assert np.isnan(row.loss) and np.isnan(row.logprob)


def test_games_of_some_examples_alone():
    asked = some_games(count=6)
    kept = asked.only({asked.items[1].example.id, asked.items[4].example.id})
    assert kept.requests.generations == (asked.items[1], asked.items[4]) == tuple(kept.items)


def test_a_room_of_another_size_is_refused():
    example = some_games(count=1).items[0].example
    with pytest.raises(UserError, match="has 6 x 6 cells, but the policy was trained on 7 x 7"):
        games([example], {"target_return": 10, "step_limit": 10}, 7, 7)
