"""The paper's printed numbers, from the study's own copy of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from laser_audit.findings import Check
from laser_audit.numbers import mcnemar_of
from laser_audit.reading import Study, remembered

FOLDER = "inputs/published"
NAMES = f"{FOLDER}/names.csv"
"""File with our names for the paper's models and datasets."""

RULES = "inputs/workflow/config/claims.yaml"
"""File with the margins and thresholds that the study's verdicts used."""

LEVEL = 0.05
MARGINS = {"accuracy": "accuracy", "loss": "loss", "return": "reward"}
"""Metric to the name of the margin within which ours equals a printed number."""


@dataclass(frozen=True)
class Paper:
    """The paper's tables, and our names for its models and datasets.

    Attributes:
        names: (`model` or `dataset`, our name) to the paper's name.
        printed: (model, dataset, metric, arm), the paper's names, to the text as printed.
        choices: (model, dataset), the paper's names, to its row of Table 3.
        test_rows: dataset, the paper's name, to its number of test rows.
    """

    names: dict[tuple[str, str], str]
    printed: dict[tuple[str, str, str, str], str]
    choices: dict[tuple[str, str], dict[str, Any]]
    test_rows: dict[str, int]

    def cell(self, model: str, dataset: str) -> tuple[str, str]:
        """Return the paper's names for a cell; empty where it has none."""
        return self.names.get(("model", model), ""), self.names.get(("dataset", dataset), "")

    def text(self, model: str, dataset: str, metric: str, arm: str) -> str | None:
        """Return a number of Table 1 as printed, or None."""
        return self.printed.get((*self.cell(model, dataset), metric, arm))


@remembered
def paper(study: Study) -> Paper:
    """Read inputs/published."""

    def rows(name: str) -> list[dict[str, str]]:
        return study.table(f"{FOLDER}/{name}.csv")[1]

    matrices = {(row["model"], row["tau"]): row["matrix"] for row in rows("matrices")}
    choices = {}
    for row in rows("table3_best_hparams"):
        choices[row["model"], row["dataset"]] = {
            "tau": row["tau"],
            "matrix": matrices.get((row["model"], row["tau"]), row["tau"]),
            "layer": int(row["layer"]),
            "rho": float(row["rho"]),
            "kept_rank": int(row["kept_rank_int(rho*min_dim)"]),
        }
    return Paper(
        {(row["kind"], row["name"]): row["published"] for row in rows("names")},
        {
            (row["model"], row["dataset"], row["metric"], arm): row[arm]
            for row in rows("table1")
            for arm in ("base", "laser")
        },
        choices,
        {row["dataset"]: int(row["test_80pct"]) for row in rows("table4_dataset_sizes")},
    )


@remembered
def rules(study: Study) -> dict[str, float]:
    """Return the margins and thresholds of the study's verdicts, by name. No name occurs twice in the file."""
    lines = (line.partition("#")[0].partition(":") for line in study.text(RULES).splitlines())
    return {name.strip(): float(value) for name, _, value in lines if value.strip()}


def check_paper(check: Check, study: Study) -> None:
    """Compare the study's copy of the paper's numbers with the checkout's copy, if the audit runs in one."""
    shipped = study.checkout / "config/published" if study.checkout else None
    if shipped is None or not shipped.is_dir():
        check.skipped = "the audit does not run in a checkout"
        return
    for path in study.matching(f"{FOLDER}/", ""):
        with check.guarded(path):
            check.count += 1
            other = shipped / path.rpartition("/")[2]
            if path == NAMES and other.is_file():
                # Later versions add names of further models to the list.
                named = [*study.models, *study.datasets]
                rows, others = study.table(path)[1], Study(shipped).table(other.name)[1]
                check.same(path, "names", *([row for row in each if row["name"] in named] for each in (rows, others)))
            elif not other.is_file() or other.read_bytes() != study.locate(path).read_bytes():
                check.fail(path, "", "other bytes", f"those of {other}")


def half_unit(text: str) -> float:
    """Return half a unit of the last printed digit, the largest rounding error."""
    return 0.5 * 10.0 ** -len(text.partition(".")[2])


