"""How often the true answer is more probable than a false target, in base and LASER, and which of the two rises."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from laser.analysis.comparison import COMPARISON, NOTES, adjust, compare, comparison_cells, estimate, with_interval
from laser.analysis.statistics import RESAMPLES
from laser.analysis.tables import View, intervention
from laser.config.artefacts import Artefact, evaluated_cells
from laser.config.protocols import PROTOCOLS
from laser.errors import UserError
from laser.results.cells import ARMS, PairedCell, intervention_labels
from laser.results.columns import read_columns

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="efficacy",
    kind="table",
    title="True answers against false targets",
    about="how often the true answer is more probable than a false target",
    reads=("test", "selection", "rows", "efficacy"),
    cells=evaluated_cells("efficacy"),
    needs="efficacy",
    texts=("model", "dataset", "protocol", "matrix"),
    not_for_policies="a room has no false answer",
)

SCORES = ("logprob", "answer_tokens")
RISES = ("true_rises", "false_rises", "both_rise", "false_rises_too")
COLUMNS = (
    *("model", "dataset", "protocol", "matrix", "layer", "rho", *COMPARISON),
    *(f"{name}{bound}" for name in RISES for bound in ("", "_low", "_high")),
    *("true_change", "false_change"),
)
"""Columns of the CSV, shares of rows in percent. `base`, `laser` and their difference: rows whose true answer is more
probable than the false target. `true_rises`, `false_rises`, `both_rise`: rows on which the intervention makes the true
answer, the false target, or both more probable; `false_rises_too`: among the rows whose true answer becomes more
probable, those whose false target does too. `true_change`, `false_change`: mean change of the log-probability in nats.
The columns on changes are empty where base was chosen."""


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    false = {
        cell: read_columns(study.path_of("efficacy", cell), ["protocol", "arm", "id", *SCORES]) for cell in study.cells
    }
    return efficacy_table(study.compared_with(SCORES), false, study.seed, study.resamples)


def efficacy_table(
    cells: Sequence[PairedCell],
    false: Mapping[tuple[str, str], pd.DataFrame],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compare true answers with false targets per cell and protocol.

    Args:
        cells: test results with the columns `SCORES` of both arms.
        false: maps (model, dataset) to the columns protocol, arm, id and `SCORES` of the false targets.
        seed: seed of the study.
        resamples: number of resamples of the bootstrap and the permutation test.

    Returns:
        A frame with the columns `COLUMNS`.

    Raises:
        UserError: false targets have rows that the test file lacks, or the two arms have different rows.
    """
    rows = []
    for cell in cells:
        pairs = paired(cell, false[cell.model, cell.dataset])
        groups, names = list(pairs["group"]), (*cell.key, "efficacy")
        settings: dict[str, Any] = {"truth": True, "seed": seed, "resamples": resamples}
        wins = [(pairs[f"{arm}_true"] > pairs[f"{arm}_false"]).to_numpy() for arm in ARMS]
        row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
        row |= {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol}
        row |= intervention_labels(cell.chosen) | compare(wins[0], wins[1], groups, names, **settings)
        rows.append(row | (_rises(pairs, names, settings) if cell.chosen is not None else {}))
    adjust(rows)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(("layer", "n", "groups"), "Int64"))


def paired(cell: PairedCell, false: pd.DataFrame) -> pd.DataFrame:
    """Return group and, for each arm, the log-probabilities of true answer and false target, for rows that have both.

    If the protocol compares options by their mean per token (`Protocol.option_mean`), so does this function where the
    numbers of tokens differ.
    """
    known = cell.rows.set_index("id")
    frame = pd.DataFrame({"group": known["group"]})
    for arm in ARMS:
        part = false[(false["protocol"] == cell.protocol) & (false["arm"] == arm)].set_index("id")
        if not part.index.is_unique or not part.index.isin(known.index).all():
            raise UserError(
                f"efficacy: {cell.model} on {cell.dataset}, {cell.protocol}, has false targets of other rows than the "
                "test file. Delete it and run again."
            )
        lengths = known[f"{arm}_answer_tokens"].loc[part.index], part["answer_tokens"]
        means = PROTOCOLS[cell.protocol].option_mean & (lengths[0] != lengths[1])
        values = known[f"{arm}_logprob"].loc[part.index], part["logprob"]
        for name, logprob, length in zip(("true", "false"), values, lengths, strict=True):
            frame[f"{arm}_{name}"] = (logprob / length.where(means, 1)).reindex(frame.index)
        frame[f"{arm}_asked"] = frame.index.isin(part.index)
    if (frame["base_asked"] != frame["laser_asked"]).any():
        raise UserError(
            f"efficacy: {cell.model} on {cell.dataset}, {cell.protocol}, has other rows in one arm than in the other. "
            "Delete it and run again."
        )
    return frame[frame["base_asked"]]


def shares_of(cell: PairedCell, false: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return, by arm, the efficacy columns of Table 1, shares in percent: `efficacy`, `efficacy_n`, `false_rises`.

    Args:
        cell: test results with the columns `SCORES` of both arms.
        false: false targets of the same model and dataset, with columns as in `efficacy_table`.
    """
    pairs = paired(cell, false)
    by_arm = {
        arm: {"efficacy": 100 * float((pairs[f"{arm}_true"] > pairs[f"{arm}_false"]).mean()), "efficacy_n": len(pairs)}
        for arm in ARMS
    }
    if cell.chosen is not None:
        by_arm["laser"]["false_rises"] = 100 * float((pairs["laser_false"] > pairs["base_false"]).mean())
    return by_arm


def _rises(pairs: pd.DataFrame, names: Sequence[str], settings: dict[str, Any]) -> dict[str, float]:
    change = {name: (pairs[f"laser_{name}"] - pairs[f"base_{name}"]).to_numpy() for name in ("true", "false")}
    true, false = (change[name] > 0 for name in ("true", "false"))
    groups = pairs["group"].to_numpy()
    shares = {"true_rises": true, "false_rises": false, "both_rise": true & false, "false_rises_too": false[true]}
    line = {f"{name}_change": float(np.nanmean(values)) for name, values in change.items() if np.isfinite(values).any()}
    for name, share in shares.items():
        asked = list(groups[true] if name == "false_rises_too" else groups)
        interval = estimate(share, asked, (*names, name), **settings)
        line |= {name: interval["value"], f"{name}_low": interval["low"], f"{name}_high": interval["high"]}
    return line


def views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view per protocol."""
    columns = ["Dataset", "Model", "Intervention", "Base, %", "LASER, %", "Difference, points", "p", "n"]
    columns += ["True answer rises, %", "False target rises, %", "Both rise, %", "False rises where true does, %"]
    views = []
    for protocol, protocol_rows in frame.groupby("protocol", sort=False):
        lines = [
            [
                row["dataset"],
                row["model"],
                intervention(row["matrix"], row["layer"], row["rho"]),
                *comparison_cells(row),
                *(with_interval(row, 1, name) for name in RISES),
            ]
            for row in protocol_rows.to_dict("records")
        ]
        compared = "their mean per token where lengths differ" if PROTOCOLS[str(protocol)].option_mean else "their sum"
        notes = [
            "Base and LASER: held-out questions whose true answer is more probable than the false target. "
            f"Log-probabilities of the tokens of an answer are compared by {compared}.",
            "Rises: the intervention makes it more probable than the base model does.",
            *NOTES,
        ]
        title = f"True answers against false targets, held-out rows, {protocol} protocol"
        views.append(View(f"efficacy_{protocol}", title, columns, lines, notes=notes))
    return views
