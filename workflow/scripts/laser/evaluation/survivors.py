"""The sweep of one layer after a race: the candidates that ran to the end, on all validation rows."""

from __future__ import annotations

import pandas as pd

from laser.config.specs import SweepSpec
from laser.io.files import read_parquet, read_spec, write_parquet
from laser.provenance.job import Job


def write_survivors(job: Job) -> None:
    """Write one file per rho, in the spec's order of rhos; the files of a layer without survivors have no rows."""
    spec: SweepSpec = job.spec
    outputs = job.outputs("sweep", **spec.cell, layer=spec.layer, rho=spec.rhos)
    source = job.input("race", **spec.cell)
    raced, facts = read_parquet(source), read_spec(source)
    seen = raced.groupby(["protocol", "layer", "matrix", "rho"])["id"].transform("size")
    rows = raced["protocol"].map({protocol: race["rows"] for protocol, race in facts["race"].items()})
    whole = raced[(seen == rows) & (raced["layer"] == spec.layer)]
    for rho, path in zip(spec.rhos, outputs, strict=True):
        parts = [
            whole[(whole["rho"] == rho) & (whole["matrix"] == matrix) & (whole["protocol"] == protocol)]
            for matrix in spec.matrices
            for protocol in spec.protocols
        ]
        frame = pd.concat(parts, ignore_index=True)
        run = {"run": facts["run"]} if len(frame) else {}
        write_parquet(path, frame, job.metadata(rho=rho, **run))
    job.say(f"{len(whole.groupby(['protocol', 'matrix', 'rho']))} candidates of this layer ran to the end")
