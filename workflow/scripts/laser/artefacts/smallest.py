"""A control beside Figure 2: only the smallest singular values kept, which are those that rank reduction removes."""

from __future__ import annotations

from functools import partial

from laser.artefacts.fig2 import draw_landscape, lacking_kind, landscaped_cells
from laser.config.artefacts import Artefact

KIND = "smallest"

ARTEFACT = Artefact(
    name="smallest",
    kind="figure",
    title="Only the smallest components",
    about="a control: only the smallest singular values kept, as Figure 2",
    reads=("base", "landscape"),
    cells=landscaped_cells,
    pictures="{model}/{dataset}-{protocol}",
    texts=("model", "dataset", "protocol", "matrix"),
    needs="landscape",
    missing=partial(lacking_kind, KIND),
    resampled=False,
)

make = partial(draw_landscape, KIND)
