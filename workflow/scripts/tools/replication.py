"""Write docs/replication.md: every claim of the paper, judged on the studies that were run.

python workflow/scripts/tools/replication.py
python workflow/scripts/tools/replication.py --studies quickstart laboratory --output docs/replication.md
"""

import argparse
import sys
from pathlib import Path

import _package  # noqa: F401

from laser.claims.page import read_study, replication_page
from laser.errors import UserError
from laser.io.files import write_text

ROOT = Path(__file__).resolve().parents[3]


def main() -> None:
    """Parse the command line and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="folder with a folder per study")
    parser.add_argument("--studies", nargs="+", help="names of studies; default: all that have tables")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/replication.md")
    given = parser.parse_args()
    made = sorted(path.parent.name for path in given.results.glob("*/tables") if any(path.glob("*.csv")))
    names = given.studies or made
    known = sorted(path.stem for path in (ROOT / "config/studies").glob("*.yaml"))
    studies = [read_study(given.results / name) for name in names]
    absent = [name for name in known if name not in names]
    write_text(given.output, replication_page(studies, absent, given.output.resolve().parent))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"ERROR: {error}")
