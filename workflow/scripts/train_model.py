"""Train one of the laboratory's models on its corpus."""

from laser.io.job import Job, run_job
from laser.training.model import CURVE, train_model


def main(job: Job) -> None:
    """Make the model's folder; its card is written last."""
    job.label = job.spec["model"]["name"]
    card = train_model(
        job.spec, job.path("corpus"), job.path("card").parent, job.say, lambda steps: job.progress(steps, "steps")
    )
    job.made.append(job.path("card").parent / CURVE)
    job.say(f"final loss {card['training']['final_loss']:.3f} nats per token")


if __name__ == "__main__":
    run_job(main, __doc__, files=("corpus", "card"))
