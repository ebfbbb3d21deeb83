"""What the tools share. Importing it lets them find the package: they are run by path, and Python looks beside them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

# The package is imported where it is used: tools/audit.py needs none of its dependencies.
if TYPE_CHECKING:
    from laser.config.plan import Plan


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help shows the description, a tool's docstring, as it is written."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def study_parser(description: str | None, jobs: int | None) -> argparse.ArgumentParser:
    """Return a parser of what `planned` reads; `jobs` is the default of --jobs."""
    parser = new_parser(description)
    parser.add_argument("--study", required=True, help="name of a study, or path of its .yaml file")
    parser.add_argument("--jobs", type=int, default=jobs, help="jobs that run at once here (--cores of Snakemake)")
    parser.add_argument("--cache", help="folder of models and data, where it is not that of config/config.yaml")
    parser.add_argument("--accept-terms", help="models whose terms of use are accepted, with commas between them")
    return parser


def planned(given: argparse.Namespace) -> Plan:
    """Return the plan of the study that the command line names. Raises UserError for anything that is not allowed."""
    from laser.config.plan import Plan
    from laser.config.yaml_files import read_yaml
    from laser.errors import UserError

    if given.jobs < 1:
        raise UserError(f"--jobs is {given.jobs}: give how many jobs run at once, 1 or more.")
    values = read_yaml(ROOT / "config/config.yaml") | {"study": given.study}
    for key in ("cache", "accept_terms"):
        if getattr(given, key):
            values[key] = getattr(given, key)
    return Plan.load(values, ROOT)


def run(main: Callable[[], None]) -> None:
    """Run a tool's `main`; a `UserError` becomes one message and exit status 1."""
    from laser.errors import UserError

    try:
        main()
    except UserError as error:
        sys.exit(f"ERROR: {error}")
