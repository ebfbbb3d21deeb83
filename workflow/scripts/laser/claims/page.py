"""docs/replication.md: every claim of the paper with the evidence of the studies that were run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from laser.analysis.inconsistencies import search_space_notes, size_notes, table1_notes
from laser.analysis.tables import read_table
from laser.claims.claims import CLAIMS, QUESTIONS, Claim
from laser.claims.findings import CONTRADICTED, SUPPORTED, Comparison
from laser.config.artefacts import declared
from laser.errors import UserError
from laser.io.files import sha256_file
from laser.paper.published import FOLDER, read_published
from laser.paper.text_numbers import read_text_numbers

if TYPE_CHECKING:
    import pandas

NOT_RUN, NOT_JUDGED, MIXED, NOT_SUPPORTED = "not run here", "nothing to judge", "mixed", "not supported"
OVERALL = {
    SUPPORTED: "more than half of the study's comparisons are supported.",
    CONTRADICTED: "more than half of them are contradicted.",
    MIXED: "neither, and at least one is supported.",
    NOT_SUPPORTED: "neither, and none is supported.",
    NOT_JUDGED: "the study has the artefact, but no comparison in it that the claim is about.",
    NOT_RUN: "the study was not run, or does not make the artefact.",
}
"""How the verdict of a study follows from those of its comparisons."""

SHOWN = 12


@dataclass(frozen=True)
class StudyTables:
    """The artefacts of one study.

    Attributes:
        name: of the study and its folder.
        frames: artefact to its data; the data of all pictures of one figure stand in one frame.
        files: artefact to the files that hold them.
    """

    name: str
    frames: dict[str, pandas.DataFrame]
    files: dict[str, list[Path]]


def read_study(folder: Path) -> StudyTables:
    """Read the tables and the figures' data of one study's results.

    Raises:
        UserError: the folder holds no tables.
    """
    import pandas as pd

    files: dict[str, list[Path]] = {path.stem: [path] for path in sorted((folder / "tables").glob("*.csv"))}
    if not files:
        raise UserError(f"{folder}: holds no tables/*.csv. Run the study first, or leave it out.")
    for path in sorted((folder / "figures").rglob("*.csv")):
        files.setdefault(path.relative_to(folder / "figures").parts[0].removesuffix(".csv"), []).append(path)
    frames = {}
    for name, paths in files.items():
        texts = declared()[name].texts if name in declared() else ()
        parts = [part for part in (read_table(path, texts) for path in paths) if not part.empty]
        if parts:
            frames[name] = pd.concat(parts, ignore_index=True)
    return StudyTables(folder.name, frames, files)


def findings(claim: Claim, study: StudyTables) -> list[Comparison] | None:
    """Judge a claim on one study; None where the study lacks its evidence.

    Raises:
        UserError: a file lacks a column that the rule needs.
    """
    if any(name not in study.files for name in claim.evidence):
        return None
    if any(name not in study.frames for name in claim.evidence):
        return []
    try:
        return claim.judge(study.frames)
    except KeyError as error:
        made = ", ".join(str(path) for name in claim.evidence for path in study.files[name])
        raise UserError(
            f"{made}: lacks the column {error} that the claim '{claim.name}' is judged by. It was made by another "
            f"version; run the study {study.name} again."
        ) from error


def overall(comparisons: Sequence[Comparison] | None) -> str:
    """Return a study's verdict on a claim (`OVERALL`)."""
    if comparisons is None:
        return NOT_RUN
    if not comparisons:
        return NOT_JUDGED
    counts = Counter(comparison.verdict for comparison in comparisons)
    for verdict in (SUPPORTED, CONTRADICTED):
        if counts[verdict] > len(comparisons) / 2:
            return verdict
    return MIXED if counts[SUPPORTED] else NOT_SUPPORTED


def replication_page(
    studies: Sequence[StudyTables],
    absent: Sequence[str] = (),
    docs: Path = Path("docs"),
    published: Path | str = FOLDER,
) -> str:
    """Return the page as Markdown.

    Args:
        studies: those that were run, in the order of the page.
        absent: names of studies that were not run here.
        docs: folder of the page, from which its links start.
        published: folder of the paper's numbers.
    """
    judged = {(claim.name, study.name): findings(claim, study) for claim in (*CLAIMS, *QUESTIONS) for study in studies}
    parts = [_head(studies, absent), _summary("The paper's claims", CLAIMS, studies, absent, judged)]
    parts.append(_summary("Questions beyond the paper", QUESTIONS, studies, absent, judged))
    parts.append("## What the verdicts mean\n\n" + _verdicts())
    for title, claims in (("The paper's claims", CLAIMS), ("Questions beyond the paper", QUESTIONS)):
        parts.append(f"## {title}: evidence")
        parts += [_claim(claim, studies, absent, judged, docs) for claim in claims]
    parts.append(_inconsistencies(published))
    if studies:
        parts.append(_files(studies, docs))
    return "\n\n".join(parts) + "\n"


def _scope(study: StudyTables) -> list[str]:
    """Return a study's models, datasets and protocols, and its numbers of test rows; empty where it has no results."""
    made = [study.frames[name] for name in ("table1", "table2") if name in study.frames]
    if not made:
        return [""] * 4
    keys = ("model", "dataset", "protocol")
    names = [", ".join(dict.fromkeys(value for frame in made for value in frame[key])) for key in keys]
    rows = sorted({int(value) for frame in made for value in frame["n"].dropna()})
    return [*names, " to ".join(map(str, dict.fromkeys(rows[:1] + rows[-1:])))]


