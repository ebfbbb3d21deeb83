"""Measurements, run from the repository root: `python -m benchmarks.<name>`."""

import sys
from pathlib import Path

_PACKAGE = str(Path(__file__).resolve().parents[1] / "workflow" / "scripts")
if _PACKAGE not in sys.path:
    sys.path.insert(0, _PACKAGE)
