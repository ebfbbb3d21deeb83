"""Merge the shares of a pool of Sokoban rooms into the expert's episodes and a card that counts them."""

from laser.config.specs import EpisodesSpec
from laser.policies.pool import collect
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write episodes.parquet and card.json."""
    spec = job.spec
    chunks = job.inputs("rooms", pool_key=spec.key, chunk=range(spec.chunks), chunks=spec.chunks)
    job.output("episodes", pool_key=spec.key)
    card = collect(spec, chunks, job.output("pool", pool_key=spec.key).parent)
    job.say(f"{card['kept']:,} rooms kept, {card['unsolved']:,} unsolved, {card['duplicates']:,} duplicates")


if __name__ == "__main__":
    run_job(main, __doc__, EpisodesSpec)
