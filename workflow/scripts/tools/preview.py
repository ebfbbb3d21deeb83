"""Print what a study will ask and how long it will take here, before anything is evaluated.

    python workflow/scripts/tools/preview.py --study my/study.yaml --jobs 2

Rows are read from local files or from the cache; nothing is downloaded and nothing is written.
"""

from _package import planned, run, study_parser

from laser.config.plan import Plan
from laser.cost.preview import no_time_line, preview_lines, time_line
from laser.cost.study import cell_cost, job_seconds, model_cost
from laser.cost.time import measured_device
from laser.errors import UserError
from laser.tasks.planned import check_planned


def main() -> None:
    """Parse the command line and print."""
    given = study_parser(__doc__, jobs=2).parse_args()
    plan = planned(given)
    check_planned(plan)
    for line in preview_lines(plan):
        print(line)
    print(f"\n{_time(plan, given.jobs)}")


def _time(plan: Plan, jobs: int) -> str:
    try:
        models = [model_cost(plan, name) for name in plan.models]
        cells = [cell_cost(plan, model, dataset) for model, dataset in plan.cells()]
    except UserError as error:
        return no_time_line(error)
    device = measured_device(plan.config["threads"], jobs)
    seconds = sum(job_seconds(job, cost.shape, device) for cost in (*models, *cells) for job in cost.jobs)
    return time_line(seconds, jobs, device.name)


if __name__ == "__main__":
    run(main)
