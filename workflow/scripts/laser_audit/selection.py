"""Selection: every candidate's validation scores from its rows, the stated rule applied again, and the kept ranks."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from laser_audit.findings import Check
from laser_audit.reading import Study, close, number_of, remembered
from laser_audit.rows import Average, averages, base_path, grid, sweep_paths, test_path

EXACT = 4e-15
"""Largest relative difference that the order of summation can make between two means of the same numbers."""

MEASURED = 1.1e-4
"""Largest difference between a residual measured in fp32 and the spectrum's; the records' own bound is larger."""

PRECISION = ("residual", "orthogonality_u", "orthogonality_v")
MEASURES = ("retained_energy", "relative_residual", "relative_residual_measured", "effective_rank", *PRECISION)


def base_average(study: Study, model: str, dataset: str, protocol: str) -> Average:
    """Return base's averages over a cell's validation rows."""
    return averages(study, base_path(model, dataset))[(protocol,)]


@remembered
def swept(study: Study, model: str, dataset: str) -> dict[str, list[Average]]:
    """Return every intervention of a cell's sweep that may be chosen, by protocol."""
    found: dict[str, list[Average]] = {protocol: [] for protocol in study.protocols}
    least = study.settings.get("keep_at_least", 0)
    for path in sweep_paths(study, model, dataset):
        for (protocol, *_), value in averages(study, path).items():
            if not least or _kept(study, model, value) >= least:
                found[protocol].append(value)
    return found


def _kept(study: Study, model: str, average: Average) -> int:
    """Return the kept rank of an intervention, from the shape of its matrix."""
    record = study.json(reduction_path(model, average.layer, average.rho))["matrices"][average.matrix]
    return kept_of(average.rho, min(record["shape"]))


def selection_path(model: str, dataset: str) -> str:
    """Return the path of a cell's selection."""
    return f"selection/{model}/{dataset}.json"


def ordered(averages: list[Average], matrices: list[str]) -> list[Average]:
    """Sort by the stated rule: accuracy, then lower loss, later layer, the grid's order of matrices, smaller ρ.

    An intervention under which a loss is not finite comes last.
    """

    def key(average: Average) -> tuple[Any, ...]:
        finite = math.isfinite(average.loss)
        loss = average.loss if finite else 0.0
        return (not finite, -average.accuracy, loss, -average.layer, matrices.index(average.matrix), average.rho)

    return sorted(averages, key=key)


def choice(base: Average, best: Average, protocol: str) -> Average | None:
    """Return the rule's choice: the best; under `corrected`, base (None) unless the best wins by accuracy or loss."""
    better = best.accuracy > base.accuracy or (best.accuracy == base.accuracy and best.loss < base.loss)
    wins = better and math.isfinite(best.loss)
    return best if wins or protocol == "published" else None


def chosen(study: Study, model: str, dataset: str, protocol: str) -> tuple[Average, list[Average], Average | None]:
    """Return base, all interventions of a cell's sweep, best first, and the choice among them (None for base)."""
    base = base_average(study, model, dataset, protocol)
    every = ordered(swept(study, model, dataset)[protocol], grid(study, model)[0])
    return base, every, choice(base, every[0], protocol)


def by_protocol(check: Check, study: Study, path: str, model: str, dataset: str) -> dict[str, dict[str, Any]]:
    """Return a file's part for each protocol of the study; the file must be of this cell and have them all."""
    content = study.json(path)
    check.same(path, "model", content["model"], model)
    check.same(path, "dataset", content["dataset"], dataset)
    check.same(path, "protocols", sorted(content["protocols"]), sorted(study.protocols))
    return {
        protocol: content["protocols"][protocol] for protocol in study.protocols if protocol in content["protocols"]
    }


def check_selection(check: Check, study: Study) -> None:
    """Apply the rule to the sweep's rows and compare with every selection file, and with what was tested."""
    for model, dataset in study.cells():
        path = selection_path(model, dataset)
        with check.guarded(path):
            for protocol, selected in by_protocol(check, study, path, model, dataset).items():
                _protocol(check, study, path, model, dataset, protocol, selected)
                tested = study.spec(test_path(model, dataset))["chosen"][protocol]
                check.same(test_path(model, dataset), f"spec.chosen.{protocol}", tested, selected["chosen"])


def _protocol(
    check: Check, study: Study, path: str, model: str, dataset: str, name: str, selected: dict[str, Any]
) -> None:
    base, every, taken = chosen(study, model, dataset, name)
    shown = f"protocols.{name}"
    check.same(path, f"{shown}.candidates", len(selected["candidates"]), len(every))
    for index, (average, candidate) in enumerate(zip(every, selected["candidates"], strict=False)):
        where = f"{shown}.candidates[{index}]"
        _intervention(check, study, path, where, candidate, model, average)
        compare_scores(check, path, where, candidate, average)
    compare_scores(check, path, f"{shown}.validation.base", selected["validation"]["base"], base)
    compare_scores(check, path, f"{shown}.validation.chosen", selected["validation"]["chosen"], taken or base)
    if taken is None or selected["chosen"] is None:
        expected = "the base model (null)" if taken is None else intervention_name(taken)
        check.holds(path, f"{shown}.chosen", taken is selected["chosen"], selected["chosen"], expected)
    else:
        _intervention(check, study, path, f"{shown}.chosen", selected["chosen"], model, taken)


