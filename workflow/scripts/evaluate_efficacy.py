"""Evaluate the false targets of the test rows under the base model and the chosen intervention."""

from laser.config.specs import EvaluationSpec
from laser.evaluation.efficacy import evaluate_efficacy
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(evaluate_efficacy, __doc__, EvaluationSpec)
