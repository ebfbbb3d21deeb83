"""The report's folder: that its copies of tables, figures and rows are what they are copies of."""

from __future__ import annotations

import re

from laser_audit.cells import ARMS, all_tested
from laser_audit.comparing import same_cell
from laser_audit.findings import Check
from laser_audit.policies import policies
from laser_audit.reading import Study

COPIED = ("tables", "figures")
FOLDERS = (*COPIED, "media")
SCORES = ("correct", "loss", "answer_rank", "in_top5", "in_top10")


def slug(name: str) -> str:
    """Return a name as the report spells it in file names."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")


def check_report(check: Check, study: Study) -> None:
    """Compare every copy in report/ with its original, and the CSV files of rows with the test files."""
    originals: dict[str, str] = {}
    for path in study.files:
        folder, _, inner = path.partition("/")
        if folder in COPIED:
            stem, _, ending = inner.rpartition(".")
            copied = "media" if folder == "figures" and study.has(f"{folder}/{stem}.gif") else folder
            originals[f"report/{copied}/{slug(stem)}.{ending}"] = path
    known = {study.sha256(path) for path in originals.values() if study.has(path)}
    for path in study.files:
        if path.startswith(tuple(f"report/{folder}/" for folder in FOLDERS)):
            with check.guarded(path):
                check.count += 1
                original = originals.get(path)
                if original is not None and study.sha256(path) != study.sha256(original):
                    check.fail(path, "", "other bytes", f"those of {original}")
                elif original is None and study.sha256(path) not in known:
                    check.fail(path, "", "a file of its own", "a copy of a table or figure")
    for cell in all_tested(study, study.protocols):
        path = f"report/rows/{slug('-'.join(cell.name))}.csv"
        if not study.has(path):
            continue
        with check.guarded(path):
            _, rows = study.table(path)
            check.same(path, "ids", [row["id"].removeprefix("'") for row in rows], cell.ids)
            own = (*SCORES, "prediction") if cell.model in policies(study) else SCORES
            for arm in ARMS:
                for name in own:
                    values = cell.arms[arm][name].tolist()
                    for row, value in zip(rows, values, strict=False):
                        check.count += 1
                        if not same_cell(row[f"{arm}_{name}"], value):
                            check.fail(path, f"{arm}_{name} of {row['id']}", row[f"{arm}_{name}"], value)
