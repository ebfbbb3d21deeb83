"""Artefacts of a finished study, made again one after the other: a Python for each would mostly import.

python -m laser.replay.artefacts SCRIPT RESULTS FOLDER reads an object of name to spec on standard input. It runs the
script of tables and figures for each, into a folder of its name below FOLDER, and prints those that fail, with the
reason.
"""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path
from typing import Any


def make_again(script: str, results: Path, folder: Path, spec: dict[str, Any]) -> str:
    """Make one artefact in `folder`; return why that failed, empty if it did not."""
    words = ["--spec", json.dumps(spec), "--results", str(results)]
    sys.argv = [script, *words, "--inputs", str(results / "inputs"), "--into", str(folder)]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        return (said.getvalue().strip().splitlines() or ["no message"])[-1] if ended.code else ""
    return ""


def main(script: str, results: str, folder: str) -> None:
    """Make every artefact on standard input again."""
    asked = json.load(sys.stdin)
    reasons = {name: make_again(script, Path(results), Path(folder) / name, spec) for name, spec in asked.items()}
    print(json.dumps({name: reason for name, reason in reasons.items() if reason}))


if __name__ == "__main__":
    main(*sys.argv[1:])
