"""How the gain depends on the wording of the prompt: base and the chosen intervention under every variant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from laser.analysis.clusters import between_clusters
from laser.analysis.comparison import COMPARISON, NOTES, adjust, compare, comparison_cells, with_interval
from laser.analysis.intervals import change_interval
from laser.analysis.statistics import RESAMPLES
from laser.analysis.tables import View, integer, intervention, number
from laser.analysis.verdicts import agreement
from laser.config.artefacts import Artefact, evaluated_cells
from laser.config.protocols import SIGNIFICANCE
from laser.errors import UserError
from laser.paper.published import Published, read_published
from laser.results.cells import ARMS, PairedCell, intervention_labels
from laser.results.labelled import Labelled

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="prompts",
    kind="table",
    title="Other prompts",
    about="base and LASER under other prompts",
    reads=("test", "selection", "rows", "prompts"),
    cells=evaluated_cells("prompts"),
    needs="prompts",
    texts=("model", "dataset", "protocol", "variant", "matrix", "outcome", "verdict", "wording"),
    not_for_policies="a room has no prompt to vary",
)


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    asked = study.labelled("prompts", ("variant", "arm"), apart=("variant",))
    return prompts_table(asked, study.compared, read_published(), study.seed, study.resamples)


ORIGINAL = "original"
RAISED, LOWERED, UNCLEAR, KEPT = "raised", "lowered", "not significant", "base chosen"
COLUMNS = (
    *("model", "dataset", "protocol", "variant", *COMPARISON, "matrix", "layer", "rho", "kept_rank"),
    *("outcome", "verdict"),
    *("published_base", "published_laser", "variants", "same_sign", "gain_mean", "gain_min", "gain_max"),
    *("gain_change", "gain_change_low", "gain_change_high", "gain_spread", "gain_spread_low", "gain_spread_high"),
    "wording",
)
"""Columns of the CSV, accuracy in percent and gains in points.

`outcome` is the result of the variant's adjusted test; `verdict` judges the published LASER accuracy by the rules of
`laser.analysis.verdicts`, as if the variant were the prompt. `variants`, `same_sign` (how many of them have a gain of
the same sign as the original's) and the mean, smallest and largest gain are the same in all rows of a cell.
`gain_change` is the variant's gain minus the original's, on the rows that both have, with its 95 % interval.
`gain_spread` is the standard deviation between the true gains of a cell's variants, on the rows that all have, with its
interval; it is the same in all rows of a cell. `wording` describes what the variant changes."""


def prompts_table(
    asked: Sequence[Labelled],
    cells: Sequence[PairedCell],
    published: Published | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compare base and LASER under every variant of the prompt, on the same test rows.

    Args:
        asked: test rows (labels `variant` and `arm`); they may be fewer than all test rows.
        cells: test results of the same cells, which give the chosen intervention and the answers.
        published: the paper's numbers, or None.
        seed: seed of the study.
        resamples: number of resamples of the bootstrap and the permutation test.

    Returns:
        A frame with the columns `COLUMNS`.

    Raises:
        UserError: a cell lacks test results or the original prompt, or has rows that the test file lacks.
    """
    published = published or Published()
    tested = {cell.key: cell for cell in cells}
    rows: list[dict[str, Any]] = []
    for labelled in asked:
        if labelled.key not in tested:
            raise UserError(f"prompts: no test file was given for {labelled.model} on {labelled.dataset}. Give it.")
        rows += _cell_rows(labelled, tested[labelled.key], published, seed, resamples)
    adjust(rows)
    for row in rows:
        row["outcome"] = _outcome(row)
    whole_numbers = ("layer", "n", "groups", "variants", "same_sign")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(whole_numbers, "Int64"))


def _cell_rows(
    labelled: Labelled, cell: PairedCell, published: Published, seed: int, resamples: int
) -> list[dict[str, Any]]:
    variants, known = list(dict.fromkeys(labelled.frame["variant"])), cell.rows.set_index("id")
    if ORIGINAL not in variants or not labelled.frame["id"].isin(known.index).all():
        raise UserError(
            f"prompts: {labelled.model} on {labelled.dataset}, {labelled.protocol}, lacks the original prompt, or "
            "holds rows that the test file does not. Delete it and run again."
        )
    lines, outcomes = [], []
    for variant in variants:
        base, laser = (labelled.arm(variant=variant, arm=arm) for arm in ARMS)
        laser = base if laser.empty and cell.chosen is None else laser.reindex(base.index)
        before, after = (frame["correct"].to_numpy(dtype=bool) for frame in (base, laser))
        outcomes.append(base.assign(gain=after.astype("float64") - before)[["group", "gain"]])
        names = (*labelled.key, "prompt", variant)
        settings: dict[str, Any] = {"truth": True, "seed": seed, "resamples": resamples}
        line = dict(zip(COLUMNS[:4], (*labelled.key, variant), strict=True))
        line |= compare(before, after, list(base["group"]), names, **settings)
        line["wording"] = str(labelled.spec.get("variants", {}).get(variant, ""))
        lines.append(line | intervention_labels(cell.chosen))
    gains = np.array([line["difference"] for line in lines])
    same = int((np.sign(gains) == np.sign(gains[variants.index(ORIGINAL)])).sum())
    common: dict[str, Any] = {"variants": len(lines), "same_sign": same, "gain_mean": float(gains.mean())}
    common |= {"gain_min": float(gains.min()), "gain_max": float(gains.max())} | gain_spread(outcomes)
    for arm in ARMS:
        printed = published.cell(labelled.model, labelled.dataset, "accuracy", arm)
        common[f"published_{arm}"] = printed.value if printed else math.nan
    original = outcomes[variants.index(ORIGINAL)]
    # The first rows of a dataset are not a sample of the rows behind the published number.
    whole = labelled.complete and len(original) == len(known)
    for line, outcome in zip(lines, outcomes, strict=True):
        line |= common | gain_change(outcome, original)
        line["verdict"] = _verdict(line, published, whole, labelled.partial)
    return lines


