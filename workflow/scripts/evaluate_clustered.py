"""Cluster the rows of the chosen matrix, reduce each cluster separately, and evaluate the result."""

from laser.config.specs import ClusteredSpec
from laser.evaluation.clustered import evaluate_clustered
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(evaluate_clustered, __doc__, ClusteredSpec)
