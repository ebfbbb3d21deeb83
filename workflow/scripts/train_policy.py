"""Train a decision transformer on the expert's episodes in a pool of Sokoban rooms."""

from laser.io.job import Job, run_job
from laser.training.model import CURVE
from laser.training.policy import train_policy


def main(job: Job) -> None:
    """Make the model's folder; its card is written last."""
    job.label = job.spec["model"]["name"]
    card = train_policy(
        job.spec, job.path("episodes"), job.path("card").parent, job.say, lambda steps: job.progress(steps, "steps")
    )
    job.made.append(job.path("card").parent / CURVE)
    job.say(f"final loss {card['training']['final_loss']:.3f} nats per action")


if __name__ == "__main__":
    run_job(main, __doc__, files=("episodes", "card"))
