"""The engine for policies: edit the weights, play all rooms side by side, and score the expert's moves.

Every room of a batch is at the same step of its episode, so that windows have one length and nothing is padded.
Finished rooms leave the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from laser.engine.batches import run_halving
from laser.engine.live_edits import edited
from laser.models.load import LoadedModel
from laser.policies.games import Game, GameRequests, Played
from laser.policies.inputs import Sight, action_logits, sight_of
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Edit
from laser.sokoban.batch import BatchedRooms
from laser.sokoban.observations import BOX
from laser.sokoban.rules import MOVES, PUSHES


def evaluate(
    loaded: LoadedModel,
    requests: GameRequests,
    edits: Sequence[Edit],
    store: FactorStore,
    token_budget: int = 2048,
    progress: Callable[[int], None] = lambda count: None,
) -> Iterator[list[Played]]:
    """Play all games under every edit (an empty edit is the base model), one edit after the other.

    Args:
        loaded: a policy, as `laser.models.load.load` returns it.
        requests: the games.
        edits: each a tuple of interventions made at once.
        store: the store of the factors.
        token_budget: upper bound of rooms side by side times tokens per room (three per step of the context).
        progress: called with the number of games played since the last call.

    Yields:
        One list per edit, in order: how each game went.
    """
    for edit in edits:
        with edited(loaded, edit, store):
            yield play_all(loaded, requests, token_budget, progress)


def play_all(
    loaded: LoadedModel,
    requests: GameRequests,
    token_budget: int,
    progress: Callable[[int], None] = lambda count: None,
) -> list[Played]:
    """Play all games with the policy as it is, with its own moves and with the expert's."""
    sight = sight_of(loaded.config)
    games = requests.generations
    side_by_side = max(1, token_budget // (3 * sight.context))
    played: list[Played | None] = [None] * len(games)
    for start in range(0, len(games), side_by_side):
        group = list(range(start, min(start + side_by_side, len(games))))
        for part, results in run_halving(group, lambda part: play(loaded, sight, [games[i] for i in part], requests)):
            for index, result in zip(part, results, strict=True):
                played[index] = result
            progress(len(part))
    return [game for game in played if game is not None]


@torch.inference_mode()
def play(loaded: LoadedModel, sight: Sight, games: Sequence[Game], requests: GameRequests) -> list[Played]:
    """Play some games side by side, greedily, then play the expert's moves and read their log-probabilities."""
    free = _episodes(loaded, sight, games, requests.target_return, requests.step_limit, None)
    longest = max(len(game.expert) for game in games)
    forced = _episodes(loaded, sight, games, requests.target_return, longest, [game.expert for game in games])
    return [
        Played(
            moves=free.moves[row],
            solved=bool(free.rooms.solved[row]),
            total=float(free.rooms.returns[row]),
            logprobs=_known(free.logprobs[row], forced.logprobs[row]),
            rank=forced.ranks[row],
        )
        for row in range(len(games))
    ]


def _known(free: Sequence[float], forced: Sequence[float]) -> tuple[float, ...]:
    """Return the expert's log-probabilities; NaN if those of the policy's own moves are not all finite."""
    return tuple(forced) if np.isfinite(free).all() else (math.nan,) * len(forced)


class _Episodes:
    """The results of a batch of episodes: rooms, moves, log-probabilities of moves, and ranks of first moves."""

    def __init__(self, rooms: BatchedRooms) -> None:
        self.rooms = rooms
        self.moves = [""] * len(rooms)
        self.logprobs: list[list[float]] = [[] for _ in range(len(rooms))]
        self.ranks = [0] * len(rooms)


def _episodes(
    loaded: LoadedModel,
    sight: Sight,
    games: Sequence[Game],
    target_return: float,
    limit: int,
    forced: Sequence[Sequence[int]] | None,
) -> _Episodes:
    """Play episodes with the most probable action at every step (the first of equals), or with the forced actions.

    The return to go is `target_return` minus the rewards so far. No information from the future is used, not even in
    forced episodes.
    """
    rooms = BatchedRooms([game.room for game in games], step_limit=limit)
    made = _Episodes(rooms)
    count = len(rooms)
    cells = np.zeros((count, limit, rooms.cells.shape[1]), dtype=np.uint8)
    actions = np.zeros((count, limit), dtype=np.int64)
    to_go = np.zeros((count, limit))
    lengths = np.array([len(moves) for moves in forced]) if forced is not None else np.full(count, limit)
    for step in range(limit):
        live = np.flatnonzero(~rooms.done & (step < lengths))
        if not len(live):
            break
        cells[:, step], to_go[:, step] = rooms.cells, target_return - rooms.returns
        begin = max(0, step + 1 - sight.context)
        seen = slice(begin, step + 1)
        first = np.full(len(live), begin)
        logits = action_logits(loaded.model, sight, cells[live, seen], actions[live, seen], to_go[live, seen], first)
        logprobs = torch.log_softmax(logits[:, -1], dim=-1).cpu().numpy()
        chosen = logprobs.argmax(axis=1) if forced is None else np.array([forced[int(row)][step] for row in live])
        actions[live, step] = chosen
        before = rooms.cells.copy()
        rooms.step(actions[:, step])
        # A move that displaced a box is a push, written in upper case.
        pushed = ((before ^ rooms.cells) & BOX).any(axis=1)
        for index, row in enumerate(live):
            action = int(chosen[index])
            made.moves[row] += (PUSHES if pushed[row] else MOVES)[action]
            made.logprobs[row].append(float(logprobs[index, action]))
            if step == 0:
                made.ranks[row] = 1 + int((logprobs[index] > logprobs[index, action]).sum())
    return made
