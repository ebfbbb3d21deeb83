"""What is assumed about datasets and checkpoints that are not available yet: config/cost.yaml.

A module of its own, because benchmarks/gpu.py reads it through `laser.cost.inputs` where pydantic is missing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from laser.config.yaml_files import read_yaml

PATH = Path(__file__).resolve().parents[4] / "config/cost.yaml"


@cache
def read_facts() -> dict[str, Any]:
    """Return config/cost.yaml."""
    return read_yaml(PATH)
