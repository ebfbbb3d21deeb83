"""Resolve requirements.in into requirements.txt: a fresh environment, and every package in it pinned.

Needs the network and a few minutes: python envs/lock.py
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

FOLDER = Path(__file__).parent
HEADER = """\
# Every package, pinned. Made by `make lock` from requirements.in; do not edit by hand.
# torch: pip takes the CPU build where its package index offers one under this version, else the build for CUDA.
"""


def main() -> None:
    """Write requirements.txt."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin/python"), "-m", "pip"]
        # torch first: asked for through other packages, pip would take the newest build for CUDA.
        wanted = (FOLDER / "requirements.in").read_text(encoding="utf-8")
        (torch,) = re.findall(r"^torch==\S+", wanted, re.M)
        subprocess.run([*pip, "install", torch], check=True)
        subprocess.run([*pip, "install", "-r", str(FOLDER / "requirements.in")], check=True)
        frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout
    lines = [re.sub(r"\+cpu$", "", line) for line in frozen.splitlines()]
    (FOLDER / "requirements.txt").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} packages pinned", file=sys.stderr)


if __name__ == "__main__":
    main()
