"""Train one of the laboratory's models on its corpus."""

from laser.config.specs import TrainSpec
from laser.provenance.job import Job, run_job
from laser.training.model import train_model


def main(job: Job) -> None:
    """Make the model's folder; its card is written last."""
    spec = job.spec
    card_path = job.output("model", model_key=spec.key)
    job.output("training_curve", model_key=spec.key)
    corpus = job.input("corpus", corpus_key=spec.corpus_key)
    card = train_model(spec, corpus, card_path.parent, job.say, lambda steps: job.progress(steps, "steps"))
    job.say(f"final loss {card['training']['final_loss']:.3f} nats per token")


if __name__ == "__main__":
    run_job(main, __doc__, TrainSpec)
