"""Print the state of a study's last run: jobs by rule, time left, and why jobs failed.

python workflow/scripts/tools/status.py results/quickstart
"""

from pathlib import Path

from _package import new_parser, run

from laser.cost.status import status_text


def main() -> None:
    """Parse the command line and print."""
    parser = new_parser(__doc__)
    parser.add_argument("study", type=Path, help="folder of the study's results")
    print(status_text(parser.parse_args().study))


if __name__ == "__main__":
    run(main)
