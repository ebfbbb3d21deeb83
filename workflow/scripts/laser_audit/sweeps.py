"""The averages of a cell's sweep and of its base, by protocol."""

from __future__ import annotations

from laser_audit.averages import Average
from laser_audit.reading import Study, remembered
from laser_audit.rows import base_path, grid, scored, sweep_path


def base_average(study: Study, model: str, dataset: str, protocol: str) -> Average:
    """Return base on a cell's validation rows."""
    return scored(study, base_path(model, dataset), (), "validation").averages[(protocol,)]


@remembered
def swept(study: Study, model: str, dataset: str) -> dict[str, list[Average]]:
    """Return every intervention of a cell's sweep, by protocol."""
    found: dict[str, list[Average]] = {protocol: [] for protocol in study.protocols}
    _, layers, rhos = grid(study, model)
    for layer in layers:
        for rho in rhos:
            one = scored(study, sweep_path(model, dataset, layer, rho), ("matrix", "layer", "rho"), "validation")
            for (protocol, *_), value in one.averages.items():
                found[protocol].append(value)
    return found
