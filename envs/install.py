"""Make a virtual environment and install the pinned packages, saying how far it is and how long is left.

Needs Python 3.11 or newer and its standard library alone. Used by `make`: python3 envs/install.py .venv
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def pinned(requirements: Path) -> list[str]:
    """Return the names pinned in a requirements file."""
    lines = requirements.read_text(encoding="utf-8").splitlines()
    return [line.split("==")[0] for line in lines if "==" in line and not line.startswith("#")]


def say(text: str) -> None:
    """Write one line to the terminal."""
    print(f"[install] {text}", file=sys.stderr, flush=True)


class Meter:
    """Counts packages in two phases, fetched and unpacked, and tells the time left every few seconds."""

    def __init__(self, total: int, site: Path) -> None:
        self.total, self.site, self.fetched, self.start = total, site, 0, time.monotonic()
        self.unpacking: float | None = None
        self.stopped = threading.Event()

    def unpacked(self) -> int:
        """Return how many packages stand in the environment."""
        return len(list(self.site.glob("*.dist-info")))

    def watch(self) -> None:
        """Report until stopped."""
        while not self.stopped.wait(5):
            now = time.monotonic()
            if self.unpacking is None:
                share = min(self.fetched / self.total, 1) / 2
                phase = f"fetched {min(self.fetched, self.total)}/{self.total} packages"
            else:
                share = 0.5 + min(self.unpacked() / self.total, 1) / 2
                phase = f"unpacked {min(self.unpacked(), self.total)}/{self.total} packages"
            left = (now - self.start) * (1 - share) / max(share, 0.02)
            say(f"{phase}, about {left / 60:.1f} min left")


def main(folder: Path) -> int:
    """Install into `folder`; return pip's exit status."""
    if sys.version_info < (3, 11):  # noqa: UP036  (this is where an older Python is told)
        say(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. Try: make PYTHON=python3.11 quickstart")
        return 1
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        say(f"{folder} holds files and is no virtual environment. Give another folder: make VENV=.venv quickstart")
        return 1
    names = pinned(REQUIREMENTS)
    say(f"{len(names)} packages into {folder} (about 2 GB on disk with the CPU build of torch, more with CUDA)")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    site = next((folder / "lib").glob("python*/site-packages"))
    meter = Meter(len(names), site)
    threading.Thread(target=meter.watch, daemon=True).start()
    log = folder / "install.log"
    with log.open("w", encoding="utf-8") as written:
        command = [str(python), "-m", "pip", "install", "--progress-bar", "off", "-r", str(REQUIREMENTS)]
        pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert pip.stdout is not None
        for line in pip.stdout:
            written.write(line)
            if re.match(r"(Collecting|Requirement already satisfied)", line):
                meter.fetched += 1
            elif line.startswith("Installing collected packages"):
                meter.unpacking = time.monotonic()
            elif line.startswith("ERROR"):
                say(line.rstrip())
        status = pip.wait()
    meter.stopped.set()
    seconds = time.monotonic() - meter.start
    say(f"done in {seconds:.0f} s" if status == 0 else f"pip failed with status {status}; all it said is in {log}")
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
