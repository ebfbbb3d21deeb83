"""Check a finished study: every hash, and every number that can be computed anew from its per-example rows.

    python workflow/scripts/audit_study.py results/quickstart
    python workflow/scripts/audit_study.py results/quickstart --replay

Needs Python, numpy, pandas and pyarrow alone; --replay makes every table and figure again, with the whole environment.
"""

import argparse
import sys
from pathlib import Path

from laser.errors import UserError
from laser_audit.pages import terminal, write_pages
from laser_audit.replay import REPLAYS, replay
from laser_audit.run import audit


def main() -> None:
    """Parse the command line, audit, write audit/, and exit with 1 where anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a study's folder, or an unpacked archive of it")
    parser.add_argument("--replay", nargs="?", choices=REPLAYS, const="always", default="never", help=replay.__doc__)
    parser.add_argument("--output", type=Path, help="folder for audit.md and index.html; default <folder>/audit")
    given = parser.parse_args()
    report = audit(given.folder)
    if given.replay != "never":
        replay(report, Path(__file__).parent, given.replay)
    print(terminal(report))
    print("Details:", *write_pages(report, given.output or given.folder / "audit"))
    sys.exit(0 if report.passed else 1)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"ERROR: {error}")
