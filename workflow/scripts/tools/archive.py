"""Pack a finished study into results/<study>.tar.zst, the same bytes every time.

python workflow/scripts/tools/archive.py results/quickstart
"""

from pathlib import Path

from _package import ROOT, new_parser, run

from laser.config.yaml_files import read_yaml
from laser.io.files import sha256_file
from laser.provenance.archive import write_archive
from laser.provenance.manifest import MANIFEST


def main() -> None:
    """Parse the command line, write the archive, print the hashes."""
    parser = new_parser(__doc__)
    parser.add_argument("study", type=Path, help="folder of a finished study")
    parser.add_argument("--output", type=Path, help="the archive; default: beside the folder")
    given = parser.parse_args()
    folder = given.study.resolve()
    target = given.output or given.study.with_name(f"{folder.name}.tar.zst")
    write_archive(folder, read_yaml(ROOT / "CITATION.cff"), target)
    print(f"{target}\n  sha256          {sha256_file(target)}\n  {MANIFEST}   {sha256_file(folder / MANIFEST)}")


if __name__ == "__main__":
    run(main)