def verdict(
    limits: dict[str, float],
    row: dict[str, Any],
    text: str | None,
    base_text: str | None,
    complete: bool,
    same_rows: bool,
    partial: bool = False,
) -> str:
    """Apply the rules of agreement (docs/statistics.md) to one row of Table 1 or 2.

    Args:
        limits: from `rules`.
        row: metric, arm, n, value and difference, both with bounds.
        text: this arm's number as printed, or None.
        base_text: the base arm's number as printed, or None.
        complete: True if the whole dataset was prepared.
        same_rows: True if our test rows are the paper's.
        partial: True if the rows are from a source that has only some of them.
    """
    if text is None:
        return ""
    if partial:
        return "part of the paper's rows"
    if not complete or not row["n"]:
        return "not run"
    draws = 0 if row["arm"] == "base" else 1 + same_rows
    margin, of_change = (_margin(limits, row["metric"], row["n"], draws, values) for values in (1, 2))
    equal = [_equal(row, ("value", "low", "high"), float(text), margin + half_unit(text), same_rows)]
    if row["arm"] == "laser" and base_text is not None:
        change, slack = float(text) - float(base_text), of_change + half_unit(text) + half_unit(base_text)
        equal.append(_equal(row, ("difference", "difference_low", "difference_high"), change, slack, same_rows))
    return next((word for word in ("differs", "undecided") if word in equal), "replicated")


def _margin(limits: dict[str, float], metric: str, n: int, draws: int, values: int) -> float:
    """Return the margin of equivalence: the smallest difference that matters and, in quadrature, seeds and rounding.

    Args:
        limits: from `rules`; those of older versions lack the spreads.
        metric: accuracy, loss or return.
        n: number of rows.
        draws: how many of the two values depend on a seed of the randomised SVD.
        values: how many of our values are compared.
    """
    least = limits[MARGINS[metric]]
    if metric == "accuracy":
        least = max(least, 100 / n)
    variance = 0.0
    if metric == "accuracy":
        variance = 100**2 * (draws * limits.get("seed_rows", 0.0) + values * limits.get("rounding_rows", 0.0)) / n
    elif metric == "loss":
        variance = draws * limits.get("seed_loss", 0.0) ** 2 + values * limits.get("rounding_loss", 0.0) ** 2 / n
    return math.sqrt(least**2 + 1.959964**2 * variance)


def _equal(row: dict[str, Any], names: tuple[str, str, str], printed: float, margin: float, same_rows: bool) -> str:
    """Return the verdict: our value, or on other rows its whole interval, must be within `margin` of `printed`."""
    far = [abs(row[name] - printed) > margin + 1e-9 for name in (names[:1] if same_rows else names[1:])]
    if not any(far):
        return "replicated"
    apart = row[names[2]] < printed - margin - 1e-9 or row[names[1]] > printed + margin + 1e-9
    return "differs" if same_rows or apart else "undecided"


def shown(
    limits: dict[str, float],
    row: dict[str, Any],
    text: str | None,
    base_text: str | None,
    constants: list[float],
    test_rows: int | None,
) -> dict[str, Any]:
    """Return what a printed number shows on its own, and the range of McNemar's p over numbers of changed rows.

    Args:
        limits: from `rules`.
        row: metric and arm.
        text: the arm's number as printed, or None.
        base_text: the base arm's number as printed, or None.
        constants: what constant answers score on the test rows, percent.
        test_rows: the paper's number of test rows, or None.
    """
    nothing = {"shows": "", "published_p_low": math.nan, "published_p_high": math.nan}
    if text is None or row["metric"] != "accuracy":
        return nothing
    low = high = math.nan
    if row["arm"] == "laser" and base_text is not None and test_rows is not None:
        fewer, more = sorted(round(test_rows * float(number) / 100) for number in (base_text, text))
        low, high = mcnemar_of(0, more - fewer), mcnemar_of(min(fewer, test_rows - more), more - fewer)
    name = "no constant answer does as well" if constants and row["arm"] == "base" else ""
    if constants and float(text) <= max(constants) + limits["constant"]:
        name = "a constant answer does as well"
    elif not math.isnan(low):
        name = "significance not settled" if low < LEVEL <= high else "a significant difference"
        name = "no significant difference" if low >= LEVEL else name
    return {"shows": name, "published_p_low": low, "published_p_high": high}
