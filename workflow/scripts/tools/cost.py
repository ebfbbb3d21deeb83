"""Print what a study will cost before anything is run: tokens, operations, device hours and disk.

    python workflow/scripts/tools/cost.py --study quickstart
    python workflow/scripts/tools/cost.py --study paper --details --device 'A100: 312 TFLOP/s fp16, 19.5 fp32'
    python workflow/scripts/tools/cost.py --study quickstart --check results/quickstart

docs/cost.md says what is assumed.
"""

import os
import sys
from pathlib import Path

from _package import planned, run, study_parser

from laser.cost.inputs import folder_at_hand
from laser.cost.report import check_text, sentence, study_text
from laser.cost.study import cell_cost, model_cost, seconds_of_work
from laser.cost.time import compare, measured_device, parse_device

EXAMPLE = "A100: 312 TFLOP/s fp16, 19.5 fp32, 2039 GB/s"


def main() -> None:
    """Parse the command line and print."""
    parser = study_parser(__doc__, jobs=os.cpu_count())
    parser.add_argument("--device", help=f"its peaks and its memory's bandwidth: '{EXAMPLE}'; default: this CPU")
    parser.add_argument("--efficiency", type=float, default=0.35, help="share of the peak that is reached")
    parser.add_argument("--details", action="store_true", help="by model, dataset and rule; what the time goes into")
    parser.add_argument("--check", type=Path, help="folder of a finished run, whose times are compared")
    given = parser.parse_args()
    plan = planned(given)
    device = None if given.device is None else parse_device(given.device, given.efficiency)
    models = [model_cost(plan, name) for name in plan.models]
    cells = [cell_cost(plan, model, dataset) for model, dataset in plan.cells()]
    # Measured only now: there may be no estimate, and a measurement takes seconds.
    device = device or measured_device(plan.config["threads"], given.jobs)
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
    run(main)
