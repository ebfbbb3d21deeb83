"""Companion to Figure 2: a matrix's rows are clustered, each cluster reduced on its own (after arXiv 2510.20800)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from laser.artefacts import fig10
from laser.artefacts.fig2 import draw_landscape, lacking_kind

KIND = "clustered"

ARTEFACT = replace(
    fig10.ARTEFACT,
    name="fig2_clusters",
    title="Clusters of rows by layer",
    about="validation loss by layer, matrix and reduction, clusters of rows reduced each on its own",
    missing=partial(lacking_kind, KIND),
)

make = partial(draw_landscape, KIND)
