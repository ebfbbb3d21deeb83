"""Which files belong to which (model, dataset) cell, learned from the specs that they carry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from laser.errors import UserError
from laser.io.files import read_spec

CellName = tuple[str, str]


def sweep_by_cell(sweep: Sequence[Path], base: Sequence[Path]) -> dict[CellName, tuple[Path, list[Path]]]:
    """Group sweep files with the base file of their cell.

    Returns:
        (model, dataset) to (base file, its sweep files), in the order of the base files.

    Raises:
        UserError: a sweep file belongs to no base file.
    """
    cells: dict[CellName, tuple[Path, list[Path]]] = {_cell(path): (path, []) for path in base}
    for path in sweep:
        cell = _cell(path)
        if cell not in cells:
            raise UserError(f"{path}: holds {cell[0]} on {cell[1]}, for which no base file was given.")
        cells[cell][1].append(path)
    return cells


def _cell(path: Path) -> CellName:
    spec = read_spec(path)
    return spec["model"]["name"], spec["dataset_name"]
