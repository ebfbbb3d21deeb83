"""Perplexity of base and LASER on running text: the intervention's cost on text it was not chosen for (section 5.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from laser.analysis.comparison import adjust, resampled_ratios, with_interval
from laser.analysis.statistics import CONFIDENCE, RESAMPLES, seed_sequence, sign_flip_p_value
from laser.analysis.tables import View, integer, intervention, number, p_value
from laser.config.artefacts import Artefact, evaluated_cells
from laser.errors import UserError
from laser.paper.published import Published, read_published
from laser.paper.text_numbers import DATASET, MODEL, PERPLEXITY_INPUT, PERPLEXITY_OUTPUT, TextNumber, read_text_numbers
from laser.results.columns import read_columns
from laser.results.loading import cell_of

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="perplexity",
    kind="table",
    title="Perplexity",
    about="perplexity of base and of the MLP choices",
    reads=("perplexity",),
    cells=evaluated_cells("perplexity"),
    needs="perplexity",
    texts=("model", "dataset", "protocol", "text", "arm", "matrix"),
    not_for_policies="a policy reads no text",
)


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    paths = study.paths("perplexity")
    return perplexity_table(paths, read_published(), read_text_numbers(), study.seed, study.resamples)


ARMS = ("base", "input", "output")
PILE = "pile"
COLUMNS = (
    *("model", "dataset", "protocol", "text", "arm", "perplexity", "perplexity_low", "perplexity_high"),
    *("ratio", "ratio_low", "ratio_high", "p_value", "p_holm", "nll", "tokens", "windows", "matrix", "layer", "rho"),
    *("kept_rank", "published"),
)
"""Columns of the CSV. `perplexity` is exp(Σ nll / Σ tokens), `nll` in nats, `ratio` the perplexity divided by base's.
Intervals resample windows of text, the same windows for all arms; they ignore that neighbouring windows of a document
are not quite independent."""


def perplexity_table(
    paths: Sequence[Path],
    published: Published | None = None,
    texts: Mapping[str, TextNumber] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compute perplexities with intervals, and a paired test of every arm against base over windows.

    Args:
        paths: perplexity/<model>/<dataset>.parquet.
        published: the paper's names, or None.
        texts: numbers from the paper's text, or None; they are shown beside ours only on the Pile.
        seed: seed of the study.
        resamples: number of resamples of the bootstrap and the permutation test.

    Returns:
        A frame with the columns `COLUMNS`, a row per cell, protocol and arm.

    Raises:
        UserError: an arm was scored on other windows than base.
    """
    rows: list[dict[str, Any]] = []
    for path in paths:
        model, dataset, spec = cell_of(path)
        frame = read_columns(path, ["protocol", "arm", "window", "tokens", "nll"])
        for protocol, protocol_rows in frame.groupby("protocol", sort=False):
            names = {"model": model, "dataset": dataset, "protocol": str(protocol), "text": str(spec.get("text", ""))}
            rows += _rows(path, names, protocol_rows, spec.get("arms", {}).get(protocol, {}), seed, resamples)
    adjust(rows)
    for row in rows:
        row["published"] = _published(row, published or Published(), texts or {})
    whole = ("tokens", "windows", "layer")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(whole, "Int64"))


