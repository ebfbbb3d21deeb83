"""Write docs/replication.md, which of the paper's claims hold in the studies that were run, and their evidence.

python workflow/scripts/tools/replication.py
python workflow/scripts/tools/replication.py --studies quickstart laboratory --output docs/replication.md

The pages of evidence, one per study, stand in a folder beside the page: docs/replication/<study>.md.
"""

import argparse
import sys
from pathlib import Path

import _package  # noqa: F401

from laser.claims.judged import judge, read_study
from laser.claims.page import write_pages
from laser.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


def main() -> None:
    """Parse the command line and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="folder with a folder per study")
    parser.add_argument("--studies", nargs="+", help="names of studies; default: all that have tables")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/replication.md")
    given = parser.parse_args()
    made = sorted(path.parent.name for path in given.results.glob("*/tables") if any(path.glob("*.csv")))
    names = given.studies or made
    known = sorted(path.stem for path in (ROOT / "config/studies").glob("*.yaml"))
    studies = [judge(read_study(given.results / name)) for name in names]
    absent = [name for name in known if name not in names]
    write_pages(studies, absent, given.output)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"ERROR: {error}")
