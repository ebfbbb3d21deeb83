"""Print what a study will ask and how long it will take here, before anything is evaluated.

    python workflow/scripts/tools/preview.py --study my/study.yaml --jobs 2

Rows are read from local files or from the cache; nothing is downloaded and nothing is written.
"""

import argparse
import sys
from pathlib import Path

import _package  # noqa: F401

from laser.config.plan import Plan
from laser.config.yaml_files import read_yaml
from laser.cost.facts import read_facts
from laser.cost.preview import no_time_line, preview_lines, time_line
from laser.cost.study import cell_cost, job_seconds, model_cost
from laser.cost.time import measured_device
from laser.errors import UserError
from laser.tasks.planned import check_planned

ROOT = Path(__file__).resolve().parents[3]


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", required=True, help="name of a study, or path of its .yaml file")
    parser.add_argument("--jobs", type=int, default=2, help="jobs that run at once (--cores of Snakemake)")
    parser.add_argument("--cache", help="folder of models and data, where it is not that of config/config.yaml")
    parser.add_argument("--accept-terms", help="models whose terms of use are accepted, with commas between them")
    given = parser.parse_args()
    if given.jobs < 1:
        raise UserError(f"--jobs is {given.jobs}: give how many jobs run at once, 1 or more.")
    values = read_yaml(ROOT / "config/config.yaml") | {"study": given.study}
    for key in ("cache", "accept_terms"):
        if getattr(given, key):
            values[key] = getattr(given, key)
    plan = Plan.load(values, ROOT)
    check_planned(plan)
    for line in preview_lines(plan):
        print(line)
    print(f"\n{_time(plan, given.jobs)}")


def _time(plan: Plan, jobs: int) -> str:
    try:
        facts = read_facts(ROOT)
        models = [model_cost(plan, name) for name in plan.models]
        cells = [cell_cost(plan, model, dataset, facts) for model, dataset in plan.cells()]
    except UserError as error:
        return no_time_line(error)
    device = measured_device(plan.config["threads"], jobs)
    seconds = sum(job_seconds(job, cost.shape, device) for cost in (*models, *cells) for job in cost.jobs)
    return time_line(seconds, jobs, device.name)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"ERROR: {error}")
