"""Make a virtual environment and install the pinned packages, saying how far it is.

Needs Python 3.11 or newer and its standard library alone. Used by `make`: python3 envs/install.py .venv
"""

from __future__ import annotations

import subprocess
import sys
import time
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
SECONDS_BETWEEN_LINES = 5.0
UNREACHABLE = (
    "connection broken",
    "Failed to establish a new connection",
    "Read timed out",
    "SSLError",
    "Name or service",
)
"""What pip says of an index that it cannot reach; it then also says that there is no such package."""


def pinned(requirements: Path) -> list[str]:
    """Return the names pinned in a requirements file."""
    lines = requirements.read_text(encoding="utf-8").splitlines()
    return [line.split("==")[0] for line in lines if "==" in line and not line.startswith("#")]


def say(text: str) -> None:
    """Write one line to the terminal."""
    print(f"[install] {text}", file=sys.stderr, flush=True)


def install(python: Path, log: Path, total: int) -> int:
    """Run pip, keep all that it says in `log`, and say how many packages it has fetched; return its exit status."""
    command = [str(python), "-m", "pip", "install", "--progress-bar", "off", "-r", str(REQUIREMENTS)]
    fetched, said = 0, time.monotonic()
    with (
        log.open("w", encoding="utf-8") as written,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip,
    ):
        for line in pip.stdout or ():
            written.write(line)
            fetched += line.startswith(("Collecting ", "Requirement already satisfied: "))
            if line.startswith("Installing collected packages"):
                say(f"all {total} packages are fetched; unpacking them")
            elif line.startswith("ERROR"):
                say(line.rstrip())
            elif time.monotonic() - said > SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                say(f"fetched {min(fetched, total)} of {total} packages")
    return pip.returncode


def main(folder: Path) -> int:
    """Install into `folder`; return pip's exit status."""
    if sys.version_info < (3, 11):  # noqa: UP036  (this is where an older Python is told)
        say(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. Try: make PYTHON=python3.11 quickstart")
        return 1
    if folder.is_symlink() and not folder.exists():
        say(f"{folder} is a link to {folder.readlink()}, which does not exist. Remove the link, then run again.")
        return 1
    if folder.is_symlink():
        say(
            f"{folder} is a link to {folder.readlink()}, which may lack packages of today's requirements. Remove the "
            f"link, or install them there and run: touch {folder / '.installed'}"
        )
        return 1
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        say(f"{folder} holds files and is not a virtual environment. Give another: make VENV=.venv quickstart")
        return 1
    names = pinned(REQUIREMENTS)
    say(f"{len(names)} packages into {folder} (about 2 GB on disk with the CPU build of torch, more with CUDA)")
    venv.create(folder, with_pip=True)
    started, log = time.monotonic(), folder / "install.log"
    status = install(folder / "bin" / "python", log, len(names))
    seconds = time.monotonic() - started
    say(f"done in {seconds:.0f} s" if status == 0 else f"pip failed with status {status}; all it said is in {log}")
    if status != 0 and any(mark in log.read_text(encoding="utf-8", errors="replace") for mark in UNREACHABLE):
        say("The package index cannot be reached. Check the network, or name another index: export PIP_INDEX_URL=<url>")
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
