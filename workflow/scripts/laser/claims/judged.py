"""A study's artefacts as the rules of claims read them, and what they say about each claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from laser.analysis.tables import read_table
from laser.claims.claims import CLAIMS, QUESTIONS, Claim
from laser.claims.findings import CONTRADICTED, SUPPORTED, Comparison
from laser.config.artefacts import declared
from laser.errors import UserError, understood
from laser.io.files import read_json, sha256_file

if TYPE_CHECKING:
    import pandas

NOT_RUN, NOT_JUDGED, MIXED, NOT_SUPPORTED = "not run here", "nothing to judge", "mixed", "not supported"
OVERALL = {
    SUPPORTED: (
        "more than half of the study's models support it; a model, with all its datasets, protocols and "
        "matrices, counts "
        "once: it supports if more than half of its comparisons do."
    ),
    MIXED: "neither supported nor contradicted, and at least one comparison is supported.",
    NOT_SUPPORTED: "neither, and none is supported.",
    CONTRADICTED: "more than half of them contradict it, in the same way.",
    NOT_JUDGED: "the study has the artefact, but no comparison in it that the claim is about.",
    NOT_RUN: "the study does not make the artefact.",
}
"""How the verdict of a study follows from those of its comparisons, in the order in which conclusions list them."""


@dataclass(frozen=True)
class StudyTables:
    """The artefacts of one study.

    Attributes:
        name: of the study and its folder.
        frames: artefact to its data; the data of all pictures of one figure are in one frame.
        files: artefact to the files that hold them.
        manifest: sha256 of the study's manifest.json; empty where it has none.
    """

    name: str
    frames: dict[str, pandas.DataFrame]
    files: dict[str, list[Path]]
    manifest: str


@dataclass(frozen=True)
class JudgedStudy:
    """A study with its comparisons by the name of each claim, None where the study lacks the claim's evidence."""

    tables: StudyTables
    comparisons: dict[str, list[Comparison] | None]

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.tables.name


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
    return StudyTables(folder.name, frames, files, _manifest(folder, files))


def _manifest(folder: Path, files: Mapping[str, Sequence[Path]]) -> str:
    """Return the sha256 of a study's manifest.json, in which all files that were read must be; empty without one.

    Raises:
        UserError: a file is not the one in the manifest.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        return ""
    with understood(path, "a manifest"):
        recorded = {entry["path"]: entry["sha256"] for entry in read_json(path)["files"]}
    for file in (file for group in files.values() for file in group):
        if recorded.get(str(file.relative_to(folder))) != sha256_file(file):
            raise UserError(f"{file}: is not the file that {path} lists. Run the study again, which writes both.")
    return sha256_file(path)


def judge(study: StudyTables) -> JudgedStudy:
    """Judge every claim and question on one study."""
    return JudgedStudy(study, {claim.name: findings(claim, study) for claim in (*CLAIMS, *QUESTIONS)})


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
    by_subject: dict[str, list[str]] = {}
    for comparison in comparisons:
        by_subject.setdefault(comparison.subject, []).append(comparison.verdict)
    for verdict in (SUPPORTED, CONTRADICTED):
        agreeing = [verdicts for verdicts in by_subject.values() if verdicts.count(verdict) > len(verdicts) / 2]
        if len(agreeing) > len(by_subject) / 2:
            return verdict
    return MIXED if any(comparison.verdict == SUPPORTED for comparison in comparisons) else NOT_SUPPORTED


def support(comparisons: Sequence[Comparison]) -> str:
    """Write how many comparisons support a claim, of how many: `3/4`, which no cell of a table breaks."""
    return f"{sum(comparison.verdict == SUPPORTED for comparison in comparisons)}/{len(comparisons)}"


def verdict_with_support(comparisons: Sequence[Comparison] | None) -> str:
    """Write a study's verdict on a claim, with its support where there are comparisons: `mixed (2/4)`."""
    verdict = overall(comparisons)
    return f"{verdict} ({support(comparisons)})" if comparisons else verdict


def with_extent(study: StudyTables, datasets: Sequence[str]) -> list[str]:
    """Return names of datasets, each with a remark where the study does not hold all of its rows (table `across`)."""
    frame = study.frames.get("across")
    if frame is None or "rows" not in frame:
        return list(datasets)
    remarks = {dataset: remark for dataset, remark in zip(frame["dataset"], frame["rows"], strict=True) if remark}
    return [f"{dataset} ({remarks[dataset]})" if dataset in remarks else dataset for dataset in datasets]
