"""A study's artefacts as the rules of claims read them, and the resulting verdict on each claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.analysis.tables import read_table
from laser.claims.claims import CLAIMS, QUESTIONS, Claim
from laser.claims.estimates import Estimate, estimates
from laser.claims.findings import CONTRADICTED, SUPPORTED, UNDECIDED, Comparison
from laser.config.artefacts import declared
from laser.errors import UserError, understood
from laser.io.files import canonical_json, read_json, sha256_file

if TYPE_CHECKING:
    import pandas

NOT_RUN, NOT_JUDGED, NOT_SETTLED, NOT_SUPPORTED = "not run here", "nothing to judge", "not settled", "not supported"
ONE_SOURCE = "{} by one source"
SUPPORTED_ALONE, CONTRADICTED_ALONE = ONE_SOURCE.format(SUPPORTED), ONE_SOURCE.format(CONTRADICTED)
OVERALL = {
    SUPPORTED: (
        "where comparisons measure an effect, the mean over at least two sources supports it by the claim's "
        "thresholds. A source is a pretrained checkpoint, or all models that were trained on one corpus, whatever its "
        "noise; its datasets and protocols are averaged. The 95 % interval is about further sources like these (random "
        "effects). Where comparisons measure no effect, more than half of the study's models support it; a model, with "
        "all its datasets, protocols and matrices, counts once: it supports if more than half of its comparisons do."
    ),
    SUPPORTED_ALONE: (
        "the same of a lone source, by the mean over its datasets. The interval is about further datasets, or about "
        "the rows of a lone one, and says nothing about other sources."
    ),
    NOT_SETTLED: "neither supported nor contradicted, and at least one comparison is supported.",
    NOT_SUPPORTED: "neither, and none is supported.",
    CONTRADICTED_ALONE: "by the mean of a lone source.",
    CONTRADICTED: "the mean over sources, or more than half of the models, contradict it in the same way.",
    NOT_JUDGED: "the study has the artefact, but no comparison in it that the claim is about.",
    NOT_RUN: "the study does not make the artefact.",
}
"""How a study's verdict follows from the verdicts of its comparisons, in the order in which conclusions list them."""


@dataclass(frozen=True)
class StudyTables:
    """The artefacts of one study.

    Attributes:
        name: name of the study and of its folder.
        frames: maps an artefact to its data; the data of all pictures of one figure are in one frame.
        files: maps an artefact to the files that hold its data.
        manifest: sha256 of the study's manifest.json; empty if it has none.
        models: maps a model to an identifier of its weights; models without a card in the study are missing.
        sources: maps each of these models to the corpus, or the weights, that it comes from.
    """

    name: str
    frames: dict[str, pandas.DataFrame]
    files: dict[str, list[Path]]
    manifest: str
    models: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JudgedStudy:
    """A study with its comparisons by name of the claim; None if the study lacks the claim's evidence."""

    tables: StudyTables
    comparisons: dict[str, list[Comparison] | None]

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.tables.name

    def verdict(self, claim: Claim) -> str:
        """Return the study's verdict on a claim."""
        return overall(self.comparisons[claim.name], self.tables.sources)

    def estimates(self, claim: Claim) -> list[Estimate]:
        """Return the study's estimates of a claim's effect, one per unit."""
        return estimates(self.comparisons[claim.name] or [], self.tables.sources)

    def verdict_with_support(self, claim: Claim) -> str:
        """Format the verdict with its mean and, if there are comparisons, its support: `not settled (2/4)`."""
        comparisons = self.comparisons[claim.name]
        means = "".join(f", {estimate}" for estimate in self.estimates(claim))
        return f"{self.verdict(claim)} ({support(comparisons)}){means}" if comparisons else self.verdict(claim)


def read_study(folder: Path) -> StudyTables:
    """Read the tables and the figures' data from one study's results.

    Raises:
        UserError: the folder has no tables.
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
    return StudyTables(
        folder.name,
        frames,
        files,
        _manifest(folder, files),
        _from_cards(folder, _weights),
        _from_cards(folder, _source),
    )


def _from_cards(folder: Path, read: Callable[[dict[str, Any]], str]) -> dict[str, str]:
    """Apply `read` to the card of every model in the study's folder of inputs; return the results by model."""
    texts = {}
    for path in sorted((folder / "inputs/models").glob("*/card.json")):
        with understood(path, "a card"):
            card = read_json(path)
            texts[str(card["name"])] = read(card)
    return texts


