"""Evaluating a random sample of a finished study's rows again, from the checkpoint, with the plain engine."""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from laser.errors import UserError
from laser.evaluation.cell import Edit, answers_for, chosen_edit, intervention, open_cell, result_rows
from laser.io.files import read_json, read_parquet, read_spec, sha256_file

TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 5e-2}
"""Largest difference of a log-probability, nats per answer token, by the precision that the model runs in."""

EXACT = ("correct", "prediction", "answer_tokens")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Pick:
    """One row of a result file that is to be evaluated again.

    Attributes:
        path: the file.
        place: the row in it.
        row: its values, labels among them.
        spec: what the file carries.
    """

    path: Path
    place: int
    row: dict[str, Any]
    spec: dict[str, Any]

    @property
    def side(self) -> str:
        """Which side of the split the row is on."""
        return "test" if "arm" in self.row else "validation"

    @property
    def edit(self) -> str:
        """The edit under which the row was scored, in words."""
        if self.row.get("arm") == "laser":
            one = self.spec["chosen"][self.row["protocol"]]
            return "base, chosen as LASER" if one is None else f"[{one['matrix']}, {one['layer']}, {one['rho']:g}]"
        if "matrix" in self.row:
            return f"[{self.row['matrix']}, {self.row['layer']}, {self.row['rho']:g}]"
        return "base"


def pick(folder: Path, count: int, seed: int) -> list[Pick]:
    """Draw rows of test and sweep files: half from each, uniformly over rows, without repetition.

    Raises:
        UserError: the folder holds no such files.
    """
    import pyarrow.parquet as pq

    draw, chosen = random.Random(seed), []
    for kind, wanted in (("test", count - count // 2), ("sweep", count // 2)):
        files = sorted((folder / kind).rglob("*.parquet"))
        sizes = [pq.read_metadata(path).num_rows for path in files]
        if not sum(sizes):
            raise UserError(f"{folder / kind}: holds no per-example rows. Give the folder of a finished study.")
        for number in sorted(draw.sample(range(sum(sizes)), min(wanted, sum(sizes)))):
            place, which = number, 0
            while place >= sizes[which]:
                place, which = place - sizes[which], which + 1
            row = {str(key): value for key, value in read_parquet(files[which]).iloc[place].items()}
            chosen.append(Pick(files[which], place, row, read_spec(files[which])))
    return chosen


def check_models(study: Path, picks: Sequence[Pick], cache: Path, say: Say) -> dict[str, Path]:
    """Hash every model folder that is needed against the study's copy of its card; return name to card.json.

    Raises:
        UserError: a folder is missing, or a file in it has another hash.
    """
    found = {}
    for name, key in sorted({(one.spec["model"]["name"], one.spec["model"]["key"]) for one in picks}):
        folder = cache / "models" / key
        if not (folder / "card.json").is_file():
            raise UserError(f"{folder}: the checkpoint of {name} is not here. Fetch it (target `models`), or --cache.")
        wanted = read_json(study / "inputs/models" / name / "card.json")["files"]
        for file, sha256 in wanted.items():
            place = folder / file
            if Path(file).name != file or not place.is_file() or sha256_file(place) != sha256:
                raise UserError(f"{place}: is not the file that the study used (sha256 {sha256[:16]}…).")
        say(f"{name}: {len(wanted)} files in {folder} have the study's hashes")
        found[name] = folder / "card.json"
    return found


def spot_check(study: Path, count: int, seed: int, cache: Path, device: str, say: Say) -> list[str]:
    """Evaluate `count` random rows again and return a line per difference.

    Rows are grouped by model, dataset and edit, so that each model is loaded and each matrix decomposed as seldom as
    possible. Decompositions are computed anew, in a temporary folder.

    Args:
        study: the study's folder.
        count: how many rows.
        seed: of the draw.
        cache: folder with `models/`.
        device: auto, cpu or cuda.
        say: called with each line of progress.

    Raises:
        UserError: files are missing or damaged, or the checkpoint is another one.
    """
    picks = pick(study, count, seed)
    say(f"{len(picks)} rows drawn with seed {seed}")
    cards = check_models(study, picks, cache, say)
    groups: dict[tuple[str, str, str], list[Pick]] = {}
    for one in picks:
        groups.setdefault((one.spec["model"]["name"], one.spec["dataset_name"], one.side), []).append(one)
    differences = []
    with tempfile.TemporaryDirectory(prefix="laser-spotcheck-") as factors:
        for (model, dataset, _), own in groups.items():
            rows = study / "inputs/data" / dataset / "rows.parquet"
            for one, again in _again(own, cards[model], rows, Path(factors), device):
                name = f"{one.path.relative_to(study)} row {one.place} ({one.row['id']}, {one.edit})"
                wrong = compare(one.row, again, TOLERANCE[one.spec["model"]["dtype"]])
                differences += [f"{name}: {each}" for each in wrong]
                say(f"{'DIFFERS' if wrong else 'same   '} {name}")
    return differences


def _again(
    picks: Sequence[Pick], card: Path, rows: Path, factors: Path, device: str
) -> Iterator[tuple[Pick, dict[str, Any]]]:
    """Evaluate the rows of one model on one side of one dataset; yield each with its new values."""
    first = picks[0]
    spec = first.spec | {"engine": "naive", "compute": first.spec["compute"] | {"device": device}}
    ids = {one.row["id"] for one in picks}

    def asked(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame["id"].isin(ids)]

    cell = open_cell(spec, card, rows, factors, first.side, asked)
    edits: dict[Edit, list[Pick]] = {}
    for one in picks:
        protocol = one.row["protocol"]
        edit: Edit = ()
        if one.row.get("arm") == "laser":
            edit = chosen_edit(cell, protocol, one.spec["chosen"][protocol])
        elif "matrix" in one.row:
            place = (str(one.row["matrix"]), int(one.row["layer"]), float(one.row["rho"]))
            edit = (intervention(cell, protocol, *place),)
        edits.setdefault(edit, []).append(one)
    for (_, own), answers in zip(edits.items(), answers_for(cell, list(edits), lambda done: None), strict=True):
        for one in own:
            found = result_rows(cell, answers, one.row["protocol"]).set_index("id", drop=False)
            if one.row["id"] not in found.index:
                raise UserError(f"{one.path}: row {one.place} is not on the {one.side} side of its split, or left out.")
            yield one, found.loc[one.row["id"]].to_dict()


def compare(before: dict[str, Any], after: dict[str, Any], tolerance: float) -> list[str]:
    """Return what differs between a stored row and its new evaluation.

    Args:
        before: the stored row.
        after: the new one.
        tolerance: of a log-probability, nats per answer token.
    """
    wrong = [f"{key} was {before[key]!r}, is {after[key]!r}" for key in EXACT if before[key] != after[key]]
    for key, scale in (("loss", 1), ("logprob", max(1, int(after["answer_tokens"])))):
        one, other = float(before[key]), float(after[key])
        if not (abs(one - other) <= tolerance * scale or (not math.isfinite(one) and not math.isfinite(other))):
            wrong.append(f"{key} was {one:.8g}, is {other:.8g} (allowed difference {tolerance * scale:g})")
    return wrong
