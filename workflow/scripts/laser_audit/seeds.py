"""The spread of the randomised decomposition over its seeds, computed anew from test rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from laser_audit.cells import Tested, tested
from laser_audit.comparing import Row, compare_table
from laser_audit.findings import Check
from laser_audit.numbers import interval, mean, stream
from laser_audit.paper import half_unit, paper
from laser_audit.reading import Study, asked
from laser_audit.rows import parts
from laser_audit.selection import selection_path

SEEDS = (
    *("model", "dataset", "protocol", "metric", "matrix", "layer", "rho", "seeds", "mean", "sd", "min", "max"),
    *("low", "high", "n", "exact", "base", "published", "published_choice", "published_within_range"),
    "published_within_two_sd",
)
PLACE = ("matrix", "layer", "rho")


@asked("seeds")
def check_seeds(check: Check, study: Study) -> None:
    """Compare every cell of the table of seeds, and the place at which they were drawn with choice and paper."""
    path = "tables/seeds.csv"
    with check.guarded(path):
        rows = []
        for model, dataset in study.settings["seeds"]["cells"]:
            for protocol in study.protocols:
                cell = tested(study, model, dataset, protocol)
                place = _place(check, study, cell)
                rows += [_spread(study, cell, place, metric) for metric in ("accuracy", "loss")]
        compare_table(check, study, path, rows, ("model", "dataset", "protocol", "metric"), SEEDS)


def _file(cell: Tested) -> str:
    return f"seeds/{cell.model}/{cell.dataset}.parquet"


def _theirs(study: Study, cell: Tested) -> Row | None:
    """Return the paper's choice for a cell."""
    found = paper(study)
    return found.choices.get(found.cell(cell.model, cell.dataset))


def _same(one: Row, other: Row) -> bool:
    return all(one[key] == other[key] for key in PLACE)


def _place(check: Check, study: Study, cell: Tested) -> Row:
    """Return where seeds were drawn, held against what the file says it comes from."""
    place: Row = study.spec(_file(cell))["intervention"][cell.protocol]
    own = study.json(selection_path(cell.model, cell.dataset))["protocols"][cell.protocol]
    sources = {"published choice": _theirs(study, cell), "selected": own["chosen"]}
    if own["chosen"] is None:
        sources["best candidate"] = own["candidates"][0]
    wanted = sources[place["source"]]
    if wanted is None:
        check.fail(_file(cell), f"spec.intervention.{cell.protocol}.source", place["source"], "a choice that there is")
    else:
        for key in PLACE:
            check.same(_file(cell), f"spec.intervention.{cell.protocol}.{key}", place[key], wanted[key])
    return place


def _spread(study: Study, cell: Tested, place: Row, metric: str) -> Row:
    """Return one line of the table."""
    truth = metric == "accuracy"
    column, scale = ("correct", 100.0) if truth else ("loss", 1.0)
    found = {key[1]: part for key, part in parts(study, _file(cell), ("seed",)).items() if key[0] == cell.protocol}
    # Rows are resampled in the order of their ids.
    ids = sorted(cell.ids)
    groups = dict(zip(cell.ids, cell.groups, strict=True))
    by_seed = [_values(part, column, ids) for _, part in sorted(found.items())]
    each = [scale * math.fsum(values) / len(values) for values in by_seed]
    over = [scale * math.fsum(values) / len(values) for values in zip(*by_seed, strict=True)]
    names = (*cell.name, metric, "seeds", "interval")
    seed, resamples = study.sampling
    low, high = interval(over, [groups[name] for name in ids], stream(seed, *names), resamples)
    row: Row = dict(zip(SEEDS, (*cell.name, metric, *(place[key] for key in PLACE), len(each)), strict=False))
    row |= {"mean": mean(each), "sd": float(np.std(each, ddof=1)) if len(each) > 1 else math.nan}
    row |= {"min": min(each), "max": max(each), "low": low, "high": high, "n": len(ids)}
    row |= {"exact": _exact(study, cell, place, column, scale), "base": mean(cell.values("base", column, scale))}
    return row | _beside_paper(study, cell, place, metric, row)


def _values(part: pd.DataFrame, column: str, ids: Sequence[str]) -> list[float]:
    found = dict(zip(part["id"], part[column], strict=True))
    return [float(found[name]) for name in ids]


def _exact(study: Study, cell: Tested, place: Row, column: str, scale: float) -> float:
    """Return what the exact decomposition scores at the same place, where test rows have it."""
    if cell.protocol != "corrected":
        return math.nan
    if cell.chosen is not None and _same(cell.chosen, place):
        return mean(cell.values("laser", column, scale))
    path = f"choices/{cell.model}/{cell.dataset}.parquet"
    if study.has(path):
        rows = parts(study, path, ("choice",))
        for name, one in study.spec(path)["choices"][cell.protocol].items():
            if one is not None and _same(one, place) and (cell.protocol, name) in rows:
                return mean([scale * float(value) for value in rows[cell.protocol, name][column].tolist()])
    return math.nan


def _beside_paper(study: Study, cell: Tested, place: Row, metric: str, row: Row) -> dict[str, Any]:
    """Return the printed number and, at the paper's own choice on the whole dataset, whether it lies in the spread."""
    theirs = _theirs(study, cell)
    same = theirs is not None and not cell.data.limited and _same(place, theirs)
    text = paper(study).text(cell.model, cell.dataset, metric, "laser")
    said: dict[str, Any] = dict.fromkeys(SEEDS[-3:])
    said |= {"published": float(text) if text is not None else math.nan, "published_choice": same if theirs else None}
    if same and text is not None:
        least, most = float(text) - half_unit(text), float(text) + half_unit(text)
        said["published_within_range"] = least <= row["max"] and most >= row["min"]
        if not math.isnan(row["sd"]):
            inside = least <= row["mean"] + 2 * row["sd"] and most >= row["mean"] - 2 * row["sd"]
            said["published_within_two_sd"] = inside
    return said
