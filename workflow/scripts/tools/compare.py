"""List the deterministic files that differ between two folders of a study; exit status 1 if there are any.

python workflow/scripts/tools/compare.py results/quickstart elsewhere/results/quickstart
"""

import sys
from pathlib import Path

from _package import new_parser, run

from laser.provenance.archive import read_manifest
from laser.provenance.compare import differences
from laser.provenance.manifest import MANIFEST


def main() -> None:
    """Parse the command line and print."""
    parser = new_parser(__doc__)
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
    run(main)
