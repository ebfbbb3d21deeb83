"""Evaluate on the test rows the choices of rules that set ρ in place of the grid."""

from laser.config.specs import RankRulesSpec
from laser.evaluation.rank_rules import evaluate_rank_rules
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(evaluate_rank_rules, __doc__, RankRulesSpec)