def intervention_name(average: Average) -> str:
    """Return an intervention as Table 3 writes it."""
    return f"[{average.matrix}, {average.layer}, {average.rho:g}]"


def _intervention(
    check: Check, study: Study, path: str, where: str, edit: dict[str, Any], model: str, average: Average
) -> None:
    shown = f"[{edit['matrix']}, {edit['layer']}, {edit['rho']:g}]"
    if check.same(path, where, shown, intervention_name(average)):
        record = study.json(reduction_path(model, average.layer, average.rho))["matrices"][average.matrix]
        kept = kept_of(average.rho, min(record["shape"]))
        check.same(path, f"{where}.kept_rank", edit["kept_rank"], kept)


def compare_scores(check: Check, path: str, where: str, scores: dict[str, Any], average: Average) -> None:
    """Compare stored scores with averages of rows."""
    check.same(path, f"{where}.n", scores["n"], average.n)
    loss = math.inf if scores["loss"] is None else number_of(scores["loss"])
    for key, value, expected in (
        ("accuracy", number_of(scores["accuracy"]), average.accuracy),
        ("loss", loss, average.loss),
    ):
        check.holds(path, f"{where}.{key}", close(value, expected, EXACT), scores[key], expected)


def kept_of(rho: float, smaller: int) -> int:
    """Return ⌊ρ·d⌋, computed in decimal from the shortest spelling of ρ, so 0.29·100 is 29."""
    return math.floor(Decimal(repr(rho)) * smaller)


def reduction_path(model: str, layer: int, rho: float) -> str:
    """Return the path of a reduction's record."""
    return f"reductions/{model}/layer{layer}/rho{rho:g}.json"


def check_reductions(check: Check, study: Study) -> None:
    """Compare the numbers of every reduction with each other and along ρ."""
    for model in study.models:
        matrices, layers, rhos = grid(study, model)
        for layer in layers:
            before: dict[str, tuple[str, dict[str, Any]]] = {}
            for rho in sorted(rhos):
                path = reduction_path(model, layer, rho)
                with check.guarded(path):
                    record = study.json(path)
                    check.same(path, "layer", record["layer"], layer)
                    check.same(path, "rho", float(number_of(record["rho"])), rho)
                    check.same(path, "matrices", sorted(record["matrices"]), sorted(matrices))
                    for matrix, numbers in record["matrices"].items():
                        _reduction(check, path, matrix, numbers, rho, before.get(matrix))
                        before[matrix] = (path, numbers)


def _reduction(
    check: Check, path: str, name: str, numbers: dict[str, Any], rho: float, before: tuple[str, dict[str, Any]] | None
) -> None:
    rows, columns = numbers["shape"]
    smaller = min(rows, columns)
    kept = kept_of(rho, smaller)
    for key, value in (
        ("kept_rank", kept),
        ("parameters", rows * columns),
        ("parameters_factored", kept * (rows + columns)),
        ("bytes_dense", 4 * rows * columns),
        ("bytes_factored", 4 * kept * (rows + columns)),
    ):
        check.same(path, f"{name}.{key}", numbers[key], value)
    value = {key: number_of(numbers[key]) for key in MEASURES}
    energy, residual = value["retained_energy"], value["relative_residual"]
    difference = abs(value["relative_residual_measured"] - residual)
    for key, right, expected in (
        ("retained_energy", 0 <= energy <= 1 + 1e-12, "0 to 1"),
        ("retained_energy", energy >= kept / smaller - 1e-9, "the largest singular values' share"),
        ("relative_residual", abs(residual**2 - (1 - energy)) <= 1e-9, "√(1 − retained_energy)"),
        ("relative_residual_measured", difference <= MEASURED, f"{residual} ± {MEASURED:g}"),
        ("effective_rank", 0 <= value["effective_rank"] <= smaller * (1 + 1e-9), "0 to the smaller side"),
        *((key, 0 <= value[key] < 1e-3, "at least 0 and small") for key in PRECISION),
    ):
        check.holds(path, f"{name}.{key}", right, numbers[key], expected)
    if before is not None:
        other, less = before
        for key in ("shape", "effective_rank", *PRECISION):
            check.same(path, f"{name}.{key} (whatever ρ, and so in {other})", numbers[key], less[key])
        lower = number_of(less["retained_energy"])
        expected = f"at least {lower}, that of the smaller ρ in {other}"
        check.holds(path, f"{name}.retained_energy", energy >= lower - 1e-12, energy, expected)
