"""Making an artefact as its rule does, in this process, from files that lie where a study's files lie."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
from matplotlib.figure import Figure
from pandas.errors import EmptyDataError

import make_artefact
from laser.config.artefacts import CellName, declared
from laser.config.paths import DatasetFiles, Folders, ModelFiles, StudyFiles
from laser.provenance.job import Job
from tests.artefacts import synthetic

EVERY_CELL = [(model, dataset) for model in synthetic.MODELS for dataset in synthetic.DATASETS]


def spec_of(
    name: str,
    cells: Sequence[CellName] = EVERY_CELL,
    *,
    layers: Sequence[int] = synthetic.LAYERS,
    rhos: Sequence[float] = synthetic.RHOS,
    landscape: Sequence[int] = (),
    corpora: Mapping[str, str] | None = None,
    also: Mapping[str, Sequence[CellName]] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Return the spec of an artefact of a made-up study, whose folders in the cache are called `<name>-0`.

    Args:
        name: of the artefact.
        cells: that it is about.
        layers, rhos: of the sweep.
        landscape: its layers.
        corpora: model to the folder of its corpus.
        also: kinds of files to the cells for which it reads them, where those are others.
        settings: further keys of the spec.
    """
    artefact, pairs = declared()[name], [list(cell) for cell in cells]
    models = dict.fromkeys(model for model, _ in cells)
    files = StudyFiles(
        tuple(
            ModelFiles(model, f"{model}-0", list(layers), list(landscape), (corpora or {}).get(model))
            for model in models
        ),
        tuple(DatasetFiles(dataset, f"{dataset}-0") for dataset in dict.fromkeys(dataset for _, dataset in cells)),
        tuple(rhos),
    )
    reads = {kind: pairs for kind in (*artefact.reads, *artefact.also_reads) if kind != "counts"}
    if "efficacy" in artefact.also_reads:
        reads["efficacy"] = []  # the made-up questions have no false targets
    common = {"artefact": name, "cells": pairs, "protocols": list(synthetic.PROTOCOLS), "seed": 0, "resamples": 100}
    return common | {"files": files.spec(), "reads": reads | dict(also or {})} | settings


def lay_out(cell: Any) -> None:
    """Copy the rows and the model's card of a tiny cell to where a study's cache has them."""
    model, dataset = cell.spec["model"]["name"], cell.spec["dataset"]["name"]
    for source, target in ((cell.data, f"data/{dataset}-0/rows.parquet"), (cell.model, f"models/{model}-0/card.json")):
        (cell.folder / "cache" / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, cell.folder / "cache" / target)


def make(folder: Path, spec: dict[str, Any], into: Path, inputs: Path | None = None) -> list[Path]:
    """Make an artefact from the study in `folder`, which holds its own cache; return its files, a format at a time."""
    job = Job("make_artefact", spec, spec, Folders(folder, folder / "cache"), {"inputs": inputs, "into": into})
    make_artefact.main(job)
    assert all(path.stat().st_size > 0 for path in job.made)
    assert all(path.is_file() for path in job.used)
    return job.made


def data_of(folder: Path, spec: dict[str, Any], into: Path, inputs: Path | None = None) -> list[pd.DataFrame]:
    """Make an artefact; return the data of a table, or behind each picture. The pictures are not written."""

    def no_picture(figure: Figure, path: Path | str, **settings: Any) -> None:
        Path(path).write_text("<svg></svg>")

    with mock.patch.object(Figure, "savefig", no_picture):
        return frames(make(folder, spec, into, inputs))


def frames(made: Sequence[Path]) -> list[pd.DataFrame]:
    """Return the data of a table, or behind each picture, in order."""
    return [_read(path) for path in made if path.suffix == ".csv"]


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, float_precision="round_trip")
    except EmptyDataError:
        return pd.DataFrame()
