"""Figure 5c: example answers with only the smallest singular values, beside base, LASER and the true answer.

The paper shows twelve prompts and does not say how they were chosen. Here a fixed rule (`RULE`) chooses them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.tables import View, intervention, number
from laser.artefacts.fig5b import load_higher_order
from laser.config.artefacts import Artefact, evaluated_cells
from laser.results.cells import PairedCell, intervention_labels

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="fig5c",
    kind="table",
    title="Figure 5c",
    about="examples of what the smallest components alone answer",
    reads=("test", "selection", "rows", "higher_order"),
    cells=evaluated_cells("higher_order"),
    needs="higher_order",
    texts=("model", "dataset", "protocol", "matrix"),
    wordy=True,
    not_for_policies="answers are no words",
)


def make(study: StudyResults) -> pd.DataFrame:
    """Pick the examples of every cell from a study's files."""
    rows = []
    for model, dataset in study.cells:
        path = study.path_of("higher_order", (model, dataset))
        smallest, _ = load_higher_order(path, study.rows_path(dataset))
        prompts = study.rows(dataset, "id", "prompt").set_index("id")["prompt"]
        for protocol in study.protocols:
            rows += fig5c_rows(study.compared_of(model, dataset, protocol), smallest, prompts)
    return pd.DataFrame(rows, columns=list(COLUMNS))


ROWS = 12
LONGEST = 60
RULE = (
    "Rows: of the test rows that base has wrong and LASER right, the first of each group in the dataset's order, "
    f"and of those at most {ROWS}, evenly spaced."
)
ANSWERS = ("answer", "base_prediction", "laser_prediction", "smallest_prediction")
COLUMNS = (
    *("model", "dataset", "protocol", "matrix", "layer", "rho", "percent", "repaired", "id", "group", "prompt"),
    *(*ANSWERS, "smallest_correct", "similarity"),
)
"""Columns of the CSV, texts in full. `percent` is the share of singular values kept, smallest first: the largest
evaluated percentage that does not exceed what LASER removes, 100·(1 − ρ), or the smallest one if all exceed it."""


def shown_percent(percents: Sequence[float], rho: float) -> float:
    """Return the evaluated percentage of smallest components that represents what LASER removes."""
    removed = 100 * (1 - rho) + 1e-6
    some = [percent for percent in percents if percent > 0] or list(percents)  # 0 is the control, no components
    return max((percent for percent in some if percent <= removed), default=min(some))


def fig5c_rows(cell: PairedCell, smallest: pd.DataFrame, prompts: pd.Series) -> list[dict[str, Any]]:
    """Return the examples of one cell, picked by `RULE`.

    Args:
        cell: test results of one model, dataset and protocol.
        smallest: answers of the smallest components (`laser.artefacts.fig5b.load_higher_order`).
        prompts: prompt by example id.

    Returns:
        A row per example with the keys `COLUMNS`; empty if LASER repairs nothing.
    """
    protocol_rows = smallest[smallest["protocol"] == cell.protocol]
    if protocol_rows.empty or cell.chosen is None:
        return []
    percent = shown_percent(sorted(set(protocol_rows["percent"])), cell.chosen["rho"])
    answers = protocol_rows[protocol_rows["percent"] == percent].set_index("id")
    repaired = cell.rows[cell.rows["id"].isin(answers.index)]
    firsts = repaired.drop_duplicates("group")
    count = min(ROWS, len(firsts))
    picked = firsts.iloc[[index * len(firsts) // count for index in range(count)]]
    names: dict[str, Any] = {"model": cell.model, "dataset": cell.dataset, "protocol": cell.protocol}
    names |= intervention_labels(cell.chosen)
    names |= {"percent": percent, "repaired": len(repaired)}
    lines = []
    for row in picked.to_dict("records"):
        answer = answers.loc[row["id"]]
        line = names | {key: row[key] for key in ("id", "group", *ANSWERS[:3])}
        line |= {"prompt": prompts[row["id"]], "smallest_prediction": answer["prediction"]}
        line |= {"smallest_correct": bool(answer["correct"]), "similarity": float(answer["similarity"])}
        lines.append({key: line[key] for key in COLUMNS})
    return lines


def views(frame: pd.DataFrame) -> list[View]:
    """Return a view per cell and protocol with long texts shortened; a single notice if no answer is repaired."""
    columns = ["Prompt", "True answer", "Base", "LASER", "Smallest components alone", "Similarity"]
    views = []
    for (model, dataset, protocol), cell_rows in frame.groupby(["model", "dataset", "protocol"], sort=False):
        first = cell_rows.iloc[0]
        kept = f"{first['percent']:g} % of the smallest singular values"
        edit = intervention(first["matrix"], first["layer"], first["rho"])
        lines = [
            [brief(row["prompt"], end=True), *(brief(row[key]) for key in ANSWERS), number(row["similarity"], 2)]
            for row in cell_rows.to_dict("records")
        ]
        notes = [
            f"LASER: {edit}; smallest components alone: {kept} of the same matrix.",
            f"{RULE} Of {first['repaired']} repaired rows.",
            "Similarity: cosine of the model's input embeddings of the last answer and the true one.",
        ]
        title = f"Answers of the smallest components, {model} on {dataset}, {protocol} protocol"
        views.append(View(f"fig5c_{model}_{dataset}_{protocol}", title, columns, lines, notes=notes))
    if not views:
        views = [
            View("fig5c", "Answers of the smallest components", columns, [], notes=["LASER repairs no test answer."])
        ]
    return views


def brief(text: Any, end: bool = False) -> str:
    """Shorten a text to one line: its beginning, or its end; the CSV has it in full."""
    flat = " ".join(str(text).split())
    if len(flat) <= LONGEST:
        return flat
    return f"… {flat[-LONGEST:].lstrip()}" if end else f"{flat[:LONGEST].rstrip()} …"
