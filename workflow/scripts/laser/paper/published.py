"""The numbers that the paper prints, read from config/published (facts of arXiv 2312.13558; see the README there)."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

from laser.errors import UserError

FOLDER = Path(__file__).resolve().parents[4] / "config" / "published"
KEPT = "kept_rank_int(rho*min_dim)"


@dataclass(frozen=True)
class Printed:
    """A number as printed.

    Attributes:
        value: the number.
        half_unit: half a unit of its last printed place: how far rounding can have moved it.
    """

    value: float
    half_unit: float


@dataclass(frozen=True)
class Published:
    """The paper's tables, by the paper's own names of models and datasets.

    Attributes:
        models: our model name to the paper's.
        datasets: our dataset name to the paper's.
        table1: (model, dataset, metric, arm) to the printed number; accuracy in percent, loss in nats.
        table3: (model, dataset) to matrix (our logical name), layer, rho, kept_rank and the paper's tau.
        table4: dataset to size, validation and test rows.
        table5: the printed search space, by hyperparameter.
    """

    models: dict[str, str] = field(default_factory=dict)
    datasets: dict[str, str] = field(default_factory=dict)
    table1: dict[tuple[str, str, str, str], Printed] = field(default_factory=dict)
    table3: dict[tuple[str, str], dict] = field(default_factory=dict)
    table4: dict[str, dict[str, int]] = field(default_factory=dict)
    table5: dict[str, str] = field(default_factory=dict)

    def cell(self, model: str, dataset: str, metric: str, arm: str) -> Printed | None:
        """Return the printed number for our names of model and dataset, or None if the paper has no such cell."""
        return self.table1.get((self.models.get(model, ""), self.datasets.get(dataset, ""), metric, arm))

    def choice(self, model: str, dataset: str) -> dict | None:
        """Return the paper's best intervention for our names of model and dataset, or None."""
        return self.table3.get((self.models.get(model, ""), self.datasets.get(dataset, "")))

    def sizes(self, dataset: str) -> dict[str, int] | None:
        """Return the paper's dataset sizes for our name of the dataset, or None."""
        return self.table4.get(self.datasets.get(dataset, ""))


def read_published(folder: Path | str = FOLDER) -> Published:
    """Read config/published.

    Raises:
        UserError: a file is missing, lacks a column, or holds something else where a number belongs.
    """
    folder = Path(folder)
    try:
        return _read(folder)
    except ValueError as error:
        raise UserError(f"{folder}: a table holds something that is no number ({error}). Restore it.") from error


def _read(folder: Path) -> Published:
    names = read_rows(folder / "names.csv", ("kind", "name", "published"))
    matrices = {
        (row["model"], row["tau"]): row["matrix"]
        for row in read_rows(folder / "matrices.csv", ("model", "tau", "matrix"))
    }
    table1 = {}
    for row in read_rows(folder / "table1.csv", ("model", "dataset", "metric", "base", "laser")):
        for arm in ("base", "laser"):
            table1[row["model"], row["dataset"], row["metric"], arm] = printed(row[arm])
    table3 = {}
    for row in read_rows(folder / "table3_best_hparams.csv", ("model", "dataset", "tau", "layer", "rho", KEPT)):
        table3[row["model"], row["dataset"]] = {
            "tau": row["tau"],
            "matrix": matrices.get((row["model"], row["tau"]), row["tau"]),
            "layer": int(row["layer"]),
            "rho": float(row["rho"]),
            "kept_rank": int(row[KEPT]),
        }
    table4 = {
        row["dataset"]: {"size": int(row["size"]), "validation": int(row["val_20pct"]), "test": int(row["test_80pct"])}
        for row in read_rows(folder / "table4_dataset_sizes.csv", ("dataset", "size", "val_20pct", "test_80pct"))
    }
    table5 = {
        row["hyperparameter"]: row["search_space"]
        for row in read_rows(folder / "table5_search_space.csv", ("hyperparameter", "search_space"))
    }
    return Published(
        models={row["name"]: row["published"] for row in names if row["kind"] == "model"},
        datasets={row["name"]: row["published"] for row in names if row["kind"] == "dataset"},
        table1=table1,
        table3=table3,
        table4=table4,
        table5=table5,
    )


PAPER_POLICY = ("decision-transformer-paper", "sokoban-paper")
"""Our names of the model and the dataset that have the size of the paper's Table 2."""


def read_table2(folder: Path | str = FOLDER) -> dict[tuple[str, str], Printed]:
    """Return the paper's Table 2: (metric, arm) to the printed number; accuracy in percent, return in points.

    Raises:
        UserError: the file is missing, lacks a column, or holds something else where a number belongs.
    """
    path = Path(folder) / "table2_sokoban.csv"
    columns = {"accuracy": "accuracy_pct_solved", "return": "return"}
    arms = {"Transformer": "base", "with LASER": "laser"}
    try:
        return {
            (metric, arms[row["model"]]): printed(row[column])
            for row in read_rows(path, ("model", *columns.values()))
            for metric, column in columns.items()
        }
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: holds something that does not belong there ({error}). Restore it.") from error


def fig2_range_of(
    model: str, dataset: str, folder: Path | str = FOLDER
) -> dict[str, list[tuple[int, float, float]]] | None:
    """Return the paper's Figure 2 as read off its image: matrix to (layer, lowest loss, highest loss) in nats.

    The readings are over the 15 drawn lines, widened by the lines' own thickness. They are for GPT-J on CounterFact;
    for other models and datasets of ours, None is returned.
    """
    folder = Path(folder)
    published = read_published(folder)
    if (published.models.get(model), published.datasets.get(dataset)) != ("GPT-J", "CounterFact"):
        return None
    matrices = {
        row["tau"]: row["matrix"]
        for row in read_rows(folder / "matrices.csv", ("model", "tau", "matrix"))
        if row["model"] == "GPT-J"
    }
    ranges: dict[str, list[tuple[int, float, float]]] = {}
    columns = ("matrix", "layer", "loss_min_over_curves", "loss_max_over_curves")
    for row in read_rows(folder / "fig2_digitised.csv", columns):
        entry = (int(row["layer"]), float(row[columns[2]]), float(row[columns[3]]))
        ranges.setdefault(matrices.get(row["matrix"], row["matrix"]), []).append(entry)
    return ranges


def printed(text: str) -> Printed:
    """Read a printed number with the precision that its digits show: '2.5' is known to 0.05, '2.50' to 0.005."""
    decimals = len(text.partition(".")[2])
    return Printed(float(text), 0.5 * 10.0**-decimals)


def read_rows(path: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the rows of one of the folder's files.

    Raises:
        UserError: the file cannot be read, or lacks one of the columns that are needed.
    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}). Restore it from the repository.") from error
    missing = [column for column in needed if column not in (reader.fieldnames or ())]
    if missing:
        raise UserError(f"{path}: lacks the column '{missing[0]}'. Needed: {', '.join(needed)}. Restore the file.")
    return rows
