"""Which pictures a figure's script is asked for, and in which order its outputs are named.

One picture per cell and protocol: cells in the order of the spec's `cells` (a list of [model, dataset]; without it the
order of the given files), and for each cell the spec's `protocols` in their order. One picture per model: models in
the order in which the cells name them first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.results.grouping import CellName


def wanted_cells(spec: Mapping[str, Any], found: Iterable[CellName]) -> list[CellName]:
    """Return the (model, dataset) pairs to draw, in order.

    Args:
        spec: of the figure; `cells` may be left out.
        found: the cells that the given files hold.

    Raises:
        UserError: the spec names a cell for which no file was given.
    """
    present = list(dict.fromkeys(found))
    if "cells" not in spec:
        return present
    wanted = [(str(model), str(dataset)) for model, dataset in spec["cells"]]
    for model, dataset in wanted:
        if (model, dataset) not in present:
            known = ", ".join(f"{one} on {other}" for one, other in present) or "nothing"
            raise UserError(f"spec.cells holds {model} on {dataset}, for which no file was given. Given: {known}.")
    return wanted


def by_cell(
    spec: Mapping[str, Any], found: Iterable[CellName], paths: Sequence[Path]
) -> list[tuple[CellName, str, Path]]:
    """Return (cell, protocol, path without ending) of every picture, in the documented order."""
    asked = list(product(wanted_cells(spec, found), spec["protocols"]))
    return [(cell, protocol, stem) for (cell, protocol), stem in zip(asked, _stems(asked, paths), strict=True)]


def by_model(spec: Mapping[str, Any], found: Iterable[CellName], paths: Sequence[Path]) -> list[tuple[str, str, Path]]:
    """Return (model, protocol, path without ending) of every picture, in the documented order."""
    asked = list(product(dict.fromkeys(model for model, _ in wanted_cells(spec, found)), spec["protocols"]))
    return [(model, protocol, stem) for (model, protocol), stem in zip(asked, _stems(asked, paths), strict=True)]


def _stems(asked: Sequence[Any], paths: Sequence[Path]) -> list[Path]:
    if len(asked) != len(paths):
        raise UserError(
            f"--svg names {len(paths)} files, but there are {len(asked)} pictures to draw. Name one for each."
        )
    return [path.with_suffix("") for path in paths]


def models(spec: Mapping[str, Any], found: Iterable[str], paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Return (model, path without ending) of every picture where there is one per model alone.

    The models are those of the spec's `cells` in their order, or those of the given files.

    Raises:
        UserError: the spec names a model for which no file was given.
    """
    present = list(found)
    asked = list(dict.fromkeys(model for model, _ in spec["cells"])) if "cells" in spec else present
    for model in asked:
        if model not in present:
            raise UserError(f"spec.cells holds {model}, for which no file was given. Given: {', '.join(present)}.")
    return list(zip(asked, _stems(asked, paths), strict=True))


def place_of(selections: Sequence[Mapping[str, Any]], cell: CellName, protocol: str) -> tuple[Mapping[str, Any], bool]:
    """Return what selection chose for a cell under a protocol, and True; where base won, the best candidate and False.

    Raises:
        UserError: no selection file of that cell and protocol was given.
    """
    for one in selections:
        if (one["model"], one["dataset"]) == cell and protocol in one["protocols"]:
            own = one["protocols"][protocol]
            return (own["chosen"], True) if own["chosen"] else (own["candidates"][0], False)
    raise UserError(
        f"No selection of {cell[0]} on {cell[1]}, protocol {protocol}, was given. Give it, or run `select`."
    )


def by_dataset(
    spec: Mapping[str, Any], found: Iterable[CellName], paths: Sequence[Path]
) -> list[tuple[str, str, Path]]:
    """Return (dataset, protocol, path without ending) of every picture where all models share one, in their order."""
    asked = list(product(dict.fromkeys(dataset for _, dataset in wanted_cells(spec, found)), spec["protocols"]))
    return [(dataset, protocol, stem) for (dataset, protocol), stem in zip(asked, _stems(asked, paths), strict=True)]
