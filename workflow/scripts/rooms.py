"""Make and solve one job's share of a pool of Sokoban rooms."""

from laser.config.specs import RoomsSpec
from laser.policies.pool import make_chunk
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one Parquet file, a row per room."""
    spec = job.spec
    output = job.output("rooms", pool_key=spec.key, chunk=spec.chunk, chunks=spec.chunks)
    frame = make_chunk(spec, output, lambda rooms: job.progress(rooms, "rooms"))
    job.say(f"{int(frame['solved'].sum()):,} of {len(frame):,} rooms solved")


if __name__ == "__main__":
    run_job(main, __doc__, RoomsSpec)
