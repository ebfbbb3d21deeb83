"""Each number of the paper's Table 1 beside ours, with the verdict on it (`laser.analysis.verdicts`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from laser.analysis.comparison import with_interval
from laser.analysis.tables import View, number, p_value, read_table
from laser.analysis.verdicts import NOT_RUN, SHOWN_RULES, VERDICT_RULES, shown
from laser.artefacts import table1
from laser.config.artefacts import Artefact
from laser.paper.published import Published, read_published

if TYPE_CHECKING:
    import pandas

    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="verdicts",
    kind="table",
    title="Verdicts on the published numbers",
    about="each number of the paper's Table 1 beside ours",
    after=("table1",),
    texts=("model", "dataset", "metric", "arm", "protocol", "run_model", "shows", "verdict"),
    wordy=True,
    resampled=False,
    not_for_policies="the paper's Sokoban numbers are in table2",
)


def make(study: StudyResults) -> pandas.DataFrame:
    """Judge every number of the study's Table 1."""
    return verdict_table(read_table(study.table("table1"), table1.ARTEFACT.texts), read_published())


COLUMNS = (
    *("model", "dataset", "metric", "arm", "published", "shows", "published_p_low", "published_p_high", "protocol"),
    *("run_model", "value", "low", "high", "difference", "difference_low", "difference_high", "verdict"),
)
"""Columns of the CSV, as in Table 1. For a cell that was not run, `shows` depends only on the printed numbers, without
constant answers."""

TAKEN = tuple(name for name in COLUMNS if name not in ("model", "dataset", "metric", "arm", "published", "run_model"))
"""Columns copied from Table 1."""


def verdict_table(frame: pandas.DataFrame, published: Published) -> pandas.DataFrame:
    """List every number of the published Table 1 with ours and the verdict, in the paper's order.

    Args:
        frame: the long form of Table 1 (`laser.artefacts.table1.table1`).
        published: the paper's numbers.

    Returns:
        A frame with the columns `COLUMNS`: model, dataset, metric and arm have the paper's names, run_model has ours. A
        published cell that two of our models or protocols reproduce has a row for each; a cell that none reproduces has
        a single row that says `not run`.
    """
    import pandas as pd

    ours: dict[tuple[str, str, str, str], list[dict[Any, Any]]] = {}
    for row in frame.to_dict("records"):
        key = (
            published.models.get(row["model"], ""),
            published.datasets.get(row["dataset"], ""),
            row["metric"],
            row["arm"],
        )
        ours.setdefault(key, []).append(row)
    lines = []
    for key, printed in published.table1.items():
        model, dataset, metric, arm = key
        labels = {"model": model, "dataset": dataset, "metric": metric, "arm": arm, "published": printed.value}
        reproduced = ours.get(key, [])
        for row in reproduced:
            lines.append({name: row[name] for name in TAKEN} | labels | {"run_model": row["model"]})
        if not reproduced:
            alone = shown(
                metric=metric,
                arm=arm,
                published=printed,
                published_base=published.table1.get((model, dataset, metric, "base")),
                published_n=published.table4.get(dataset, {}).get("test"),
                constant=math.nan,
            )
            shows = {"shows": alone.shows, "published_p_low": alone.p_low, "published_p_high": alone.p_high}
            texts = {"protocol": "", "run_model": "", "verdict": NOT_RUN}
            lines.append(dict.fromkeys(TAKEN, math.nan) | labels | shows | texts)
    return pd.DataFrame(lines, columns=list(COLUMNS))


def views(verdicts: pandas.DataFrame) -> list[View]:
    """Return views that count each verdict, with its rule, and a view of the verdicts on cells that were run."""
    made = []
    for column, title, name, rules in (
        ("verdict", "Whether ours agree with the published Table 1", "verdict-rules", VERDICT_RULES),
        ("shows", "What the published numbers show by themselves", "shown-rules", SHOWN_RULES),
    ):
        counts = verdicts[column].value_counts()
        lines = [[word, str(int(counts.get(word, 0))), rule] for word, rule in rules.items()]
        made.append(View(name, title, ["Verdict", "Comparisons", "Rule"], lines))
    run = verdicts[(verdicts["verdict"] != NOT_RUN) | (verdicts["run_model"] != "")]
    rows = []
    for row in run.to_dict("records"):
        places = 1 if row["metric"] == "accuracy" else 2
        names = [row["dataset"], row["model"], row["metric"], row["arm"], row["protocol"]]
        chance = " to ".join(dict.fromkeys(p_value(row[f"published_p_{end}"]) for end in ("low", "high")))
        ours = with_interval(row, places, "value", low="low", high="high")
        change = with_interval(row, places, "difference", sign=True)
        rows.append([*names, number(row["published"], places), row["shows"], chance, ours, change, row["verdict"]])
    if rows:
        columns = ["Dataset", "Model", "Metric", "Arm", "Our protocol", "Published", "It shows", "p of the print"]
        columns += ["Ours", "Our change", "Ours agrees"]
        made.append(View("verdicts", "Published cells that this study ran", columns, rows))
    return made