def _head(studies: Sequence[StudyTables], absent: Sequence[str]) -> str:
    lines = [
        "# Which claims replicate",
        "",
        "Written by `workflow/scripts/tools/replication.py` from the tables and figures of finished studies. Only the "
        "claims and their rules are written by hand (`workflow/scripts/laser/claims/claims.py`); every number and "
        "every verdict is computed. Links to results lead to files that exist once the study was run.",
        "",
        _table_row(["Study", "Models", "Datasets", "Protocols", "Test rows"]),
        _table_row(["---"] * 5),
    ]
    for study in studies:
        lines.append(_table_row([study.name, *_scope(study)]))
    lines += [_table_row([f"{name} ({NOT_RUN})", "", "", "", ""]) for name in absent]
    return "\n".join(lines)


def _summary(
    title: str,
    claims: Sequence[Claim],
    studies: Sequence[StudyTables],
    absent: Sequence[str],
    judged: Mapping[tuple[str, str], list[Comparison] | None],
) -> str:
    lines = [f"## {title}", "", _table_row(["Claim", *(study.name for study in studies), *absent])]
    lines.append(_table_row(["---"] * (1 + len(studies) + len(absent))))
    for claim in claims:
        verdicts = [_short(judged[claim.name, study.name]) for study in studies]
        lines.append(_table_row([f"[{claim.text}](#{claim.name})", *verdicts, *(NOT_RUN for _ in absent)]))
    return "\n".join(lines)


def _short(comparisons: Sequence[Comparison] | None) -> str:
    verdict = overall(comparisons)
    if not comparisons:
        return verdict
    return f"{verdict} ({sum(comparison.verdict == SUPPORTED for comparison in comparisons)} of {len(comparisons)})"


def _verdicts() -> str:
    lines = [
        "A claim is judged comparison by comparison, by the rule that stands with it. In brackets: how many "
        "comparisons support it, of all. A study's verdict:",
        "",
    ]
    return "\n".join([*lines, *(f"* **{name}**: {rule}" for name, rule in OVERALL.items())])


def _claim(
    claim: Claim,
    studies: Sequence[StudyTables],
    absent: Sequence[str],
    judged: Mapping[tuple[str, str], list[Comparison] | None],
    docs: Path,
) -> str:
    parts = [
        f'### <a id="{claim.name}"></a>{claim.text}',
        f"*Where*: {claim.source}. *Evidence*: {', '.join(claim.evidence)}. *Rule*: {claim.rule}",
    ]
    missing = []
    for study in studies:
        comparisons = judged[claim.name, study.name]
        if comparisons is None:
            missing.append(study.name)
            continue
        parts.append(_study(claim, study, comparisons, docs))
    missing += absent
    if missing:
        parts.append(f"{NOT_RUN.capitalize()}: {', '.join(missing)}.")
    return "\n\n".join(parts)


def _study(claim: Claim, study: StudyTables, comparisons: Sequence[Comparison], docs: Path) -> str:
    links = ", ".join(_links(study.files[name], name, docs) for name in claim.evidence)
    lines = [f"**{study.name}**: {_short(comparisons)} ({links})"]
    if not comparisons:
        return lines[0]
    lines += ["", _table_row(["Comparison", "Numbers", "Verdict"]), _table_row(["---"] * 3)]
    lines += [
        _table_row([comparison.where, comparison.evidence, comparison.verdict]) for comparison in comparisons[:SHOWN]
    ]
    if len(comparisons) > SHOWN:
        counts = Counter(comparison.verdict for comparison in comparisons[SHOWN:])
        rest = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
        lines += ["", f"And {len(comparisons) - SHOWN} more in the file: {rest}."]
    return "\n".join(lines)


def _links(paths: Sequence[Path], name: str, docs: Path) -> str:
    first = paths[0]
    target = first if len(paths) == 1 else Path(os.path.commonpath(paths))
    text = first.name if len(paths) == 1 else f"{name}, {len(paths)} files"
    return f"[{text}]({_relative(target, docs)})"


def _relative(path: Path, docs: Path) -> str:
    return Path(os.path.relpath(Path(path).resolve(), docs.resolve())).as_posix()


def _inconsistencies(folder: Path | str) -> str:
    published = read_published(folder)
    notes = [*search_space_notes(published), *size_notes(published)]
    notes += table1_notes(published, read_text_numbers(folder), folder)
    lines = ["## Where the paper's numbers disagree with each other", "", "Computed from `config/published/`.", ""]
    return "\n".join([*lines, *(f"* {note}" for note in notes)])


def _files(studies: Sequence[StudyTables], docs: Path) -> str:
    needed = {name for claim in (*CLAIMS, *QUESTIONS) for name in claim.evidence}
    lines = ["## Files", "", "What was read, with the first 16 digits of each file's SHA-256.", ""]
    lines += [_table_row(["Study", "File", "SHA-256"]), _table_row(["---"] * 3)]
    for study in studies:
        for name in sorted(needed & set(study.files)):
            for path in study.files[name]:
                link = f"[{path.name}]({_relative(path, docs)})"
                lines.append(_table_row([study.name, link, f"`{sha256_file(path)[:16]}`"]))
    return "\n".join(lines)


def _table_row(items: Sequence[str]) -> str:
    return "| " + " | ".join(item.replace("|", "\\|").replace("\n", " ") for item in items) + " |"
