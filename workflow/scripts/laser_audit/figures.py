"""The data behind the figures on validation rows and reductions, computed anew; and the pictures beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from laser_audit.averages import TOP, Average, average
from laser_audit.comparing import Row, compare_table
from laser_audit.findings import Check
from laser_audit.reading import NOT_ASKED, Study, asked
from laser_audit.rows import base_path, grid, parts, scored
from laser_audit.selection import choice, ordered, reduction_path
from laser_audit.sweeps import base_average, swept

MATRICES = ("q", "k", "v", "o", "u_in", "u_gate", "u_out")
FIG2 = (
    *("model", "dataset", "protocol", "kind", "matrix", "layer", "rho", "removed_percent", "n", "loss"),
    *("base_loss", "difference", "accuracy", "base_accuracy"),
)
FIG7 = ("model", "matrix", "layer", "effective_rank")
FIG8 = (
    *("model", "dataset", "protocol", "matrix", "layer", "rho", "removed_percent", "n"),
    *(f"{arm}first_top{k}" for arm in ("", "base_") for k in TOP),
)
FIG9 = (
    *("model", "dataset", "protocol", "layer", "matrix", "rho", "n", "accuracy", "base_accuracy", "benefit"),
    *("loss", "base_loss", "chosen"),
)
LABELS = ("kind", "matrix", "layer", "rho")


def drawn(study: Study) -> list[tuple[str, str]]:
    """Return the cells of which figures are drawn."""
    return study.cells_of("figures") if "cells" in study.settings.get("figures", {}) else study.cells()


def _matrix(name: str) -> int:
    return MATRICES.index(name) if name in MATRICES else len(MATRICES)


def check_fig2(check: Check, study: Study) -> None:
    """Compare the data of Figures 2 and 10 and of the control with the rows of sweep and landscape."""
    found = False
    for artefact, kind in (("fig2", "svd"), ("fig10", "pruning"), ("smallest", "smallest")):
        if not study.wants(artefact):
            continue
        landscapes = study.cells_of("landscape")
        kinds = study.settings.get("landscape", {}).get("kinds", [])
        for model, dataset in drawn(study):
            landscape = (model, dataset) in landscapes and kind in kinds
            if not landscape and artefact != "fig2":
                continue
            for protocol in study.protocols:
                found = True
                path = f"figures/{artefact}/{model}/{dataset}-{protocol}.csv"
                with check.guarded(path):
                    base, every = _averages(study, model, dataset, protocol, kind, landscape)
                    rows = [_fig2_row(model, dataset, protocol, kind, one, base) for one in every]
                    compare_table(check, study, path, rows, ("matrix", "layer", "rho"), FIG2)
    if not found:
        check.skipped = NOT_ASKED


def _averages(
    study: Study, model: str, dataset: str, protocol: str, kind: str, landscape: bool
) -> tuple[Average, list[Average]]:
    """Return base and every intervention of a figure, in its order."""
    base = base_average(study, model, dataset, protocol)
    every = list(swept(study, model, dataset)[protocol])
    if landscape:
        every = []
        for path in study.matching(f"landscape/{model}/{dataset}/", ".parquet"):
            one = scored(study, path, LABELS, "validation")
            every += [value for key, value in one.averages.items() if key[:2] == (protocol, kind)]
            rows = parts(study, base_path(model, dataset), ())[(protocol,)]
            base = average("", -1, 1.0, rows.head(every[0].n))
    return base, sorted(every, key=lambda one: (_matrix(one.matrix), one.rho, one.layer))


def _fig2_row(model: str, dataset: str, protocol: str, kind: str, one: Average, base: Average) -> Row:
    row: Row = {"model": model, "dataset": dataset, "protocol": protocol, "kind": kind, "matrix": one.matrix}
    row |= {"layer": one.layer, "rho": one.rho, "removed_percent": round(100 * (1 - one.rho), 9), "n": one.n}
    row |= {"accuracy": one.accuracy, "base_accuracy": base.accuracy, "base_loss": base.loss}
    # A loss that overflowed is averaged over the other rows there; that is not worth a second implementation.
    return row | ({"loss": one.loss, "difference": one.loss - base.loss} if math.isfinite(one.loss) else {})


@asked("fig7")
def check_fig7(check: Check, study: Study) -> None:
    """Compare the data of Figure 7 with the reduction records."""
    for model in dict.fromkeys(model for model, _ in drawn(study)):
        path = f"figures/fig7/{model}/all.csv"
        with check.guarded(path):
            matrices, layers, rhos = grid(study, model)
            rows: list[Row] = []
            for matrix in sorted(matrices, key=_matrix):
                for layer in layers:
                    record = study.json(reduction_path(model, layer, rhos[0]))["matrices"][matrix]
                    value = float(record["effective_rank"])
                    rows.append({"model": model, "matrix": matrix, "layer": layer, "effective_rank": value})
            compare_table(check, study, path, rows, ("matrix", "layer"), FIG7)


@asked("fig8")
def check_fig8(check: Check, study: Study) -> None:
    """Compare the data of Figure 8 with the rows of the sweep."""
    for model, dataset in drawn(study):
        for protocol in study.protocols:
            path = f"figures/fig8/{model}/{dataset}-{protocol}.csv"
            with check.guarded(path):
                base = base_average(study, model, dataset, protocol)
                every = ordered(swept(study, model, dataset)[protocol], grid(study, model)[0])
                at = choice(base, every[0], protocol) or every[0]
                own = [one for one in every if (one.matrix, one.layer) == (at.matrix, at.layer)]
                rows = []
                for one in sorted(own, key=lambda one: -one.rho):
                    row: Row = {"model": model, "dataset": dataset, "protocol": protocol, "matrix": one.matrix}
                    row |= {"layer": one.layer, "rho": one.rho, "n": one.n}
                    row["removed_percent"] = round(100 * (1 - one.rho), 9)
                    for k, value, unedited in zip(TOP, one.first_top, base.first_top, strict=True):
                        row |= {f"first_top{k}": value, f"base_first_top{k}": unedited}
                    rows.append(row)
                compare_table(check, study, path, rows, ("matrix", "layer", "rho"), FIG8)


@asked("fig9")
def check_fig9(check: Check, study: Study) -> None:
    """Compare the data of Figure 9 with the rows of the sweep."""
    cells = drawn(study)
    for model in dict.fromkeys(model for model, _ in cells):
        for protocol in study.protocols:
            path = f"figures/fig9/{model}/{protocol}.csv"
            with check.guarded(path):
                datasets = [dataset for one, dataset in cells if one == model]
                rows = [row for dataset in datasets for row in _best_of_layers(study, model, dataset, protocol)]
                compare_table(check, study, path, rows, ("dataset", "layer"), FIG9)


def _best_of_layers(study: Study, model: str, dataset: str, protocol: str) -> Sequence[Row]:
    base, every = base_average(study, model, dataset, protocol), swept(study, model, dataset)[protocol]
    taken = choice(base, ordered(every, grid(study, model)[0])[0], protocol)
    rows = []
    for layer in sorted({one.layer for one in every}):
        own = [one for one in every if one.layer == layer]
        best = min(own, key=lambda one: (-one.accuracy, one.loss, one.rho, one.matrix))
        row: Row = {"model": model, "dataset": dataset, "protocol": protocol, "layer": layer, "matrix": best.matrix}
        row |= {"rho": best.rho, "n": best.n, "accuracy": best.accuracy, "base_accuracy": base.accuracy}
        row |= {"benefit": best.accuracy - base.accuracy, "base_loss": base.loss}
        row["chosen"] = taken is not None and taken.layer == layer
        rows.append(row | ({"loss": best.loss} if math.isfinite(best.loss) else {}))
    return rows


def check_pictures(check: Check, study: Study) -> None:
    """Look at the files of every figure: SVG and PDF, or a film, and the CSV behind them; all well begun."""
    starts = {"svg": b"<?xml", "pdf": b"%PDF-", "gif": b"GIF8"}
    stems = {path.rpartition(".")[0] for path in study.files if path.startswith("figures/")}
    for stem in sorted(stems):
        film = study.has(f"{stem}.gif")
        for ending in ("gif", "csv") if film else ("svg", "pdf", "csv"):
            path = f"{stem}.{ending}"
            with check.guarded(path):
                place = study.place(path)
                check.count += 1
                start = starts.get(ending, b"")
                with place.open("rb") as handle:
                    found = handle.read(len(start) or 1)
                if not found or not found.startswith(start):
                    check.fail(path, "first bytes", found, start or "a header")


def check_tables(check: Check, study: Study) -> None:
    """Look for every artefact that the study asks for: pictures, or a table in its three forms."""
    for name in study.settings["artefacts"]:
        if any(path.startswith(f"figures/{name}/") for path in study.files):
            check.count += 1
            continue
        for ending in ("csv", "md", "tex"):
            check.same(f"tables/{name}.{ending}", "there", study.has(f"tables/{name}.{ending}"), True)
