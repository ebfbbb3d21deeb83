"""Top-1, top-5 and top-10 accuracy: base and LASER on test rows, and by ρ at the chosen place on validation rows.

The place of an intervention is its matrix and layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from laser.analysis.comparison import COMPARISON, NOTES, adjust, compare, comparison_cells, with_interval
from laser.analysis.tables import View, integer, intervention
from laser.config.artefacts import Artefact
from laser.errors import UserError
from laser.results.cells import PairedCell, intervention_labels
from laser.results.columns import read_columns

if TYPE_CHECKING:
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="topk",
    kind="table",
    title="Top 1, 5 and 10",
    about="answers among the most probable 1, 5 and 10",
    reads=("test", "selection", "rows", "base", "sweep"),
    texts=("model", "dataset", "protocol", "split", "measure", "matrix", "relations_left_out"),
    not_for_policies="there are four actions",
)


_BEGINNING = r"^([^\W\d_]+|\d+|[^\w\s]+|_+)"
"""Pattern of the first word, number or run of punctuation marks of an answer."""

ROW_COLUMNS = ("protocol", "id", "answer_rank", "in_top5", "in_top10")
INTERVENTION = ("matrix", "layer", "rho")
TOP = (1, 5, 10)
FIRST, WHOLE = "first token of the answer", "whole answer as one token"
MEASURES = tuple((k, measure) for k in TOP for measure in ((FIRST, WHOLE) if k > 1 else (FIRST,)))
"""What is measured: the k, and what is looked for among the k most probable tokens. `FIRST` applies to every question;
`WHOLE` is known for k = 5 and 10, and never true of an answer of several tokens."""
LEFT_OUT = ("left_out", "relations_left_out")
COLUMNS = (
    *("model", "dataset", "protocol", "split", "k", "measure", "matrix", "layer", "rho", "kept_rank"),
    *COMPARISON,
    *LEFT_OUT,
)
"""Columns of the CSV, shares in percent. `split` is `test` (the chosen intervention, or base twice if base was chosen)
or `validation` (every searched ρ at the chosen place, or at the best candidate's place if base was chosen). `left_out`
counts rows that the measure leaves out, `relations_left_out` names their relations (`begin_alike`)."""


def begin_alike(rows: pd.DataFrame) -> pd.Series:
    """Return the relation, by id, of the rows whose answer's first token is uninformative.

    All answers of such a relation begin with the same word, number or punctuation marks, such as the dot of an internet
    domain or the plus sign of a calling code. Every tokenizer separates these from what follows, so a model that knows
    only the relation has the first token right. Rows without a relation form one relation with an empty name.

    Args:
        rows: rows of a dataset, with id, relation and answer.
    """
    relations, answers = rows["relation"].fillna(""), rows["answer"].str.strip()
    beginnings = answers.str.extract(_BEGINNING, expand=False).fillna("")
    same = beginnings.groupby(relations).transform("nunique") == 1
    several = answers.groupby(relations).transform("nunique") > 1
    return relations.set_axis(rows["id"])[(same & several & (beginnings != "")).to_numpy()]


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files; p values are adjusted over the tests on test rows only.

    The curve by ρ is descriptive, so its rows keep their unadjusted p values.
    """
    alike = {dataset: begin_alike(study.rows(dataset, "id", "relation", "answer")) for dataset in study.datasets}
    test = [line for cell in study.compared for line in _test(cell, alike[cell.dataset], study.seed, study.resamples)]
    adjust(test)
    validation = [line for cell in study.cells for line in _validation(study, cell, alike[cell[1]])]
    frame = pd.DataFrame([*test, *({**row, "p_holm": float("nan")} for row in validation)], columns=list(COLUMNS))
    return frame.astype(dict.fromkeys(("layer", "kept_rank", "n", "groups", "left_out"), "Int64"))


def _test(cell: PairedCell, alike: pd.Series, seed: int, resamples: int) -> Iterator[dict[str, Any]]:
    """Yield a row per measure: base and LASER on a cell's test rows."""
    informative, left_out = _without(cell.rows, cell.rows["id"], alike)
    for k, measure in MEASURES:
        kept, without = (informative, left_out) if measure == FIRST else (cell.rows, NOTHING)
        base, laser = (_hits(kept, k, measure, f"{arm}_") for arm in ("base", "laser"))
        names = (*cell.key, "test", str(k), measure)
        line: dict[str, Any] = dict(zip(COLUMNS[:6], (*names[:4], k, measure), strict=True))
        line |= intervention_labels(cell.chosen) | without
        groups = list(kept["group"])
        yield line | compare(base, laser, groups, names, truth=True, seed=seed, resamples=resamples)


def _validation(study: StudyResults, cell: tuple[str, str], alike: pd.Series) -> Iterator[dict[str, Any]]:
    """Yield a row per protocol, measure and searched ρ on validation rows.

    The matrix and layer are the chosen ones, or the best candidate's where selection kept base.

    Raises:
        UserError: an intervention was scored on other rows than base.
    """
    protocols = study.selections[cell]["protocols"]
    places = {name: selection["chosen"] or selection["candidates"][0] for name, selection in protocols.items()}
    layers = dict.fromkeys(place["layer"] for place in places.values())
    paths = [path for layer in layers for path in study.paths_of("sweep", cell, layer)]
    swept = pd.concat([read_columns(path, [*ROW_COLUMNS, *INTERVENTION]) for path in paths])
    base, groups = read_columns(study.base(cell), ROW_COLUMNS), study.groups(cell[1])
    settings: dict[str, Any] = {"truth": True, "seed": study.seed, "resamples": study.resamples}
    for protocol, chosen in places.items():
        keep = (swept["protocol"] == protocol) & (swept["matrix"] == chosen["matrix"])
        curve = swept[keep & (swept["layer"] == chosen["layer"])]
        plain = base[base["protocol"] == protocol].set_index("id")
        informative, left_out = _without(plain, plain.index, alike)
        for rho in sorted(curve["rho"].unique(), reverse=True):
            edited = curve[curve["rho"] == rho].set_index("id")
            if set(edited.index) != set(plain.index):
                raise UserError(
                    f"The sweep of {cell[0]} on {cell[1]}: ρ = {rho:g} was scored on other validation rows than base. "
                    "Delete its files and run again."
                )
            edited = edited.loc[plain.index]
            edit = {"matrix": chosen["matrix"], "layer": int(chosen["layer"]), "rho": float(rho)}
            for k, measure in MEASURES:
                names = (*cell, protocol, "validation", str(k), measure)
                kept, without = (informative.index, left_out) if measure == FIRST else (plain.index, NOTHING)
                before, after = (_hits(frame.loc[kept], k, measure) for frame in (plain, edited))
                line = dict(zip(COLUMNS[:6], (*names[:4], k, measure), strict=True)) | edit | without
                labels = list(groups.loc[kept])
                yield line | compare(before, after, labels, (*names, f"{rho:g}"), **settings)


NOTHING: dict[str, Any] = {"left_out": 0, "relations_left_out": ""}
"""Values of the columns `LEFT_OUT` for a measure that leaves no rows out."""


def _without(frame: pd.DataFrame, ids: pd.Series | pd.Index, alike: pd.Series) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the rows whose answer's first token is informative, and the values of `LEFT_OUT` for the others."""
    dropped = ids.isin(alike.index)
    named = ", ".join(dict.fromkeys(alike[alike.index.isin(ids)]))
    return frame[~dropped], {"left_out": int(dropped.sum()), "relations_left_out": named}


def _hits(frame: pd.DataFrame, k: int, measure: str, prefix: str = "") -> Any:
    if measure == FIRST:
        return frame[f"{prefix}answer_rank"].to_numpy(dtype=np.float64) <= k
    return frame[f"{prefix}in_top{k}"].to_numpy(dtype=bool)


def views(frame: pd.DataFrame) -> list[View]:
    """Return, per protocol, a view of the test rows and a view of the curve by ρ."""
    views = []
    for protocol in dict.fromkeys(frame["protocol"]):
        protocol_rows = frame[frame["protocol"] == protocol]
        test = protocol_rows[protocol_rows["split"] == "test"].to_dict("records")
        columns = ["Dataset", "Model", "k", "Looked for", "Base, %", "LASER, %", "LASER − base, points", "p (Holm)"]
        lines = [
            [
                row["dataset"],
                row["model"],
                str(row["k"]),
                row["measure"],
                *comparison_cells(row),
                intervention(row["matrix"], row["layer"], row["rho"], row["kept_rank"]),
            ]
            for row in test
        ]
        title = f"Top-k accuracy on held-out rows, {protocol} protocol"
        notes = [*NOTES, *_left_out(protocol_rows)]
        views.append(View(f"topk_{protocol}", title, [*columns, "n", "Intervention"], lines, notes=notes))
        curve = protocol_rows[(protocol_rows["split"] == "validation") & (protocol_rows["measure"] == FIRST)]
        if not curve.empty:
            views.append(_curve(curve, protocol))
    return views


def _left_out(frame: pd.DataFrame) -> list[str]:
    """Return a note for each dataset with rows that are left out."""
    test = frame[(frame["split"] == "test") & (frame["left_out"] > 0)].drop_duplicates("dataset")
    return [
        f"{row['dataset']}: {integer(row['left_out'])} rows"
        f"{' (' + row['relations_left_out'] + ')' if row['relations_left_out'] else ''} are left out of ranks of the "
        "first token, because all their answers begin alike."
        for row in test.to_dict("records")
    ]


def _curve(curve: pd.DataFrame, protocol: str) -> View:
    columns = ["Dataset", "Model", "Matrix", "Layer", "n", "ρ", *(f"Top {k}, %" for k in TOP)]
    lines = []
    for (model, dataset), cell in curve.groupby(["model", "dataset"], sort=False):
        first = cell.iloc[0]
        start = [str(dataset), str(model), str(first["matrix"]), integer(first["layer"]), integer(first["n"])]
        plain = cell.drop_duplicates("k").to_dict("records")
        lines.append([*start, "base", *(with_interval(row, 1, "base") for row in plain)])
        for rho, part in cell.groupby("rho", sort=False):
            lines.append([*start, f"{rho:g}", *(with_interval(row, 1, "laser") for row in part.to_dict("records"))])
    notes = ["First token of the answer among the k most probable tokens, at the chosen matrix and layer.", NOTES[0]]
    if curve["left_out"].any():
        notes.append("Rows whose answers all begin alike are left out, as on test rows.")
    title = f"Top-k accuracy along ρ on validation rows, {protocol} protocol"
    return View(f"topk_curve_{protocol}", title, columns, lines, notes=notes)
