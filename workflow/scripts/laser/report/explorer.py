"""explorer.html: a page for exploring the sweep, and beside it the data that it loads on demand.

A page opened from a file may not fetch files, and the report's content security policy allows only scripts that it
names by their hash. So each data file is a page of its own that passes its JSON to the explorer
(`explorer_data.html.j2`): data are never executed. Each model, dataset and protocol has one file with the scores of
every intervention, one with the validation rows, one per layer with the rows that changed, and one with the test rows
that the choice changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from laser.analysis.intervals import change_bounds, share_interval
from laser.analysis.statistics import CONFIDENCE, seed_sequence
from laser.config.paths import rho_name
from laser.errors import UserError
from laser.io.files import write_text
from laser.paper.published import read_published
from laser.report.files import unique_slugs
from laser.report.render import data_block, render
from laser.results.cells import PairedCell
from laser.results.columns import read_columns
from laser.results.loading import cell_of, load_cells, load_rows, load_selections

EXPLORER, PAGE = "explorer", "explorer.html"
RESAMPLES = 1_000
"""Number of bootstrap resamples for changes of loss, drawn once for all interventions of a cell."""

LISTED = 200
"""Largest number of corrected rows, and of spoilt rows, listed per intervention: the first in the dataset's order."""

SCORES = ("id", "correct", "loss", "prediction")
Place = tuple[str, int, float]
"""Matrix, layer and rho of an intervention."""


@dataclass(frozen=True)
class SweepFiles:
    """Files of the validation rows of one model on one dataset: of the base model and of every intervention."""

    base: Path
    sweep: Sequence[Path]


@dataclass
class _Cell:
    """The validation rows of one model, dataset and protocol, in the order of the base model's file.

    Attributes:
        base: id, correct, loss, prediction.
        changes: maps an intervention to (n,) int8, 1 where a row was corrected, −1 where it was spoilt.
        losses: maps an intervention to (n,) float64.
        flips: maps a layer to its `_Flips`.
    """

    model: str
    dataset: str
    protocol: str
    base: pd.DataFrame
    changes: dict[Place, np.ndarray] = field(default_factory=dict)
    losses: dict[Place, np.ndarray] = field(default_factory=dict)
    flips: dict[int, _Flips] = field(default_factory=dict)


class _Flips:
    """Rows that changed, by intervention: pairs of row number and output number, in two flat lists."""

    def __init__(self) -> None:
        self.outputs: dict[str, int] = {}
        self.places: dict[str, dict[str, list[int]]] = {}

    def add(self, name: str, changes: np.ndarray, predictions: Sequence[str]) -> None:
        """Add the first `LISTED` rows of each direction."""
        self.places[name] = {
            kind: [
                number
                for row in np.flatnonzero(changes == sign)[:LISTED].tolist()
                for number in (row, self.outputs.setdefault(str(predictions[row]), len(self.outputs)))
            ]
            for kind, sign in (("right", 1), ("spoilt", -1))
        }

    def written(self) -> dict[str, Any]:
        """Return the changed rows as JSON."""
        return {"outputs": list(self.outputs), "places": self.places}


