"""A tiny policy with random weights, loaded as from a checkpoint folder, and games for it."""

from __future__ import annotations

from pathlib import Path

import torch

from laser.models.load import LoadedModel, load
from laser.policies.games import Games, games
from laser.sokoban.generate import generate_room
from laser.sokoban.room import room_hash, room_text
from laser.sokoban.solver import solve
from laser.tasks.example import Example
from laser.training.policy import untrained_policy
from tests.sokoban.small_study import source

SIZE = 6


def policy(folder: Path, encoding: str = "grid", **changes) -> LoadedModel:
    """Save a policy with random weights, spread far enough for its moves to differ from room to room, and load it."""
    model, _ = untrained_policy(source(encoding=encoding, **changes), SIZE, SIZE, seed=4)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2.0)
    model.save_pretrained(folder)
    return load(folder, "fp32", "cpu")


def some_games(count: int = 12, step_limit: int = 10, target_return: float = 10.0) -> Games:
    """Return games in rooms of one and two boxes."""
    examples = []
    for index in range(3 * count):
        room = generate_room(SIZE, SIZE, 1 + index % 2, 7, index)
        found = solve(room, 5000)
        if found is not None and found.actions and len(examples) < count:
            name, text = room_hash(room), room_text(room)
            examples.append(Example(id=f"{index}-{name}", group=name, text=text, prompt=text, answer=found.actions))
    return games(examples, {"target_return": target_return, "step_limit": step_limit}, SIZE, SIZE)
