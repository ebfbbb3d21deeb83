"""Figure 10: the grid of Figure 2 when magnitudes are pruned instead of singular values."""

from __future__ import annotations

from functools import partial

from laser.artefacts.fig2 import draw_landscape, lacking_kind, landscaped_cells
from laser.config.artefacts import Artefact

KIND = "pruning"

ARTEFACT = Artefact(
    name="fig10",
    kind="figure",
    title="Figure 10",
    about="validation loss by layer, matrix and amount of pruning",
    reads=("base", "landscape"),
    cells=landscaped_cells,
    texts=("model", "dataset", "protocol", "matrix"),
    needs="landscape",
    missing=partial(lacking_kind, KIND),
    resampled=False,
)

make = partial(draw_landscape, KIND)
