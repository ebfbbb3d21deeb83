"""Figures 3b and 3c, which part the test rows by training frequency, computed anew."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from laser.io.files import digest
from laser_audit.cells import ARMS, Tested, tested
from laser_audit.comparing import Row, compare_table
from laser_audit.figures import drawn
from laser_audit.findings import Check
from laser_audit.numbers import by_group, interval, mean, stream
from laser_audit.reading import NOT_ASKED, Study

POINTS = 40
MEASURES = {"top10": "in_top10", "accuracy": "correct"}
FIG3B = (
    *("model", "dataset", "protocol", "frequency_from", "at_most", "n", "groups", "without_frequency"),
    *(f"{arm}_{measure}{end}" for measure in MEASURES for arm in ARMS for end in ("", "_low", "_high")),
)
FIG3C = (
    *("model", "dataset", "protocol", "frequency_from", "bin", "lowest", "highest", "n", "groups", "right_before"),
    *("corrected", "spoilt", "base_accuracy", "laser_accuracy"),
    *(f"{ratio}_ratio{end}" for ratio in ("corrected", "spoilt") for end in ("", "_low", "_high")),
    *("without_frequency", "published_ratio"),
)


def frequencies(study: Study, cell: Tested) -> tuple[str, list[float | None]] | None:
    """Return where the frequencies of a cell's rows come from, and each row's; None where a user counted them.

    For a model that the pipeline trained they are counted in its corpus; otherwise the dataset's own column stands in.
    """
    entry = next(one for one in study.settings["models"] if one["name"] == cell.model)
    if "corpus" in entry["source"]:
        facts = f"inputs/corpora/corpus-{digest(entry['source']['corpus'], 8)}/facts.parquet"
        frame = study.frame(facts, ["fact", "clean"])
        told = dict(zip(frame["fact"].tolist(), frame["clean"].tolist(), strict=True))
        return "corpus", [float(told.get(group, 0)) for group in cell.groups]
    if cell.dataset in study.settings.get("counts", {}):
        return None
    return "stand-in", [cell.data.rows[name]["frequency"] for name in cell.ids]


def check_fig3(check: Check, study: Study) -> None:
    """Compare the data of both figures with the test rows."""
    wanted = [name for name in ("fig3b", "fig3c") if study.wants(name)]
    if not wanted:
        check.skipped = NOT_ASKED
    for name in wanted:
        for model, dataset in drawn(study):
            for protocol in study.protocols:
                path = f"figures/{name}/{model}/{dataset}-{protocol}.csv"
                with check.guarded(path):
                    cell = tested(study, model, dataset, protocol)
                    known = frequencies(study, cell)
                    if known is None:
                        continue
                    make, columns = (_fig3b, FIG3B) if name == "fig3b" else (_fig3c, FIG3C)
                    rows = make(study, cell, *known)
                    compare_table(check, study, path, rows, ("at_most", "bin"), columns)


def _fig3b(study: Study, cell: Tested, source: str, values: Sequence[float | None]) -> list[Row]:
    seed, resamples = study.sampling
    known = [(float(value), place) for place, value in enumerate(values) if value is not None]
    rows = []
    for at_most in _thresholds([value for value, _ in known]):
        places = [place for value, place in known if value <= at_most]
        groups = [cell.groups[place] for place in places]
        row: Row = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol, "frequency_from": source}
        row |= {"at_most": at_most, "n": len(places), "groups": len(set(groups))}
        row["without_frequency"] = len(values) - len(known)
        for measure, column in MEASURES.items():
            for arm in ARMS:
                every = cell.values(arm, column, 100.0)
                own = [every[place] for place in places]
                low, high = interval(own, groups, stream(seed, *cell.name, "fig3b", measure), resamples)
                row |= {f"{arm}_{measure}": mean(own), f"{arm}_{measure}_low": low, f"{arm}_{measure}_high": high}
        rows.append(row)
    return rows


def _thresholds(values: Sequence[float]) -> list[float]:
    distinct = sorted(set(values))
    if len(distinct) <= POINTS:
        return distinct
    at = [number / POINTS for number in range(1, POINTS + 1)]
    return sorted({*(float(one) for one in np.quantile(values, at, method="lower")), distinct[-1]})


def _fig3c(study: Study, cell: Tested, source: str, values: Sequence[float | None]) -> list[Row]:
    seed, resamples = study.sampling
    known = [(float(value), place) for place, value in enumerate(values) if value is not None]
    path = f"figures/fig3c/{cell.model}/{cell.dataset}-{cell.protocol}.csv"
    # The words of a bin's name, which seed its draws, are taken from the file; which rows it holds is computed.
    names = [row["bin"] for row in study.table(path)[1]]
    rows = []
    for number, places in enumerate(_thirds(cell, known)):
        frequency = [float(values[place] or 0) for place in places]
        groups = [cell.groups[place] for place in places]
        base, laser = ([cell.values(arm, "correct")[place] for place in places] for arm in ARMS)
        name = names[number] if number < len(names) else ""
        row: Row = dict.fromkeys(FIG3C, math.nan) | {"model": cell.model, "dataset": cell.dataset, "bin": name}
        row |= {"protocol": cell.protocol, "frequency_from": source, "lowest": min(frequency)}
        row |= {"highest": max(frequency), "n": len(places), "groups": len(set(groups))}
        row |= {"right_before": int(sum(base)), "base_accuracy": 100 * mean(base), "laser_accuracy": 100 * mean(laser)}
        for ratio, (before, after) in {"corrected": (0.0, 1.0), "spoilt": (1.0, 0.0)}.items():
            hits = [float((a, b) == (before, after)) for a, b in zip(base, laser, strict=True)]
            row[ratio] = int(sum(hits))
            if sum(base):
                low, high = _ratio_interval(hits, base, groups, stream(seed, *cell.name, "fig3c", name), resamples)
                row |= {f"{ratio}_ratio": sum(hits) / sum(base), f"{ratio}_ratio_low": low, f"{ratio}_ratio_high": high}
        rows.append(row | {"without_frequency": len(values) - len(known)})
    return rows


def _thirds(cell: Tested, known: Sequence[tuple[float, int]]) -> list[list[int]]:
    """Return the places of the rows of up to three bins with about equally many groups."""
    first: dict[str, float] = {}
    for value, place in known:
        first.setdefault(cell.groups[place], value)
    if not first:
        return []
    cuts = sorted({float(one) for one in np.quantile(list(first.values()), [1 / 3, 2 / 3], method="lower")})
    bins: list[list[int]] = [[] for _ in range(len(cuts) + 1)]
    for value, place in known:
        bins[sum(1 for cut in cuts if value > cut)].append(place)
    return [places for places in bins if places]


def _ratio_interval(
    hits: Sequence[float], right: Sequence[float], groups: Sequence[object], draws: np.random.Generator, resamples: int
) -> tuple[float, float]:
    sums = np.column_stack([by_group(hits, groups)[0], by_group(right, groups)[0]])
    pairs, counts = np.unique(sums, axis=0, return_counts=True)
    drawn = draws.multinomial(len(sums), counts / len(sums), size=resamples) @ pairs
    kept = drawn[drawn[:, 1] > 0]
    low, high = np.quantile(kept[:, 0] / kept[:, 1], [(1 - 0.95) / 2, (1 + 0.95) / 2])
    return float(low), float(high)
