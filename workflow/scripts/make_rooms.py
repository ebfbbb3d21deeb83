"""Make and solve one job's share of a pool of Sokoban rooms."""

from laser.io.job import Job, run_job
from laser.policies.pool import make_chunk


def main(job: Job) -> None:
    """Write one Parquet file, a row per room."""
    job.label = f"{job.spec['pool']['name']} {job.spec['chunk'] + 1}/{job.spec['chunks']}"
    frame = make_chunk(job.spec, job.path("output"), lambda rooms: job.progress(rooms, "rooms"))
    job.say(f"{int(frame['solved'].sum()):,} of {len(frame):,} rooms solved")


if __name__ == "__main__":
    run_job(main, __doc__, files=("output",))
