"""All checks in order, and what none of them can show."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from laser_audit import (
    base,
    lineage,
    manifest,
    paper,
    policies,
    records,
    rows,
    selection,
    splits,
    table1,
    table2,
    table3,
)
from laser_audit.findings import Check, Examine, NotAStudy, Unreadable, brief, checked
from laser_audit.manifest import MANIFEST
from laser_audit.reading import Study

CHECKS: tuple[tuple[str, str, str, Examine], ...] = (
    ("manifests", "Both manifests are well-formed; each file is in the right one.", "facts", manifest.check_manifests),
    ("files", "Every file has the recorded bytes and sha256; none is missing or extra.", "files", manifest.check_files),
    ("records", "Every result has one record; what a job read is what another made.", "facts", records.check_records),
    (
        "lineage",
        "Every job read what its rule must read; no choice saw test rows.",
        "inputs",
        lineage.check_lineage,
    ),
    ("jobs", "Every record has its run and log, in a possible order.", "facts", records.check_jobs),
    (
        "specs",
        "The spec inside each result is that of its record.",
        "facts",
        records.check_specs,
    ),
    ("paper", "The paper's numbers are those of the checkout.", "files", paper.check_paper),
    (
        "data",
        "Each dataset's rows, and each model, are those that cards and study describe.",
        "facts",
        splits.check_data,
    ),
    ("splits", "Both splits follow their rule; no fact is on both sides.", "rows", splits.check_splits),
    (
        "rows",
        "Result files hold exactly the rows of their side, in order; none contradicts itself.",
        "rows",
        rows.check_rows,
    ),
    ("games", "Every game of a policy, played again from its room and moves.", "values", policies.check_games),
    ("sides", "No room is one that a policy was trained on.", "facts", policies.check_sides),
    ("base", "Base is the same in every comparison.", "values", base.check_base),
    ("reductions", "Kept rank is ⌊ρ·d⌋; energies and residuals agree along ρ.", "facts", selection.check_reductions),
    ("selection", "Every candidate's scores, and the choice by the rule.", "facts", selection.check_selection),
    ("table1", "Every cell: values, intervals, tests, constants, verdicts.", "cells", table1.check_table1),
    ("verdicts", "The verdict on every number of the paper's Table 1.", "cells", table1.check_verdicts),
    ("table2", "Every cell: values, intervals, tests, the paper's numbers.", "cells", table2.check_table2),
    ("table3", "Choices, and what they and the paper's score on test rows.", "cells", table3.check_table3),
)
"""Name, description, unit of its count, and function of each check."""

RECOMPUTED = ("table1", "verdicts", "table2", "table3")
"""Artefacts that are recomputed, each by the check of the same name."""

CANNOT = (
    ("that answers and log-probabilities are the model's", "rows that were invented are found by `make spotcheck`"),
    ("that weights, tokenizers and raw data are the published ones", "compare the hashes in card.json"),
    ("when, where and by whom jobs were run", "nobody else has signed runs and logs"),
)
"""Facts that no audit of files can show, and what can be done about each."""

CITED = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Report:
    """The outcome of an audit.

    Attributes:
        study: what was audited.
        name: the study's name; empty if the folder does not say.
        checks: in order.
        left: (what, why) for everything that the plain audit does not recompute.
        not_compared: (what, why) for everything that a replay should have compared and could not.
        notes: what a reader should know, whatever the outcome.
    """

    study: Study
    name: str
    checks: list[Check]
    left: list[tuple[str, str]]
    not_compared: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return self.study.folder

    @property
    def passed(self) -> bool:
        """True if no check has findings."""
        return all(check.passed for check in self.checks)

    @property
    def findings(self) -> int:
        """Number of findings."""
        return sum(len(check.findings) for check in self.checks)


def audit(folder: Path, checkout: Path | None = None) -> Report:
    """Run every check on a study's folder.

    Args:
        folder: the study's folder.
        checkout: the repository that the audit runs in, with its copy of the paper's numbers and its page of results.

    Raises:
        NotAStudy: there is no such folder.
    """
    if not folder.is_dir():
        raise NotAStudy(f"{folder}: is not a folder. Give the folder of a study, such as results/quickstart.")
    study = Study(folder, checkout)
    checks = [
        _not_asked(study, name, about, unit) or checked(name, about, unit, examine, study)
        for name, about, unit, examine in CHECKS
    ]
    return Report(study, _name(study), checks, not_recomputed(study), notes=[*out_of_order(study), cited(study)])


def _not_asked(study: Study, name: str, about: str, unit: str) -> Check | None:
    """Return a skipped check if the study does not ask for the artefact that it recomputes; else None."""
    try:
        skipped = name in RECOMPUTED and not study.wants(name)
    except (Unreadable, KeyError, TypeError):
        return None
    return Check(name, about, unit, skipped="the study does not ask for it") if skipped else None


def _name(study: Study) -> str:
    try:
        name = study.settings.get("name")
    except Unreadable:
        return ""
    return brief(name) if isinstance(name, str) else ""


def out_of_order(study: Study) -> list[str]:
    """Say which jobs started before their input was made."""
    try:
        early = records.before_their_inputs(study)
    except (Unreadable, KeyError, TypeError, ValueError, AttributeError):
        return []  # the check of jobs reports this
    if not early:
        return []
    return [
        f"{len(early)} jobs started before their input was made, as {early[0]} says: "
        "this happens where an input was deleted and made again with the same bytes."
    ]


def cited(study: Study) -> str:
    """Say whether the checkout's page of results cites this manifest."""
    try:
        sha256 = study.sha256(MANIFEST)
    except Unreadable:
        return f"{MANIFEST} cannot be read, so no publication can cite it."
    page = study.checkout / "docs/replication.md" if study.checkout else None
    known = set(CITED.findall(page.read_text(encoding="utf-8"))) if page and page.is_file() else set()
    said = "is cited in" if sha256 in known else "is not cited in"
    where = f"{said} docs/replication.md" if page else "can be compared with a publication's"
    return f"The sha256 of {MANIFEST} is {sha256}; it {where}."


def not_recomputed(study: Study) -> list[tuple[str, str]]:
    """Return what the checks leave out of this study, and why."""
    hashed = "Hash and record were checked; `--replay` makes it again with the study's own code."
    try:
        left = [(str(name), hashed) for name in study.settings["artefacts"] if name not in RECOMPUTED]
    except (Unreadable, KeyError, TypeError):
        left = []
    left += [("Settings of every job, choices beside the selections, the RO-Crate", hashed)]
    left += [("Markdown, LaTeX and further columns of tables, the report, cards of datasets, times of runs", hashed)]
    measured = [name for name in ("perplexity", "gradients") if study.matching(f"{name}/", "")]
    if measured:
        left.append((f"numbers in {', '.join(measured)}", "Hashes and records were checked."))
    if study.matching("export/", ""):
        left.append(("export/", "No manifest covers exported checkpoints; each has its own hashes."))
    return [*left, *_left_out(study)]


def _left_out(study: Study) -> list[tuple[str, str]]:
    """Return the test rows that runs left out; only the tokenizer can show whether that was necessary."""
    named = []
    for path in study.matching("test/", ".parquet"):
        try:
            reasons = study.spec(path)["run"]["left_out"]
            if reasons:
                shown = "; ".join(sorted(set(map(str, reasons.values())))[:2])
                named.append((f"{len(reasons)} test rows that {path} names as left out", shown))
        except (Unreadable, KeyError, TypeError, AttributeError):
            continue
    return named
