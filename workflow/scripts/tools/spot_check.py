"""Evaluate a random sample of a finished study's rows again, from the checkpoint, and compare.

    python workflow/scripts/tools/spot_check.py results/quickstart --count 20 --seed 7

Runs the plain engine: edited weights, the whole model, and no caches. docs/auditing.md says what may differ.
"""

import random
import sys
from pathlib import Path

from _package import new_parser, run

from laser.errors import UserError
from laser.evaluation.spotcheck import spot_check


def main() -> None:
    """Parse the command line, draw, evaluate, and exit with 1 if a row differs."""
    parser = new_parser(__doc__)
    parser.add_argument("folder", type=Path, help="a study's folder")
    parser.add_argument("--count", type=int, default=20, help="how many rows; default %(default)s")
    parser.add_argument("--seed", type=int, help="of the draw; default: a new one, which is printed")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder with models/; default %(default)s")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    given = parser.parse_args()
    if given.count < 1:
        raise UserError(f"--count is {given.count}: give how many rows to evaluate, 1 or more.")
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    try:
        wrong = spot_check(
            given.folder, given.count, seed, given.cache, given.device, lambda line: print(line, flush=True)
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{given.folder}: its files are not those of a study ({error!r}). Audit it first.") from error
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"{'FAILED' if wrong else 'PASSED'}: {len(wrong)} differences (seed {seed})")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    run(main)
