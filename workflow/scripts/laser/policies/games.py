"""Sokoban as a task: the requests to a policy, its answers, and the resulting rows.

A policy's answer to a room is the moves that it plays greedily until the room is solved or the steps are used up, and
its log-probabilities of the expert's moves when these are played instead.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from laser.errors import UserError
from laser.sokoban.room import Room, parse_room
from laser.sokoban.rules import action_numbers
from laser.tasks.example import Example
from laser.tasks.scoring import Score


@dataclass(frozen=True)
class Game:
    """One room, and the expert's moves in it as action numbers."""

    example: Example
    room: Room
    expert: tuple[int, ...]


@dataclass(frozen=True)
class GameRequests:
    """Requests to an engine: games, and how they are played.

    Attributes:
        generations: the games; one request each.
        target_return: the return that the policy is asked for when an episode begins.
        step_limit: steps after which an episode ends.
        passes: always empty; only requests to language models have passes.
    """

    generations: tuple[Game, ...]
    target_return: float
    step_limit: int
    passes: tuple[()] = ()


@dataclass
class Games:
    """All rooms of one (model, dataset) pair; the counterpart of `laser.tasks.questions.Questions` for policies.

    Attributes:
        items: the games, in order.
        requests: the requests to the engine.
        left_out: examples that cannot be played, by id, with the reason.
    """

    items: list[Game]
    requests: GameRequests
    left_out: dict[str, str] = field(default_factory=dict)

    def only(self, ids: Collection[str]) -> Games:
        """Return the games of the examples named by `ids`, in their order."""
        items = [game for game in self.items if game.example.id in ids]
        return replace(self, items=items, requests=replace(self.requests, generations=tuple(items)))


@dataclass(frozen=True)
class Played:
    """The result of one game.

    Attributes:
        moves: the policy's moves, LURD letters.
        solved: True if every box ended on a target.
        total: the return, the sum of all rewards.
        logprobs: log-probability of each of the expert's moves, in nats.
        rank: 1 + the number of actions more probable than the expert's first.
    """

    moves: str
    solved: bool
    total: float
    logprobs: tuple[float, ...]
    rank: int


@dataclass(frozen=True)
class GameScore(Score):
    """A score with two fields that only games have; `total` is the column `return`."""

    total: float
    steps: int


def games(examples: Sequence[Example], play: Mapping[str, Any], height: int, width: int) -> Games:
    """Turn prepared rows into games.

    Args:
        examples: prepared rows, whose `text` is the room and whose `answer` is the expert's moves.
        play: target_return and step_limit, as in the model's entry.
        height: number of rows of the rooms that the policy sees.
        width: number of columns of these rooms.

    Raises:
        UserError: a room has a different size.
    """
    items = []
    for example in examples:
        room = parse_room(example.text, f"room {example.id}")
        if (room.height, room.width) != (height, width):
            raise UserError(
                f"room {example.id} has {room.height} x {room.width} cells, but the policy was trained on "
                f"{height} x {width}. Model and dataset need pools of one size."
            )
        items.append(Game(example, room, tuple(action_numbers(example.answer))))
    return Games(items, GameRequests(tuple(items), play["target_return"], play["step_limit"]))


def score_games(games: Games, answers: Sequence[Played]) -> list[GameScore]:
    """Return the score of each game, in order; it does not depend on the protocol."""
    return [_score(game.example.id, played) for game, played in zip(games.items, answers, strict=True)]


def _score(name: str, played: Played) -> GameScore:
    finite = all(map(math.isfinite, played.logprobs))
    logprob = sum(played.logprobs) if finite else math.nan
    return GameScore(
        id=name,
        correct=played.solved and finite,
        loss=-logprob / len(played.logprobs),
        logprob=logprob,
        answer_tokens=len(played.logprobs),
        prediction=played.moves,
        answer_rank=played.rank if finite else None,
        in_top5=finite and played.rank <= 5,
        in_top10=finite and played.rank <= 10,
        total=played.total,
        steps=len(played.moves),
    )
