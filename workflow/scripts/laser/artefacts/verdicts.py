"""Each number of the paper's Table 1 beside ours, with the verdict on it (`laser.analysis.verdicts`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from laser.analysis.tables import View, number, read_table
from laser.analysis.verdicts import NOT_RUN, VERDICT_RULES
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
    texts=("model", "dataset", "metric", "arm", "protocol", "run_model", "verdict"),
    wordy=True,
    resampled=False,
    not_for_policies="the paper's Sokoban numbers are in table2",
)


def make(study: StudyResults) -> pandas.DataFrame:
    """Judge every number of the study's Table 1."""
    return verdict_table(read_table(study.table("table1"), table1.ARTEFACT.texts), read_published())


def verdict_table(frame: pandas.DataFrame, published: Published) -> pandas.DataFrame:
    """List every number of the published Table 1 with ours and the verdict, in the paper's order.

    Args:
        frame: the long form of Table 1 (`laser.artefacts.table1.table1`).
        published: the paper's numbers.

    Returns:
        model, dataset, metric, arm (the paper's names), published, protocol, run_model (our name), value, low, high,
        verdict. A published cell that two of our models or protocols reproduce has a row for each; one that none
        does has a single row that says `not run`.
    """
    import pandas as pd

    columns = ["model", "dataset", "metric", "arm", "published", "protocol", "run_model", "value", "low", "high"]
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
        start = [*key, printed.value]
        reproduced = ours.get(key, [])
        for row in reproduced:
            lines.append([*start, row["protocol"], row["model"], row["value"], row["low"], row["high"], row["verdict"]])
        if not reproduced:
            lines.append([*start, "", "", math.nan, math.nan, math.nan, NOT_RUN])
    return pd.DataFrame(lines, columns=[*columns, "verdict"])


def views(verdicts: pandas.DataFrame) -> list[View]:
    """Return how often each verdict fell, with its rule, and the verdicts of the cells that were run."""
    counts = verdicts["verdict"].value_counts()
    rules = [[name, str(int(counts.get(name, 0))), rule] for name, rule in VERDICT_RULES.items()]
    made = [View("verdict-rules", "Verdicts on the published Table 1", ["Verdict", "Comparisons", "Rule"], rules)]
    run = verdicts[(verdicts["verdict"] != NOT_RUN) | (verdicts["run_model"] != "")]
    rows = []
    for row in run.to_dict("records"):
        places = 1 if row["metric"] == "accuracy" else 2
        ours = f"{number(row['value'], places)} [{number(row['low'], places)}, {number(row['high'], places)}]"
        names = [row["dataset"], row["model"], row["metric"], row["arm"], row["protocol"]]
        rows.append([*names, number(row["published"], places), ours, row["verdict"]])
    if rows:
        columns = ["Dataset", "Model", "Metric", "Arm", "Our protocol", "Published", "Ours", "Verdict"]
        made.append(View("verdicts", "Published cells that this study ran", columns, rows))
    return made
