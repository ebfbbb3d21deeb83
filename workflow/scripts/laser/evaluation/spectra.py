"""Facts that follow from the singular values of a model's matrices: the noise edge and the effective rank."""

from __future__ import annotations

from typing import Any

from laser.cluster.local_copy import local_folder
from laser.config.specs import SpectraSpec
from laser.io.files import read_json
from laser.models.adapter import locate, read_matrix
from laser.models.device import DTYPES, resolve_device, set_threads
from laser.provenance.job import Job
from laser.reduction.factors import FactorStore
from laser.reduction.rank_rules import describe


def spectra(job: Job) -> list[dict[str, Any]]:
    """Return a record for every matrix of the grid (`laser.reduction.rank_rules.describe`), with matrix and layer.

    The factors are those that the reductions have stored; only the matrices are read from the checkpoint.
    """
    spec: SpectraSpec = job.spec
    set_threads(spec.compute.threads)
    device = resolve_device(spec.compute.device)
    folder = local_folder(job.input("model", model_key=spec.model.key).parent, copy=False, say=job.say)
    job.inputs("reduction", model=spec.model.name, layer=spec.grid.layers, rho=spec.rhos)
    config, store = read_json(folder / "config.json"), FactorStore(job.folders.path("factors"))
    records = []
    for layer in spec.grid.layers:
        for matrix in spec.grid.matrices:
            weight = read_matrix(folder, locate(config, layer, matrix, spec.model.mapping))
            # The reductions have decomposed the weights in the sweep's precision.
            weight = weight.to(device, DTYPES[spec.model.dtype]).float()
            described = describe(store.get(weight).s.cpu().numpy(), tuple(weight.shape))
            records.append({"matrix": matrix, "layer": layer} | described)
            job.say(
                f"{matrix} of layer {layer}: edge {described['edge']:.4g}, {described['above']} of "
                f"{min(weight.shape)} singular values and {100 * described['share_above']:.1f} % of the variance above"
            )
    return records
