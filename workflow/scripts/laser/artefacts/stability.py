"""Stability of selection: how often each intervention is chosen, and the gain out of bag."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from laser.analysis.comparison import with_interval
from laser.analysis.stability import BASE, RESAMPLES, Scores, candidates_of, choose, load_scores, resample
from laser.analysis.statistics import CONFIDENCE, seed_sequence
from laser.analysis.tables import View, integer, intervention, number
from laser.config.artefacts import Artefact
from laser.config.protocols import PROTOCOLS
from laser.config.searches import lacks_candidates
from laser.errors import UserError

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="stability",
    kind="table",
    title="How stable selection is",
    about="how often each intervention would have been chosen, and the gain with selection counted in",
    reads=("selection", "rows", "base", "sweep"),
    texts=("model", "dataset", "protocol", "matrix"),
    missing=lacks_candidates,
)


COLUMNS = (
    *("model", "dataset", "protocol", "matrix", "layer", "rho", "share", "selected", "n", "groups", "candidates"),
    *("resamples", "gain", "gain_in_bag", "gain_out_of_bag", "gain_out_of_bag_low", "gain_out_of_bag_high"),
    "same_place",
)
"""Columns of the CSV, a row per protocol and candidate that was chosen at least once, and one for the selected one.
`share` is in percent of resamples; matrix, layer and rho are empty for base. The others are the same in every row of a
cell: n and groups (validation), candidates, resamples, gain (of the selected candidate on all validation rows),
gain_in_bag, gain_out_of_bag (means over resamples), its bounds (95 % of resamples), and same_place (percent of
resamples with the selected matrix and layer). Gains are in points of accuracy."""
SHOWN = 5


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files: how often each candidate would have been chosen, and the gain."""
    resamples = min(RESAMPLES, study.resamples)
    lines: list[dict[str, Any]] = []
    for cell in study.cells:
        selection = study.selections[cell]
        order = selection["spec"]["grid"]["matrices"]
        among, groups = candidates_of(selection), study.groups(cell[1])
        scores = load_scores(study.base(cell), study.paths_of("sweep", cell), groups, order, among)
        for protocol, of_protocol in scores.items():
            chosen = selection["protocols"][protocol]["chosen"]
            stream = seed_sequence(study.seed, *cell, protocol, "stability")
            names = {"model": cell[0], "dataset": cell[1], "protocol": protocol}
            lines += _lines(names, of_protocol, chosen, PROTOCOLS[protocol].base_is_candidate, stream, resamples)
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"layer": "Int64"})


def _lines(
    names: dict[str, str],
    scores: Scores,
    chosen: Mapping[str, Any] | None,
    base_is_candidate: bool,
    stream: Sequence[int],
    resamples: int,
) -> list[dict[str, Any]]:
    places = dict(enumerate(scores.candidates))
    selected = _place(chosen)
    whole = np.ones((1, len(scores.sizes)))
    again = int(choose(scores, whole, base_is_candidate)[0])
    if places.get(again) != selected and not _tied(scores, again, selected):
        raise UserError(
            f"{names['model']} on {names['dataset']}, {names['protocol']}: the selection file has "
            f"{selected or 'base'}, but its sweep files give {places.get(again, 'base')}. "
            "Delete the selection file and run again."
        )
    again = BASE if selected is None else scores.candidates.index(selected)
    choices, inside, outside = resample(scores, base_is_candidate, stream, resamples)
    tail = (1 - CONFIDENCE) / 2
    known = outside[np.isfinite(outside)]
    bounds = np.quantile(known, [tail, 1 - tail]) if known.size else (math.nan, math.nan)
    total = float(scores.sizes.sum())
    gain = 0.0 if again == BASE else 100 * float((scores.correct[:, again] - scores.correct[:, -1]).sum()) / total
    same = [
        (places[choice][:2] if choice != BASE else None) == (selected[:2] if selected else None) for choice in choices
    ]
    common = {
        "n": int(total),
        "groups": len(scores.sizes),
        "candidates": len(places),
        "resamples": resamples,
        "gain": gain,
        "gain_in_bag": float(inside.mean()),
        "gain_out_of_bag": float(known.mean()) if known.size else math.nan,
        "gain_out_of_bag_low": float(bounds[0]),
        "gain_out_of_bag_high": float(bounds[1]),
        "same_place": 100 * float(np.mean(same)),
    }
    values, counts = np.unique(np.append(choices, again), return_counts=True)
    shares = {int(choice): count - (choice == again) for choice, count in zip(values, counts, strict=True)}
    lines = []
    for choice in sorted(shares, key=lambda at: (-shares[at], at)):
        matrix, layer, rho = places.get(choice, ("", None, math.nan))
        edit: dict[str, Any] = {"matrix": matrix, "layer": layer, "rho": rho}
        share = 100 * float(shares[choice]) / resamples
        lines.append(names | edit | {"share": share, "selected": choice == again} | common)
    return lines


