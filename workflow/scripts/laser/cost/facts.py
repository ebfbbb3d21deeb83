"""What is assumed about datasets and checkpoints that are not available yet: config/cost.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from laser.config.yaml_files import read_yaml


@cache
def read_facts(root: Path) -> dict[str, Any]:
    """Return config/cost.yaml of the repository at `root`."""
    return read_yaml(root / "config/cost.yaml")
