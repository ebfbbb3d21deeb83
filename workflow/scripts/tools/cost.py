"""Print what a study will cost before anything is run: tokens, operations, device hours and disk.

    python workflow/scripts/tools/cost.py --study quickstart
    python workflow/scripts/tools/cost.py --study paper --details --device 'A100: 312 TFLOP/s fp16, 19.5 fp32'
    python workflow/scripts/tools/cost.py --study quickstart --check results/quickstart

docs/cost.md says what is assumed.
"""

import argparse
import os
import sys
from pathlib import Path

import _package  # noqa: F401

from laser.config.plan import Plan
from laser.config.yaml_files import read_yaml
from laser.cost.facts import read_facts
from laser.cost.inputs import folder_at_hand
from laser.cost.report import check_text, sentence, study_text
from laser.cost.study import cell_cost, model_cost, seconds_of_work
from laser.cost.time import compare, measured_device, parse_device
from laser.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = "A100: 312 TFLOP/s fp16, 19.5 fp32, 2039 GB/s"


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", required=True, help="name of a study, or path of its .yaml file")
    parser.add_argument("--device", help=f"its peaks and its memory's bandwidth: '{EXAMPLE}'; default: this CPU")
    parser.add_argument("--efficiency", type=float, default=0.35, help="share of the peak that is reached")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="jobs that run at once on this CPU")
    parser.add_argument("--details", action="store_true", help="by model, dataset and rule; what the time goes into")
    parser.add_argument("--check", type=Path, help="folder of a finished run, whose times are compared")
    parser.add_argument("--cache", help="folder of models and data, where it is not that of config/config.yaml")
    parser.add_argument("--accept-terms", help="models whose terms of use are accepted, with commas between them")
    given = parser.parse_args()
    values = read_yaml(ROOT / "config/config.yaml") | {"study": given.study}
    for key in ("cache", "accept_terms"):
        if getattr(given, key):
            values[key] = getattr(given, key)
    plan = Plan.load(values, ROOT)
    if given.jobs < 1:
        raise UserError(f"--jobs is {given.jobs}: give how many jobs run at once, 1 or more.")
    if given.device is None:
        device = measured_device(plan.config["threads"], given.jobs)
    else:
        device = parse_device(given.device, given.efficiency)
    facts = read_facts(ROOT)
    models = [model_cost(plan, name) for name in plan.models]
    cells = [cell_cost(plan, model, dataset, facts) for model, dataset in plan.cells()]
    trained = sum(plan.is_trained(name) and folder_at_hand(plan, name) is None for name in plan.models)
    print(sentence(plan.study["title"], models, cells, device, 0 if given.device else given.jobs, trained))
    if given.details:
        print("", study_text(plan.study["title"], models, cells, device), sep="\n")
    if given.check is None:
        return
    predictions = [
        (job.stage, given.check / "runs" / job.run, seconds_of_work(job, cost.shape, device))
        for cost in (*models, *cells)
        for job in cost.jobs
    ]
    text, within = check_text(compare(predictions))
    print(text)
    if not within:
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"ERROR: {error}")
