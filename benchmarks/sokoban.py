"""Sokoban's speed on this machine: making rooms, solving them, stepping them side by side, and a policy's play.

    python -m benchmarks.sokoban                    # everything, about a minute on one core
    python -m benchmarks.sokoban --only rooms step  # parts: rooms, solver, step, play
    python -m benchmarks.sokoban --levels FOLDER    # the solver on Boxoban's files too (unfiltered/valid/000.txt, ...)

All times are processor seconds of this one process, on one thread, so that a busy machine changes them little.

rooms   Generated rooms per second (`laser.sokoban.generate`), and how large and how long they are.
solver  The same rooms solved in the fewest moves (`laser.sokoban.solver`): rooms and nodes (expanded positions) per
        second; `slowest` is the longest time of one room. Rooms that need more than MAX_NODES nodes are left unsolved,
        and their time counts.
step    Steps per second of random play in rooms of one shape (`laser.sokoban.batch`): many rooms side by side, against
        a single room (`ratio`). `seen` is the same with an observation of every room after every step. Rooms that
        random play has solved are still stepped, and counted.
play    The environment's share (steps and observations) of the time of a policy's play through the sweep's engine: the
        model `decision-transformer-small` of config/models.yaml with random weights, which do not affect its cost per
        step, though its rooms run to their last step.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import benchmarks  # noqa: F401  (puts the package on the path)
from laser.sokoban.batch import BatchedRooms
from laser.sokoban.boxoban import read_levels
from laser.sokoban.generate import generate_room
from laser.sokoban.room import Room
from laser.sokoban.solver import solve

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((7, 1, 400), (7, 2, 400), (8, 2, 300), (10, 4, 40))
"""Side of the room, number of boxes, number of rooms."""

MAX_NODES = 200_000
BATCHES = (1, 10, 100, 1000, 10_000)
LEVELS = {"unfiltered/valid/000.txt": 40, "medium/valid/000.txt": 40, "hard/000.txt": 5}
PARTS = ("rooms", "solver", "step", "play")


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor seconds that `work` takes, and what it returns."""
    begun = time.process_time()
    made = work()
    return time.process_time() - begun, made


def made_rooms(side: int, boxes: int, count: int) -> tuple[float, list[Room]]:
    """Generate rooms; return the seconds and the rooms."""
    return seconds(lambda: [generate_room(side, side, boxes, seed=0, index=index) for index in range(count)])


def show(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a Markdown table."""
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(f"{one:,.4g}" if isinstance(one, float) else str(one) for one in row) + " |")
    print(flush=True)


def measure_rooms() -> None:
    """Print how fast rooms are made."""
    rows = []
    for side, boxes, count in SIZES:
        spent, rooms = made_rooms(side, boxes, count)
        floor = float(np.mean([side * side - len(room.walls) for room in rooms]))
        rows.append((f"{side} x {side}", boxes, count, count / spent, 1000 * spent / count, floor))
    show(("room", "boxes", "rooms", "rooms/s", "ms a room", "mean floor cells"), rows)


def measure_solver(levels: Path | None) -> None:
    """Print how fast rooms are solved."""
    sets = [(f"{side} x {side}, {boxes}", made_rooms(side, boxes, count)[1]) for side, boxes, count in SIZES]
    if levels is not None:
        sets += [(name, read_levels(levels / name, limit=count)) for name, count in LEVELS.items()]
    rows = []
    for name, rooms in sets:
        times, nodes, moves = [], [], []
        for room in rooms:
            spent, found = seconds(lambda room=room: solve(room, MAX_NODES))
            times.append(spent)
            nodes.append(found.nodes if found else MAX_NODES)
            if found:
                moves.append(len(found.actions))
        solved, total = f"{len(moves)} of {len(rooms)}", float(sum(times))
        rates = (len(rooms) / total, sum(nodes) / total)
        middle = (float(np.median(nodes)), float(np.mean(moves or [np.nan])))
        rows.append((name, solved, *rates, *middle, float(max(times))))
    show(("rooms", "solved", "rooms/s", "nodes/s", "median nodes", "mean moves", "slowest, s"), rows)


def stepping(rooms: Sequence[Room], steps: int, encoding: str | None) -> float:
    """Return steps per second, all rooms together, of random play."""
    batch = BatchedRooms(rooms, step_limit=steps + 1)
    actions = np.random.default_rng(0).integers(4, size=(steps, len(rooms)))

    def work() -> None:
        for step in range(steps):
            batch.step(actions[step])
            if encoding is not None:
                batch.observe(encoding)

    return steps * len(rooms) / seconds(work)[0]


def measure_step() -> None:
    """Print how fast rooms are stepped side by side."""
    for side, boxes in ((7, 2), (10, 4)):
        some = made_rooms(side, boxes, 50)[1]
        rows, alone = [], 0.0
        for count in BATCHES:
            rooms = [some[index % len(some)] for index in range(count)]
            steps = max(20, 5000 // count)
            plain, grid, pixels = (
                max(stepping(rooms, steps, encoding) for _ in range(3)) for encoding in (None, "grid", "pixels")
            )
            alone = alone or plain
            rows.append((count, plain, plain / alone, grid, pixels))
        print(f"{side} x {side}, {boxes} boxes")
        show(("rooms side by side", "steps/s", "ratio", "steps/s, grid seen", "steps/s, pixels seen"), rows)


def measure_play() -> None:
    """Print the environment's share of the time of a policy's play."""
    import torch
    import yaml

    from laser.models.load import load
    from laser.policies import inputs as reading
    from laser.policies.engine import play_all
    from laser.policies.games import games
    from laser.sokoban.room import room_text
    from laser.tasks.example import Example
    from laser.training.policy import untrained_policy

    torch.set_num_threads(1)
    entry = yaml.safe_load((ROOT / "config/models.yaml").read_text(encoding="utf-8"))["decision-transformer-small"]
    examples = []
    for index, room in enumerate(made_rooms(7, 2, 200)[1]):
        found, text = solve(room, MAX_NODES), room_text(room)
        examples.append(Example(id=str(index), group=str(index), text=text, prompt=text, answer=found.actions))
    asked = games(examples, entry["play"], 7, 7).requests
    spent = {"step": 0.0, "encode": 0.0}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            took, made = seconds(lambda: function(*arguments, **named))
            spent[name] += took
            return made

        return run

    step, encode = BatchedRooms.step, reading.encode
    with tempfile.TemporaryDirectory() as folder:
        untrained_policy(entry["source"], 7, 7, seed=0)[0].save_pretrained(folder)
        loaded = load(Path(folder), "fp32", "cpu")
        try:
            BatchedRooms.step, reading.encode = timed("step", step), timed("encode", encode)  # type: ignore[method-assign]
            total, played = seconds(lambda: play_all(loaded, asked, 4096))
        finally:
            BatchedRooms.step, reading.encode = step, encode  # type: ignore[method-assign]
    shares = [100 * spent[name] / total for name in ("step", "encode")]
    steps = sum(len(one.moves) for one in played)
    show(("rooms", "rooms/s", "steps/s", "share of steps, %", "share of observations, %"),
         [(len(played), len(played) / total, steps / total, *shares)])  # fmt: skip


def main() -> None:
    """Run the requested parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--levels", type=Path, default=None, help="folder of Boxoban's level files")
    asked = parser.parse_args()
    parts = {"rooms": measure_rooms, "solver": lambda: measure_solver(asked.levels), "step": measure_step,
             "play": measure_play}  # fmt: skip
    for name in asked.only:
        print(f"## {name}\n")
        parts[name]()


if __name__ == "__main__":
    main()
