"""The evaluations of a study besides its sweep: their cells, their settings, and what artefacts need of them."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laser.config.artefacts import check_artefacts
from laser.config.grids import check_matrices, chosen_layers, matrices_of
from laser.config.own_rows import BUILDERS, GENERIC
from laser.config.pools import is_policy
from laser.config.searches import EXHAUSTIVE, GRADIENT, RACING, searches_by
from laser.errors import UserError, nearest
from laser.io.user_paths import expanded

RUNS = (
    "landscape",
    "compose",
    "seeds",
    "transfer",
    "rank_rules",
    "prompts",
    "higher_order",
    "perplexity",
    "efficacy",
    "clustered",
    "baselines",
)
FILES = {
    "compose": ("composition", "composed"),
    "rank_rules": ("spectra", "rank_rules"),
    "efficacy": ("false_targets", "efficacy"),
}
"""Evaluation to the kinds of its files (`laser.config.paths`), unless it has one kind of its own name."""
LABORATORY = "laboratory"


def resolve_runs(study: dict[str, Any], corpora: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the study with every run's defaults and cells filled in.

    Args:
        study: resolved models, datasets and grid (`laser.config.study.resolve`).
        corpora: the catalogue config/corpora.yaml.
        path: the study's file, for messages.

    Returns:
        The study; each run that it names has `cells` (list of [model, dataset]) and no longer `models` or `datasets`.

    Raises:
        UserError: a run names a model or dataset that the study lacks, or an artefact lacks its run.
    """
    # Imported late: code that only asks for a model's task needs no models of settings.
    from laser.config.fields import with_defaults
    from laser.config.settings import EVALUATIONS

    study = copy.deepcopy(study)
    for search in (GRADIENT, RACING):
        study.setdefault(search, {})
    for name, settings in EVALUATIONS.items():
        if name in study:
            study[name] = with_defaults(settings, study[name])
            study[name]["cells"] = _cells(study, name, path)
    study.setdefault("figures", {"cells": _cells(study, "figures", path)})
    for run in ("compose", "clustered"):
        if run in study:
            study[run]["rhos"] = sorted({float(rho) for rho in study[run].get("rhos", study["rhos"])}, reverse=True)
    for name in dict.fromkeys(model for model, _ in study.get("compose", {}).get("cells", [])):
        check_matrices(study["compose"].get("matrices", []), _model(study, name), f"{path}: compose.matrices")
    if "clustered" in study:
        study["clustered"]["clusters"] = sorted(study["clustered"]["clusters"])
    if "transfer" in study:
        _transfer(study, path)
    if "rank_rules" in study and searches_by(study, RACING):
        raise UserError(
            f"{path}: rank_rules needs every candidate's score on all validation rows, but `search: {study['search']}` "
            f"stops those that cannot win. Set search to {EXHAUSTIVE}, or leave rank_rules out."
        )
    if "prompts" in study:
        _prompts(study, path)
    if "perplexity" in study:
        _perplexity(study, corpora, path)
    if "efficacy" in study:
        _efficacy(study, path)
    if "landscape" in study:
        _landscape(study, path)
    _counts(study, path)
    check_artefacts(study, path)
    return study


def _counts(study: dict[str, Any], path: Path) -> None:
    study.setdefault("counts", {})
    names = [entry["name"] for entry in study["datasets"]]
    for name, file in study["counts"].items():
        if name not in names:
            raise UserError(f"{path}: counts holds '{name}', which is no dataset of the study{nearest(name, names)}.")
        study["counts"][name] = file = expanded(file, f"{path}: counts.{name}")
        if not os.path.isfile(file):  # False too for a name that no file system accepts
            raise UserError(
                f"{path}: counts.{name} is '{file[:200]}', which is no file. Give a CSV or Parquet file of training "
                "frequencies (config/data.md says how it must look)."
            )


def _cells(study: dict[str, Any], run: str, path: Path) -> list[list[str]]:
    """Return the cells of a run, models first, and check its lists of names."""
    chosen = {}
    for key in ("models", "datasets"):
        known = [entry["name"] for entry in study[key]]
        named = study.get(run, {}).pop(key, None)
        for name in named or []:
            if name not in known:
                raise UserError(
                    f"{path}: {run}.{key} holds '{name}', which the study does not have{nearest(name, known)}. "
                    f"It has: {', '.join(known)}."
                )
        chosen[key] = [name for name in known if named is None or name in named]
    return [[model, dataset] for model in chosen["models"] for dataset in chosen["datasets"]]


def _model(study: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in study["models"] if entry["name"] == name)


