"""Which study a command makes that names none: the quickstart; with the cluster's profile the paper."""

import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.runner import ROOT, forked

SMALL, LARGE = "quickstart", "paper"


LONGEST_LINE = 2_000
"""Characters, in a dry run: what names every input of a job has hundreds of thousands."""


def datasets(study: str) -> int:
    return len(yaml.safe_load((ROOT / f"config/studies/{study}.yaml").read_text())["datasets"])


def prepared(folder: Path, *line: str) -> int:
    """Return how many datasets a dry run of a command in the repository would prepare."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--directory", str(folder), *line]
    done = forked(command, os.environ)
    shown = done.stdout + done.stderr
    assert done.returncode == 0, shown[-3000:]
    assert max(map(len, shown.splitlines())) < LONGEST_LINE
    return int(re.search(r"^prepare\s+(\d+)$", shown, re.M)[1])


@pytest.mark.parametrize(
    ("line", "study"),
    [
        ("--cores 1 fig2", SMALL),
        ("--cores 1 data --config study=paper", LARGE),
        ("--profile slurm data", LARGE),
        ("--profile slurm data --config cache=elsewhere", LARGE),
        ("--profile slurm data --config study={root}/config/studies/quickstart.yaml device=cpu", SMALL),
        ("--profile slurm data --configfile {own}", SMALL),
        ("--profile slurm --profile {mine} data", SMALL),
        ("--profile slurm --profile {site} data", LARGE),
    ],
)
def test_the_study_that_a_command_makes(tmp_path, line, study):
    (tmp_path / "own.yaml").write_text("study: quickstart\n")
    for name, text in {"of-study": "config: {study: quickstart}\n", "of-site": "jobs: 20\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "profile.yaml").write_text(text)
    named = {"own": tmp_path / "own.yaml", "mine": tmp_path / "of-study", "site": tmp_path / "of-site", "root": ROOT}
    assert datasets(SMALL) != datasets(LARGE)
    assert prepared(tmp_path / "run", *line.format(**named).split()) == datasets(study)
