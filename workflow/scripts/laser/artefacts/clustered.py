"""Clustered reduction: rows of the chosen matrix are clustered and each cluster is reduced on its own.

The clustering that is best on validation rows is compared on test rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.comparison import DIFFERENCE, adjust, difference, estimate, with_interval
from laser.analysis.statistics import RESAMPLES, best_constant, shares
from laser.analysis.tables import View, integer, number, p_value
from laser.config.artefacts import Artefact, evaluated_cells
from laser.errors import UserError
from laser.results.cells import ARMS, PairedCell, option_labels
from laser.results.columns import read_columns
from laser.results.labelled import aligned
from laser.results.loading import cell_of

if TYPE_CHECKING:
    from pathlib import Path

    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="clustered",
    kind="table",
    title="Rows in clusters",
    about="clusters of rows, each reduced on its own, beside LASER",
    reads=("test", "selection", "rows", "clustered"),
    cells=evaluated_cells("clustered"),
    needs="clustered",
    texts=("model", "dataset", "protocol", "matrix", "commonest_answer"),
    not_for_policies="clusters are evaluated of language models alone",
)

OVER = ("base", "laser")
COLUMNS = (
    *("model", "dataset", "protocol", "matrix", "layer", "clusters", "rho", "parameters", "validation", "n", "groups"),
    *("base", "base_low", "base_high", "laser", "laser_low", "laser_high", "clustered", "clustered_low"),
    *("clustered_high", *(f"{name}_over_{arm}" for arm in OVER for name in (*DIFFERENCE, "p_holm"))),
    *("constant", "commonest_answer", "commonest_share"),
)
"""Columns of the CSV, accuracy and shares in percent, differences in points. `clusters` and `rho` are the best on
validation rows (`validation` is their accuracy there); `parameters` counts those of all clusters' factors. `base`,
`laser` and `clustered` are on the same test rows; `…_over_base` is clustered minus base, `…_over_laser` clustered minus
the intervention that selection chose. `constant` is the best accuracy of an answer that does not depend on the
question; `commonest_answer` is the clustered model's most frequent prediction, with its share of the rows."""


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    return clustered_table(study.compared, study.paths("clustered"), study.seed, study.resamples)


def clustered_table(
    cells: Sequence[PairedCell], files: Sequence[Path], seed: int = 0, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Compare the best clustering of each cell and protocol with base and with LASER on the same test rows.

    Args:
        cells: test results.
        files: results of `laser.evaluation.clustered` of the same cells.
        seed: seed of the study.
        resamples: number of resamples of the bootstrap and the permutation test.

    Returns:
        A frame with the columns `COLUMNS`.

    Raises:
        UserError: a cell has no file, or its file was scored on other rows than the test file.
    """
    read = {cell_of(path)[:2]: path for path in files}
    rows = []
    for cell in cells:
        if (cell.model, cell.dataset) not in read:
            raise UserError(f"clustered: no file was given for {cell.model} on {cell.dataset}. Give it.")
        rows.append(_row(cell, read[cell.model, cell.dataset], seed, resamples))
    for arm in OVER:
        adjust(rows, f"p_value_over_{arm}", f"p_holm_over_{arm}")
    whole = ("layer", "clusters", "parameters", "n", "groups")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(whole, "Int64"))


def _row(cell: PairedCell, path: Path, seed: int, resamples: int) -> dict[str, Any]:
    spec = cell_of(path)[2]
    place, best = spec["places"][cell.protocol], spec["chosen"][cell.protocol]
    columns = ["protocol", "split", "clusters", "rho", "id", "correct", "prediction"]
    frame = read_columns(path, columns)
    frame = frame[frame["protocol"] == cell.protocol]
    validation = frame[
        (frame["split"] == "validation") & (frame["clusters"] == best["clusters"]) & (frame["rho"] == best["rho"])
    ]
    tested = aligned(cell, frame[frame["split"] == "test"].set_index("id"), "clustered")
    groups, names = list(cell.rows["group"]), (*cell.key, "clustered")
    settings: dict[str, Any] = {"truth": True, "seed": seed, "resamples": resamples}
    arms = {arm: cell.rows[f"{arm}_correct"].to_numpy(dtype=bool) for arm in ARMS}
    arms["clustered"] = tested["correct"].to_numpy(dtype=bool)
    line: dict[str, Any] = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol, **place, **best}
    line |= {"n": len(groups), "groups": len(set(groups)), "validation": 100 * float(validation["correct"].mean())}
    for arm, correct in arms.items():
        interval = estimate(correct, groups, names, **settings)
        line |= {arm: interval["value"], f"{arm}_low": interval["low"], f"{arm}_high": interval["high"]}
    for arm in OVER:
        change = difference(arms[arm], arms["clustered"], groups, (*names, arm), **settings)
        line |= {f"{name}_over_{arm}": value for name, value in change.items()}
    constant = best_constant(option_labels(cell.rows, "answer"), bool(cell.rows["has_options"].any()))
    predicted = cell.rows.assign(prediction=tested["prediction"].to_numpy())
    commonest = shares(option_labels(predicted, "prediction"))
    answer, share = next(iter(commonest.items()))
    return line | {"constant": constant, "commonest_answer": answer, "commonest_share": 100 * share}


def views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view per protocol."""
    columns = ["Dataset", "Model", "Matrix", "Layer", "Clusters", "ρ", "Validation, %", "Base, %", "LASER, %"]
    columns += ["Clustered, %", "over base, points", "p", "over LASER, points", "p", "Constant answer, %"]
    columns += ["Commonest prediction", "its share, %", "n"]
    views = []
    for protocol, protocol_rows in frame.groupby("protocol", sort=False):
        lines = [
            [
                *(row["dataset"], row["model"], row["matrix"], integer(row["layer"]), integer(row["clusters"])),
                *(f"{row['rho']:g}", number(row["validation"], 1)),
                *(with_interval(row, 1, arm) for arm in (*ARMS, "clustered")),
                *(text for arm in OVER for text in _over(row, arm)),
                *(number(row["constant"], 1), str(row["commonest_answer"]), number(row["commonest_share"], 1)),
                integer(row["n"]),
            ]
            for row in protocol_rows.to_dict("records")
        ]
        notes = [
            "The rows of the chosen matrix (of the best candidate where base was chosen) in clusters by k-means; each "
            "cluster's rows keep the rank ⌊ρ·min(rows, columns)⌋. Clusters and ρ are the best on validation rows; one "
            "cluster is the truncated SVD of the whole matrix.",
            "A gain that ends at the constant answer's accuracy, with one prediction on almost all rows, is no "
            "knowledge of the questions.",
            "Brackets: 95 % interval over groups of dependent rows (docs/statistics.md). p: paired test, adjusted by "
            "Holm's method over the column.",
        ]
        views.append(
            View(
                f"clustered_{protocol}",
                f"Rows in clusters, held-out rows, {protocol} protocol",
                columns,
                lines,
                notes=notes,
            )
        )
    return views


def _over(row: Any, arm: str) -> tuple[str, str]:
    bounds = {"low": f"difference_low_over_{arm}", "high": f"difference_high_over_{arm}"}
    return with_interval(row, 1, f"difference_over_{arm}", sign=True, **bounds), p_value(row[f"p_holm_over_{arm}"])
