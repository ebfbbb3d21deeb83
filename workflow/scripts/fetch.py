"""Fetch a checkpoint into the cache and check it against its pinned revision and hashes."""

from laser.config.specs import FetchSpec
from laser.models.sources import fetch
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Make the model's folder; its card is written last."""
    fetch(job.spec.model, job.output("model", model_key=job.spec.key).parent, job.say)


if __name__ == "__main__":
    run_job(main, __doc__, FetchSpec)
