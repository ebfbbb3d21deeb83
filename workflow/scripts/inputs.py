"""Copy the files that a study's results rest on into the study, so that it can be checked without the cache."""

import shutil
from pathlib import Path

from laser.config.artefacts import described
from laser.config.plan import Plan
from laser.io.records import CACHE_RUN
from laser.provenance.inputs import copy_inputs
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write README.md and inputs/, study.json last."""
    spec = job.spec
    folder = job.output("inputs").parent
    shutil.rmtree(folder, ignore_errors=True)  # drops models and datasets that the study no longer has
    copied = spec["copies"], spec["counts"], spec["published_files"], spec["workflow"]
    # The list of what the artefacts read and write is long: it is made here, and the spec holds only its hash.
    plan = Plan(spec["settings"], {"results": "results", "cache": "cache"}, Path(__file__).parent)
    study = spec["settings"] | {"artefact_files": described(plan)}
    pairs = copy_inputs(study, *copied, job.cache, folder)
    # A run notes only when and where something ran; no record depends on it.
    lasting = [pair for pair in pairs if pair[0].name != CACHE_RUN]
    job.reads(*(source for source, _ in lasting))
    job.writes(job.results / "README.md", *(target for _, target in lasting))


if __name__ == "__main__":
    run_job(main, __doc__)
