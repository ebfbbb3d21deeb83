"""Measure the perplexity of the base model and of the best input and output interventions on running text."""

from laser.config.specs import PerplexitySpec
from laser.evaluation.perplexity import evaluate_perplexity
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(evaluate_perplexity, __doc__, PerplexitySpec)
