"""Sides of rows: the splits by their rule, and the rows that every result file must hold."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from laser_audit.findings import Check
from laser_audit.reading import Study, digest, remembered, text_of

SIDES = ("validation", "test")
PREPARED = (
    *("id", "group", "text", "prompt", "answer", "options", "split_published", "split_corrected", "answer_in_prompt"),
    *("subject", "relation", "phrasing", "frequency"),
)
OWN = ("generic", "lm_eval")
"""Builders of the user's own rows, which may have several right answers and a file for each side."""


@dataclass(frozen=True)
class Prepared:
    """The rows of one dataset.

    Attributes:
        rows: id to its row, in the file's order.
        entry: the dataset's entry in the spec of its file.
        limited: True if only the first rows, or the first validation rows, are used.
        partial: True if the rows are from a source that has only some of them.
    """

    rows: dict[str, dict[str, Any]]
    entry: dict[str, Any]
    limited: bool
    partial: bool = False

    def side(self, protocol: str, side: str) -> list[str]:
        """Return the ids of one side under a protocol, in order."""
        return [name for name, row in self.rows.items() if row[f"split_{protocol}"] == side]

    def groups(self, ids: list[str]) -> list[str]:
        """Return the group of each id."""
        return [self.rows[name]["group"] for name in ids]


def data_path(dataset: str) -> str:
    """Return the path of the study's copy of a dataset."""
    return f"inputs/data/{dataset}/rows.parquet"


@remembered
def prepared(study: Study, dataset: str) -> Prepared:
    """Return a dataset's rows; raise Unreadable if they cannot be read, ValueError if an id occurs twice."""
    path = data_path(dataset)
    entry = study.spec(path)["dataset"]
    frame = study.frame(path, columns_of(entry))
    rows: dict[str, dict[str, Any]] = {}
    for row in frame.to_dict("records"):
        plain = {text_of(key): _plain(value) for key, value in row.items()}
        name = text_of(plain["id"])
        if name in rows:
            raise ValueError(f"{path} holds the id {name} twice")
        rows[name] = plain
    limited = entry["limit"] is not None or entry.get("validation_rows") is not None
    return Prepared(rows, entry, limited, "partial_rows" in study.spec(path))


def columns_of(entry: dict[str, Any]) -> tuple[str, ...]:
    """Return the columns of a dataset's rows, given its entry."""
    return (*PREPARED, "other_answers") if entry.get("builder") in OWN else PREPARED


def gives_sides(entry: dict[str, Any], source: dict[str, Any]) -> bool:
    """Return True if the source that was read has a file for each side."""
    files = source.get("files")
    return entry.get("builder") in OWN and isinstance(files, dict) and set(files) == set(SIDES)


def _plain(value: Any) -> Any:
    """Return a cell as in JSON: lists for arrays, None for missing values."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return value
    return None if value is None or value != value else value


def ordered_groups(rows: list[dict[str, Any]], seed: int | None) -> list[str]:
    """Return the groups in the rows' order or, with a seed, sorted by the hash of seed and group."""
    order = list(dict.fromkeys(row["group"] for row in rows))
    return order if seed is None else sorted(order, key=lambda group: sha256(f"{seed} {group}".encode()).hexdigest())


def expected_sides(rows: list[dict[str, Any]], seed: int | None = None) -> dict[str, list[str]]:
    """Return both splits by the rule: validation is the first fifth of the rows, or of the groups in their order."""
    cut = int(0.2 * len(rows))
    order = ordered_groups(rows, seed)
    first = set(order[: max(int(0.2 * len(order)), min(1, len(order) - 1), 0)])
    return {
        "published": ["validation" if index < cut else "test" for index in range(len(rows))],
        "corrected": ["validation" if row["group"] in first else "test" for row in rows],
    }


def used_sides(
    rows: list[dict[str, Any]], sides: dict[str, list[str]], most: int | None, seed: int | None = None
) -> dict[str, list[str]]:
    """Return the sides with `unused` for validation rows beyond the first `most`; groups of `corrected` stay whole."""
    if most is None:
        return sides
    used = {}
    for protocol, of_rows in sides.items():
        units: dict[Any, list[int]] = {}
        if protocol == "corrected":
            units = {group: [] for group in ordered_groups(rows, seed)}
        for index, row in enumerate(rows):
            if of_rows[index] == "validation":
                units.setdefault(row["group"] if protocol == "corrected" else index, []).append(index)
        used[protocol] = list(of_rows)
        total, full = 0, False
        for members in units.values():
            full = full or (total > 0 and total + len(members) > most)
            total += len(members)
            for index in members if full else []:
                used[protocol][index] = "unused"
    return used


def check_splits(check: Check, study: Study) -> None:
    """Recompute both splits of every dataset, and check that no fact is on both sides of the corrected one."""
    for dataset in study.datasets:
        path = data_path(dataset)
        with check.guarded(path):
            data = prepared(study, dataset)
            rows = list(data.rows.values())
            seed = data.entry.get("split_seed")
            expected = expected_sides(rows, seed)
            if gives_sides(data.entry, study.json(f"inputs/data/{dataset}/card.json")["source"]):
                # Both protocols use the sides of the files, validation first.
                count = sum(row["split_published"] != "test" for row in rows)
                sides = ["validation"] * count + ["test"] * (len(rows) - count)
                expected = dict.fromkeys(expected, sides)
            for protocol, sides in used_sides(rows, expected, data.entry.get("validation_rows"), seed).items():
                for row, side in zip(rows, sides, strict=True):
                    check.same(path, f"split_{protocol} of {row['id']}", row[f"split_{protocol}"], side)
            facts = {side: {row["group"] for row in rows if row["split_corrected"] == side} for side in SIDES}
            both = sorted(facts["validation"] & facts["test"])
            check.same(path, "groups on both sides of split_corrected", both[:3], [])


def check_data(check: Check, study: Study) -> None:
    """Compare each dataset's rows with its card and with the study, and each model's card with the study."""
    for dataset in study.datasets:
        path, card_path = data_path(dataset), f"inputs/data/{dataset}/card.json"
        with check.guarded(path):
            data, card = prepared(study, dataset), study.json(card_path)
            check.same(path, "columns", study.columns(path), list(columns_of(data.entry)))
            entry = next(entry for entry in study.settings["datasets"] if entry["name"] == dataset)
            whole = [{key: _whole(key, value) for key, value in row.items()} for row in data.rows.values()]
            check.same(card_path, f"rows_sha256 (of {path})", card["rows_sha256"], digest(whole))
            check.same(path, "spec.dataset", data.entry, entry)
            check.same(card_path, "spec", card["spec"], study.spec(path))
    for entry in study.settings["models"]:
        path = f"inputs/models/{entry['name']}/card.json"
        with check.guarded(path):
            card, pins = study.json(path), entry["source"].get("sha256")
            for key in ("name", "architecture", "layers"):
                check.same(path, key, card[key], entry[key])
            source = {key: value for key, value in card["source"].items() if key in entry["source"]}
            check.same(path, "source (and inputs/study.json)", source, entry["source"])
            for file, sha256 in pins.items() if isinstance(pins, dict) else ():
                check.same(path, f"files.{file} (pinned in inputs/study.json)", card["files"].get(file), sha256)


def _whole(key: str, value: Any) -> Any:
    """Return a cell's value before pandas converted it: a phrasing is a whole number."""
    return int(value) if key == "phrasing" and value is not None else value
