"""Evaluate the base model and the chosen intervention on the test rows with a small fixed set of other prompts."""

from laser.config.specs import PromptsSpec
from laser.evaluation.prompts import evaluate_prompts
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(evaluate_prompts, __doc__, PromptsSpec)
