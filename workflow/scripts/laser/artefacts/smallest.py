"""A control for Figure 2: only the smallest singular values are kept, which are those that rank reduction removes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from laser.artefacts import fig10
from laser.artefacts.fig2 import draw_landscape, lacking_kind

KIND = "smallest"

ARTEFACT = replace(
    fig10.ARTEFACT,
    name="smallest",
    title="Only the smallest components",
    about="a control: only the smallest singular values kept, as Figure 2",
    missing=partial(lacking_kind, KIND),
)

make = partial(draw_landscape, KIND)
