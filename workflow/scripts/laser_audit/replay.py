"""Has the checkout make a study again with the study's own code (`laser.replay.study`), in another process."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from laser_audit.findings import Check, Finding, Unreadable
from laser_audit.run import Report

REPLAYS = ("never", "auto", "always")
NEEDED = ("scipy", "matplotlib", "cmcrameri", "rocrate")
SECONDS = 24 * 3600
"""The longest that a replay may take; it grows with the study, and that of a small one takes a minute."""


def replay(report: Report, scripts: Path, cache: Path, when: str = "always") -> None:
    """Remake rows, choices, tables, figures and the report, and compare; `auto`: only if the packages are installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        why = f"the packages {', '.join(missing)} are not installed here"
        where = report.left if when == "auto" else report.not_compared
        where.append(("choices, tables, figures, report and data, made again (--replay)", why))
        return
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LASER_")}
    environment |= {"PYTHONPATH": str(scripts), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    ended = Check("replay", "The study's own code ran to its end.", "runs")
    with tempfile.TemporaryDirectory(prefix="laser-replay-") as folder, ended.guarded("", "the replay as a whole"):
        answer = Path(folder) / "answer.json"
        words = [sys.executable, "-m", "laser.replay.study", str(report.folder), str(cache), str(answer)]
        try:
            done = subprocess.run(words, stderr=subprocess.PIPE, text=True, env=environment, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise Unreadable("", f"stopped after {SECONDS:,} seconds") from None
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise Unreadable("", f"ended with exit status {done.returncode} ({reason})")
        found = json.loads(answer.read_text(encoding="utf-8"))
        for check in found["checks"]:
            findings = [Finding(**finding) for finding in check.pop("findings")]
            report.checks.append(Check(**check, findings=findings))
        report.not_compared.extend((what, why) for what, why in found["not_compared"])
        report.notes.extend(found["notes"])
        return
    report.checks.append(ended)
