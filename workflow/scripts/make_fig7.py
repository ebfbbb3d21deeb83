"""Figure 7: effective rank of every matrix by layer."""

from laser.analysis.pictures import models
from laser.artefacts.fig7 import fig7
from laser.io.job import Job, run_job
from laser.results.loading import load_reductions


def main(job: Job) -> None:
    """Write one figure per model."""
    records = load_reductions(job.paths["reductions"])
    for model, stem in models(job.spec, dict.fromkeys(records["model"]), job.paths["svg"]):
        fig7(records[records["model"] == model], stem)


if __name__ == "__main__":
    run_job(main, __doc__, files=("reductions", "svg", "pdf", "csv"))
