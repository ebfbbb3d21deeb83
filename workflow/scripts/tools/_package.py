"""Lets the tools find the package: they are run by their paths, and Python looks beside them only."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
