"""The paper's numbers: `laser.config.published`, under the name that the analysis knows."""

from laser.config.published import (
    FOLDER,
    Printed,
    Published,
    fig2_range_of,
    printed,
    read_fig2_range,
    read_published,
)

__all__ = ["FOLDER", "Printed", "Published", "fig2_range_of", "printed", "read_fig2_range", "read_published"]
