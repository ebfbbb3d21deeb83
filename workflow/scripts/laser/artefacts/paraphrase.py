"""Robustness to paraphrase: the share of facts that are answered right in every phrasing (section 5.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import NDArray

from laser.analysis.comparison import COMPARISON, NOTES, adjust, compare, comparison_cells, difference_bounds
from laser.analysis.intervals import share_interval
from laser.analysis.statistics import RESAMPLES
from laser.analysis.tables import View, intervention, number
from laser.config.artefacts import Artefact
from laser.paper.published import Published, read_published
from laser.paper.text_numbers import DATASET, MODEL, ROBUSTNESS, TextNumber, read_text_numbers
from laser.results.cells import PairedCell, intervention_labels

if TYPE_CHECKING:
    from laser.config.plan import Plan
    from laser.results.study import StudyResults


def _trained_phrasings(plan: Plan) -> dict[str, Any]:
    return {"trained_phrasings": {name: [0, 1] for name in plan.model_facts()}}


ARTEFACT = Artefact(
    name="paraphrase",
    kind="table",
    title="All phrasings of a fact",
    about="facts that are right under all phrasings, test rows",
    reads=("test", "selection", "rows"),
    texts=("model", "dataset", "protocol", "measure", "matrix"),
    settings=_trained_phrasings,
    not_for_policies="a room has no other phrasings",
)


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    return paraphrase(
        study.compared,
        {dataset: study.rows(dataset, "id", "group", "phrasing") for dataset in study.datasets},
        study.spec["trained_phrasings"],
        read_published(),
        read_text_numbers(),
        study.seed,
        study.resamples,
    )


ALL, ANY = "facts right in all phrasings", "facts right in any phrasing"
CONSISTENT = "of facts right in any phrasing, those right in all"
TRAINED, HELD_OUT = "rows in phrasings trained on", "rows in phrasings held out"
COLUMNS = (
    *("model", "dataset", "protocol", "measure", *COMPARISON, "matrix", "layer", "rho", "kept_rank"),
    "incomplete_facts",
    "published_difference",
)
"""Columns of the CSV. Shares in percent; `n` counts facts in the measures over facts and rows in those over rows.
Measures over facts leave out `incomplete_facts`, which have a phrasing on the other side of the split or one that was
not scored. In `CONSISTENT`, each arm's share is of its own facts, so there is no paired test; `n` counts the facts that
base or LASER has right in any phrasing."""


def paraphrase(
    cells: Sequence[PairedCell],
    prepared: Mapping[str, pd.DataFrame],
    trained: Mapping[str, Sequence[int]] | None = None,
    published: Published | None = None,
    texts: Mapping[str, TextNumber] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compute robustness to paraphrase of base and LASER on test rows.

    Only datasets whose rows have a phrasing are included: there, a group is one fact asked in several ways. In the
    measures over facts a fact is one unit, so their test is McNemar's exact test.

    Args:
        cells: per-example results (`laser.results.loading.load_cells`).
        prepared: maps a dataset to its rows with id, group and phrasing.
        trained: maps a model to the phrasings in its training data, where these are known.
        published: the paper's names, or None.
        texts: numbers from the paper's text, or None.
        seed: seed of the study.
        resamples: number of resamples of the bootstrap and the permutation test.

    Returns:
        A frame with the columns `COLUMNS`.
    """
    rows: list[dict[str, Any]] = []
    for cell in cells:
        facts = prepared[cell.dataset].dropna(subset=["phrasing"])
        if facts.empty:
            continue
        rows += _facts(cell, facts, seed, resamples)
        known = (trained or {}).get(cell.model)
        if known is not None:
            rows += _phrasings(cell, facts, set(known), seed, resamples)
    adjust(rows)
    published, gain = published or Published(), (texts or {}).get(ROBUSTNESS)
    for row in rows:
        names = published.models.get(row["model"]), published.datasets.get(row["dataset"])
        printed = gain.value.value if gain is not None and gain.value is not None else math.nan
        row["published_difference"] = printed if names == (MODEL, DATASET) and row["measure"] == ALL else math.nan
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(dict.fromkeys(("layer", "kept_rank", "n", "groups", "incomplete_facts"), "Int64"))


