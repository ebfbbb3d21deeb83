"""The paper's printed numbers, from the study's own copy of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from laser_audit.findings import Check
from laser_audit.numbers import two_proportions
from laser_audit.reading import Study, remembered

FOLDER = "inputs/published"
NAMES = f"{FOLDER}/names.csv"
"""Our names of the paper's models and datasets."""

LEVEL = 0.05
MARGIN = 0.5


@dataclass(frozen=True)
class Paper:
    """The paper's tables by our names of models and datasets.

    Attributes:
        names: (`model` or `dataset`, our name) to the paper's.
        printed: (model, dataset, metric, arm), the paper's names, to the text as printed.
        choices: (model, dataset), the paper's names, to its Table 3.
        sizes: dataset, the paper's name, to size, validation and test rows.
    """

    names: dict[tuple[str, str], str]
    printed: dict[tuple[str, str, str, str], str]
    choices: dict[tuple[str, str], dict[str, Any]]
    sizes: dict[str, dict[str, int]]

    def cell(self, model: str, dataset: str) -> tuple[str, str]:
        """Return the paper's names of a cell; empty where it has none."""
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
    sizes = {
        row["dataset"]: {"size": int(row["size"]), "validation": int(row["val_20pct"]), "test": int(row["test_80pct"])}
        for row in rows("table4_dataset_sizes")
    }
    return Paper(
        {(row["kind"], row["name"]): row["published"] for row in rows("names")},
        {
            (row["model"], row["dataset"], row["metric"], arm): row[arm]
            for row in rows("table1")
            for arm in ("base", "laser")
        },
        choices,
        sizes,
    )


def check_paper(check: Check, study: Study) -> None:
    """Compare the study's copy of the paper's numbers with that of the checkout, if the audit runs in one."""
    shipped = study.checkout / "config/published" if study.checkout else None
    if shipped is None or not shipped.is_dir():
        check.skipped = "the audit does not run in a checkout"
        return
    for path in study.matching(f"{FOLDER}/", ""):
        with check.guarded(path):
            check.count += 1
            other = shipped / path.rpartition("/")[2]
            if path == NAMES and other.is_file():
                # Names of further models join the list from version to version.
                named = [*study.models, *study.datasets]
                rows, others = study.table(path)[1], Study(shipped).table(other.name)[1]
                check.same(path, "names", *([row for row in each if row["name"] in named] for each in (rows, others)))
            elif not other.is_file() or other.read_bytes() != study.locate(path).read_bytes():
                check.fail(path, "", "other bytes", f"those of {other}")


def half_unit(text: str) -> float:
    """Return half a unit of the last printed digit, the largest rounding error."""
    return 0.5 * 10.0 ** -len(text.partition(".")[2])


def verdict(
    paper: Paper,
    row: dict[str, Any],
    constants: list[float],
    complete: bool,
    base_chosen: bool,
    test_rows: int | None,
    partial: bool = False,
) -> str:
    """Apply the rules of the verdicts (docs/auditing.md) to one row of Table 1.

    Args:
        paper: the paper's numbers.
        row: model, dataset, metric, arm, low, high, difference and p_holm.
        constants: what constant answers score on the test rows, percent.
        complete: True if the dataset was prepared whole.
        base_chosen: True if selection kept the base model.
        test_rows: the paper's number of test rows.
        partial: True if the rows are from a source that has only a part of them.
    """
    names, laser = (row["model"], row["dataset"], row["metric"]), row["arm"] == "laser"
    text, base_text = paper.text(*names, row["arm"]), paper.text(*names, "base")
    if text is not None and partial:
        return "part of the paper's rows"
    if text is not None and not complete:
        return "not run"
    if laser and base_chosen:
        return "base chosen"
    if text is None:
        return ""
    value, accuracy = float(text), row["metric"] == "accuracy"
    if accuracy and min(abs(value - constant) for constant in constants) <= MARGIN:
        return "equals a constant answer"
    compared = laser and base_text is not None
    if (
        compared
        and accuracy
        and test_rows is not None
        and two_proportions(float(base_text or 0), value, test_rows) >= LEVEL
    ):
        return "not significant in the paper's own n"
    inside = row["low"] - half_unit(text) <= value <= row["high"] + half_unit(text)
    if compared:
        same_sign = row["difference"] * (value - float(base_text or 0)) > 0
        inside = inside and same_sign and row["p_holm"] < LEVEL
    return "replicated" if inside else "differs"
