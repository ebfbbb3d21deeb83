"""The reductions of one layer: its matrices are decomposed once, and every rho gets a record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from laser.cluster.local_copy import local_folder
from laser.config.specs import ReduceSpec, as_json
from laser.io.files import read_json
from laser.models.adapter import locate, read_matrix
from laser.models.device import DTYPES, resolve_device, set_threads
from laser.reduction.factors import FactorStore
from laser.reduction.record import matrix_record
from laser.reduction.svd import check


def reduce_layer(spec: ReduceSpec, model_card: Path, factors: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Decompose the spec's matrices of one layer and return one record per rho, in the spec's order.

    Only these matrices are read from the checkpoint; the model is never built. A record holds `rho`, `matrices`
    (logical name to `laser.reduction.record.matrix_record`), `spec` and `layer`.

    Raises:
        UserError: the stored factors are not those of a matrix, or cannot be computed.
    """
    set_threads(spec.compute.threads)
    device = resolve_device(spec.compute.device)
    folder = local_folder(model_card.parent, copy=False, say=say)  # no copy: only this layer is read
    config = read_json(folder / "config.json")
    store = FactorStore(factors)
    weights, decomposed = {}, {}
    for matrix in spec.matrices:
        location = locate(config, spec.layer, matrix, spec.model.mapping)
        # The sweep edits weights in its own precision; the factors must be those of these weights.
        weights[matrix] = read_matrix(folder, location).to(device, DTYPES[spec.model.dtype]).float()
        decomposed[matrix] = store.get(weights[matrix])
        say(f"{matrix}: {tuple(weights[matrix].shape)} decomposed")
    checks = {matrix: check(decomposed[matrix], weights[matrix]) for matrix in weights}
    named = {"spec": as_json(spec), "layer": spec.layer}
    return [
        {
            "rho": rho,
            "matrices": {
                matrix: matrix_record(matrix, weight, decomposed[matrix], rho, checks[matrix])
                for matrix, weight in weights.items()
            },
            **named,
        }
        for rho in spec.rhos
    ]
