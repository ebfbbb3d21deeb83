"""The orders in which the workflow names a study's files to its scripts: records hold them sorted by path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from laser_audit.reading import Study


def place_of(study: Study, path: str) -> tuple[Any, ...]:
    """Return a key that sorts files as the study names models, datasets, layers and values of ρ."""
    names = path.split("/")
    parts = [*names[:-1], names[-1].rpartition(".")[0]]
    models, datasets = study.models, study.datasets
    model = min((models.index(one) for one in parts if one in models), default=-1)
    dataset = min((datasets.index(one) for one in parts if one in datasets), default=-1)
    layer = next((int(one[5:]) for one in parts if one.startswith("layer") and one[5:].isdigit()), -1)
    rho = next((-float(one[4:]) for one in parts if one.startswith("rho")), 0.0)
    return model, dataset, layer, rho, path


def in_order(study: Study, spec: Mapping[str, Any], outputs: Iterable[str]) -> list[str]:
    """Return pictures in the order in which a figure's script takes their names; tables as they are."""
    cells = [(str(model), str(dataset)) for model, dataset in spec.get("cells", study.cells())]
    protocols = [str(one) for one in spec.get("protocols", [])]
    stems = [f"{model}/{dataset}-{protocol}" for model, dataset in cells for protocol in protocols]
    models, datasets = (list(dict.fromkeys(one[place] for one in cells)) for place in (0, 1))
    stems += [f"{model}/all" for model in models] + [f"{dataset}/room" for dataset in datasets]
    stems += [f"{name}/{protocol}" for name in (*models, *datasets) for protocol in protocols]

    def key(path: str) -> int:
        stem = "/".join(path.split("/")[2:]).rpartition(".")[0]
        return stems.index(stem) if stem in stems else len(stems)

    return sorted(outputs, key=key)
