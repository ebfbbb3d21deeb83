"""Figure 6: a room of each dataset."""

from laser.artefacts.fig6 import fig6
from laser.io.job import Job, run_job
from laser.results.labelled import load_columns


def main(job: Job) -> None:
    """Write one figure per dataset, in the order of the given rows."""
    found = load_columns(job.paths["rows"], ["id", "text", "answer"])
    for (dataset, rows), path in zip(found.items(), job.paths["svg"], strict=True):
        fig6(dataset, rows, path.with_suffix(""))


if __name__ == "__main__":
    run_job(main, __doc__, files=("rows", "svg", "pdf", "csv"))
