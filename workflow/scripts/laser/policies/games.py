"""Playing Sokoban as a task: what is asked of a policy, what it answers, and the rows that this makes.

A policy's answer to a room is the moves that it plays, greedily, until the room is solved or its steps are used up; and
the log-probabilities that it gives to the expert's moves when these are played in its stead.
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
    """What an engine is asked: games, and how they are played.

    Attributes:
        generations: the games; one request each.
        target_return: the return that the policy is asked for when an episode begins.
        step_limit: steps after which an episode ends.
        passes: none; requests of language models have some.
    """

    generations: tuple[Game, ...]
    target_return: float
    step_limit: int
    passes: tuple[()] = ()


@dataclass
class Games:
    """All rooms of one (model, dataset) pair: for a policy what `laser.tasks.questions.Questions` is for a text.

    Attributes:
        items: the games, in order.
        requests: what the engine gets.
        left_out: examples that cannot be played, by id, with the reason.
    """

    items: list[Game]
    requests: GameRequests
    left_out: dict[str, str] = field(default_factory=dict)

    def only(self, ids: Collection[str]) -> Games:
        """Return the games of the examples named by `ids`, in their order."""
        items = [one for one in self.items if one.example.id in ids]
        return replace(self, items=items, requests=replace(self.requests, generations=tuple(items)))


@dataclass(frozen=True)
class Played:
    """How one game went.

    Attributes:
        moves: what the policy played, LURD letters.
        solved: whether every box ended on a target.
        total: the return, the sum of all rewards.
        logprobs: of each of the expert's moves, nats.
        rank: 1 + the number of actions more probable than the expert's first.
    """

    moves: str
    solved: bool
    total: float
    logprobs: tuple[float, ...]
    rank: int


@dataclass(frozen=True)
class GameScore(Score):
    """A score with what only games have: `total` stands in the column `return`."""

    total: float
    steps: int


def games(examples: Sequence[Example], play: Mapping[str, Any], height: int, width: int) -> Games:
    """Turn prepared rows into games.

    Args:
        examples: `text` is the room, `answer` the expert's moves.
        play: target_return and step_limit, as in the model's entry.
        height: rows of the rooms that the policy sees.
        width: their columns.

    Raises:
        UserError: a room of another size.
    """
    items = []
    for one in examples:
        room = parse_room(one.text, f"room {one.id}")
        if (room.height, room.width) != (height, width):
            raise UserError(
                f"room {one.id} has {room.height} x {room.width} cells, but the policy was trained on "
                f"{height} x {width}. Model and dataset need pools of one size."
            )
        items.append(Game(one, room, tuple(action_numbers(one.answer))))
    return Games(items, GameRequests(tuple(items), play["target_return"], play["step_limit"]))


def score_games(games: Games, answers: Sequence[Played]) -> list[GameScore]:
    """Return how each game went, in order; no choice of a protocol bears on it."""
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
