"""Write the sweep of one layer after a race: the candidates that ran to the end."""

from laser.config.specs import SweepSpec
from laser.evaluation.survivors import write_survivors
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(write_survivors, __doc__, SweepSpec)
