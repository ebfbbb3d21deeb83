"""Table 2: rooms solved, return and loss of base and LASER on test rooms, beside the paper's numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from laser.analysis.comparison import with_interval
from laser.analysis.statistics import RESAMPLES
from laser.analysis.tables import View, integer, intervention, number, p_value
from laser.analysis.verdicts import NOT_RUN
from laser.artefacts.table1 import judged, table1
from laser.config.artefacts import Artefact
from laser.config.protocols import SIGNIFICANCE
from laser.paper.published import PAPER_POLICY, Printed, read_table2
from laser.results.cells import POLICY_METRICS, PairedCell
from laser.results.loading import OF_GAMES

if TYPE_CHECKING:
    import pandas

    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="table2",
    kind="table",
    title="Table 2",
    about="rooms solved, return and loss of base and LASER, test rooms",
    reads=("test", "selection", "rows"),
    texts=("model", "dataset", "metric", "arm", "matrix", "protocol", "prediction_shares", "shows", "verdict", "dtype"),
    only_policies=True,
)


def make(study: StudyResults) -> pandas.DataFrame:
    """Compute the table from a study's files."""
    return table2(study.compared_with(OF_GAMES), read_table2(), study.seed, study.resamples)


NAMES = {"accuracy": "rooms solved, %", "return": "return, points", "loss": "loss, nats per action"}


def table2(
    cells: Sequence[PairedCell],
    published: Mapping[tuple[str, str], Printed],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pandas.DataFrame:
    """Compute Table 2 in long form: a row per model, dataset, protocol, metric and arm, with the columns of Table 1.

    `accuracy` is the percentage of rooms solved, `return` the mean return of an episode in points (paired test: sign
    flips), `loss` the loss on the expert's moves. `constant` and `answer_in_prompt` are empty, because no single series
    of moves answers all rooms. `published` is the paper's number whatever our size; a verdict is given only for the
    paper's own size, and is `not run` otherwise.

    Args:
        cells: per-example results of policies, with return.
        published: the paper's Table 2 (`laser.paper.published.read_table2`).
        seed: seed of the study.
        resamples: number of resamples of the bootstrap and the permutation test.
    """
    import pandas as pd

    frame = table1(cells, None, seed, resamples, POLICY_METRICS)
    complete = {cell.key: cell.complete for cell in cells}
    lines: Any = frame.to_dict("records")
    for row in lines:
        printed = published.get((row["metric"], row["arm"]))
        of_paper = (row["model"], row["dataset"]) == PAPER_POLICY
        row |= {"constant": math.nan, "answer_in_prompt": math.nan, "prediction_shares": ""}
        row["published"] = printed.value if printed else math.nan
        row |= judged(
            row | {"protocol": "corrected"},  # the paper's rooms are unknown under either protocol
            printed,
            published.get((row["metric"], "base")),
            published_n=None,
            complete=of_paper and complete[row["model"], row["dataset"], row["protocol"]],
        )
    return pd.DataFrame(lines, columns=list(frame.columns)).astype(frame.dtypes[["layer", "kept_rank"]])


def views(frame: pandas.DataFrame) -> list[View]:
    """Return one rounded view per protocol; the better arm is bold where its adjusted p value is below 0.05."""
    return [_view(frame[frame["protocol"] == name], name) for name in dict.fromkeys(frame["protocol"])]


def _view(frame: pandas.DataFrame, protocol: str) -> View:
    columns = ["Model", "Rooms", "Metric", "Base", "LASER", "LASER − base", "p (Holm)", "n", "Intervention"]
    columns += ["Paper: base", "Paper: LASER"]
    lines: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    for _, pair in frame.groupby(["dataset", "model", "metric"], sort=False):
        base, laser = (pair[pair["arm"] == arm].iloc[0] for arm in ("base", "laser"))
        metric = str(laser["metric"])
        places = 1 if metric == "accuracy" else 3
        if laser["p_holm"] < SIGNIFICANCE:
            better = (laser["difference"] > 0) == (metric != "loss")
            bold.add((len(lines), columns.index("LASER" if better else "Base")))
        lines.append(
            [
                *(laser["model"], laser["dataset"], NAMES[metric]),
                with_interval(base, places, "value", low="low", high="high"),
                with_interval(laser, places, "value", low="low", high="high"),
                with_interval(laser, places, "difference", sign=True),
                p_value(laser["p_holm"]),
                integer(laser["n"]),
                intervention(laser["matrix"], laser["layer"], laser["rho"], laser["kept_rank"]),
                number(base["published"], 2 if metric == "accuracy" else 3),
                number(laser["published"], 2 if metric == "accuracy" else 3),
            ]
        )
    notes = [
        "Brackets: 95 % interval over rooms (docs/statistics.md); n test rooms in each arm, the same ones.",
        "Bold: the better arm, where the Holm-adjusted paired p value is below 0.05.",
        "The paper's numbers are those of its own model and rooms (10 × 10, 10⁶ episodes); it names no number of test "
        "rooms, no intervention and no seed, and its caption says 6 layers where its Appendix B says 5.",
    ]
    if (frame["verdict"] == NOT_RUN).any():
        notes.append("This study is of another size: no verdict on the paper's numbers follows from it.")
    else:
        said = dict.fromkeys(f"{row['metric']}, {row['arm']}: {row['verdict']}" for _, row in frame.iterrows())
        notes.append("Verdicts: " + "; ".join(said) + ".")
    return View(f"table2_{protocol}", _title(protocol), columns, lines, bold, notes)


def _title(protocol: str) -> str:
    return f"Table 2. A policy that plays Sokoban and LASER on test rooms, {protocol} protocol"
