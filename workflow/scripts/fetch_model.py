"""Fetch a checkpoint into the cache and check it against its pinned revision and hashes."""

from laser.io.job import Job, run_job
from laser.models.sources import fetch


def main(job: Job) -> None:
    """Make the model's folder; its card is written last."""
    job.label = job.spec["model"]["name"]
    fetch(job.spec["model"], job.path("card").parent, job.say)


if __name__ == "__main__":
    run_job(main, __doc__, files=("card",))
