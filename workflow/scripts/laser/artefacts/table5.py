"""Table 5: the search space, beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.inconsistencies import search_space_notes
from laser.analysis.tables import View, integer
from laser.config.artefacts import Artefact
from laser.paper.published import Published, read_published

if TYPE_CHECKING:
    from laser.config.plan import Plan
    from laser.results.study import StudyResults


def _search_space(plan: Plan) -> dict[str, Any]:
    return {"models": plan.models, "grid": plan.study["grid"], "rhos": plan.rhos}


ARTEFACT = Artefact(
    name="table5",
    kind="table",
    title="Table 5",
    about="the search space",
    texts=("model", "hyperparameter", "values", "paper"),
    wordy=True,
    resampled=False,
    settings=_search_space,
)


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from the study's settings."""
    # The spec sorts names; readers expect the study's order.
    grid = {name: study.spec["grid"][name] for name in study.spec["models"]}
    return table5(grid, study.spec["rhos"], read_published())


def table5(
    grid: Mapping[str, Mapping[str, Any]], rhos: Sequence[float], published: Published | None = None
) -> pd.DataFrame:
    """Compute Table 5: the search space of every model.

    Args:
        grid: maps a model to its matrices and layers (and rhos, if these differ by model).
        rhos: values of ρ for models whose grid has none.
        published: the paper's search space, or None.

    Returns:
        A frame with model, hyperparameter (tau, layer, rho), values (space-separated), count, paper (as printed).
    """
    published = published or Published()
    rows = []
    for model, space in grid.items():
        lists = {
            "tau": [str(matrix) for matrix in space["matrices"]],
            "layer": [str(layer) for layer in space["layers"]],
            "rho": [f"{rho:g}" for rho in space.get("rhos", rhos)],
        }
        for key, listed in lists.items():
            paper = published.table5.get(key, "")
            line = {"model": model, "hyperparameter": key, "values": " ".join(listed), "count": len(listed)}
            rows.append(line | {"paper": paper})
    return pd.DataFrame(rows, columns=["model", "hyperparameter", "values", "count", "paper"])


def views(frame: pd.DataFrame) -> list[View]:
    """Return the view of Table 5, with a note on choices of the paper that its own search space does not list."""
    symbols = {"tau": "τ (matrix)", "layer": "ℓ (layer)", "rho": "ρ (kept fraction of the rank)"}
    rows = [
        [row["model"], symbols[row["hyperparameter"]], row["values"], integer(row["count"]), row["paper"]]
        for row in frame.to_dict("records")
    ]
    columns = ["Model", "Hyperparameter", "Searched", "Number", "Paper"]
    notes = search_space_notes(read_published())
    return [View("table5", "Table 5. Search space", columns, rows, notes=notes)]