def _facts(cell: PairedCell, facts: pd.DataFrame, seed: int, resamples: int) -> list[dict[str, Any]]:
    sizes = facts.groupby("group", sort=False).size()
    scored = cell.rows[cell.rows["id"].isin(facts["id"])].groupby("group", sort=False)
    whole = scored.size() == sizes.reindex(scored.size().index)
    if not whole.any():
        return []
    right: dict[str, list[NDArray]] = {}
    names, left_out = cell.key, {"incomplete_facts": int((~whole).sum())}
    settings: dict[str, Any] = {"truth": True, "seed": seed, "resamples": resamples}
    lines = []
    for measure, rule in ((ALL, "all"), (ANY, "any")):
        arms = [scored[f"{arm}_correct"].agg(rule)[whole].astype(bool) for arm in ("base", "laser")]
        base, laser = right[measure] = [arm.to_numpy() for arm in arms]
        compared = compare(base, laser, list(arms[0].index), (*names, measure), **settings)
        lines.append(_named(cell, measure) | compared | left_out)
    return [*lines, _named(cell, CONSISTENT) | consistency(right[ALL], right[ANY]) | left_out]


def consistency(all_right: Sequence[NDArray], any_right: Sequence[NDArray]) -> dict[str, Any]:
    """Return, by arm, the share of facts right in all phrasings among those right in any, and the difference.

    Args:
        all_right: (facts,) booleans for base and for LASER: True if all phrasings are right.
        any_right: the same: True if any phrasing is right.
    """
    known = any_right[0] | any_right[1]
    line: dict[str, Any] = dict.fromkeys(COMPARISON, math.nan) | dict.fromkeys(("n", "groups"), int(known.sum()))
    for arm, whole, part in zip(("base", "laser"), all_right, any_right, strict=True):
        if not part.any():
            continue
        low, high = share_interval(whole[part])
        line |= {arm: 100 * float(whole[part].mean()), f"{arm}_low": 100 * low, f"{arm}_high": 100 * high}
    line["difference"] = line["laser"] - line["base"]
    line["difference_low"], line["difference_high"] = difference_bounds(line, line, "laser", "base")
    return line


def _phrasings(
    cell: PairedCell, facts: pd.DataFrame, known: set[int], seed: int, resamples: int
) -> list[dict[str, Any]]:
    asked = cell.rows["id"].map(facts.set_index("id")["phrasing"])
    lines = []
    for measure, keep in ((TRAINED, asked.isin(known)), (HELD_OUT, asked.notna() & ~asked.isin(known))):
        asked_rows = cell.rows[keep]
        if asked_rows.empty:
            continue
        names = (*cell.key, measure)
        base, laser = (asked_rows[f"{arm}_correct"].to_numpy(dtype=bool) for arm in ("base", "laser"))
        compared = compare(base, laser, list(asked_rows["group"]), names, truth=True, seed=seed, resamples=resamples)
        lines.append(_named(cell, measure) | compared)
    return lines


def _named(cell: PairedCell, measure: str) -> dict[str, Any]:
    names = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol, "measure": measure}
    return names | intervention_labels(cell.chosen) | {"incomplete_facts": None}


def views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view per protocol."""
    columns = ["Dataset", "Model", "Measure", "Base, %", "LASER, %", "LASER − base, points", "p (Holm)", "n"]
    columns += ["Intervention", "Paper: gain, points"]
    views = []
    for protocol, protocol_rows in frame.groupby("protocol", sort=False):
        lines = [
            [
                row["dataset"],
                row["model"],
                row["measure"],
                *comparison_cells(row),
                intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"]),
                number(row["published_difference"], 1, sign=True),
            ]
            for row in protocol_rows.to_dict("records")
        ]
        shown = columns if protocol_rows["published_difference"].notna().any() else columns[:-1]
        notes = [*NOTES, "n counts facts or rows, as the measure says."]
        left_out = int(protocol_rows.loc[protocol_rows["measure"] == ALL, "incomplete_facts"].sum())
        if left_out:
            notes.append(f"{left_out} facts with phrasings on both sides of the split are left out of shares of facts.")
        title = f"Robustness to paraphrase on held-out rows, {protocol} protocol"
        lines = [line[: len(shown)] for line in lines]
        views.append(View(f"paraphrase_{protocol}", title, shown, lines, notes=notes))
    return views