def _rows(
    path: Path,
    names: dict[str, str],
    frame: pd.DataFrame,
    chosen: Mapping[str, Any],
    seed: int,
    resamples: int,
) -> list[dict[str, Any]]:
    arms = [arm for arm in ARMS if (frame["arm"] == arm).any()]
    if frame.duplicated(["arm", "window"]).any() or "base" not in arms:
        raise UserError(f"{path}: holds a window twice, or lacks base. Delete it and run again.")
    table = frame.pivot(index="window", columns="arm", values="nll")[arms].sort_index()
    tokens = frame.pivot(index="window", columns="arm", values="tokens")[arms].sort_index()
    if not tokens.eq(tokens["base"], axis=0).all().all():
        raise UserError(f"{path}: an arm was scored on other windows than base. Delete it and run again.")
    losses, sizes = table.to_numpy(dtype=np.float64, copy=True), tokens["base"].to_numpy(dtype=np.float64)
    # An arm that overflows on a window has no perplexity: a value over the other windows would not be comparable.
    losses[:, ~np.isfinite(losses).all(axis=0)] = np.nan
    stream = seed_sequence(seed, *names.values(), "perplexity")
    drawn = resampled_ratios(losses, sizes, seed=stream, resamples=resamples)
    means, reference = losses.sum(axis=0) / sizes.sum(), arms.index("base")
    tail = (1 - CONFIDENCE) / 2
    rows = []
    for at, arm in enumerate(arms):
        low, high = np.exp(np.quantile(drawn[:, at], [tail, 1 - tail]))
        row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan) | names | {"arm": arm, "matrix": "", "layer": None}
        row |= {"perplexity": float(np.exp(means[at])), "perplexity_low": float(low), "perplexity_high": float(high)}
        row |= {"nll": float(losses[:, at].sum()), "tokens": int(sizes.sum()), "windows": len(sizes)}
        if at != reference:
            bounds = np.exp(np.quantile(drawn[:, at] - drawn[:, reference], [tail, 1 - tail]))
            row |= {"ratio": float(np.exp(means[at] - means[reference]))}
            row |= {"ratio_low": float(bounds[0]), "ratio_high": float(bounds[1])}
            stream = seed_sequence(seed, *names.values(), arm, "test")
            change = losses[:, at] - losses[:, reference]
            if np.isfinite(change).all():
                row["p_value"] = sign_flip_p_value(change, None, seed=stream, resamples=resamples)
            edit = chosen.get(arm) or {}
            row |= {key: edit[key] for key in ("matrix", "layer", "rho", "kept_rank") if key in edit}
        rows.append(row)
    return rows


def _published(row: Mapping[str, Any], published: Published, texts: Mapping[str, TextNumber]) -> float:
    names = published.models.get(row["model"]), published.datasets.get(row["dataset"])
    if names != (MODEL, DATASET) or not row["text"].startswith(PILE):
        return math.nan
    quoted = texts.get(PERPLEXITY_OUTPUT if row["arm"] == "output" else PERPLEXITY_INPUT)
    printed = None if quoted is None else (quoted.base if row["arm"] == "base" else quoted.value)
    return printed.value if printed else math.nan


def views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view per protocol."""
    columns = ["Dataset of the choice", "Model", "Text", "Arm", "Perplexity", "Over base's", "p (Holm)", "Tokens"]
    columns += ["Windows", "Intervention", "Paper"]
    views = []
    for protocol, protocol_rows in frame.groupby("protocol", sort=False):
        lines = [
            [
                row["dataset"],
                row["model"],
                row["text"],
                row["arm"],
                with_interval(row, 2, "perplexity"),
                with_interval(row, 3, "ratio"),
                p_value(row["p_holm"]),
                integer(row["tokens"]),
                integer(row["windows"]),
                intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"]) if row["arm"] != "base" else "",
                number(row["published"], 1),
            ]
            for row in protocol_rows.to_dict("records")
        ]
        if protocol_rows["published"].isna().all():
            lines = [line[:-1] for line in lines]
        shown = columns if protocol_rows["published"].notna().any() else columns[:-1]
        notes = [
            "input, output: the best candidate among the matrices that read from, or write to, the residual stream.",
            "Brackets: 95 % percentile bootstrap interval over windows of text, paired between arms.",
            "p: sign-flip permutation test over windows against base, adjusted by Holm's method.",
        ]
        title = f"Perplexity on running text, choices of the {protocol} protocol"
        views.append(View(f"perplexity_{protocol}", title, shown, lines, notes=notes))
    return views
