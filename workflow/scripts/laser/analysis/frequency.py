"""How often each example's fact occurs in a model's training data: counted, given, or approximated by a stand-in.

The first available of three sources is used: the corpus of a model that the pipeline trained (exact counts), a file of
counts that the user provides for a dataset, and the dataset's column `frequency`, a stand-in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.errors import UserError, understood
from laser.io.files import read_parquet
from laser.results.columns import read_columns
from laser.results.loading import load_rows

if TYPE_CHECKING:
    from laser.results.study import StudyResults

CORPUS, TOLD, DOCUMENTS, STAND_IN, UNKNOWN = "corpus", "corpus, right or wrong", "documents", "stand-in", "unknown"
AXES = {
    CORPUS: "training sentences with subject and true answer",
    TOLD: "training sentences on the fact, right or wrong",
    DOCUMENTS: "training documents with subject and answer",
    STAND_IN: "frequency in the dataset's own column (a stand-in)",
    UNKNOWN: "training frequency",
}
POPULATION = "population of the country (a stand-in)"


@dataclass(frozen=True)
class Frequency:
    """Training frequency of the examples of one dataset, for one model.

    Attributes:
        source: `corpus` (counted in the model's own corpus), `corpus, right or wrong`, `documents` (the user's
            counts), `stand-in` (the dataset's column) or `unknown`.
        values: float64 by example id; ids without a known frequency are absent.
        axis: label of the axis.
        told: for source `corpus`, the frequency of source `corpus, right or wrong`: how often the fact is told at
            all, which does not depend on the noise.
    """

    source: str
    values: pd.Series
    axis: str
    told: Frequency | None = None


def frequency_in(study: StudyResults, model: str, dataset: str) -> Frequency:
    """Return the training frequency of a dataset's examples for one model, from a study's files."""
    facts = study.paths_of("facts", (model, dataset))
    return frequency_of(study.rows_path(dataset), facts[0] if facts else None, study.counts.get(dataset))


def frequency_of(rows: Path, facts: Path | None = None, counts: Path | None = None) -> Frequency:
    """Return the training frequency of a dataset's examples for one model.

    Args:
        rows: the dataset's rows.parquet.
        facts: facts.parquet of the model's corpus, where the pipeline trained the model (columns `fact`, which is the
            rows' `group`, `clean`, the sentences with subject and true answer, and `sentences`, all on the fact).
        counts: file of the user's counts for the dataset (`read_counts`).

    Raises:
        UserError: a counts file is invalid.
    """
    frame = read_columns(rows, ["id", "group", "frequency"])
    groups = frame.set_index("id")["group"]
    if facts is not None:
        table = read_columns(facts, ["fact", "clean", "sentences"])
        # The counts of a corpus are complete: a fact missing from them occurs 0 times.
        clean, sentences = (
            groups.map(_unique(table["fact"], table[name], facts, "fact")).fillna(0.0).astype("float64")
            for name in ("clean", "sentences")
        )
        return Frequency(CORPUS, clean, AXES[CORPUS], told=Frequency(TOLD, sentences, AXES[TOLD]))
    if counts is not None:
        return Frequency(DOCUMENTS, read_counts(counts, groups), AXES[DOCUMENTS])
    listed = frame.set_index("id")["frequency"].astype("float64").dropna()
    if listed.empty:
        return Frequency(UNKNOWN, listed, AXES[UNKNOWN])
    ((_, entry),) = load_rows([rows]).values()
    builder = entry.get("builder", entry["name"])
    return Frequency(STAND_IN, listed, POPULATION if builder == "worldfacts" else AXES[STAND_IN])


def read_counts(path: Path, groups: pd.Series) -> pd.Series:
    """Read a user's counts from CSV or Parquet, with the columns `id` or `group`, and `count`.

    Args:
        path: the file; its suffix gives the format.
        groups: group by example id, for the whole dataset.

    Returns:
        float64 by example id, for the examples that the file names; examples may be missing.

    Raises:
        UserError: the file cannot be read, lacks a column, names an example twice, names no example of the dataset, or
            has a count that is not a number of at least 0.
    """
    with understood(path, "counts", "config/data.md describes the format."):
        return _read_counts(path, _table(path), groups)


def _read_counts(path: Path, frame: pd.DataFrame, groups: pd.Series) -> pd.Series:
    key = next((name for name in ("id", "group") if name in frame.columns), None)
    if key is None or "count" not in frame.columns:
        raise UserError(
            f"{path}: has the columns {', '.join(map(str, frame.columns))}, but a file of counts needs 'count' and "
            "'id' or 'group' (config/data.md)."
        )
    numbers = pd.to_numeric(frame["count"], errors="coerce").astype("float64")
    wrong = frame.loc[~(numbers >= 0) | numbers.isin([float("inf")]), [key, "count"]]
    if not wrong.empty:
        first = wrong.iloc[0]
        raise UserError(f"{path}: the count of '{first[key]}' is '{first['count']}'. Allowed: numbers of at least 0.")
    known = _unique(frame[key].astype(str), numbers, path, key)
    labels = pd.Series(groups.index, index=groups.index) if key == "id" else groups
    values = labels.map(known).dropna().astype("float64")
    if values.empty:
        example = labels.iloc[0] if len(labels) else ""
        raise UserError(
            f"{path}: none of its {len(known)} values of '{key}' is one of the dataset's, which look like '{example}'. "
            f"Take them from the column '{key}' of rows.parquet."
        )
    return values


def _table(path: Path) -> pd.DataFrame:
    if Path(path).suffix.lower() == ".parquet":
        return read_parquet(path)
    try:
        head: dict[str, Any] = {"id": str, "group": str, "count": str}
        return pd.read_csv(path, dtype=head, encoding="utf-8", keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}). Write UTF-8 CSV or Parquet.") from error


def _unique(keys: pd.Series, values: pd.Series, path: Path, name: str) -> pd.Series:
    twice = keys[keys.duplicated()]
    if not twice.empty:
        raise UserError(f"{path}: '{name}' holds '{twice.iloc[0]}' twice. Give each once.")
    return pd.Series(values.to_numpy(dtype="float64"), index=keys.to_numpy())
