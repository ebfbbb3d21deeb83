"""Build a dataset's prepared rows and its card."""

from laser.config.specs import PrepareSpec
from laser.provenance.job import Job, run_job
from laser.tasks.prepare import prepare


def main(job: Job) -> None:
    """Write rows.parquet and card.json."""
    spec, entry = job.spec, job.spec.dataset
    job.output("rows", data_key=spec.key)
    if spec.pool_key is not None:
        episodes = job.input("episodes", pool_key=spec.pool_key)
        entry = entry | {"sources": [{"kind": "local", "path": str(episodes)}]}
    card = prepare(entry, job.output("dataset", data_key=spec.key).parent, job.plain, job.say)
    part = f", a part of the dataset: {card['partial']}" if card["partial"] else ""
    job.say(f"{card['rows']:,} rows{part}")


if __name__ == "__main__":
    run_job(main, __doc__, PrepareSpec)
