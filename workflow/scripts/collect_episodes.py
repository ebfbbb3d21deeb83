"""Put the shares of a pool of Sokoban rooms together: the expert's episodes, and a card that counts them."""

from laser.io.job import Job, run_job
from laser.policies.pool import collect


def main(job: Job) -> None:
    """Write episodes.parquet and card.json."""
    job.label = job.spec["pool"]["name"]
    card = collect(job.spec, job.paths["chunks"], job.path("card").parent)
    job.made.append(job.path("card").parent / "episodes.parquet")
    job.say(f"{card['kept']:,} rooms kept, {card['unsolved']:,} unsolved, {card['duplicates']:,} there before")


if __name__ == "__main__":
    run_job(main, __doc__, files=("chunks", "card"))
