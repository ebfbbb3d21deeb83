"""docs/replication.md: which of the paper's claims hold in the studies that were run, on one page.

The evidence behind each verdict is on one page per study (`laser.claims.evidence`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from laser.analysis.inconsistencies import search_space_notes, size_notes, table1_notes
from laser.claims.claims import CLAIMS, QUESTIONS, Claim
from laser.claims.evidence import WRITTEN_BY, evidence_page
from laser.claims.judged import (
    NOT_JUDGED,
    NOT_RUN,
    OVERALL,
    JudgedStudy,
    StudyTables,
    support,
    with_extent,
)
from laser.claims.markdown import joined, relative, table_head, table_row
from laser.config.rules import NAME as RULES
from laser.io.files import write_text
from laser.io.machine import last_commit
from laser.paper.published import FOLDER, Published, read_published
from laser.paper.text_numbers import read_text_numbers

PAPER_DATA = "Pretrained models on the paper's data"
OTHER_DATA = "The laboratory, and other questions"
NOT_RUN_HERE = "What was not run here"


def write_pages(studies: Sequence[JudgedStudy], absent: Sequence[str], output: Path) -> None:
    """Write the page, and a page of evidence per study in a folder beside it; remove pages of studies that are gone.

    Args:
        studies: studies that were run.
        absent: names of studies that were not run here.
        output: path of the page; `docs/replication.md` has its evidence in `docs/replication/`.
    """
    evidence = output.with_suffix("")
    for study in studies:
        write_text(evidence / f"{study.name}.md", evidence_page(study, output, evidence))
    write_text(output, replication_page(studies, absent, output.parent, evidence))
    names = {study.name for study in studies}
    for path in evidence.glob("*.md"):
        if path.stem not in names and f"\n\n{WRITTEN_BY}" in path.read_text(encoding="utf-8"):
            path.unlink()


def replication_page(
    studies: Sequence[JudgedStudy],
    absent: Sequence[str] = (),
    docs: Path = Path("docs"),
    evidence: Path = Path("docs/replication"),
    published: Path | str = FOLDER,
) -> str:
    """Return the page as Markdown.

    Args:
        studies: studies that were run.
        absent: names of studies that were not run here.
        docs: folder of the page, to which its links are relative.
        evidence: folder of the studies' pages of evidence.
        published: folder of the paper's numbers.
    """
    paper = read_published(published)
    on_paper_data = [study for study in studies if has_paper_data(study.tables, paper)]
    others = [study for study in studies if study not in on_paper_data]
    ordered, folder = [*on_paper_data, *others], relative(evidence, docs)
    parts = [
        "# Which claims replicate",
        f"{WRITTEN_BY} from the tables and figures of finished studies. Only the claims and their rules are written by "
        "hand (`workflow/scripts/laser/claims/`); every number and every verdict is computed.",
        _group(PAPER_DATA, on_paper_data, folder),
        _group(OTHER_DATA, others, folder),
        _not_run(ordered, absent, paper),
    ]
    for title, claims in (("The paper's claims", CLAIMS), ("Questions beyond the paper", QUESTIONS)):
        parts.append(f"## {title}\n\n{_matrix(claims, ordered, folder)}")
    parts += [
        _dependence(ordered),
        "## What the verdicts mean\n\n" + _verdicts(),
        _inconsistencies(paper, published),
        _manifests(ordered),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def has_paper_data(study: StudyTables, published: Published) -> bool:
    """Return True if a study uses one of the paper's datasets."""
    return any(dataset in published.datasets for dataset in _names(study, "dataset"))


def _group(title: str, studies: Sequence[JudgedStudy], folder: str) -> str:
    """Return a section with the conclusions of the given studies."""
    if not studies:
        return f"## {title}\n\nNo such study was run here."
    return "\n\n".join([f"## {title}", *(_conclusions(study, folder) for study in studies)])


def _conclusions(study: JudgedStudy, folder: str) -> str:
    """Return what one study covers, and the paper's claims grouped by verdict."""
    page = f"{folder}/{study.name}.md"
    lines = [f"**[{study.name}]({page})**: {_scope(study.tables)}", ""]
    by_verdict: dict[str, list[str]] = {verdict: [] for verdict in OVERALL}
    for claim in CLAIMS:
        comparisons = study.comparisons[claim.name]
        link = f"[{_label(claim)}]({page}#{claim.name})"
        by_verdict[study.verdict(claim)].append(f"{link} ({support(comparisons)})" if comparisons else _label(claim))
    lines += [
        f"* {verdict}: {', '.join(claims)}"
        for verdict, claims in by_verdict.items()
        if claims and verdict not in (NOT_RUN, NOT_JUDGED)
    ]
    return "\n".join(lines)


def _label(claim: Claim) -> str:
    return claim.name.replace("-", " ")


def _names(study: StudyTables, key: str) -> list[str]:
    """Return the models, datasets or protocols of a study that has a table of base and LASER."""
    frames = [study.frames[name] for name in ("table1", "table2") if name in study.frames]
    return list(dict.fromkeys(value for frame in frames for value in frame[key]))


def _scope(study: StudyTables) -> str:
    """Return a sentence with a study's models, datasets, protocols and numbers of test rows."""
    frames = [study.frames[name] for name in ("table1", "table2") if name in study.frames]
    if not frames:
        return "no table of base and LASER."
    models, datasets, protocols = (_names(study, key) for key in ("model", "dataset", "protocol"))
    rows = sorted({int(value) for frame in frames for value in frame["n"].dropna()})
    count = " to ".join(map(str, dict.fromkeys(rows[:1] + rows[-1:]))) or "no"
    shown = joined(models) if len(models) <= MODELS_NAMED else f"{len(models)} models"
    return (
        f"{shown} on {joined(with_extent(study, datasets))}; protocol{'s' if len(protocols) > 1 else ''} "
        f"{joined(protocols)}; {count} test rows."
    )


