"""A whole small study with records and manifests: the workflow's own commands, run one after the other in one process.

Snakemake plans the study and names the command of every job; what it adds beyond them (a process and an import of torch
per job) takes minutes, and the commands alone take seconds.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

from tests.workflow.runner import FORKS, ROOT, run


def build(folder: Path, study: Path) -> Path:
    """Make a study below `folder`; return the folder of its results.

    Args:
        folder: an empty one, or one that holds the study's own sources.
        study: its YAML file, whose name is the study's.
    """
    planned = run(folder, study, "all", flags=("--dry-run", "--printshellcmds"))
    assert planned.returncode == 0, planned.stdout + planned.stderr
    commands = [
        line
        for line in (planned.stdout + planned.stderr).splitlines()
        if "/workflow/scripts}/" in line or "LASER_SCRIPTS" in line
    ]
    environment = os.environ | {
        "LASER_SCRIPTS": str(ROOT / "workflow/scripts"),
        "LASER_RESULTS_FOLDER": f"results/{study.stem}",
        "LASER_CACHE_FOLDER": "cache",
        "PYTHONPATH": f"{ROOT / 'workflow/scripts'}:{ROOT}",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    # The shell itself splits the commands into words, as it does for Snakemake.
    words = [
        subprocess.run(
            ["bash", "-c", f"printf '%s\\0' {command[command.index('python ') + 7 :]}"],
            capture_output=True,
            check=True,
            env=environment,
        )
        .stdout.decode()
        .split("\0")[:-1]
        for command in commands
    ]
    done = FORKS.run("tests.workflow.one_process", [], environment, folder, given=json.dumps(words))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results" / study.stem


def main() -> None:
    """Run the commands given as JSON on standard input, each as the script that it names."""
    for words in json.load(sys.stdin):
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main()