def _place(chosen: Mapping[str, Any] | None) -> tuple[str, int, float] | None:
    return None if chosen is None else (str(chosen["matrix"]), int(chosen["layer"]), float(chosen["rho"]))


def _tied(scores: Scores, choice: int, selected: tuple[str, int, float] | None) -> bool:
    """Return True if two choices tie: losses that differ only in their last bits may be ordered either way."""
    if selected is not None and selected not in scores.candidates:
        return False
    other = BASE if selected is None else scores.candidates.index(selected)
    same_accuracy = scores.correct[:, choice].sum() == scores.correct[:, other].sum()
    return bool(same_accuracy and np.isclose(scores.loss[:, choice].sum(), scores.loss[:, other].sum(), rtol=1e-8))


def views(frame: pd.DataFrame) -> list[View]:
    """Return, per protocol, a view of the gains and a view of the most frequent choices."""
    views = []
    for protocol, protocol_rows in frame.groupby("protocol", sort=False):
        gains, choices = [], []
        for (model, dataset), cell in protocol_rows.groupby(["model", "dataset"], sort=False):
            first = cell[cell["selected"]].iloc[0]
            names = [str(dataset), str(model)]
            gains.append(
                [
                    *names,
                    intervention(first["matrix"], first["layer"], first["rho"]),
                    number(first["share"], 1),
                    number(first["same_place"], 1),
                    integer(len(cell)),
                    number(first["gain"], 1, sign=True),
                    number(first["gain_in_bag"], 1, sign=True),
                    with_interval(first, 1, "gain_out_of_bag", sign=True),
                    integer(first["n"]),
                    integer(first["groups"]),
                    integer(first["candidates"]),
                ]
            )
            for row in cell.head(SHOWN).to_dict("records"):
                edit = intervention(row["matrix"], row["layer"], row["rho"])
                choices.append([*names, edit, number(row["share"], 1), "yes" if row["selected"] else ""])
        columns = ["Dataset", "Model", "Selected [τ, ℓ, ρ]", "Chosen again, %", "Same matrix and layer, %"]
        columns += ["Different choices", "Gain, points", "In bag", "Out of bag", "n", "Groups", "Candidates"]
        notes = [
            f"Each of {integer(protocol_rows['resamples'].iloc[0])} resamples of the validation groups repeats the "
            "selection.",
            "Gain: accuracy above base on the rows that chose. Out of bag: the mean gain on the groups that a resample "
            "did not draw, so that the choice has not seen them; brackets hold the middle 95 % of the resamples, "
            "which is wider than a 95 % interval of the gain.",
        ]
        title = f"Stability of selection on validation rows, {protocol} protocol"
        views.append(View(f"stability_{protocol}", title, columns, gains, notes=notes))
        columns = ["Dataset", "Model", "Intervention [τ, ℓ, ρ]", "Chosen, % of resamples", "Selected"]
        title = f"The {SHOWN} most frequent choices, {protocol} protocol"
        views.append(View(f"stability_choices_{protocol}", title, columns, choices))
    return views
