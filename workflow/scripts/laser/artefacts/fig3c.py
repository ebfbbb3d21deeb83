"""Figure 3c: answers that LASER corrects, per answer that was right before, by training frequency."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from laser.analysis import style
from laser.analysis.frequency import DOCUMENTS, Frequency, frequency_in
from laser.analysis.intervals import change_interval, share_interval
from laser.analysis.statistics import CONFIDENCE, RESAMPLES, group_sums, seed_sequence
from laser.analysis.style import bars_of, figure, legend, notice, save, shades, title
from laser.analysis.tables import read_table
from laser.artefacts import fig3b
from laser.paper.published import FOLDER, read_published
from laser.results.cells import PairedCell

if TYPE_CHECKING:
    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = replace(
    fig3b.ARTEFACT,
    name="fig3c",
    title="Figure 3c",
    about="answers put right, by how often their facts were met",
    resampled=True,
)


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    cell = study.compared_of(picture.model, picture.dataset, picture.protocol)
    fig3c(cell, frequency_in(study, picture.model, picture.dataset), stem, study.seed, study.resamples)


PAPERS_BINS = (("<50", -math.inf, 50.0), ("50–1000", 50.0, 1000.5), (">1000", 1000.5, math.inf))
"""Label, lowest frequency (included) and highest (excluded). The paper counts documents, so 1000.5 lies between whole
numbers."""

RATIOS = ("corrected", "spoilt")
ENDS = ("", "_low", "_high")
WIDTH = 0.36
STRETCH = 2.0
"""Upper limit of the axis as a multiple of the highest bar; a longer whisker is cut there and its end is written."""
COLUMNS = (
    *("model", "dataset", "protocol", "frequency_from", "bin", "lowest", "highest", "n", "groups", "right_before"),
    *("corrected", "spoilt", "base_accuracy", "laser_accuracy"),
    *(f"{ratio}_ratio{end}" for ratio in RATIOS for end in ("", "_low", "_high")),
    *(f"{name}{end}" for name in ("corrected_share", "net") for end in ENDS),
    *("without_frequency", "published_ratio"),
)
"""Columns of the CSV. `corrected` rows are wrong in base and right under LASER, `spoilt` rows the reverse; their ratios
are relative to the rows that base has right, with 95 % bootstrap intervals over groups (empty if base has none right).
`corrected_share` is a percentage of the rows that base has wrong, `net` the change of accuracy in points; `lowest` and
`highest` are the extreme frequencies that occur in the bin; `frequency_from` says what was counted
(`laser.analysis.frequency.Frequency`)."""


def fig3c_data(cell: PairedCell, frequency: Frequency, seed: int = 0, resamples: int = RESAMPLES) -> pd.DataFrame:
    """Return what LASER corrects and spoils by training frequency, a row per bin.

    If documents are counted, the bins are the paper's (below 50, 50 to 1000, above 1000). Otherwise they are thirds:
    three bins of about equally many groups, or fewer if frequencies tie. If the model's own corpus was counted, bins by
    how often the fact is told at all follow those by how often it is told rightly.

    Args:
        cell: test results (`laser.results.loading.load_cells`).
        frequency: training frequency of the dataset's examples (`laser.analysis.frequency.frequency_of`).
        seed: seed of the study.
        resamples: number of bootstrap resamples.

    Returns:
        A frame with the columns `COLUMNS`; empty if no frequency is known.
    """
    lines = [line for count in _counts(frequency) for line in _bins(cell, count, seed, resamples)]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _counts(frequency: Frequency) -> list[Frequency]:
    return [frequency] if frequency.told is None else [frequency, frequency.told]


def _bins(cell: PairedCell, frequency: Frequency, seed: int, resamples: int) -> list[dict[str, Any]]:
    rows = cell.rows.assign(frequency=cell.rows["id"].map(frequency.values))
    known = rows[rows["frequency"].notna()]
    bins = PAPERS_BINS if frequency.source == DOCUMENTS else thirds(known)
    published = _published(cell, frequency)
    lines = []
    for label, low, high in bins:
        in_bin = known[(known["frequency"] >= low) & (known["frequency"] < high)]
        if in_bin.empty:
            continue
        base, laser = (in_bin[f"{arm}_correct"].to_numpy(dtype=bool) for arm in ("base", "laser"))
        line: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
        line |= {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol, "bin": label}
        line |= {
            "frequency_from": frequency.source,
            "lowest": in_bin["frequency"].min(),
            "highest": in_bin["frequency"].max(),
        }
        line |= {"n": len(in_bin), "groups": in_bin["group"].nunique(), "right_before": int(base.sum())}
        line |= {"base_accuracy": 100 * float(base.mean()), "laser_accuracy": 100 * float(laser.mean())}
        for ratio, hits in zip(RATIOS, (~base & laser, base & ~laser), strict=True):
            line[ratio] = int(hits.sum())
            stream = seed_sequence(seed, *cell.key, "fig3c", label)
            ends = ratio_interval(hits, base, list(in_bin["group"]), stream, resamples)
            value = hits.sum() / base.sum() if base.any() else math.nan
            line |= dict(zip([f"{ratio}_ratio{end}" for end in ("", "_low", "_high")], (value, *ends), strict=True))
        wrong = ~base
        if wrong.any():
            low_share, high_share = share_interval(laser[wrong], list(in_bin["group"].to_numpy()[wrong]))
            shares = (float(laser[wrong].mean()), low_share, high_share)
            line |= {f"corrected_share{end}": 100 * bound for end, bound in zip(ENDS, shares, strict=True)}
        net = laser.astype("float64") - base
        changes = (float(net.mean()), *change_interval(net, list(in_bin["group"])))
        line |= {f"net{end}": 100 * bound for end, bound in zip(ENDS, changes, strict=True)}
        line |= {"without_frequency": len(rows) - len(known), "published_ratio": published.get(label, math.nan)}
        lines.append(line)
    return lines


def thirds(known: pd.DataFrame) -> list[tuple[str, float, float]]:
    """Return up to three frequency bins with about equally many groups; equal frequencies share a bin."""
    from matplotlib.ticker import EngFormatter

    if known.empty:
        return []
    brief = EngFormatter(sep="", places=None)
    each = known.drop_duplicates("group")["frequency"]
    cuts = sorted(set(each.quantile([1 / 3, 2 / 3], interpolation="lower")))
    edges = [-math.inf, *(float(np.nextafter(cut, math.inf)) for cut in cuts), math.inf]
    bins = []
    for low, high in pairwise(edges):
        in_bin = each[(each >= low) & (each < high)]
        if not in_bin.empty:
            ends = dict.fromkeys(brief(float(f"{end:.3g}")) for end in (in_bin.min(), in_bin.max()))
            bins.append(("–".join(ends), low, high))
    return bins


def ratio_interval(
    hits: NDArray, right: NDArray, groups: Sequence[object], seed: Sequence[int], resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of Σ hits / Σ right, resampling whole groups.

    Resamples in which nothing was right have no ratio and are left out. The interval is (nan, nan) if no row was right.
    """
    if not right.any():
        return math.nan, math.nan
    sums = np.stack([group_sums(values.astype(np.float64), groups)[0] for values in (hits, right)], axis=1)
    # Groups with equal sums are exchangeable: drawing how often each pair occurs is equivalent and far cheaper.
    pairs, counts = np.unique(sums, axis=0, return_counts=True)
    drawn = np.random.default_rng(list(seed)).multinomial(len(sums), counts / len(sums), size=resamples) @ pairs
    ratios = drawn[drawn[:, 1] > 0]
    low, high = np.quantile(ratios[:, 0] / ratios[:, 1], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def fig3c(
    cell: PairedCell, frequency: Frequency, stem: Path | str, seed: int = 0, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Draw Figure 3c for one cell: two bars per bin, corrected and spoilt answers per answer that was right before."""
    data = fig3c_data(cell, frequency, seed, resamples)
    what = f"{cell.model} on {cell.dataset}: answers changed by LASER, test rows, {cell.protocol} protocol"
    if data.empty:
        notice(data, stem, what, fig3b.NOTHING)
        return data
    axes_of = {count.source: count.axis for count in _counts(frequency)}
    panels = list(data.groupby("frequency_from", sort=False))
    with figure(len(panels), 1, 4) as (made, axes):
        for axis, (source, bins) in zip(axes, panels, strict=True):
            _panel(axis, bins)
            axis.set_xlabel(textwrap.fill(axes_of[str(source)], 36))
        axes[0].set_ylabel(textwrap.fill("answers per answer that was right before", 24))
        title(made, what)
        legend(made)
        save(made, data, stem)
    return data


def _panel(axis: Any, data: pd.DataFrame) -> None:
    places = np.arange(len(data), dtype=np.float64)
    for number, (ratio, colour) in enumerate(zip(RATIOS, reversed(shades(2)), strict=True)):
        at, values = places + WIDTH * (number - 0.5), data[f"{ratio}_ratio"]
        errors = bars_of(values.fillna(0), data[f"{ratio}_ratio_low"].fillna(0), data[f"{ratio}_ratio_high"].fillna(0))
        label = {"corrected": "wrong → right", "spoilt": "right → wrong"}[ratio]
        look: dict[str, Any] = {"color": colour, "hatch": ("", "////")[number], "edgecolor": "white"}
        axis.bar(at, values, WIDTH, label=label, **look)
        axis.errorbar(at, values, errors, fmt="none", ecolor="0.55", elinewidth=1.2, capsize=2.5)
        for position in at[values == 0]:
            axis.annotate("0", (position, 0), (0, 2), textcoords="offset points", ha="center", fontsize=8)
    if data["published_ratio"].notna().any():
        axis.plot(places - WIDTH / 2, data["published_ratio"], "k*", markersize=8, label="in the paper")
    for position, row in zip(places, data.to_dict("records"), strict=True):
        if not row["right_before"]:
            axis.text(position, 0, "none right before", ha="center", va="bottom", fontsize=8)
    axis.set_xticks(places, [f"{row['bin']}\n{style.rows(row['n'])}" for row in data.to_dict("records")])
    top = _top(data)
    axis.set_ylim(0, top)
    for number, ratio in enumerate(RATIOS):
        for position, high in zip(places + WIDTH * (number - 0.5), data[f"{ratio}_ratio_high"], strict=True):
            if high > top:
                look = {"ha": "center", "va": "bottom", "fontsize": 8, "color": "0.35"}
                axis.annotate(f"↑ {high:.3g}", (position, top), (0, 1), textcoords="offset points", **look)
    axis.set_xlim(-0.6, len(data) - 0.4)
    axis.grid(axis="x", visible=False)


def _top(data: pd.DataFrame) -> float:
    """Return the upper limit of the axis: above all whiskers, but not so high that the bars cannot be read."""
    bars = data[[*(f"{ratio}_ratio" for ratio in RATIOS), "published_ratio"]].max().max()
    whiskers = data[[f"{ratio}_ratio_high" for ratio in RATIOS]].max().max()
    top = min(1.05 * whiskers, STRETCH * bars) if bars > 0 else 1.05 * whiskers
    return top if top > 0 else 1.0


def _published(cell: PairedCell, frequency: Frequency) -> dict[str, float]:
    """Return the paper's ratios by bin, if the cell is the paper's and documents are counted as in the paper."""
    published = read_published()
    names = published.models.get(cell.model), published.datasets.get(cell.dataset)
    if names != ("GPT-J", "CounterFact") or frequency.source != DOCUMENTS:
        return {}
    read = read_table(FOLDER / "fig3c_digitised.csv", texts=("freq_bin",))
    bins = read["freq_bin"].str.replace("-", "–")
    return dict(zip(bins, read["answers_corrected_over_originally_correct"], strict=True))
