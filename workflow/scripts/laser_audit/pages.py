"""The outcome of an audit for people: a few lines for the terminal, and a page in Markdown and in HTML."""

from __future__ import annotations

import html
from pathlib import Path

from laser.errors import UserError
from laser.io.files import write_text
from laser_audit.findings import Check, Finding
from laser_audit.run import Report

TERMINAL = 12
"""Findings shown on the terminal."""

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #8885; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
code { overflow-wrap: anywhere; }
.failed { font-weight: bold; }
"""


def outcome(check: Check) -> str:
    """Return what came of a check, in a word or two."""
    if check.skipped:
        return "nothing to do"
    return "passed" if check.passed else f"{len(check.findings):,} wrong"


def verdict_line(report: Report) -> str:
    """Return the verdict as one sentence."""
    done = [check for check in report.checks if not check.skipped]
    looked = sum(check.count for check in done)
    if report.passed:
        return f"PASSED: {len(done)} checks, {looked:,} comparisons, nothing found in {report.folder}."
    failed = [check.name for check in done if not check.passed]
    return f"FAILED: {report.findings:,} findings in {report.folder}, in the checks {', '.join(failed)}."


def terminal(report: Report) -> str:
    """Return what the terminal shows: a line per check, the first findings, the verdict."""
    width = max(len(check.name) for check in report.checks)
    lines = [
        f"  {check.name:<{width}}  {f'{check.count:,} {check.unit}' if not check.skipped else '':>16}  {outcome(check)}"
        for check in report.checks
    ]
    found = [(check, finding) for check in report.checks for finding in check.findings]
    if found:
        lines += ["", *(f"  {check.name}: {finding}" for check, finding in found[:TERMINAL])]
        if len(found) > TERMINAL:
            lines.append(f"  … and {len(found) - TERMINAL:,} more")
    return "\n".join([*lines, "", verdict_line(report)])


def markdown(report: Report) -> str:
    """Return the page in Markdown."""
    lines = [f"# Audit of {_escaped(report.study or str(report.folder))}", "", _escaped(verdict_line(report)), ""]
    lines += ["| check | what | looked at | outcome |", "| --- | --- | ---: | --- |"]
    for check in report.checks:
        count = "" if check.skipped else f"{check.count:,} {check.unit}"
        lines.append(f"| {check.name} | {check.about} | {count} | {check.skipped or outcome(check)} |")
    for check in report.checks:
        if check.findings:
            lines += ["", f"## {check.name}", "", "| file | where | found | expected |", "| --- | --- | --- | --- |"]
            lines += [f"| {' | '.join(map(_escaped, _cells(finding)))} |" for finding in check.findings]
    lines += ["", "## What was not recomputed", "", "| what | why |", "| --- | --- |"]
    lines += [f"| {_escaped(what)} | {why} |" for what, why in report.left]
    return "\n".join(lines) + "\n"


def _cells(finding: Finding) -> tuple[str, str, str, str]:
    return finding.path, finding.where, finding.found, finding.expected


def _escaped(text: str) -> str:
    """Escape a text for a cell of a Markdown table, whatever a damaged file has put into it."""
    text = html.escape(text, quote=False)
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#!" else letter for letter in text)


def page(report: Report) -> str:
    """Return the page in HTML: one file, no script, nothing fetched."""
    escape = html.escape
    rows = "\n".join(
        f'<tr class="{"failed" if check.findings else "passed"}"><th scope="row">{escape(check.name)}</th>'
        f'<td>{escape(check.about)}</td><td class="number">'
        f"{'' if check.skipped else f'{check.count:,} {escape(check.unit)}'}</td>"
        f"<td>{escape(check.skipped or outcome(check))}</td></tr>"
        for check in report.checks
    )
    parts = []
    for check in report.checks:
        if check.findings:
            found = "\n".join(
                "<tr>" + "".join(f"<td><code>{escape(cell)}</code></td>" for cell in _cells(finding)) + "</tr>"
                for finding in check.findings
            )
            parts.append(
                f"<h2>{escape(check.name)}</h2>\n<table><thead><tr><th>file</th><th>where</th><th>found</th>"
                f"<th>expected</th></tr></thead><tbody>\n{found}\n</tbody></table>"
            )
    left = "\n".join(f"<tr><td>{escape(what)}</td><td>{escape(why)}</td></tr>" for what, why in report.left)
    title = escape(f"Audit of {report.study or report.folder}")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{STYLE}</style></head>\n'
        f"<body><main><h1>{title}</h1>\n<p>{escape(verdict_line(report))}</p>\n"
        f"<table><thead><tr><th>check</th><th>what</th><th>looked at</th><th>outcome</th></tr></thead><tbody>\n{rows}\n"
        f"</tbody></table>\n{''.join(parts)}\n<h2>What was not recomputed</h2>\n"
        f"<table><thead><tr><th>what</th><th>why</th></tr></thead><tbody>\n{left}\n</tbody></table>\n"
        "</main></body></html>\n"
    )


def write_pages(report: Report, folder: Path) -> list[Path]:
    """Write audit.md and index.html below a folder; return their paths.

    Raises:
        UserError: the folder is a symbolic link, which could lead anywhere.
    """
    if folder.is_symlink():
        raise UserError(f"{folder}: is a symbolic link, and nothing is written through it. Name another --output.")
    paths = [folder / "audit.md", folder / "index.html"]
    for path, text in zip(paths, (markdown(report), page(report)), strict=True):
        write_text(path, text)
    return paths
