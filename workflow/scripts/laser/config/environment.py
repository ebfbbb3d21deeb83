"""What the commands of rules find in their environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def set_environment(scripts: Path) -> None:
    """Let the rules' commands find Python and the scripts.

    Jobs run in Snakemake's own environment even if it was not activated (a --software-deployment-method still goes
    first). Commands name workflow/scripts/…, as a reader would paste them; under --directory that is somewhere else,
    and LASER_SCRIPTS says where.
    """
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["LASER_SCRIPTS"] = os.path.relpath(scripts)
