"""One page of evidence per study: the rule of every claim, and the numbers of each comparison that it judged."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from laser.claims.claims import CLAIMS, QUESTIONS, Claim
from laser.claims.judged import JudgedStudy, StudyTables
from laser.claims.markdown import relative, table_head, table_row
from laser.io.files import sha256_file

WRITTEN_BY = "Written by `workflow/scripts/tools/replication.py`"
"""The beginning of each generated page's second paragraph."""

SHOWN = 12
"""Largest number of comparisons that the page lists per claim; the rest are counted, and are in the study's file."""


def evidence_page(study: JudgedStudy, conclusions: Path, folder: Path) -> str:
    """Return a study's page of evidence as Markdown.

    Args:
        study: the study and its comparisons.
        conclusions: path of the replication page.
        folder: folder of this page, to which its links are relative.
    """
    parts = [
        f"# Evidence of the study {study.name}",
        f"{WRITTEN_BY} from the study's tables and figures. Conclusions of all studies: "
        f"[{conclusions.name}]({relative(conclusions, folder)}). Links to results lead to files that exist once the "
        "study was run.",
    ]
    for title, claims in (("The paper's claims", CLAIMS), ("Questions beyond the paper", QUESTIONS)):
        evident = [claim for claim in claims if study.comparisons[claim.name] is not None]
        if evident:
            parts.append(f"## {title}")
        parts += [_claim(claim, study, folder) for claim in evident]
    return "\n\n".join([*parts, _files(study.tables, folder)]) + "\n"


def _claim(claim: Claim, study: JudgedStudy, folder: Path) -> str:
    comparisons = study.comparisons[claim.name] or []
    links = ", ".join(_link(study.tables.files[name], name, folder) for name in claim.evidence)
    lines = [
        f'### <a id="{claim.name}"></a>{claim.text}',
        "",
        f"*Where*: {claim.source}. *Rule*: {claim.rule}",
        "",
        f"**{study.verdict_with_support(claim)}** ({links})",
    ]
    if not comparisons:
        return "\n".join(lines)
    for estimate in study.estimates(claim):
        lines += ["", f"Mean: {estimate}; {estimate.heterogeneity}."]
    lines += ["", *table_head(["Comparison", "Numbers", "Verdict"])]
    lines += [
        table_row([comparison.where, comparison.evidence, comparison.verdict]) for comparison in comparisons[:SHOWN]
    ]
    if len(comparisons) > SHOWN:
        counts = Counter(comparison.verdict for comparison in comparisons[SHOWN:])
        rest = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
        lines += ["", f"And {len(comparisons) - SHOWN} more in the file: {rest}."]
    return "\n".join(lines)


def _link(paths: Sequence[Path], name: str, folder: Path) -> str:
    target = paths[0] if len(paths) == 1 else Path(os.path.commonpath(paths))
    text = paths[0].name if len(paths) == 1 else f"{name}, {len(paths)} files"
    return f"[{text}]({relative(target, folder)})"


def _files(study: StudyTables, folder: Path) -> str:
    needed = {name for claim in (*CLAIMS, *QUESTIONS) for name in claim.evidence}
    lines = ["## Files", "", "What was read, with the first 16 digits of each file's SHA-256.", ""]
    lines += table_head(["File", "SHA-256"])
    for name in sorted(needed & set(study.files)):
        for path in study.files[name]:
            link = relative(path, folder)
            lines.append(table_row([f"[{_below_the_study(path, study.name)}]({link})", f"`{sha256_file(path)[:16]}`"]))
    return "\n".join(lines)


def _below_the_study(path: Path, study: str) -> str:
    parts = path.parts
    return "/".join(parts[len(parts) - parts[::-1].index(study) :]) if study in parts else path.name
