"""The gains in the table `transfer` as a heat map: what is chosen on one dataset, applied to the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.dark import BLACK, WHITE
from laser.analysis.style import figure, save, title
from laser.analysis.tables import intervention, number, read_table
from laser.artefacts import transfer
from laser.config.artefacts import Artefact, evaluated_cells

if TYPE_CHECKING:
    from laser.config.artefacts import Picture
    from laser.results.study import StudyResults

ARTEFACT = Artefact(
    name="transfer_map",
    kind="figure",
    title="One intervention on other datasets",
    about="heat map of the gains of what was chosen on one dataset on all others",
    cells=evaluated_cells("transfer"),
    after=("transfer",),
    pictures="{model}/{protocol}",
    texts=transfer.ARTEFACT.texts,
    needs="transfer",
    resampled=False,
    not_for_policies=transfer.ARTEFACT.not_for_policies,
)

CELL_WIDTH, CELL_HEIGHT, MARGIN_WIDTH, MARGIN_HEIGHT = 1.15, 0.42, 3.4, 1.9
LEAST_SCALE = 1.0
"""Smallest limit of the colour scale, in points of accuracy, so that small gains look pale."""


def make(study: StudyResults, picture: Picture, stem: Path) -> None:
    """Draw one picture from a study's files."""
    frame = read_table(study.table("transfer"), transfer.ARTEFACT.texts)
    transfer_map(frame, picture.model, picture.protocol, stem)


def transfer_map(frame: pd.DataFrame, model: str, protocol: str, stem: Path | str) -> pd.DataFrame:
    """Draw the gains of one model under one protocol: a line per choosing dataset, a column per dataset."""
    from cmcrameri import cm

    data = frame[(frame["model"] == model) & (frame["protocol"] == protocol)].reset_index(drop=True)
    gains = data.pivot(index=["choice", "chosen_on"], columns="applied_to", values="difference")
    lines = list(dict.fromkeys(zip(data["choice"], data["chosen_on"], strict=True)))
    datasets = list(dict.fromkeys(data["applied_to"]))
    gains = gains.loc[lines, datasets]
    reach = max(LEAST_SCALE, float(abs(gains.to_numpy()).max()))
    with figure(1, 1, 0) as (made, (axis,)):
        made.set_size_inches(
            MARGIN_WIDTH + CELL_WIDTH * len(datasets), max(2.6, MARGIN_HEIGHT + CELL_HEIGHT * len(lines))
        )
        image = axis.imshow(gains.to_numpy(), cmap=cm.vik_r, vmin=-reach, vmax=reach, aspect="auto")
        for row in data.to_dict("records"):
            place = datasets.index(row["applied_to"]), lines.index((row["choice"], row["chosen_on"]))
            colour = WHITE if abs(row["difference"]) > reach / 2 else BLACK
            weight = "bold" if row["own"] else "normal"
            axis.text(*place, _label(row), ha="center", va="center", fontsize=8, color=colour, weight=weight)
        axis.axhline(len(datasets) - 0.5, color=BLACK, linewidth=1)
        axis.set_xticks(range(len(datasets)), datasets, rotation=20, ha="right")
        axis.set_yticks(range(len(lines)), [_line(data, *line) for line in lines])
        axis.set_xlabel("applied to (held-out rows)")
        axis.set_ylabel("chosen on (validation rows)")
        axis.grid(visible=False)
        axis.tick_params(length=0)
        made.colorbar(image, ax=axis, label="gain in accuracy, points")
        title(made, f"{model}: what is chosen on one dataset, applied to the others, {protocol} protocol")
        save(made, data, stem)
    return data


def _label(row: Mapping[Any, Any]) -> str:
    """Format a gain, with a star if its 95 % interval excludes 0."""
    clear = not row["difference_low"] <= 0 <= row["difference_high"]
    return f"{number(row['difference'], 1, sign=True)}{' *' if clear else ''}"


def _line(data: pd.DataFrame, choice: str, chosen_on: str) -> str:
    """Return a label for the choice that a line shows; the generic choice depends on the dataset left out."""
    if choice == transfer.GENERIC:
        return "generic: all others"
    first = data[(data["choice"] == choice) & (data["chosen_on"] == chosen_on)].iloc[0]
    return f"{chosen_on} {intervention(first['matrix'], first['layer'], first['rho'])}"
