"""Lineage: every job read all files that its rule requires, so nothing was computed from fewer.

No job whose outcome is a choice, or data for one, read results on test rows.
"""

from __future__ import annotations

from typing import Any

from laser_audit.findings import Check
from laser_audit.reading import Study, digest
from laser_audit.records import inside, records
from laser_audit.rows import base_path, cell_path, grid, race_path, spectra_path, sweep_paths, test_path, transferred
from laser_audit.selection import reduction_path, selection_path
from laser_audit.splits import data_path

Cell = tuple[str, str]

CHOOSING = (
    *("reduce", "base", "sweep", "race", "survivors", "select_intervention", "landscape", "gradients"),
    *("compose_layers", "spectra"),
)
"""Rules whose jobs see only validation rows."""


def _reductions(study: Study, model: str) -> list[str]:
    _, layers, rhos = grid(study, model)
    return [reduction_path(model, layer, rho) for layer in layers for rho in rhos]


def _card(model: str) -> str:
    return f"inputs/models/{model}/card.json"


def _of_cell(study: Study, rule: str, cell: Cell) -> list[str]:
    """Return what a job of one model on one dataset must have read."""
    model, dataset = cell
    if rule == "select_intervention":
        return [base_path(*cell), *sweep_paths(study, *cell), *_reductions(study, model)]
    both = [_card(model), data_path(dataset)]
    applied = {
        "evaluate_transfer": (
            "transfer",
            lambda: [selection_path(model, other) for other in transferred(study, model)],
        ),
        "evaluate_rank_rules": ("rank_rules", lambda: [selection_path(*cell), spectra_path(model)]),
    }
    if rule in applied:
        folder, choosing = applied[rule]
        # Without rows, where no choice is another one, no model was loaded.
        evaluated = both if "run" in study.spec(cell_path(folder, *cell)) else []
        return [*evaluated, *choosing()]
    chosen = [*both, selection_path(*cell)]
    return {
        **dict.fromkeys(("base", "sweep", "landscape", "gradients", "compose_layers"), both),
        **dict.fromkeys(("test_intervention", "evaluate_seeds", "evaluate_prompts", "evaluate_choices"), chosen),
        "race": [*both, base_path(*cell)],
        "survivors": [race_path(*cell)],
        "evaluate_clustered": chosen,
        "evaluate_baselines": chosen,
        "compose_test": [*both, f"compose/{model}/{dataset}.json"],
        "evaluate_higher_order": [*chosen, test_path(*cell)],
        "evaluate_efficacy": [*chosen, f"false_targets/{dataset}.parquet"],
        "evaluate_perplexity": [_card(model), selection_path(*cell)],
    }.get(rule, [])


def _of_artefact(study: Study, entry: dict[str, Any]) -> list[str]:
    """Return what the job of a table or figure must have read, from its declaration in inputs/study.json."""
    paths = []
    for pattern, cells in entry["reads"].items():
        if "{" not in pattern:
            paths.append(pattern)
        for model, dataset in cells:
            searched = study.settings["landscape"] if pattern.startswith("landscape/") else study.settings
            layers = searched["grid"][model]["layers"] if "{layer}" in pattern else [""]
            rhos = [f"{float(rho):g}" for rho in study.settings["rhos"]] if "{rho}" in pattern else [""]
            source = next(entry["source"] for entry in study.settings["models"] if entry["name"] == model)
            names = {"model": model, "dataset": dataset}
            if "corpus" in source:
                names["corpus_key"] = f"corpus-{digest(source['corpus'], 8)}"
            elif "{corpus_key}" in pattern:
                continue  # a model that the study does not train has no corpus
            paths += [pattern.format(**names, layer=layer, rho=rho) for layer in layers for rho in rhos]
    return list(dict.fromkeys(paths))


def check_lineage(check: Check, study: Study) -> None:
    """Check that the inputs of every record include all files that the job must have read."""
    cells = {f"{model}/{dataset}": (model, dataset) for model, dataset in study.cells()}
    declared = {entry["name"]: entry for entry in study.settings["artefact_files"]}
    for path, record in records(study).items():
        with check.guarded(path):
            if not path.startswith("records/"):
                continue
            read = {inside(study, file["path"]) for file in record["inputs"]}
            parts = path.removesuffix(".json").split("/")
            name = "/".join(parts[2:4])
            if name in cells:
                expected = _of_cell(study, parts[1], cells[name])
            elif parts[1] == "spectra":
                expected = [_card(parts[2]), *_reductions(study, parts[2])]
            elif parts[1] == "reduce":
                expected = [_card(parts[2])]
            elif parts[1] in declared:
                expected = _of_artefact(study, declared[parts[1]])
            else:
                expected = []
            if parts[1] in CHOOSING:
                seen = sorted(file for file in read if file and file.startswith("test/"))
                check.same(path, "inputs of test rows' results", seen, [])
            check.count += len(expected)
            for file in expected:
                if file not in read:
                    check.fail(path, "inputs", f"no {file}", "every file that such a job reads")