def write_explorer(
    folder: Path,
    study: Mapping[str, Any],
    sweeps: Sequence[SweepFiles],
    selections: Sequence[Path],
    rows: Sequence[Path],
    tests: Sequence[Path] = (),
) -> str:
    """Write explorer.html and explorer/; return the link to the page, which is empty if there is no sweep.

    Args:
        folder: folder of the report.
        study: the resolved study.
        sweeps: the validation rows of the cells.
        selections: selection/<model>/<dataset>.json of the same cells.
        rows: rows.parquet of the datasets.
        tests: test/<model>/<dataset>.parquet of the same cells.

    Raises:
        UserError: a file is missing or damaged, or the files do not belong together.
    """
    (folder / PAGE).unlink(missing_ok=True)
    if not sweeps:
        return ""
    chosen = {(selection["model"], selection["dataset"]): selection for selection in load_selections(selections)}
    paths = {name: path for path in rows for name in load_rows([path])}
    tested = {cell.key: cell for cell in load_cells(tests, selections, rows)}
    names = unique_slugs("-".join(name) for files in sweeps for name in _names(files))
    index = []
    for cell in (cell for files in sweeps for cell in _read(files)):
        name = cell.model, cell.dataset, cell.protocol
        selected = chosen.get(name[:2], {}).get("protocols", {}).get(cell.protocol)
        if selected is None or cell.dataset not in paths:
            lacking = "selection file" if selected is None else "file of prepared rows"
            raise UserError(f"explorer: no {lacking} of {cell.model} on {cell.dataset} was given. Give the file.")
        texts = read_columns(paths[cell.dataset], ["id", "group", "prompt", "answer"]).set_index("id")
        key = names["-".join(name)]
        test = _tested(tested.get(name), texts)
        scores = _scores(cell, selected, texts["group"], int(study.get("seed", 0)))
        _write(folder, key, scores | {"tested": test is not None})
        _write(folder, f"{key}-rows", _shown(texts, cell.base["id"], cell.base["prediction"]))
        if test is not None:
            _write(folder, f"{key}-test", test)
        for layer, flips in cell.flips.items():
            _write(folder, f"{key}-layer{layer}", flips.written())
        index.append({"key": key, "model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol})
    page = render(
        "explorer.html.j2",
        ("page.js", "explorer.js"),
        ("style.css", "explorer.css"),
        study=study,
        index=data_block({"cells": index, "listed": LISTED}),
        confidence=f"{100 * CONFIDENCE:g}",
    )
    write_text(folder / PAGE, page)
    return PAGE


def _write(folder: Path, name: str, value: Mapping[str, Any]) -> None:
    write_text(
        folder / EXPLORER / f"{name}.html",
        render("explorer_data.html.j2", ("explorer_data.js",), (), data=data_block(value)),
    )


def _names(files: SweepFiles) -> list[tuple[str, str, str]]:
    model, dataset, spec = cell_of(files.base)
    return [(model, dataset, str(protocol)) for protocol in spec["protocols"]]


def _read(files: SweepFiles) -> Iterator[_Cell]:
    """Read one model's sweep on one dataset: a cell per protocol."""
    base = read_columns(files.base, ["protocol", *SCORES])
    cells = {}
    for model, dataset, protocol in _names(files):
        rows = base[base["protocol"] == protocol].drop(columns="protocol").reset_index(drop=True)
        cells[protocol] = _Cell(model, dataset, protocol, rows)
    for path in files.sweep:
        if (held := cell_of(path)[:2]) != cell_of(files.base)[:2]:
            raise UserError(f"{path}: holds {held[0]} on {held[1]}, unlike {files.base}. Delete and rerun.")
        frame = read_columns(path, ["protocol", "matrix", "layer", "rho", *SCORES])
        for _, part in frame.groupby(["protocol", "matrix", "layer", "rho"], sort=False):
            protocol, matrix, layer, rho = part.iloc[0][["protocol", "matrix", "layer", "rho"]]
            if protocol not in cells:
                raise UserError(f"{path}: protocol {protocol} is not in {files.base}. Delete and rerun.")
            _add(cells[protocol], (matrix, int(layer), float(rho)), part, path)
    yield from cells.values()


def _add(cell: _Cell, place: Place, part: pd.DataFrame, path: Path) -> None:
    """Add an intervention's rows to the cell."""
    ids = cell.base["id"]
    if not np.array_equal(part["id"].to_numpy(), ids.to_numpy()):
        if part["id"].duplicated().any() or set(part["id"]) != set(ids):
            raise UserError(
                f"{path}: protocol {cell.protocol} was scored on other validation rows than the base model. "
                "Delete and rerun."
            )
        part = part.set_index("id").loc[ids].reset_index()
    matrix, layer, rho = place
    changes = part["correct"].to_numpy().astype("int8") - cell.base["correct"].to_numpy().astype("int8")
    cell.changes[place] = changes
    cell.losses[place] = part["loss"].to_numpy(dtype="float64")
    cell.flips.setdefault(layer, _Flips()).add(f"{matrix}/{rho_name(rho)}", changes, part["prediction"].tolist())


def _scores(cell: _Cell, selected: Mapping[str, Any], group_of: pd.Series, seed: int) -> dict[str, Any]:
    """Return the scores of base and of every intervention, and which ones we and the paper chose."""
    groups, labels = pd.factorize(group_of.loc[cell.base["id"]])
    ranks = {(edit["matrix"], edit["layer"], edit["rho"]): edit.get("kept_rank") for edit in selected["candidates"]}
    places = sorted(cell.changes, key=lambda place: (place[0], place[1], -place[2]))
    correct, loss = cell.base["correct"].to_numpy(dtype="float64"), cell.base["loss"].to_numpy(dtype="float64")
    low, high = share_interval(correct, groups.tolist())
    gains = _gains(np.array([cell.changes[place] for place in places], dtype="float64"), groups)
    shifts = np.array([cell.losses[place] for place in places]) - loss
    stream = seed_sequence(seed, cell.model, cell.dataset, cell.protocol, EXPLORER)
    losses = _loss_changes(shifts, groups, stream)
    scored = []
    for number, (matrix, layer, rho) in enumerate(places):
        changes = cell.changes[matrix, layer, rho]
        scored.append(
            {
                "at": [matrix, layer, rho_name(rho)],
                "kept": ranks.get((matrix, layer, rho)),
                "right": int((changes > 0).sum()),
                "spoilt": int((changes < 0).sum()),
                "gain": gains[number],
                "loss": losses[number],
            }
        )
    paper = read_published().choice(cell.model, cell.dataset)
    return {
        "n": len(correct),
        "groups": len(labels),
        "base": {
            "accuracy": _rounded(100 * correct.mean(), 100 * low, 100 * high),
            "loss": _number(loss.mean()),
        },
        "places": scored,
        "chosen": _place(selected["chosen"]),
        "paper": _place(paper),
    }


def _group_sums(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of each row of `values` (interventions, rows) within groups, and the sizes of the groups."""
    sizes = np.bincount(groups).astype("float64")
    return np.array([np.bincount(groups, weights=row) for row in values]).reshape(len(values), sizes.size), sizes


def _gains(changes: np.ndarray, groups: np.ndarray) -> list[list[float | None]]:
    """Return the mean change of accuracy of each intervention (interventions, rows), in points, with its interval."""
    sums, sizes = _group_sums(changes, groups)
    squares = (sizes**2).sum(), (sums**2).sum(axis=1), (sums * sizes).sum(axis=1)
    low, high = change_bounds(sums.sum(axis=1), sizes.sum(), sizes.size, *squares)
    return [_rounded(*values) for values in 100 * np.stack([changes.mean(axis=1), low, high], axis=1)]


def _loss_changes(shifts: np.ndarray, groups: np.ndarray, seed: Sequence[int]) -> list[list[float | None]]:
    """Return the mean change of loss of each intervention (interventions, rows), in nats, with its interval.

    The interval is a percentile bootstrap over groups, which are drawn once for all interventions. If the model
    overflowed on a row, there is neither mean nor interval.
    """
    finite = np.isfinite(shifts).all(axis=1)
    values = np.full((len(shifts), 3), np.nan)
    if finite.any():
        sums, sizes = _group_sums(shifts[finite], groups)
        generator, count = np.random.default_rng(seed), sizes.size
        drawn = np.array(
            [np.bincount(generator.integers(0, count, count), minlength=count) for _ in range(RESAMPLES)], dtype=float
        )
        tail = (1 - CONFIDENCE) / 2
        bounds = np.quantile(sums @ drawn.T / (drawn @ sizes), [tail, 1 - tail], axis=1)
        values[finite] = np.stack([shifts[finite].mean(axis=1), *bounds], axis=1)
    return [_rounded(*row) for row in values]


def _tested(cell: PairedCell | None, texts: pd.DataFrame) -> dict[str, Any] | None:
    """Return the test rows that the choice changed; None if the base model was chosen."""
    if cell is None or cell.chosen is None:
        return None
    frame = cell.rows
    changes = frame["laser_correct"].to_numpy().astype("int8") - frame["base_correct"].to_numpy().astype("int8")
    kept = np.concatenate([np.flatnonzero(changes == sign)[:LISTED] for sign in (1, -1)])
    kept.sort()
    flips, part = _Flips(), frame.iloc[kept]
    flips.add("test", changes[kept], part["laser_prediction"].tolist())
    return {
        "n": len(frame),
        "right": int((changes > 0).sum()),
        "spoilt": int((changes < 0).sum()),
        "rows": _shown(texts, part["id"], part["base_prediction"]),
        "flips": flips.written(),
    }


def _shown(texts: pd.DataFrame, ids: pd.Series, outputs: pd.Series) -> dict[str, list[str]]:
    """Return rows as columns: id, question, answer and the base model's output."""
    asked = texts.loc[ids]
    return {
        "id": [str(value) for value in ids],
        "question": asked["prompt"].tolist(),
        "answer": asked["answer"].tolist(),
        "output": [str(value) for value in outputs],
    }


def _place(edit: Mapping[str, Any] | None) -> list[Any] | None:
    return None if edit is None else [edit["matrix"], edit["layer"], rho_name(edit["rho"])]


def _rounded(*values: float) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None
