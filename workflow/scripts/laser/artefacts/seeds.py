"""The spread of the released randomised SVD over seeds, and whether the published value lies within it.

The released code sets no seed, so a published LASER number is one draw from this spread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from laser.analysis.comparison import estimate, with_interval
from laser.analysis.statistics import RESAMPLES
from laser.analysis.tables import View, integer, intervention, measure, number
from laser.config.artefacts import Artefact, evaluated_cells
from laser.config.protocols import PROTOCOLS
from laser.errors import UserError
from laser.paper.published import Printed, Published, read_published
from laser.results.cells import METRICS, PairedCell, same_intervention, values
from laser.results.labelled import Labelled

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="seeds",
    kind="table",
    title="Seeds of the randomised decomposition",
    about="spread of the randomised SVD over seeds",
    reads=("test", "selection", "rows", "seeds"),
    cells=evaluated_cells("seeds"),
    needs="seeds",
    texts=("model", "dataset", "protocol", "metric", "matrix"),
)


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    drawn = study.labelled("seeds", ("seed",))
    return seeds_table(drawn, study.compared, read_published(), study.seed, study.resamples)


EXACT = "svd"
COLUMNS = (
    *("model", "dataset", "protocol", "metric", "matrix", "layer", "rho", "kept_rank", "seeds"),
    *("mean", "sd", "min", "max"),
    *("low", "high", "n", "exact", "base", "published", "published_choice", "published_within_range"),
    "published_within_two_sd",
)
"""Columns of the CSV. Accuracy in percent, loss in nats per answer token. `sd` is the sample standard deviation over
seeds; `low` and `high` bound the 95 % interval, over groups of rows, of the mean over seeds; `exact` is the exact
truncated SVD with the same matrix, layer and ρ, `base` the unmodified model; both where a test file has them."""


def seeds_table(
    drawn: Sequence[Labelled],
    cells: Sequence[PairedCell] = (),
    published: Published | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compute the spread over seeds per cell, protocol and metric.

    Args:
        drawn: test rows under every seed (label `seed`).
        cells: test results, for base and, if their low-rank step is exact, for the same intervention of LASER.
        published: the paper's numbers, or None. They are compared only if the intervention is the paper's choice and
            the dataset was prepared in full.
        seed: seed of the study.
        resamples: number of bootstrap resamples.

    Returns:
        A frame with the columns `COLUMNS`; the two `published_within_…` columns are <NA> where nothing is compared.

    Raises:
        UserError: a file does not name the intervention that it was made with.
    """
    published = published or Published()
    tested = {cell.key: cell for cell in cells}
    rows = []
    for draws in drawn:
        edit = draws.spec.get("intervention", {}).get(draws.protocol)
        if edit is None:
            raise UserError(
                f"seeds: {draws.model} on {draws.dataset} does not say its intervention. Delete it and rerun."
            )
        paper = published.choice(draws.model, draws.dataset)
        same = paper is not None and draws.complete and same_intervention(edit, paper)
        for metric in METRICS:
            column = "correct" if metric == "accuracy" else "loss"
            table = draws.frame.pivot(index="id", columns="seed", values=column).astype("float64").dropna()
            means = table.mean().to_numpy() * (100 if metric == "accuracy" else 1)
            row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
            row |= dict(zip(("model", "dataset", "protocol"), draws.key, strict=True)) | {"metric": metric}
            row |= {key: edit.get(key) for key in ("matrix", "layer", "rho", "kept_rank")}
            row |= {
                "seeds": len(means),
                "mean": float(means.mean()),
                "min": float(means.min()),
                "max": float(means.max()),
            }
            row["sd"] = float(means.std(ddof=1)) if len(means) > 1 else math.nan
            groups = list(draws.frame.drop_duplicates("id").set_index("id").loc[table.index, "group"])
            names, truth = (*draws.key, metric, "seeds"), metric == "accuracy"
            over = estimate(table.mean(axis=1), groups, names, truth=truth, seed=seed, resamples=resamples)
            row |= {"low": over["low"], "high": over["high"], "n": len(groups)}
            row |= _beside(tested.get(draws.key), edit, metric)
            printed = published.cell(draws.model, draws.dataset, metric, "laser")
            row["published"] = printed.value if printed else math.nan
            row["published_choice"] = None if paper is None else same
            row |= _within(row, printed if same else None)
            rows.append(row)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    truths = ("published_choice", "published_within_range", "published_within_two_sd")
    return frame.astype(dict.fromkeys(("layer", "kept_rank", "seeds", "n"), "Int64") | dict.fromkeys(truths, "boolean"))


def _beside(cell: PairedCell | None, edit: Mapping[str, Any], metric: str) -> dict[str, float]:
    """Return base and the same intervention with the exact SVD, where this protocol's test rows have their values."""
    columns = {"exact": math.nan, "base": math.nan}
    if cell is not None:
        columns["base"] = float(values(cell, metric, "base").mean())
        if same_intervention(cell.chosen, edit) and PROTOCOLS[cell.protocol].low_rank == EXACT:
            columns["exact"] = float(values(cell, metric, "laser").mean())
    return columns


def _within(row: Mapping[str, Any], printed: Printed | None) -> dict[str, Any]:
    """Compare the printed number, allowing for rounding, with the range and with mean ± 2 sd over seeds."""
    if printed is None:
        return {"published_within_range": None, "published_within_two_sd": None}
    least, most = printed.value - printed.half_unit, printed.value + printed.half_unit
    spread = 2 * row["sd"]
    return {
        "published_within_range": bool(least <= row["max"] and most >= row["min"]),
        "published_within_two_sd": None
        if np.isnan(spread)
        else bool(least <= row["mean"] + spread and most >= row["mean"] - spread),
    }


def views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view per protocol."""
    columns = ["Dataset", "Model", "Metric", "Intervention", "Seeds", "Mean over seeds", "SD", "Least", "Most"]
    columns += ["Exact SVD", "Base", "n", "Paper", "Within the range", "Within mean ± 2 SD"]
    words = {True: "yes", False: "no"}
    views = []
    for protocol, protocol_rows in frame.groupby("protocol", sort=False):
        lines = []
        for row in protocol_rows.to_dict("records"):
            places = 2 if row["metric"] == "accuracy" else 3
            lines.append(
                [
                    row["dataset"],
                    row["model"],
                    measure(row["metric"]),
                    intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"]),
                    integer(row["seeds"]),
                    with_interval(row, places, "mean", low="low", high="high"),
                    *(number(row[key], places) for key in ("sd", "min", "max", "exact", "base")),
                    integer(row["n"]),
                    number(row["published"], places),
                    words.get(row["published_within_range"], ""),
                    words.get(row["published_within_two_sd"], ""),
                ]
            )
        shown = columns if protocol_rows["published"].notna().any() else columns[:-3]
        lines = [line[: len(shown)] for line in lines]
        notes = [
            "The randomised SVD of the released code, one draw per seed; SD: standard deviation over seeds.",
            "Brackets: 95 % interval of the mean over seeds, over groups of dependent rows.",
        ]
        if len(shown) == len(columns):
            notes.append("The paper's number is compared where the intervention is the paper's own choice.")
        title = f"Spread over seeds of the randomised SVD, held-out rows, {protocol} protocol"
        views.append(View(f"seeds_{protocol}", title, shown, lines, notes=notes))
    return views
