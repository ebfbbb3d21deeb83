"""Cluster the rows of the chosen matrix, reduce each cluster separately, and evaluate the result."""

from laser.config.specs import ClusteredSpec
from laser.evaluation.clustered import evaluate_clustered
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write the validation rows of every number of clusters and ρ, and the test rows of the best."""
    job.label = f"{job.spec.label}, clustered rows"
    evaluate_clustered(job)


if __name__ == "__main__":
    run_job(main, __doc__, ClusteredSpec)
