"""Where the paper's numbers disagree with each other, computed only from config/published.

A reader who compares a study with the paper should know which of the paper's numbers to use.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from laser.analysis.statistics import mcnemar_p_range
from laser.analysis.tables import number
from laser.config.protocols import SIGNIFICANCE
from laser.paper.published import FOLDER, Published, read_rows
from laser.paper.text_numbers import COMPOSED, DATASET, MODEL, TOP1, TextNumber


def search_space_notes(published: Published) -> list[str]:
    """Return notes on values of ρ that Table 3 chooses but Table 5 does not list, and the reverse."""
    listed = {float(value) for value in published.table5.get("rho", "").split()}
    rhos = [choice["rho"] for choice in published.table3.values()]
    if not listed or not rhos:
        return []
    notes = [
        f"The paper's Table 3 has ρ = {rho:g} in {rhos.count(rho)} of {len(rhos)} cells, which its Table 5 does "
        "not list."
        for rho in sorted(set(rhos) - listed)
    ]
    unused = ", ".join(f"{rho:g}" for rho in sorted(listed - set(rhos)))
    if unused:
        notes.append(f"Of the ρ in the paper's Table 5, Table 3 chooses all but {unused}.")
    return notes


def size_notes(published: Published) -> list[str]:
    """Return notes on what the paper's row counts imply for its own Table 1."""
    tested = [
        (model, dataset, entry.value, published.table1[model, dataset, metric, "laser"].value)
        for (model, dataset, metric, arm), entry in published.table1.items()
        if metric == "accuracy" and arm == "base" and dataset in published.table4
    ]
    if not tested:
        return []
    unclear = [
        f"{model} on {dataset}"
        for model, dataset, base, laser in tested
        if mcnemar_p_range(base, laser, published.table4[dataset]["test"])[1] >= SIGNIFICANCE
    ]
    notes = [
        f"With the paper's own numbers of test rows, {len(unclear)} of the {len(tested)} pairs of accuracies in its "
        f"Table 1 do not settle whether the two differ (McNemar's exact test: p is at least {SIGNIFICANCE} if as many "
        f"rows changed sides as can have; the paper has no paired outcomes): {', '.join(unclear)}."
    ]
    wrong = [name for name, entry in published.table4.items() if entry["validation"] + entry["test"] != entry["size"]]
    if wrong:
        notes.append(f"Validation and test rows do not add up to the size in: {', '.join(wrong)}.")
    return notes


def table1_notes(published: Published, texts: Mapping[str, TextNumber], folder: Path | str = FOLDER) -> list[str]:
    """Return notes on where Table 1 disagrees with the text or the website, and where its two metrics disagree."""
    notes = []
    base, laser = (published.table1.get((MODEL, DATASET, "accuracy", arm)) for arm in ("base", "laser"))
    top, composed = texts[TOP1], texts[COMPOSED]
    if base and laser and top.base and top.value and (top.base.value, top.value.value) != (base.value, laser.value):
        notes.append(
            f"{MODEL} on {DATASET}: the text has {number(top.base.value, 1)} and {number(top.value.value, 1)} % for "
            f"base and LASER, Table 1 {number(base.value, 1)} and {number(laser.value, 1)} %."
        )
    if laser and composed.value:
        notes.append(
            f"{MODEL} on {DATASET}: composing reaches {number(composed.value.value, 1)} % in the text, "
            f"{number(composed.value.value - laser.value, 1)} points over Table 1's LASER: section {composed.where}."
        )
    columns = ("model", "dataset", "metric", "column", "paper_text_dump", "website_leaderboard")
    for row in read_rows(Path(folder) / "table1_website_differences.csv", columns):
        notes.append(
            f"{row['model']} on {row['dataset']}, {row['metric']} of {row['column']}: {row['paper_text_dump']} in the "
            f"paper, {row['website_leaderboard']} on the authors' website."
        )
    gains = {
        key[:3]: published.table1[*key[:3], "laser"].value - printed.value
        for key, printed in published.table1.items()
        if key[3] == "base"
    }
    cells = [key[:2] for key in gains if key[2] == "accuracy"]
    worse = [cell for cell in cells if gains[*cell, "accuracy"] > 0 and gains[*cell, "loss"] > 0]
    fallen = [cell for cell in cells if gains[*cell, "accuracy"] <= 0]
    notes.append(f"In {len(worse)} of {len(cells)} cells of Table 1 accuracy rises and the loss rises (worsens) too.")
    notes.append(
        f"In {len(fallen)} of {len(cells)} cells accuracy does not rise: "
        + ", ".join(f"{model} on {dataset}" for model, dataset in fallen)
        + "."
    )
    return notes
