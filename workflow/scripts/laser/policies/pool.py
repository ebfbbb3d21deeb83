"""A pool of Sokoban rooms: each job makes and solves its share, and all shares are merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from laser.config.specs import EpisodesSpec, RoomsSpec, as_json
from laser.errors import UserError
from laser.io.files import read_parquet, read_spec, sha256_file, write_json, write_parquet
from laser.sokoban.boxoban import read_levels
from laser.sokoban.episodes import label
from laser.sokoban.generate import generate_room
from laser.sokoban.room import Room

AT_ONCE = 50
"""Number of rooms between two lines of progress."""


def rooms_of(pool: Mapping[str, Any], chunk: int, chunks: int) -> tuple[range, Callable[[int], Room]]:
    """Return the numbers of one job's rooms, every `chunks`-th one, and a function that makes a room from its number.

    Raises:
        UserError: the level files of a Boxoban pool are missing, damaged or not those in the config.
    """
    if pool["source"] == "boxoban":
        levels = read_levels(pool["path"], pool.get("sha256"), pool.get("count"))
        return range(chunk, len(levels), chunks), levels.__getitem__
    boxes = pool["boxes"]

    def make(index: int) -> Room:
        return generate_room(pool["height"], pool["width"], boxes[index % len(boxes)], pool["seed"], index)

    return range(chunk, pool["count"], chunks), make


def make_chunk(spec: RoomsSpec, output: Path, progress: Callable[[int], Callable[[int], None]]) -> pd.DataFrame:
    """Make and solve one job's rooms, and write a row per room, unsolved ones included.

    Args:
        spec: the share and the pool.
        output: the Parquet file, with `index` and the columns of `laser.sokoban.episodes.label`.
        progress: given the number of rooms, returns a function that is called with the rooms done since its last call.
    """
    pool = spec.pool
    numbers, make = rooms_of(pool, spec.chunk, spec.chunks)
    advance = progress(len(numbers))
    rows: list[dict[str, Any]] = []
    for start in range(0, len(numbers), AT_ONCE):
        part = numbers[start : start + AT_ONCE]
        labelled = label((make(index) for index in part), pool["max_nodes"], pool["evaluation_share"])
        rows += [{"index": index} | row for index, row in zip(part, labelled, strict=True)]
        advance(len(part))
    if not rows:
        raise UserError(f"pool '{pool['name']}': job {spec.chunk} of {spec.chunks} has no room. Lower its chunks.")
    frame = pd.DataFrame(rows)
    write_parquet(output, frame, as_json(spec))
    return frame


def collect(spec: EpisodesSpec, chunks: Sequence[Path], folder: Path) -> dict[str, Any]:
    """Merge all shares, drop unsolved and repeated rooms (also turned or mirrored ones), and return the card.

    This writes `episodes.parquet` (a row per room, in the order of `index`) and, last, `card.json` into `folder`. The
    card counts what was made and dropped, and describes the expert's paths and expanded nodes, by number of boxes.

    Raises:
        UserError: a share belongs to another pool, or no room is left on a side.
    """
    pool = spec.pool
    for path in chunks:
        if read_spec(path)["pool"] != pool:
            raise UserError(f"{path}: belongs to another pool than '{pool['name']}'. Delete it and run again.")
    frame = pd.concat([read_parquet(path) for path in chunks], ignore_index=True).sort_values("index")
    solved = frame[frame["solved"]]
    kept = solved.drop_duplicates("hash").reset_index(drop=True)
    sides = {side: int((kept["side"] == side).sum()) for side in ("training", "evaluation")}
    if not all(sides.values()):
        raise UserError(
            f"pool '{pool['name']}': {len(kept)} rooms are left, {sides['training']} for training and "
            f"{sides['evaluation']} for evaluation. Raise its count or max_nodes, or change evaluation_share."
        )
    path = folder / "episodes.parquet"
    write_parquet(path, kept, as_json(spec))
    card = {
        "name": pool["name"],
        "rooms": len(frame),
        "unsolved": int((~frame["solved"]).sum()),
        "duplicates": len(solved) - len(kept),
        "kept": len(kept),
        "sides": sides,
        "by_boxes": {str(boxes): _described(part) for boxes, part in frame.groupby("boxes")},
        "files": {path.name: sha256_file(path)},
        "spec": as_json(spec),
    }
    write_json(folder / "card.json", card)
    return card


def _described(frame: pd.DataFrame) -> dict[str, Any]:
    solved = frame[frame["solved"]]
    facts: dict[str, Any] = {"rooms": len(frame), "solved_share": round(len(solved) / len(frame), 6)}
    for name in ("moves", "pushes", "nodes"):
        values = solved[name]
        facts[name] = (
            {"mean": round(float(values.mean()), 3), "median": float(values.median()), "largest": int(values.max())}
            if len(values)
            else None
        )
    return facts
