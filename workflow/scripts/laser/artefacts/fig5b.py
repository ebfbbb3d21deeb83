"""Figure 5b: answers with only the smallest singular values kept: similarity to the true answer, and accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis import style
from laser.analysis.comparison import estimate
from laser.analysis.statistics import RESAMPLES
from laser.analysis.style import band, figure, legend, notice, save, title
from laser.config.artefacts import Artefact, evaluated_cells
from laser.errors import UserError
from laser.io.files import read_spec
from laser.results.cells import intervention_labels
from laser.results.columns import read_columns
from laser.results.loading import load_rows

if TYPE_CHECKING:
    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="fig5b",
    kind="figure",
    title="Figure 5b",
    about="answers of higher-order components alone, and how near they are",
    reads=("higher_order", "rows"),
    cells=evaluated_cells("higher_order"),
    needs="higher_order",
    texts=("model", "dataset", "protocol", "matrix"),
    not_for_policies="answers are no words",
)


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    path = study.path_of("higher_order", (picture.model, picture.dataset))
    frame, spec = load_higher_order(path, study.rows_path(picture.dataset))
    fig5b(frame, spec, picture.protocol, stem, study.seed, study.resamples)


MEASURES = {"similarity": "mean cosine similarity of\nanswer and true answer", "accuracy": "accuracy, %"}
"""Measures drawn, in panel order."""

COLUMNS = (
    *("model", "dataset", "protocol", "matrix", "layer", "rho", "percent", "n", "groups", "with_similarity"),
    *(f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")),
)
"""Columns of the CSV. `percent` is the share of the matrix's singular values kept, smallest first; similarity is a
cosine (−1 to 1) over the `with_similarity` rows that have an answer; accuracy is in percent; 95 % intervals over
groups."""


def load_higher_order(path: Path, rows: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read the answers of one cell's smallest components, with the group of every row, and the file's spec.

    Args:
        path: higher_order/<model>/<dataset>.parquet.
        rows: rows.parquet of its dataset.

    Raises:
        UserError: a row is not a test row of its protocol.
    """
    ((_, (examples, _)),) = load_rows([rows]).items()
    frame = read_columns(path, ["protocol", "percent", "id", "correct", "prediction", "similarity"])
    groups = examples.set_index("id")["group"]
    for protocol, protocol_rows in frame.groupby("protocol"):
        test = set(examples.loc[examples[f"split_{protocol}"] == "test", "id"])
        if not set(protocol_rows["id"]) <= test:
            raise UserError(f"{path}: protocol {protocol} holds rows that are no test rows. Delete it and run again.")
    return frame.assign(group=frame["id"].map(groups)), read_spec(path)


def fig5b_data(
    frame: pd.DataFrame, spec: dict[str, Any], protocol: str, seed: int = 0, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Return similarity and accuracy by the percentage of smallest components that is kept.

    Args:
        frame: answers to the questions that LASER repairs (`load_higher_order`).
        spec: spec of the file.
        protocol: `published` or `corrected`.
        seed: seed of the study.
        resamples: number of bootstrap resamples.

    Returns:
        A frame with the columns `COLUMNS`; empty if LASER repairs nothing under that protocol.
    """
    protocol_rows = frame[frame["protocol"] == protocol]
    chosen = intervention_labels((spec.get("chosen") or {}).get(protocol))
    names = {"model": spec["model"]["name"], "dataset": spec["dataset"]["name"], "protocol": protocol}
    lines = []
    for percent, part in protocol_rows.groupby("percent", sort=True):
        line: dict[str, Any] = names | chosen
        line |= {"percent": percent, "n": len(part), "groups": part["group"].nunique()}
        line["with_similarity"] = int(part["similarity"].notna().sum())
        for measure, column in (("similarity", "similarity"), ("accuracy", "correct")):
            interval = estimate(
                part[column].to_numpy(dtype="float64"),
                list(part["group"]),
                (*names.values(), "fig5b", measure),
                truth=measure == "accuracy",
                seed=seed,
                resamples=resamples,
            )
            line |= {measure: interval["value"], f"{measure}_low": interval["low"], f"{measure}_high": interval["high"]}
        lines.append(line)
    return pd.DataFrame(lines, columns=list(COLUMNS))


def fig5b(
    frame: pd.DataFrame,
    spec: dict[str, Any],
    protocol: str,
    stem: Path | str,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Draw Figure 5b for one cell and protocol; if LASER repairs no answer, draw a notice instead."""
    data = fig5b_data(frame, spec, protocol, seed, resamples)
    cell = f"{spec['model']['name']} on {spec['dataset']['name']}"
    what = f"{cell}: only the smallest components kept, answers that LASER repairs, {protocol} protocol"
    if data.empty:
        chosen = (spec.get("chosen") or {}).get(protocol)
        reason = "LASER repairs no test answer." if chosen else "Selection kept the base model: nothing is repaired."
        notice(data, stem, what, reason)
        return data
    with figure(len(MEASURES), 1, 2) as (made, axes):
        for number, (axis, (measure, label)) in enumerate(zip(axes, MEASURES.items(), strict=True)):
            look = style.line(number, len(MEASURES))
            band(axis, data["percent"], data[f"{measure}_low"], data[f"{measure}_high"], look["color"])
            axis.plot(data["percent"], data[measure], label=measure, **look)
            axis.set_xlabel("smallest singular values kept, %")
            axis.set_ylabel(label)
            axis.set_xlim(-2, 102)
        edited = style.matrix_of_layer(data["matrix"].iloc[0], data["layer"].iloc[0])
        title(made, f"{what}, {edited}, {style.rows(data['n'].iloc[0])}")
        legend(made)
        save(made, data, stem)
    return data
