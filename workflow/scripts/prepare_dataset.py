"""Build a dataset's prepared rows and its card."""

from laser.io.job import Job, run_job
from laser.tasks.prepare import prepare


def main(job: Job) -> None:
    """Write rows.parquet and card.json."""
    entry = job.spec["dataset"]
    job.label = entry["name"]
    if job.paths["pool"]:
        entry = entry | {"sources": [{"kind": "local", "path": str(job.path("pool"))}]}
    card = prepare(entry, job.path("card").parent, job.spec)
    job.say(f"{card['rows']:,} rows")


if __name__ == "__main__":
    run_job(main, __doc__, files=("rows", "card"), optional=("pool",), outputs=("rows", "card"))