MODELS_NAMED = 6
"""Largest number of models that are named; a study with more is described by their number."""


def _not_run(studies: Sequence[JudgedStudy], absent: Sequence[str], paper: Published) -> str:
    """Return which studies were not run, and which claims none of the studies that were run can judge."""
    lines = [f"## {NOT_RUN_HERE}", ""]
    if absent:
        lines += [f"Studies: {', '.join(f'`{name}`' for name in absent)} (`config/studies/`).", ""]
    unjudged = [claim.text for claim in CLAIMS if not any(study.comparisons[claim.name] for study in studies)]
    if unjudged:
        lines += ["No study that was run judges these claims of the paper:", "", *(f"* {text}" for text in unjudged)]
        lines.append("")
    lines.append(
        f"The paper's printed numbers are of {joined(list(paper.models.values()))}. Other models can support or "
        "contradict its claims; they cannot replicate its numbers. To run these models takes a GPU or a cluster "
        "([cost.md](cost.md), [cluster.md](cluster.md))."
    )
    return "\n".join(lines)


def _matrix(claims: Sequence[Claim], studies: Sequence[JudgedStudy], folder: str) -> str:
    lines = table_head(["Claim", *(study.name for study in studies)])
    for claim in claims:
        cells = [_cell(study, claim, folder) for study in studies]
        lines.append(table_row([claim.text, *cells]))
    return "\n".join(lines)


def _cell(study: JudgedStudy, claim: Claim, folder: str) -> str:
    text = study.verdict_with_support(claim)
    return text if text == NOT_RUN else f"[{text}]({folder}/{study.name}.md#{claim.name})"


DEPENDENT = "Studies and models that are not independent"


def _dependence(studies: Sequence[JudgedStudy]) -> str:
    """Return which studies share checkpoints, corpora or datasets, and which models of a study count as one source."""
    lines = []
    for first, second in itertools.combinations([study.tables for study in studies], 2):
        checkpoints = _shared(first.models, second.models)
        corpora = [name for name in _shared(first.sources, second.sources) if name not in checkpoints]
        datasets = [name for name in _names(first, "dataset") if name in _names(second, "dataset")]
        for names, what in (
            (checkpoints, "the same checkpoints"),
            (corpora, "models of the same corpora"),
            (datasets, "questions of the same datasets"),
        ):
            if names:
                lines.append(f"* {first.name} and {second.name} have {what}: {_listed(names)}.")
    for study in (study.tables for study in studies):
        by_source: dict[str, list[str]] = {}
        for model, source in study.sources.items():
            by_source.setdefault(source, []).append(model)
        groups = [models for models in by_source.values() if len(models) > 1]
        lines += [f"* {study.name}: one source are {_listed(models)}." for models in groups]
        if not study.sources:
            lines.append(f"* {study.name}: its inputs hold no cards of models; each model counts as a source.")
    if not lines:
        return ""
    return "\n".join([f"## {DEPENDENT}", "", "Every study is judged by itself; verdicts are not added up.", "", *lines])


def _shared(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """Return the names in `first` whose text also occurs in `second`."""
    return [name for name, text in first.items() if text in second.values()]


def _listed(names: Sequence[str]) -> str:
    """Return the names in words; after the first few, only how many more there are."""
    shown = list(names[:MODELS_NAMED])
    return joined([*shown, f"{len(names) - len(shown)} more"] if len(names) > len(shown) else shown)


ROOT = Path(__file__).resolve().parents[4]
RULE_MODULES = tuple(
    f"workflow/scripts/laser/claims/{name}.py"
    for name in ("claims", "table_rules", "figure_rules", "estimates", "judged")
)
"""Modules with the wording and the code of the rules."""


def _verdicts() -> str:
    changed = last_commit(ROOT, RULES, *RULE_MODULES)
    since = f" (last changed in commit {changed})" if changed else ""
    lines = [
        "A claim is judged comparison by comparison, by the rule that stands with it on the study's page of evidence. "
        f"Thresholds are those of `{RULES}`; tests, chance and margins are in [statistics](statistics.md){since}. "
        "In brackets: how many comparisons support it, of all. A study's verdict:",
        "",
    ]
    return "\n".join([*lines, *(f"* **{name}**: {rule}" for name, rule in OVERALL.items())])


def _inconsistencies(paper: Published, folder: Path | str) -> str:
    notes = [*search_space_notes(paper), *size_notes(paper)]
    notes += table1_notes(paper, read_text_numbers(folder), folder)
    lines = ["## Where the paper's numbers disagree with each other", "", "Computed from `config/published/`.", ""]
    return "\n".join([*lines, *(f"* {note}" for note in notes)])


def _manifests(studies: Sequence[JudgedStudy]) -> str:
    """Return the sha256 of each study's manifest, with which an audit checks that this page is about its results."""
    lines = [
        "## Manifests",
        "",
        "`manifest.json` lists every file of a study's results with its sha256; its own is:",
        "",
    ]
    lines += table_head(["Study", "sha256 of manifest.json"])
    hashes = [(study.name, f"`{study.tables.manifest}`" if study.tables.manifest else "none") for study in studies]
    return "\n".join([*lines, *map(table_row, hashes)])
