"""Print the state of a study's last run: jobs by rule, time left, and why jobs failed.

python workflow/scripts/tools/status.py results/quickstart
"""

import argparse
import sys
from pathlib import Path

import _package  # noqa: F401

from laser.cost.status import status_text
from laser.errors import UserError


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of the study's results")
    print(status_text(parser.parse_args().study))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"ERROR: {error}")
