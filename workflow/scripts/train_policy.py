"""Train a decision transformer on the expert's episodes in a pool of Sokoban rooms."""

from laser.config.specs import TrainSpec
from laser.provenance.job import Job, run_job
from laser.training.policy import train_policy


def main(job: Job) -> None:
    """Make the model's folder; its card is written last."""
    spec = job.spec
    card_path = job.output("model", model_key=spec.key)
    job.output("training_curve", model_key=spec.key)
    episodes = job.input("episodes", pool_key=spec.pool_key)
    card = train_policy(spec, episodes, card_path.parent, job.say, lambda steps: job.progress(steps, "steps"))
    job.say(f"final loss {card['training']['final_loss']:.3f} nats per action")


if __name__ == "__main__":
    run_job(main, __doc__, TrainSpec)
