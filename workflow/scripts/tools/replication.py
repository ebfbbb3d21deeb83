"""Write docs/replication.md: which of the paper's claims hold in the studies that were run, and the evidence.

python workflow/scripts/tools/replication.py
python workflow/scripts/tools/replication.py --studies quickstart laboratory --output docs/replication.md

The pages of evidence, one per study, go into a folder beside the page: docs/replication/<study>.md. If a study asks the
paper's own questions, README's section on real data and its picture are written too.
"""

from pathlib import Path

from _package import ROOT, new_parser, run

PAGE = ROOT / "docs/replication.md"


def main() -> None:
    """Parse the command line and write the pages."""
    parser = new_parser(__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="folder with a folder per study")
    parser.add_argument("--studies", nargs="+", help="names of studies; default: all that have tables")
    parser.add_argument("--output", type=Path, default=PAGE, help="default: docs/replication.md, and README's section")
    parser.add_argument("--readme", type=Path, help="README whose section is written; none with another --output")
    given = parser.parse_args()
    # Imported here, because the texts of the rules hold numbers from config/claims.yaml, which may be refused.
    from laser.claims.judged import judge, read_study
    from laser.claims.page import write_pages
    from laser.claims.readme import write_readme

    made = sorted(path.parent.name for path in given.results.glob("*/tables") if any(path.glob("*.csv")))
    names = given.studies or made
    known = sorted(path.stem for path in (ROOT / "config/studies").glob("*.yaml"))
    studies = [judge(read_study(given.results / name)) for name in names]
    absent = [name for name in known if name not in names]
    write_pages(studies, absent, given.output)
    readme = given.readme or (ROOT / "README.md" if given.output == PAGE else None)
    if readme:
        write_readme(readme, [study.tables for study in studies])


if __name__ == "__main__":
    run(main)
