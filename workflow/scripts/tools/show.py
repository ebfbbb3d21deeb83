"""Print a finished study's main table and where to look: python workflow/scripts/tools/show.py results/quickstart."""

import sys
from pathlib import Path

import _package  # noqa: F401

from laser.results.plain import from_markdown


def main(folder: Path) -> None:
    """Print Table 1 (for policies, Table 2) and the paths of the report, tables and figures."""
    for table in (folder / "tables/table1.md", folder / "tables/table2.md"):
        if table.is_file():
            print(f"\n{from_markdown(table.read_text(encoding='utf-8'))}\n")
    for name, path in {"Report": "report/index.html", "Tables": "tables/", "Figures": "figures/"}.items():
        print(f"{name + ':':9}{folder / path}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
