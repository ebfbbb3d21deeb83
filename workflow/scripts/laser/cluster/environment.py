"""Environment variables of the rules' commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from laser.config.paths import Folders
from laser.errors import UserError
from laser.io.claim import RUN, run_of_this_process
from laser.io.machine import GPU_GIVEN, SLURM_JOB

NODE_LOCAL = "LASER_NODE_LOCAL"
NOT_FOR_JOBS = ("PYTHONWARNINGS", "PYTHONOPTIMIZE")
"""Variables that change Python's behaviour: harmless warnings become errors; -O removes code that libraries need."""


def check_paths(**folders: Path | str) -> None:
    """Raise UserError for a folder whose path has braces: Snakemake takes them for wildcards."""
    for name, folder in folders.items():
        if "{" in str(folder) or "}" in str(folder):
            raise UserError(
                f"{name}: the path '{folder}' has a brace, which Snakemake takes for a wildcard. Choose a path without "
                "{ and }."
            )


def set_environment(scripts: Path, folders: Folders, node_local: str = "", main_process: bool = False) -> None:
    """Let the rules' commands find Python, the scripts and the folders of their files.

    Jobs run in Snakemake's own environment even if it was not activated (a --software-deployment-method still goes
    first). Commands name workflow/scripts/…, so that a reader can paste them; under --directory that folder is
    elsewhere, and LASER_SCRIPTS says where. Matplotlib keeps its list of fonts in .snakemake, not in the home folder.

    Args:
        scripts: the folder of the rule scripts.
        folders: the folders of the study's results and of the cache.
        node_local: the config key `node_local`. Scripts get it from LASER_NODE_LOCAL, not their specs, because it does
            not shape results. Its variables are expanded on the node, where Snakemake calls this again. Variables named
            SLURM_… do not reach the innermost process that Snakemake starts there, so the value that an outer process
            has expanded is kept.
        main_process: True in Snakemake's main process, whose end ends the jobs; False in a process inside a job.
    """
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["LASER_SCRIPTS"] = os.path.relpath(scripts)
    os.environ["LASER_RESULTS_FOLDER"], os.environ["LASER_CACHE_FOLDER"] = str(folders.results), str(folders.cache)
    os.environ.setdefault("MPLCONFIGDIR", os.path.abspath(".snakemake/matplotlib"))
    expanded = os.path.expanduser(os.path.expandvars(node_local))
    if "$" not in expanded or "$" in os.environ.get(NODE_LOCAL, "$"):
        os.environ[NODE_LOCAL] = expanded
    for name in NOT_FOR_JOBS:
        os.environ.pop(name, None)
    if main_process:
        os.environ[RUN] = run_of_this_process()
    if "SLURM_JOB_ID" in os.environ:
        os.environ[SLURM_JOB] = os.environ["SLURM_JOB_ID"]
    if os.environ.get("SLURM_JOB_GPUS"):
        os.environ[GPU_GIVEN] = os.environ["SLURM_JOB_GPUS"]
