"""List the deterministic files that differ between two folders of a study; exit status 1 if there are any.

python workflow/scripts/tools/compare.py results/quickstart elsewhere/results/quickstart
"""

import argparse
import sys
from pathlib import Path

import _package  # noqa: F401

from laser.errors import UserError
from laser.provenance.archive import read_manifest
from laser.provenance.compare import differences
from laser.provenance.manifest import MANIFEST


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    given = parser.parse_args()
    lines = differences(given.first, given.second)
    for line in lines:
        print(line)
    count = len(read_manifest(given.first / MANIFEST)["files"])
    print(f"{len(lines):,} differences" if lines else f"all {count:,} deterministic files are alike")
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"ERROR: {error}")