def gain_change(outcome: pd.DataFrame, original: pd.DataFrame) -> dict[str, float]:
    """Return how much larger the gain is under one wording than under the original, in points, with its interval.

    Args:
        outcome: group and gain (−1, 0 or 1) of every row, by id.
        original: the same for the original wording.
    """
    shared = outcome.index.intersection(original.index)
    if shared.empty:
        return dict.fromkeys(("gain_change", "gain_change_low", "gain_change_high"), math.nan)
    change = outcome.loc[shared, "gain"] - original.loc[shared, "gain"]
    # A row's change lies between −2 and 2.
    low, high = (200 * bound for bound in change_interval(change / 2, list(original.loc[shared, "group"])))
    return {"gain_change": 100 * float(change.mean()), "gain_change_low": low, "gain_change_high": high}


def gain_spread(outcomes: Sequence[pd.DataFrame]) -> dict[str, float]:
    """Return the standard deviation between the true gains under several wordings, in points, with its interval.

    Args:
        outcomes: for each wording, group and gain (−1, 0 or 1) of every row, by id.
    """
    shared = outcomes[0].index
    for outcome in outcomes[1:]:
        shared = shared.intersection(outcome.index)
    names = ("gain_spread", "gain_spread_low", "gain_spread_high")
    if shared.empty:
        return dict.fromkeys(names, math.nan)
    gains = np.concatenate([outcome.loc[shared, "gain"].to_numpy() for outcome in outcomes])
    variants = np.repeat(np.arange(len(outcomes)), len(shared))
    groups = list(outcomes[0].loc[shared, "group"]) * len(outcomes)
    return dict(zip(names, (100 * value for value in between_clusters(gains, list(variants), groups)), strict=True))


def _verdict(row: Mapping[str, Any], published: Published, complete: bool, part: bool) -> str:
    return agreement(
        metric="accuracy",
        arm="laser",
        published=published.cell(row["model"], row["dataset"], "accuracy", "laser"),
        published_base=published.cell(row["model"], row["dataset"], "accuracy", "base"),
        complete=complete,
        part=part,
        same_rows=row["protocol"] == "published",
        n=row["n"],
        ours=(row["laser"], row["laser_low"], row["laser_high"]),
        difference=(row["difference"], row["difference_low"], row["difference_high"]),
    )


def _outcome(row: Mapping[str, Any]) -> str:
    if not row["matrix"]:
        return KEPT
    if row["p_holm"] < SIGNIFICANCE:
        return RAISED if row["difference"] > 0 else LOWERED
    return UNCLEAR


def views(frame: pd.DataFrame) -> list[View]:
    """Return, per protocol, a view of all variants and a view of how often the gain keeps its sign."""
    views = []
    for protocol, protocol_rows in frame.groupby("protocol", sort=False):
        columns = ["Dataset", "Model", "Prompt", "Base, %", "LASER, %", "LASER − base, points", "p (Holm)", "n"]
        columns += ["Accuracy", "Against the original's gain", "Paper: base", "Paper: LASER", "Verdict"]
        lines = [
            [
                row["dataset"],
                row["model"],
                row["variant"],
                *comparison_cells(row),
                row["outcome"],
                with_interval(row, 1, "gain_change", sign=True),
                number(row["published_base"], 1),
                number(row["published_laser"], 1),
                row["verdict"],
            ]
            for row in protocol_rows.to_dict("records")
        ]
        if protocol_rows["published_laser"].isna().all():
            columns, lines = columns[:-3], [line[:-3] for line in lines]
        title = f"Variants of the prompt, held-out rows, {protocol} protocol"
        views.append(View(f"prompts_{protocol}", title, columns, lines, notes=list(NOTES)))
        signs = [
            [
                row["dataset"],
                row["model"],
                intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"]),
                f"{integer(row['same_sign'])} of {integer(row['variants'])}",
                *(number(row[key], 1, sign=True) for key in ("gain_mean", "gain_min", "gain_max")),
                with_interval(row, 1, "gain_spread"),
            ]
            for row in protocol_rows.drop_duplicates(["model", "dataset"]).to_dict("records")
        ]
        columns = [
            "Dataset",
            "Model",
            "Intervention",
            "Gain of the original's sign",
            "Mean gain",
            "Least",
            "Most",
            "Spread",
        ]
        title = f"How the gain moves with the prompt, points, {protocol} protocol"
        notes = ["Spread: the standard deviation between the true gains of the variants, with its 95 % interval."]
        views.append(View(f"prompts_signs_{protocol}", title, columns, signs, notes=notes))
    return views
