"""The outcome of an audit for readers: lines for the terminal, and an HTML page."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path

from laser_audit.findings import Check, NotAStudy
from laser_audit.run import CANNOT, Report

TERMINAL = 12
"""Largest number of findings shown on the terminal."""

PASSED, FAILED, IN_PART = 0, 1, 3
"""Exit statuses: no findings; findings; no findings, but a replay could not compare everything."""

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #8885; }
code { overflow-wrap: anywhere; }
table:first-of-type code { overflow-wrap: normal; }
@media (prefers-color-scheme: light) { :root:has(#theme:checked) { color-scheme: dark; } }
@media (prefers-color-scheme: dark) { :root:has(#theme:checked) { color-scheme: light; } }
@media print { label { display: none; } }
"""


def status(report: Report) -> int:
    """Return the exit status of an audit."""
    if not report.passed:
        return FAILED
    return IN_PART if report.not_compared else PASSED


def outcome(check: Check) -> str:
    """Return a check's outcome in a word or two."""
    if check.skipped:
        return "nothing to do"
    return "passed" if check.passed else f"{len(check.findings):,} wrong"


def count(check: Check) -> str:
    """Return how much a check looked at."""
    return "" if check.skipped else f"{check.count:,} {check.unit}"


def verdict(report: Report) -> list[str]:
    """Return lines with the verdict, what could not be compared, and what no audit of files can show."""
    done = [check for check in report.checks if not check.skipped]
    looked = f"{len(done)} checks, {sum(check.count for check in done):,} comparisons"
    failed = ", ".join(check.name for check in done if not check.passed)
    lines = {
        PASSED: f"PASSED: {looked}, nothing found in {report.folder}.",
        IN_PART: f"PASSED IN PART: {looked}, nothing found in {report.folder}; not everything was compared.",
        FAILED: f"FAILED: {report.findings:,} findings in {report.folder}, in the checks {failed}.",
    }
    unseen = "; ".join(f"{what} ({why})" for what, why in CANNOT)
    return [
        lines[status(report)],
        *_not_compared(report),
        *report.notes,
        f"What no audit of files can show: {unseen}.",
    ]


def _not_compared(report: Report) -> list[str]:
    """Return a line for each reason for which something was not compared."""
    reasons: dict[str, list[str]] = {}
    for what, why in report.not_compared:
        reasons.setdefault(why, []).append(what)
    return [f"NOT COMPARED: {', '.join(whats)}: {why}." for why, whats in reasons.items()]


def terminal(report: Report) -> str:
    """Return what the terminal shows: a line per check, the first findings, and the verdict."""
    width = max(len(check.name) for check in report.checks)
    lines = [f"  {check.name:<{width}}  {count(check):>16}  {outcome(check)}" for check in report.checks]
    findings = [(check, finding) for check in report.checks for finding in check.findings]
    if findings:
        lines += ["", *(f"  {check.name}: {finding}" for check, finding in findings[:TERMINAL])]
        if len(findings) > TERMINAL:
            lines.append(f"  … and {len(findings) - TERMINAL:,} more")
    return "\n".join([*lines, "", *verdict(report)])


def page(report: Report) -> str:
    """Return the HTML page: one file without scripts that fetches nothing."""
    title = html.escape(f"Audit of {report.name or report.folder}")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    checks = [(check.name, check.about, count(check), check.skipped or outcome(check)) for check in report.checks]
    theme = '<label><input type="checkbox" id="theme"> Swap dark and light</label>'
    parts = [f"<h1>{title}</h1>", theme, *(f"<p>{html.escape(line)}</p>" for line in verdict(report))]
    parts.append(_table(("check", "what", "looked at", "outcome"), checks))
    for check in report.checks:
        if check.findings:
            rows = [(finding.path, finding.where, finding.found, finding.expected) for finding in check.findings]
            parts += [f"<h2>{html.escape(check.name)}</h2>", _table(("file", "where", "found", "expected"), rows)]
    parts += ["<h2>What was not recomputed</h2>", _table(("what", "why"), report.left)]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{STYLE}</style></head>\n'
        "<body><main>" + "\n".join(parts) + "\n</main></body></html>\n"
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
    lines = ["".join(f"<td><code>{html.escape(cell)}</code></td>" for cell in row) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def write_page(report: Report, folder: Path) -> Path:
    """Write index.html below a folder; return its path.

    Raises:
        NotAStudy: the folder or the page is a symbolic link, which could lead anywhere, or cannot be written.
    """
    path = folder / "index.html"
    if folder.is_symlink() or path.is_symlink():
        raise NotAStudy(f"{folder}: is a symbolic link, and nothing is written through it. Name another --output.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(page(report), encoding="utf-8")
    except OSError as error:
        raise NotAStudy(f"{path}: cannot be written ({error.strerror}). Name another --output.") from error
    return path
