"""Check a finished study: every hash, and every number that can be computed again from its per-example rows.

    python workflow/scripts/tools/audit.py results/quickstart
    python workflow/scripts/tools/audit.py results/quickstart --replay

Needs only Python, numpy, pandas and pyarrow; --replay also remakes everything else, with the whole environment.
Exit status: 0 passed, 1 failed, 3 passed as far as --replay could compare, 2 wrong usage.
"""

import argparse
import sys
from pathlib import Path

import _package  # noqa: F401

from laser_audit.findings import NotAStudy
from laser_audit.pages import status, terminal, write_page
from laser_audit.replay import REPLAYS, replay
from laser_audit.run import audit

SCRIPTS = Path(__file__).resolve().parents[1]


def main() -> None:
    """Parse the command line, audit, write audit/, and exit with the status of the outcome."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a study's folder, or an unpacked archive of it")
    parser.add_argument("--replay", nargs="?", choices=REPLAYS, const="always", default="never", help=replay.__doc__)
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="for --replay; default %(default)s")
    parser.add_argument("--output", type=Path, help="folder for index.html; default <folder>/audit")
    given = parser.parse_args()
    report = audit(given.folder, SCRIPTS.parents[1])
    if given.replay != "never":
        replay(report, SCRIPTS, given.cache, given.replay)
    print(terminal(report))
    print("Details:", write_page(report, given.output or given.folder / "audit"))
    sys.exit(status(report))


if __name__ == "__main__":
    try:
        main()
    except NotAStudy as error:
        sys.exit(f"ERROR: {error}")
