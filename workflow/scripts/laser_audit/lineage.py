"""Lineage: that every job read all that its rule must have read, so that nothing was computed from less.

And that no job whose outcome is a choice, or data for one, read results on test rows.
"""

from __future__ import annotations

from laser_audit.findings import Check
from laser_audit.reading import Study
from laser_audit.records import inside, records
from laser_audit.rows import base_path, grid, sweep_path, test_path
from laser_audit.selection import reduction_path, selection_path
from laser_audit.splits import data_path

Cell = tuple[str, str]

CHOOSING = ("reduce", "base", "sweep", "select", "landscape", "gradients", "compose_layers")
"""Rules whose jobs see validation rows alone."""


def cells_of(study: Study, run: str) -> list[Cell]:
    """Return the cells of an evaluation beside the sweep, or of the figures; none where the study has no such run."""
    return [(str(model), str(dataset)) for model, dataset in study.settings.get(run, {}).get("cells", [])]


def drawn(study: Study) -> list[Cell]:
    """Return the cells that figures show."""
    return cells_of(study, "figures") if "cells" in study.settings.get("figures", {}) else study.cells()


def _reductions(study: Study, model: str) -> list[str]:
    _, layers, rhos = grid(study, model)
    return [reduction_path(model, layer, rho) for layer in layers for rho in rhos]


def _sweep(study: Study, cell: Cell) -> list[str]:
    _, layers, rhos = grid(study, cell[0])
    return [sweep_path(*cell, layer, rho) for layer in layers for rho in rhos]


def _card(model: str) -> str:
    return f"inputs/models/{model}/card.json"


def _runs(study: Study, run: str, ending: str) -> list[str]:
    """Return the result files of a run beside the sweep."""
    return [f"{run}/{model}/{dataset}{ending}" for model, dataset in cells_of(study, run)]


def _of_cell(study: Study, rule: str, cell: Cell) -> list[str]:
    """Return what a job of one model on one dataset must have read."""
    model, dataset = cell
    if rule == "select":
        return [base_path(*cell), *_sweep(study, cell), *_reductions(study, model)]
    both = [_card(model), data_path(dataset)]
    chosen = [*both, selection_path(*cell)]
    return {
        **dict.fromkeys(("base", "sweep", "landscape", "gradients", "compose_layers"), both),
        **dict.fromkeys(("test", "seeds_runs", "prompts_runs", "choices"), chosen),
        "compose_test": [*both, f"compose/{model}/{dataset}.json"],
        "higher_order": [*chosen, test_path(*cell)],
        "perplexity_runs": [_card(model), selection_path(*cell)],
    }.get(rule, [])


def _of_study(study: Study, rule: str) -> list[str]:
    """Return what the job of a table or figure must have read."""
    cells = drawn(study) if rule.startswith(("fig", "solved", "film")) else study.cells()
    models = list(dict.fromkeys(model for model, _ in cells))
    rows = [data_path(dataset) for dataset in dict.fromkeys(dataset for _, dataset in cells)]
    selections = [selection_path(*cell) for cell in cells]
    tested = [*(test_path(*cell) for cell in cells), *selections, *rows]
    bases = [base_path(*cell) for cell in cells]
    swept = [path for cell in cells for path in (base_path(*cell), *_sweep(study, cell))]
    reductions = [path for model in models for path in _reductions(study, model)]
    searches, composed = (_runs(study, "compose", ending) for ending in (".json", ".parquet"))
    return {
        **{name: tested for name in ("table1", "table2", "table3", "paraphrase", "fig3b", "fig3c", "solved", "film")},
        **{name: [*tested, *_runs(study, name, ".parquet")] for name in ("seeds", "prompts")},
        "compose": [*tested, *searches, *composed],
        "fig4": [*searches, *composed],
        "noise": tested,
        **{name: [*swept, *selections] for name in ("fig8", "fig9")},
        **{name: rows for name in ("table4", "fig6")},
        "verdicts": ["tables/table1.csv"],
        "topk": [*tested, *swept],
        "stability": [*selections, *rows, *swept],
        "size": [*selections, *reductions, *map(_card, models)],
        "fig2": bases,
        "fig7": reductions,
    }.get(rule, [])


def check_lineage(check: Check, study: Study) -> None:
    """Look for every file that a job must have read among the inputs of its record."""
    cells = {f"{model}/{dataset}": (model, dataset) for model, dataset in study.cells()}
    for path, record in records(study).items():
        with check.guarded(path):
            if not path.startswith("records/"):
                continue
            read = {inside(study, one["path"]) for one in record["inputs"]}
            parts = path.removesuffix(".json").split("/")
            name = "/".join(parts[2:4])
            if name in cells:
                expected = _of_cell(study, parts[1], cells[name])
            elif parts[1] == "reduce":
                expected = [_card(parts[2])]
            else:
                expected = _of_study(study, parts[-1])
            if parts[1] in CHOOSING:
                seen = sorted(one for one in read if one and one.startswith("test/"))
                check.same(path, "inputs of test rows' results", seen, [])
            check.count += len(expected)
            for one in expected:
                if one not in read:
                    check.fail(path, "inputs", f"no {one}", "every file that such a job reads")
