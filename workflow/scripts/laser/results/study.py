"""The only reader of a study's files: it finds them by name, from a job's spec and their root folders.

What a file holds is learned from the spec that it carries: a file whose contents do not match its name is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from laser.config.artefacts import CellName
from laser.config.paths import StudyFiles
from laser.config.specs import PARTIAL
from laser.errors import UserError
from laser.io.files import read_json
from laser.results.averages import load_landscape, load_sweep
from laser.results.cells import PairedCell
from laser.results.columns import read_columns
from laser.results.labelled import Labelled, load_labelled
from laser.results.loading import cell_of, is_partial, load_cells, load_reductions, load_rows, load_selections

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
"""Pattern of names that become parts of paths; a spec may come from a folder that others have written to."""


class StudyResults:
    """The files of one artefact's spec (`laser.config.artefacts.artefact_spec`), each read by name and only once.

    Attributes:
        spec: spec of the artefact.
        cells: the (model, dataset) pairs that the artefact is about, in order.
        folder: the study's folder.
    """

    def __init__(
        self, spec: Mapping[str, Any], folder: Path | str, cache: Path | str = "cache", inputs: Path | str | None = None
    ) -> None:
        """Find the files below the study's folder and the cache.

        Args:
            spec: spec of the artefact.
            folder: the study's folder.
            cache: folder of models and data that studies share.
            inputs: folder of the study's copies of cache files (<results>/inputs), which are read instead of the cache.

        Raises:
            UserError: the spec is not that of an artefact, or contains a name that cannot be a file name.
        """
        self.spec, self.folder, self._inputs = spec, Path(folder), Path(inputs) if inputs else None
        try:
            self.cells: list[CellName] = [(model, dataset) for model, dataset in spec["cells"]]
            self.protocols: list[str] = list(spec["protocols"])
            self._reads = {kind: [(first, second) for first, second in cells] for kind, cells in spec["reads"].items()}
            self._files = StudyFiles.from_spec(spec["files"], folder, inputs or cache)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"The spec is not that of a table or figure ({error!r}). Take it from the rule.") from error
        if inputs:
            self._files = _by_plain_names(self._files)
        names = {*self.protocols, *(name for pair in self.cells for name in pair), *_names(self._files)}
        if wrong := sorted(name for name in names if not _NAME.fullmatch(str(name)) or ".." in str(name)):
            raise UserError(f"The spec holds the name {wrong[0]!r}, which cannot be part of a file's path.")

    @property
    def seed(self) -> int:
        """The study's seed."""
        return int(self.spec["seed"])

    @property
    def resamples(self) -> int:
        """The study's number of resamples."""
        return int(self.spec["resamples"])

    # Paths.

    def every_path(self) -> list[Path]:
        """Return every file that the artefact reads, except the tables of other artefacts."""
        files = [Path(path) for kind, cells in self._reads.items() for path in self._files.paths(kind, cells)]
        return [*files, *self.counts.values()]

    def cells_of(self, kind: str) -> list[CellName]:
        """Return the (model, dataset) pairs for which the artefact reads a kind of file."""
        return self._reads[kind]

    def paths(self, kind: str) -> list[Path]:
        """Return all files of a kind that the artefact reads, in the order of its cells."""
        return [Path(path) for path in self._files.paths(kind, self._reads[kind])]

    def paths_of(self, kind: str, cell: CellName, layer: int | None = None) -> list[Path]:
        """Return the files of a kind for one model and dataset, or only for one layer if it is given."""
        if cell not in self._reads[kind]:
            raise KeyError(f"the declaration does not read {kind} of {cell}")
        files = self._files
        if layer is not None:
            models = tuple(replace(model, layers=[layer], landscape_layers=[layer]) for model in files.models)
            files = replace(files, models=models)
        return [Path(path) for path in files.of_cell(kind, *cell)]

    def path_of(self, kind: str, cell: CellName) -> Path:
        """Return the single file of a kind for a model and dataset."""
        (path,) = self.paths_of(kind, cell)
        return path

    @cached_property
    def counts(self) -> dict[str, Path]:
        """The user's files of training frequencies, by dataset."""
        given = {name: Path(path) for name, path in self.spec.get("counts", {}).items()}
        if self._inputs is None:
            return given
        return {name: self._inputs / f"counts/{name}{path.suffix}" for name, path in given.items()}

    def table(self, name: str) -> Path:
        """Return the CSV of another table of the study."""
        return self.folder / f"tables/{name}.csv"

    # Contents.

    @cached_property
    def compared(self) -> list[PairedCell]:
        """Base and LASER on test rows, a cell per model, dataset and protocol."""
        return self.compared_with(())

    def compared_with(self, columns: Sequence[str]) -> list[PairedCell]:
        """Return base and LASER on test rows, with further columns of the test results."""
        return load_cells(self.paths("test"), self.paths("selection"), self.paths("rows"), columns)

    def compared_of(self, model: str, dataset: str, protocol: str) -> PairedCell:
        """Return base and LASER of one model on the test rows of one dataset under one protocol."""
        for cell in self.compared:
            if cell.key == (model, dataset, protocol):
                return cell
        raise UserError(
            f"{self.path_of('test', (model, dataset))}: holds no rows of the protocol {protocol}. "
            "Delete it and run again."
        )

    @cached_property
    def selections(self) -> dict[CellName, dict[str, Any]]:
        """What selection chose, and from which candidates, by (model, dataset)."""
        selections = load_selections(self.paths("selection"))
        return {(selection["model"], selection["dataset"]): selection for selection in selections}

    def selection_of(self, cell: CellName, protocol: str) -> dict[str, Any]:
        """Return what selection chose for a cell under a protocol (`chosen`, `candidates`, `validation`)."""
        protocols = self.selections.get(cell, {}).get("protocols", {})
        if protocol not in protocols:
            raise UserError(
                f"No selection of {cell[0]} on {cell[1]}, protocol {protocol}, is among the files. Run `select`."
            )
        return dict(protocols[protocol])

    @cached_property
    def datasets(self) -> dict[str, tuple[pd.DataFrame, dict[str, Any]]]:
        """The prepared rows without their texts, and the dataset's entry, by dataset."""
        return load_rows(self.paths("rows"))

    @property
    def parts(self) -> dict[str, str]:
        """Datasets that were read from a source that has only part of their rows, each with the reason."""
        entries = {name: entry for name, (_, entry) in self.datasets.items()} if "rows" in self._reads else {}
        return {name: entry[PARTIAL] for name, entry in entries.items() if is_partial(entry)}

    @property
    def quantised(self) -> dict[str, str]:
        """Models whose weights had been quantised before they were obtained, each with how they were quantised."""
        return dict(self.spec.get("quantised", {}))

    def groups(self, dataset: str) -> pd.Series:
        """Return the group of every example of a dataset, by id."""
        return self.datasets[dataset][0].set_index("id")["group"]

    def rows(self, dataset: str, *columns: str) -> pd.DataFrame:
        """Return columns of a dataset's prepared rows."""
        return read_columns(self.rows_path(dataset), columns)

    def rows_path(self, dataset: str) -> Path:
        """Return the prepared rows of a dataset."""
        return self.path_of("rows", next(cell for cell in self._reads["rows"] if cell[1] == dataset))

    def texts(self, dataset: str) -> dict[str, str]:
        """Return the text of every example of a dataset, by id."""
        rows = self.rows(dataset, "id", "text")
        return dict(zip(rows["id"], rows["text"], strict=True))

    def base(self, cell: CellName) -> Path:
        """Return the path of the unmodified model's validation rows of a cell; reject a file of another cell."""
        path = self.path_of("base", cell)
        if (held := cell_of(path)[:2]) != cell:
            raise UserError(f"{path}: holds {held[0]} on {held[1]}. Delete it and run again.")
        return path

    def sweep(self, cell: CellName, layer: int | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the averages of a cell's sweep, or of one layer of it, and of the base model."""
        return load_sweep(self.paths_of("sweep", cell, layer), self.base(cell))

    def landscape(self, cell: CellName) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the averages of a cell's landscape, and of the base model on the same rows."""
        return load_landscape(self.paths_of("landscape", cell), self.base(cell))

    @cache  # noqa: B019 - a reader lives as long as its job
    def labelled(self, kind: str, labels: tuple[str, ...], apart: tuple[str, ...] = ()) -> list[Labelled]:
        """Return test rows with additional labels (choice, seed, variant, step), one item per file and protocol."""
        return load_labelled(self.paths(kind), labels, self.paths("rows"), apart=apart)

    def documents(self, kind: str, *keys: str) -> dict[CellName, Mapping[str, Any]]:
        """Return the JSON results of a kind by (model, dataset); a file that lacks a key is rejected."""
        return {cell: read_document(self.path_of(kind, cell), keys) for cell in self._reads[kind]}

    def reductions(self, model: str | None = None) -> pd.DataFrame:
        """Return the reduction records of all models, or of one: a row per layer, matrix and ρ."""
        cells = [cell for cell in self._reads["reduction"] if model in (None, cell[0])]
        return load_reductions(Path(path) for path in self._files.paths("reduction", cells))


def read_document(path: Path, keys: Sequence[str]) -> Mapping[str, Any]:
    """Read a JSON result; a missing key raises a `UserError` that names file and key."""
    document = read_json(path)
    missing = [key for key in keys if key not in document]
    if missing:
        raise UserError(f"{path}: lacks the key '{missing[0]}'. Delete it and run again.")
    return document


def _names(files: StudyFiles) -> list[str]:
    keys = [name for model in files.models for name in (model.name, model.key, model.corpus_key) if name]
    return [*keys, *(name for dataset in files.datasets for name in (dataset.name, dataset.key))]


def _by_plain_names(files: StudyFiles) -> StudyFiles:
    """Return the files as the study copies them: in folders named after models and datasets, without keys."""
    models = tuple(replace(model, key=model.name) for model in files.models)
    return replace(
        files, models=models, datasets=tuple(replace(dataset, key=dataset.name) for dataset in files.datasets)
    )
