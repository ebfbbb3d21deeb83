"""Lineage: every job read all the files that its rule requires, so nothing was computed from fewer.

No job that makes a choice, or the data for one, read results on test rows.
"""

from __future__ import annotations

from typing import Any

from laser_audit.findings import Check
from laser_audit.reading import Study, digest
from laser_audit.records import inside, records
from laser_audit.rows import grid

CARD, ROWS = "inputs/models/{model}/card.json", "inputs/data/{dataset}/rows.parquet"
SELECTION, REDUCTIONS = "selection/{model}/{dataset}.json", "reductions/{model}/layer{layer}/rho{rho}.json"
BASE, SWEEP = "sweep/{model}/{dataset}/base.parquet", "sweep/{model}/{dataset}/layer{layer}/rho{rho}.parquet"
EVALUATED, CHOSEN = (CARD, ROWS), (CARD, ROWS, SELECTION)
READS: dict[str, tuple[str, ...]] = {
    "reduce": (CARD,),
    "spectra": (CARD, REDUCTIONS),
    "select_intervention": (BASE, SWEEP, REDUCTIONS),
    **dict.fromkeys(("base", "sweep", "landscape", "gradients", "compose_layers"), EVALUATED),
    "sweep_together": (CARD,),
    **dict.fromkeys(("test_intervention", "evaluate_seeds", "evaluate_prompts", "evaluate_choices"), CHOSEN),
    **dict.fromkeys(("evaluate_clustered", "evaluate_baselines"), CHOSEN),
    "race": (*EVALUATED, BASE),
    "survivors": ("race/{model}/{dataset}.parquet",),
    "compose_test": (*EVALUATED, "compose/{model}/{dataset}.json"),
    "evaluate_higher_order": (*CHOSEN, "test/{model}/{dataset}.parquet"),
    "evaluate_efficacy": (*CHOSEN, "false_targets/{dataset}.parquet"),
    "evaluate_perplexity": (CARD, SELECTION),
    "evaluate_rank_rules": (SELECTION, "spectra/{model}.json"),
    "evaluate_transfer": (SELECTION,),
}
"""Rule to the patterns of files that its jobs must have read; a transfer reads the selections of all its datasets,
and a sweep of several datasets the rows of all."""

UNLESS_EMPTY = {"evaluate_transfer": "transfer", "evaluate_rank_rules": "rank_rules"}
"""Rules whose jobs load no model if there is no other choice to evaluate, to the folder of their files."""

CHOOSING = (
    *("reduce", "base", "sweep", "race", "survivors", "select_intervention", "landscape", "gradients"),
    *("sweep_together", "compose_layers", "spectra"),
)
"""Rules whose jobs see only validation rows."""


def _expanded(study: Study, pattern: str, model: str, dataset: str) -> list[str]:
    """Return the files of a pattern for one model and dataset, for all layers and ρ that it names."""
    settings = study.settings
    searched = settings["landscape"] if pattern.startswith("landscape/") else settings
    layers = searched["grid"][model]["layers"] if "{layer}" in pattern else [""]
    rhos = [f"{rho:g}" for rho in grid(study, model)[2]] if "{rho}" in pattern else [""]
    names = {"model": model, "dataset": dataset}
    source: dict[str, Any] = next((entry["source"] for entry in settings["models"] if entry["name"] == model), {})
    if "corpus" in source:
        names["corpus_key"] = f"corpus-{digest(source['corpus'], 8)}"
    elif "{corpus_key}" in pattern:
        return []  # a model that the study does not train has no corpus
    return [pattern.format(**names, layer=layer, rho=rho) for layer in layers for rho in rhos]


def _required(study: Study, path: str, declared: dict[str, Any]) -> list[str]:
    """Return what a record's job must have read; for an artefact, what inputs/study.json declares."""
    _, rule, *names = path.removesuffix(".json").split("/")
    if rule in declared:
        reads = declared[rule]["reads"].items()
        plain = [pattern for pattern, _ in reads if "{" not in pattern]
        return plain + [file for pattern, cells in reads for cell in cells for file in _expanded(study, pattern, *cell)]
    model, dataset = (*names, "", "")[:2]
    patterns = READS.get(rule, ())
    if rule in UNLESS_EMPTY and "run" in study.spec(f"{UNLESS_EMPTY[rule]}/{model}/{dataset}.parquet"):
        patterns = (*EVALUATED, *patterns)
    files = [file for pattern in patterns for file in _expanded(study, pattern, model, dataset)]
    if rule == "evaluate_transfer":
        cells = [tuple(cell) for cell in study.settings["transfer"]["cells"] if cell[0] == model]
        files += [file for cell in cells for file in _expanded(study, SELECTION, *cell)]
    if rule == "sweep_together":
        files += [file for name in study.settings["sweep_together"] for file in _expanded(study, ROWS, model, name)]
    return files


def check_lineage(check: Check, study: Study) -> None:
    """Check that the inputs of every record include all files that the job must have read."""
    declared = {entry["name"]: entry for entry in study.settings["artefact_files"]}
    for path, record in records(study).items():
        if not path.startswith("records/"):
            continue
        with check.guarded(path):
            read = {inside(study, file["path"]) for file in record["inputs"]}
            if path.split("/")[1] in CHOOSING:
                seen = sorted(file for file in read if file and file.startswith("test/"))
                check.same(path, "inputs of test rows' results", seen, [])
            for file in dict.fromkeys(_required(study, path, declared)):
                check.holds(path, "inputs", file in read, f"no {file}", "every file that such a job reads")
