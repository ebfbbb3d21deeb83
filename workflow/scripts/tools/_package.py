"""Lets the tools find the package: they are run by path, and Python looks only beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
