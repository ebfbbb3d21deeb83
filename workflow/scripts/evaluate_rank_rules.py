"""Evaluate on the test rows the choices of rules that set ρ in place of the grid."""

from laser.config.specs import RankRulesSpec
from laser.evaluation.rank_rules import evaluate_rank_rules
from laser.provenance.job import Job, run_job


def main(job: Job) -> None:
    """Write one row per (protocol, intervention, example)."""
    job.label = f"{job.spec.label}, rank rules"
    evaluate_rank_rules(job)


if __name__ == "__main__":
    run_job(main, __doc__, RankRulesSpec)