def _weights(card: Mapping[str, Any]) -> str:
    """Return the hashes of a checkpoint's weights."""
    return canonical_json({name: digest for name, digest in card["files"].items() if name.endswith(".safetensors")})


def _source(card: Mapping[str, Any]) -> str:
    """Return the source of a model: the corpus that it was trained on, ignoring its noise, or its own weights."""
    corpus = card["source"].get("corpus")
    if corpus is None:
        return _weights(card)
    return canonical_json({name: value for name, value in corpus.items() if name != "noise"})


def _manifest(folder: Path, files: Mapping[str, Sequence[Path]]) -> str:
    """Return the sha256 of a study's manifest.json, which must list all files that were read; empty if there is none.

    Raises:
        UserError: a file differs from the one in the manifest.
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
    """Judge a claim on one study; None if the study lacks its evidence.

    Raises:
        UserError: a file lacks a column that the rule needs.
    """
    if any(name not in study.files for name in claim.evidence):
        return None
    if any(name not in study.frames for name in claim.evidence):
        return []
    try:
        return list(claim.judge(study.frames))
    except KeyError as error:
        made = ", ".join(str(path) for name in claim.evidence for path in study.files[name])
        raise UserError(
            f"{made}: lacks the column {error} that the claim '{claim.name}' is judged by. It was made by another "
            f"version; run the study {study.name} again."
        ) from error


def overall(comparisons: Sequence[Comparison] | None, sources: Mapping[str, str] | None = None) -> str:
    """Return a study's verdict on a claim (`OVERALL`).

    Args:
        comparisons: comparisons of the claim; None if the study lacks its evidence.
        sources: sources of the study's models.
    """
    if comparisons is None:
        return NOT_RUN
    if not comparisons:
        return NOT_JUDGED
    measured = estimates(comparisons, sources or {})
    verdict = _agreed([estimate.verdict for estimate in measured]) if measured else _by_models(comparisons)
    if verdict == UNDECIDED:
        supported = any(comparison.verdict == SUPPORTED for comparison in comparisons)
        return NOT_SETTLED if supported else NOT_SUPPORTED
    return ONE_SOURCE.format(verdict) if measured and max(one.sources for one in measured) == 1 else verdict


def _agreed(verdicts: Sequence[str]) -> str:
    """Return the verdict if all agree, otherwise that it is undecided."""
    return verdicts[0] if len(set(verdicts)) == 1 else UNDECIDED


def _by_models(comparisons: Sequence[Comparison]) -> str:
    """Return the verdict given by more than half of the models, each by more than half of its comparisons."""
    by_subject: dict[str, list[str]] = {}
    for comparison in comparisons:
        by_subject.setdefault(comparison.subject, []).append(comparison.verdict)
    for verdict in (SUPPORTED, CONTRADICTED):
        agreeing = [verdicts for verdicts in by_subject.values() if verdicts.count(verdict) > len(verdicts) / 2]
        if len(agreeing) > len(by_subject) / 2:
            return verdict
    return UNDECIDED


def support(comparisons: Sequence[Comparison]) -> str:
    """Format how many of the comparisons support a claim, `3/4`, so that no table cell breaks it."""
    return f"{sum(comparison.verdict == SUPPORTED for comparison in comparisons)}/{len(comparisons)}"


def with_extent(study: StudyTables, datasets: Sequence[str]) -> list[str]:
    """Return the names of datasets, each with a remark if the study does not hold all of its rows (table `across`)."""
    frame = study.frames.get("across")
    if frame is None or "rows" not in frame:
        return list(datasets)
    remarks = {dataset: remark for dataset, remark in zip(frame["dataset"], frame["rows"], strict=True) if remark}
    return [f"{dataset} ({remarks[dataset]})" if dataset in remarks else dataset for dataset in datasets]
