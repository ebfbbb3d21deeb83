"""Top-1, top-5 and top-10 accuracy: base and LASER on test rows, and along ρ at the chosen place on validation rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from laser.analysis.comparison import COMPARISON, NOTES, adjust, compare, with_interval
from laser.analysis.statistics import RESAMPLES
from laser.analysis.tables import View, integer, intervention, p_value
from laser.errors import UserError
from laser.io.files import read_spec
from laser.results.cells import Cell
from laser.results.grouping import sweep_by_cell
from laser.results.labelled import columns_of
from laser.results.loading import load_rows

TOP = (1, 5, 10)
FIRST, WHOLE = "first token of the answer", "whole answer as one token"
COLUMNS = ("model", "dataset", "protocol", "split", "k", "measure", "matrix", "layer", "rho", *COMPARISON)
"""Columns of the CSV, shares in percent. `split` is `test` (the chosen intervention, or base twice where none was) or
`validation` (every searched ρ at the chosen place; the best candidate's place where base was chosen)."""


def topk_test(cells: Sequence[Cell], seed: int = 0, resamples: int = RESAMPLES) -> list[dict[str, Any]]:
    """Return a row per cell, k and measure: base and LASER on test rows.

    `first token of the answer` asks whether that token is among the k most probable ones, which every kind of question
    has; `whole answer as one token` whether one of them is the whole answer (known for k = 5 and 10), which an answer
    of several tokens can never be.
    """
    rows = []
    for cell in cells:
        chosen = cell.chosen or {"matrix": "", "layer": None, "rho": float("nan")}
        for k in TOP:
            for measure in (FIRST, WHOLE) if k > 1 else (FIRST,):
                base, laser = (_hits(cell.rows, k, measure, f"{arm}_") for arm in ("base", "laser"))
                names = (cell.model, cell.dataset, cell.protocol, "test", str(k), measure)
                one: dict[str, Any] = dict(zip(COLUMNS[:6], (*names[:4], k, measure), strict=True))
                one |= {key: chosen[key] for key in ("matrix", "layer", "rho")}
                groups = list(cell.rows["group"])
                rows.append(one | compare(base, laser, groups, names, truth=True, seed=seed, resamples=resamples))
    return rows


def topk_validation(
    sweep: Sequence[Path],
    base: Sequence[Path],
    rows: Sequence[Path],
    selections: Sequence[Mapping[str, Any]],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[dict[str, Any]]:
    """Return a row per cell, k, measure and searched ρ at the chosen matrix and layer, on validation rows.

    Args:
        sweep: sweep files of all cells; those of other layers are not read.
        base: base.parquet of the cells.
        rows: rows.parquet of the datasets.
        selections: selection files (`laser.results.loading.load_selections`).
        seed: of the study.
        resamples: of bootstrap and permutation test.

    Raises:
        UserError: a cell without a selection or without rows at the chosen place.
    """
    prepared = load_rows(rows)
    places = {(one["model"], one["dataset"]): one["protocols"] for one in selections}
    found: list[dict[str, Any]] = []
    for (model, dataset), (reference, files) in sweep_by_cell(sweep, base).items():
        if (model, dataset) not in places:
            raise UserError(f"{reference}: no selection file was given for {model} on {dataset}. Run `select`.")
        groups = prepared[dataset][0].set_index("id")["group"]
        at = {name: one["chosen"] or one["candidates"][0] for name, one in places[model, dataset].items()}
        wanted = {int(one["layer"]) for one in at.values()}
        layers = [path for path in files if int(read_spec(path).get("layer", -1)) in wanted | {-1}]
        columns = ["protocol", "id", "answer_rank", "in_top5", "in_top10"]
        unedited = columns_of(reference, columns)
        swept = pd.concat([columns_of(path, [*columns, "matrix", "layer", "rho"]) for path in layers])
        for protocol, one in at.items():
            keep = (swept["protocol"] == protocol) & (swept["matrix"] == one["matrix"])
            own = swept[keep & (swept["layer"] == one["layer"])]
            plain = unedited[unedited["protocol"] == protocol].set_index("id")
            for rho in sorted(own["rho"].unique(), reverse=True):
                edited = own[own["rho"] == rho].set_index("id").reindex(plain.index)
                if edited["answer_rank"].isna().any():
                    raise UserError(f"{reference}: ρ = {rho:g} was scored on other validation rows. Delete and rerun.")
                place = {"matrix": one["matrix"], "layer": int(one["layer"]), "rho": float(rho)}
                for k in TOP:
                    for measure in (FIRST, WHOLE) if k > 1 else (FIRST,):
                        names = (model, dataset, protocol, "validation", str(k), measure)
                        before, after = (_hits(frame, k, measure) for frame in (plain, edited))
                        line = dict(zip(COLUMNS[:6], (*names[:4], k, measure), strict=True)) | place
                        labels = list(groups.loc[plain.index])
                        streams = (*names, f"{rho:g}")
                        settings: dict[str, Any] = {"truth": True, "seed": seed, "resamples": resamples}
                        found.append(line | compare(before, after, labels, streams, **settings))
    return found


def _hits(frame: pd.DataFrame, k: int, measure: str, prefix: str = "") -> Any:
    if measure == FIRST:
        return frame[f"{prefix}answer_rank"].to_numpy(dtype=np.float64) <= k
    return frame[f"{prefix}in_top{k}"].to_numpy(dtype=bool)


def topk_table(test: list[dict[str, Any]], validation: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the table with the columns `COLUMNS`; p values are adjusted over the tests on test rows alone.

    The curve along ρ is a description, so its rows keep their unadjusted p values.
    """
    adjust(test)
    frame = pd.DataFrame([*test, *({**one, "p_holm": float("nan")} for one in validation)], columns=list(COLUMNS))
    return frame.astype({"layer": "Int64", "n": "Int64", "groups": "Int64"})


def topk_views(frame: pd.DataFrame) -> list[View]:
    """Return per protocol one view of the test rows and one of the curve along ρ."""
    views = []
    for protocol in dict.fromkeys(frame["protocol"]):
        own = frame[frame["protocol"] == protocol]
        test = own[own["split"] == "test"].to_dict("records")
        columns = ["Dataset", "Model", "k", "Looked for", "Base, %", "LASER, %", "LASER − base, points", "p (Holm)"]
        lines = [
            [
                row["dataset"],
                row["model"],
                str(row["k"]),
                row["measure"],
                with_interval(row, 1, "base"),
                with_interval(row, 1, "laser"),
                with_interval(row, 1, "difference", sign=True),
                p_value(row["p_holm"]),
                integer(row["n"]),
                intervention(row["matrix"], row["layer"], row["rho"]),
            ]
            for row in test
        ]
        title = f"Top-k accuracy on held-out rows, {protocol} protocol"
        views.append(View(f"topk_{protocol}", title, [*columns, "n", "Intervention"], lines, notes=list(NOTES)))
        curve = own[(own["split"] == "validation") & (own["measure"] == FIRST)]
        if not curve.empty:
            views.append(_curve(curve, protocol))
    return views


def _curve(curve: pd.DataFrame, protocol: str) -> View:
    columns = ["Dataset", "Model", "Matrix", "Layer", "n", "ρ", *(f"Top {k}, %" for k in TOP)]
    lines = []
    for (model, dataset), cell in curve.groupby(["model", "dataset"], sort=False):
        first = cell.iloc[0]
        place = [str(dataset), str(model), str(first["matrix"]), integer(first["layer"]), integer(first["n"])]
        plain = cell.drop_duplicates("k").to_dict("records")
        lines.append([*place, "base", *(with_interval(row, 1, "base") for row in plain)])
        for rho, part in cell.groupby("rho", sort=False):
            lines.append([*place, f"{rho:g}", *(with_interval(row, 1, "laser") for row in part.to_dict("records"))])
    notes = ["First token of the answer among the k most probable tokens, at the chosen matrix and layer.", NOTES[0]]
    title = f"Top-k accuracy along ρ on validation rows, {protocol} protocol"
    return View(f"topk_curve_{protocol}", title, columns, lines, notes=notes)
