"""Table 1 as it is set for reading: every cell of the Markdown, from the numbers computed anew."""

from __future__ import annotations

import math
from typing import Any

from laser_audit.comparing import Row
from laser_audit.findings import Check
from laser_audit.reading import Study, asked
from laser_audit.rendered import markdown_tables
from laser_audit.table1 import expected_table1

HEADS = (
    *("Dataset", "Model", "Metric", "Base", "LASER", "LASER − base", "p (Holm)", "n", "Constant answer"),
    *("Intervention", "Paper: base", "Paper: LASER", "Verdict: base", "Verdict: LASER"),
)
ALWAYS = 10


def rounded(value: Any, places: int, sign: bool = False) -> str:
    """Return a number as the tables print it; empty for none."""
    if value is None or math.isnan(value):
        return ""
    text = f"{abs(value):.{places}f}"
    if float(text) == 0:
        return text
    return ("−" if value < 0 else "+" if sign else "") + text


def estimate(row: Row, value: str, low: str, high: str, places: int, sign: bool = False) -> str:
    """Return a number with its bounds as the tables print it."""
    bounds = ", ".join(rounded(row[name], places, sign) for name in (low, high))
    return f"{rounded(row[value], places, sign)} [{bounds}]"


def _line(base: Row, laser: Row) -> list[str]:
    truth = laser["metric"] == "accuracy"
    places = 1 if truth else 2
    chance = laser["p_holm"]
    place = f"[{laser['matrix']}, {laser['layer']}, {laser['rho']:g}]" if laser["matrix"] else "base"
    return [
        *(laser["dataset"], laser["model"], "accuracy, %" if truth else "loss, nats"),
        estimate(base, "value", "low", "high", places),
        estimate(laser, "value", "low", "high", places),
        estimate(laser, "difference", "difference_low", "difference_high", places + 1, sign=True),
        *("<0.001" if chance < 0.001 else f"{chance:.3f}", str(laser["n"]), rounded(laser["constant"], places), place),
        *(rounded(base["published"], places), rounded(laser["published"], places)),
        *(base["verdict"], laser["verdict"]),
    ]


@asked("table1")
def check_table1_text(check: Check, study: Study) -> None:
    """Compare every cell of tables/table1.md."""
    path = "tables/table1.md"
    with check.guarded(path):
        every = list(expected_table1(study))
        pairs = list(zip(every[::2], every[1::2], strict=True))
        found = markdown_tables(study.text(path))
        check.same(path, "number of tables", len(found), len(study.protocols))
        for protocol, table in zip(study.protocols, found, strict=False):
            own = [_line(*pair) for pair in pairs if pair[0]["protocol"] == protocol]
            order = list(dict.fromkeys((line[0], line[1]) for line in own))
            own.sort(key=lambda line: order.index((line[0], line[1])))
            shown = [place for place in range(len(HEADS)) if place < ALWAYS or any(line[place] for line in own)]
            check.same(path, f"{protocol}: heads", table[0], [HEADS[place] for place in shown])
            check.same(path, f"{protocol}: rows", len(table) - 1, len(own))
            for number, (cells, line) in enumerate(zip(table[1:], own, strict=False)):
                for cell, place in zip(cells, shown, strict=False):
                    where = f"{protocol}, {line[1]} on {line[0]}, row {number}, {HEADS[place]}"
                    check.same(path, where, cell, line[place])