def is_masked(entry: dict[str, Any]) -> bool:
    """Return True if a model's entry is a masked language model, by its task or, if it has none, its architecture."""
    task = entry.get("task")
    return bool(task == "masked" if task else entry["architecture"] in ("bert", "roberta", "xlm-roberta", "distilbert"))


def task_of(entry: dict[str, Any]) -> str:
    """Return what kind of model an entry is: causal, masked or policy."""
    return "policy" if is_policy(entry) else "masked" if is_masked(entry) else "causal"


def _prompts(study: dict[str, Any], path: Path) -> None:
    """Leave out datasets of the user's own rows, whose questions have no other wordings."""
    worded = {entry["name"] for entry in study["datasets"] if entry["builder"] not in BUILDERS}
    study["prompts"]["cells"] = [cell for cell in study["prompts"]["cells"] if cell[1] in worded]
    if not study["prompts"]["cells"]:
        raise UserError(
            f"{path}: prompts asks for other wordings of the questions, which the workflow has for the builders of the "
            f"paper's datasets alone, not for {' and '.join(BUILDERS)}. Leave prompts out; another wording of your own "
            "is a second dataset with another 'prompt'."
        )


def _transfer(study: dict[str, Any], path: Path) -> None:
    """Refuse a transfer without two datasets, and one whose datasets were not searched at the same places."""
    datasets = list(dict.fromkeys(dataset for _, dataset in study["transfer"]["cells"]))
    if len(datasets) < 2:
        raise UserError(
            f"{path}: transfer applies what is chosen on one dataset to another, and has {len(datasets)} "
            f"({', '.join(datasets) or 'none'}). Give it two datasets or more, or leave transfer out."
        )
    if study["search"] != EXHAUSTIVE:
        raise UserError(
            f"{path}: transfer compares the same interventions on all datasets, but under `search: {study['search']}` "
            f"each dataset has other ones. Set search to {EXHAUSTIVE}, or leave transfer out."
        )


def _perplexity(study: dict[str, Any], corpora: dict[str, Any], path: Path) -> None:
    """Leave out masked models, which have no perplexity, and models without a corpus if each reads its own."""
    corpus = study["perplexity"]["corpus"]
    if corpus != LABORATORY and corpus not in corpora:
        known = [LABORATORY, *corpora]
        raise UserError(
            f"{path}: perplexity.corpus is '{corpus}'{nearest(corpus, known)}. "
            f"Allowed: {LABORATORY}, or a name in config/corpora.yaml: {', '.join(corpora)}."
        )
    able = {
        entry["name"]
        for entry in study["models"]
        if not is_masked(entry) and (corpus != LABORATORY or entry["source"]["kind"] == "trained")
    }
    study["perplexity"]["cells"] = [cell for cell in study["perplexity"]["cells"] if cell[0] in able]
    if not study["perplexity"]["cells"]:
        trained = "that the pipeline trains " if corpus == LABORATORY else ""
        raise UserError(f"{path}: perplexity needs at least one causal model {trained}among its models; there is none.")


def has_false_targets(entry: Mapping[str, Any]) -> bool:
    """Return True if a dataset's entry says where the false targets of its questions are."""
    if entry["builder"] == GENERIC:
        return "false_answer" in entry["options"].get("columns", {})
    return bool(entry["builder"] == "counterfact")


def _efficacy(study: dict[str, Any], path: Path) -> None:
    """Leave out datasets without false targets."""
    able = {entry["name"] for entry in study["datasets"] if has_false_targets(entry)}
    study["efficacy"]["cells"] = [cell for cell in study["efficacy"]["cells"] if cell[1] in able]
    if not study["efficacy"]["cells"]:
        raise UserError(
            f"{path}: efficacy needs a dataset whose questions have false targets: counterfact, or rows of your own "
            f"(builder {GENERIC}) with columns: {{false_answer: …}}. There is none among its datasets. Add one, or "
            "leave efficacy out."
        )


def _landscape(study: dict[str, Any], path: Path) -> None:
    """Give every model of the landscape its matrices and layers."""
    run = study["landscape"]
    wanted, layers = run.pop("matrices", None), run.pop("layers", "all")
    run["grid"] = {}
    for name in dict.fromkeys(model for model, _ in run["cells"]):
        entry, where = _model(study, name), f"{path}: landscape.matrices"
        check_matrices(wanted or [], entry, where)
        run["grid"][name] = {
            "matrices": wanted or matrices_of(entry, where),
            "layers": chosen_layers(layers, entry, f"{path}: landscape.layers"),
        }
    run["rhos"] = [round(1 - reduction / 100, 9) for reduction in sorted(run.pop("reductions"))]
