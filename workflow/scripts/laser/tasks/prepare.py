"""From a dataset entry to prepared rows and the card that describes them."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.config.own_rows import BUILDERS, LM_EVAL, splits_of
from laser.config.specs import PARTIAL
from laser.errors import UserError
from laser.io.files import digest, sha256_file, write_json, write_parquet
from laser.tasks.datasets import build, module
from laser.tasks.datasets.lm_eval import read_task
from laser.tasks.definitions import Definition, definition
from laser.tasks.example import Example, labels_of
from laser.tasks.formats import Rows
from laser.tasks.judging import canonical, contains
from laser.tasks.sources import Downloads, Reading, read_dataset

if TYPE_CHECKING:
    import pandas

VALIDATION_SHARE = 0.2
PROTOCOLS = ("published", "corrected")
UNUSED = "unused"
"""Side of the rows that a study's `validation_rows` leaves out."""
NAMED = 20
"""Largest number of bad rows, and of answers of an open dataset, that the card lists."""

PAPER_SIZES = Path(__file__).resolve().parents[4] / "config" / "published" / "table4_dataset_sizes.csv"


def prepare(
    entry: Mapping[str, Any],
    folder: Path,
    spec: Mapping[str, Any] | None = None,
    report: Callable[[str], None] = lambda line: None,
    downloads: Path | None = None,
) -> dict[str, Any]:
    """Build a dataset and write `rows.parquet` and, last, `card.json` into `folder`.

    Args:
        entry: `name`, `builder`, `sources`, and optionally `options`, `limit` (number of first examples to keep),
            `validation_rows` (number of first validation rows to use), `split_seed` (seed of the order of groups in
            the corrected split) and `partial` (`allowed` if a source with only some of the rows may be used).
        folder: where the two files go.
        spec: what goes into the Parquet metadata; by default the entry. If the rows are only a part of the dataset,
            the metadata say why (`PARTIAL`).
        report: receives lines about the progress.
        downloads: where archives of the package index are kept; by default beside the folder.

    Returns:
        The card.

    Raises:
        UserError: no source works, the data are not what the builder needs, or too few rows are left to split.
    """
    made = build_rows(entry, Downloads(downloads or folder.parent / "downloads", report))
    part = made.card["partial"]
    card = made.card | {"spec": dict(entry if spec is None else spec) | ({PARTIAL: part} if part else {})}
    _write(folder, to_frame(made.rows, made.own), card)
    return card


@dataclass(frozen=True)
class Prepared:
    """A dataset's rows and the card that describes them, without the job's spec; `own`: the user's own rows."""

    rows: list[dict[str, Any]]
    card: dict[str, Any]
    own: bool


def build_rows(entry: Mapping[str, Any], downloads: Downloads | None = None) -> Prepared:
    """Build a dataset's rows and card without writing anything; see `prepare`."""
    described = definition(entry["builder"])
    builder = module(entry["builder"])
    own = entry["builder"] in BUILDERS
    sources = entry.get("sources") or []
    splits = splits_of(sources) if own else builder.SPLITS
    if entry["builder"] == LM_EVAL:
        reading = Reading(*_of_task(entry), [])
    else:
        reading = read_dataset(entry["name"], sources, splits, builder.COLUMNS, downloads, entry.get("partial"))
    try:
        built, dropped = build(entry["builder"], entry.get("options") or {}, reading.read)
    except UserError as error:
        raise UserError(f"dataset '{entry['name']}': {error}") from error
    examples, bad = without_bad_rows(built)
    complete = len(examples)
    if entry.get("limit") is not None:
        examples = _first(examples, entry["limit"])
    if entry.get("split_seed") is not None and examples and examples[0].side is not None:
        raise UserError(
            f"dataset '{entry['name']}': split_seed is {entry['split_seed']}, but its source has a file for each side. "
            "Leave out split_seed, or give one file."
        )
    rows = to_rows(examples, own, entry.get("validation_rows"), entry.get("split_seed"))
    faults = {name: fault["count"] for name, fault in bad.items()}
    _enough(entry, rows, {name: count for name, count in {**dropped, **faults}.items() if count})
    card = {
        "name": entry["name"],
        "title": entry["name"] if own else described.title,
        "builder": entry["builder"],
        "options": dict(entry.get("options") or {}),
        "source": reading.source,
        "sources_failed": reading.failed,
        "partial": reading.partial,
        "rows": len(rows),
        "rows_sha256": digest(rows),
        "rows_before_limit": complete,
        "limit": entry.get("limit"),
        "validation_rows": entry.get("validation_rows"),
        "split_seed": entry.get("split_seed"),
        "groups": len({row["group"] for row in rows}),
        "dropped_by_filter": dropped,
        "bad_rows": bad,
        **_beside_paper(described, complete),
        "splits": {protocol: _split_sizes(rows, protocol) for protocol in PROTOCOLS},
        "answers": _answers(rows, described),
        "answer_in_prompt_share": _share(row["answer_in_prompt"] for row in rows),
    }
    if own:
        card["alike"] = alike(rows)
    return Prepared(rows, card, own)


def _of_task(entry: Mapping[str, Any]) -> tuple[dict[str, Rows], dict[str, Any]]:
    """Return the rows and the source of a task of lm-evaluation-harness."""
    try:
        rows, facts = read_task(entry["options"])
    except UserError as error:
        raise UserError(f"dataset '{entry['name']}': {error}") from error
    return {"rows": rows}, facts


def alike(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Count rows of different groups that ask the same, so that the splits may put them on both sides; list the first.

    Rows ask the same if their subjects and answers coincide or, without a subject, if their questions do.
    """
    groups: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for row in rows:
        subject = row["subject"]
        key = ("subject", canonical(subject), canonical(row["answer"])) if subject else ("text", canonical(row["text"]))
        groups.setdefault(key, {}).setdefault(row["group"], []).append(row["id"])
    shared = [[name for names in members.values() for name in names] for members in groups.values() if len(members) > 1]
    return {"count": sum(map(len, shared)), "first": shared[:NAMED]}


def _write(folder: Path, frame: pandas.DataFrame, card: dict[str, Any]) -> None:
    """Write both files under a lock, because other runs may use the same cache at the same time.

    Identical rows are not written again. The card is deleted before the rows change and written last, so that it
    never describes other rows.
    """
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        fresh, rows = folder / ".rows.parquet.new", folder / "rows.parquet"
        write_parquet(fresh, frame, card["spec"])
        if rows.is_file() and sha256_file(rows) == sha256_file(fresh):
            fresh.unlink()
        else:
            (folder / "card.json").unlink(missing_ok=True)
            fresh.replace(rows)
        write_json(folder / "card.json", card)


def without_bad_rows(examples: Sequence[Example]) -> tuple[list[Example], dict[str, Any]]:
    """Drop examples that cannot be asked or scored.

    Returns:
        The good examples, and for each fault the number of bad ones and their first ids.
    """
    bad: dict[str, list[str]] = {name: [] for name in ("empty prompt", "answer not among the options", "duplicate id")}
    bad["empty answer"] = []
    seen: set[str] = set()
    good = []
    for example in examples:
        if not example.prompt.strip():
            bad["empty prompt"].append(example.id)
        elif not example.answer.strip():
            bad["empty answer"].append(example.id)
        elif example.options and example.answer not in example.options:
            bad["answer not among the options"].append(example.id)
        elif example.id in seen:
            bad["duplicate id"].append(example.id)
        else:
            seen.add(example.id)
            good.append(example)
    return good, {name: {"count": len(ids), "first": ids[:NAMED]} for name, ids in bad.items()}


def to_rows(
    examples: Sequence[Example],
    own: bool = False,
    validation_rows: int | None = None,
    split_seed: int | None = None,
) -> list[dict[str, Any]]:
    """Return examples as rows, with both splits and whether the prompt contains the answer.

    Args:
        examples: in order.
        own: whether they are the user's own rows, which may have several right answers and given sides.
        validation_rows: how many of the first validation rows of each split are used; by default all.
        split_seed: seed of the order of groups in the corrected split; by default their order in the examples.
    """
    groups = [example.group for example in examples]
    published, corrected = split_published(len(examples)), split_corrected(groups, split_seed)
    if examples and examples[0].side is not None:
        published = corrected = [str(example.side) for example in examples]
    if validation_rows is not None:
        ids = [example.id for example in examples]
        published = first_of_validation(published, ids, ids, validation_rows)
        corrected = first_of_validation(corrected, groups, ordered_groups(groups, split_seed), validation_rows)
    rows = []
    for index, example in enumerate(examples):
        values = asdict(example)
        others = values.pop("other_answers")
        values.pop("side")
        row = values | {
            "options": list(example.options),
            "split_published": published[index],
            "split_corrected": corrected[index],
            "answer_in_prompt": any(contains(example.prompt, answer, True) for answer in example.right_answers),
        }
        rows.append(row | ({"other_answers": list(others)} if own else {}))
    return rows


def _first(examples: Sequence[Example], limit: int) -> list[Example]:
    """Return the first examples; if sides are given, the first of each side, in an unchanged proportion."""
    if not examples or examples[0].side is None:
        return list(examples[:limit])
    kept = []
    for side in dict.fromkeys(example.side for example in examples):
        of_side = [example for example in examples if example.side == side]
        kept += of_side[: max(1, round(limit * len(of_side) / len(examples)))]
    return kept


def split_published(count: int) -> list[str]:
    """Return the released split: the first 20 % of the rows are validation, the rest test."""
    cut = int(VALIDATION_SHARE * count)
    return ["validation"] * cut + ["test"] * (count - cut)


def ordered_groups(groups: Sequence[str], seed: int | None = None) -> list[str]:
    """Return the distinct groups in order of first appearance or, with a seed, by the sha256 of "seed group"."""
    distinct = list(dict.fromkeys(groups))
    if seed is None:
        return distinct
    return sorted(distinct, key=lambda group: hashlib.sha256(f"{seed} {group}".encode()).digest())


def split_corrected(groups: Sequence[str], seed: int | None = None) -> list[str]:
    """Return the split by groups: the first 20 % of them, in the order of `ordered_groups`, are validation.

    If there are two to four groups, one is validation, so that a small trial dataset still has both sides.
    """
    ordered = ordered_groups(groups, seed)
    share = max(int(VALIDATION_SHARE * len(ordered)), min(1, len(ordered) - 1))
    validation = set(ordered[: max(share, 0)])
    return ["validation" if group in validation else "test" for group in groups]


def first_of_validation(sides: Sequence[str], groups: Sequence[str], ordered: Sequence[str], most: int) -> list[str]:
    """Return the sides with `UNUSED` for the validation rows after the first groups that hold at most `most` rows.

    The first group stays, however large it is, so that there are validation rows.
    """
    sizes = Counter(group for group, side in zip(groups, sides, strict=True) if side == "validation")
    kept: set[str] = set()
    used = 0
    for group in (group for group in ordered if group in sizes):
        used += sizes[group]
        if kept and used > most:
            break
        kept.add(group)
    left_out = sizes.keys() - kept
    both = zip(groups, sides, strict=True)
    return [UNUSED if side == "validation" and group in left_out else side for group, side in both]


def to_frame(rows: Sequence[Mapping[str, Any]], own: bool = False) -> pandas.DataFrame:
    """Return rows (`to_rows`) as a data frame whose column types do not depend on the values."""
    import pandas as pd
    import pyarrow as pa

    text, texts = pd.ArrowDtype(pa.string()), pd.ArrowDtype(pa.list_(pa.string()))
    types: dict[str, Any] = {
        **dict.fromkeys(("id", "group", "text", "prompt", "answer"), text),
        "options": texts,
        **dict.fromkeys(("split_published", "split_corrected"), text),
        "answer_in_prompt": pd.ArrowDtype(pa.bool_()),
        **dict.fromkeys(("subject", "relation"), text),
        "phrasing": pd.ArrowDtype(pa.int32()),
        "frequency": pd.ArrowDtype(pa.float64()),
        **({"other_answers": texts} if own else {}),
    }
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in types.items()})


def _enough(entry: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], dropped: Mapping[str, int]) -> None:
    left_out = ", ".join(f"{count} ({reason})" for reason, count in dropped.items())
    raised = "raise the dataset's 'limit', or " if entry.get("limit") is not None else ""
    for protocol in PROTOCOLS:
        sizes = _split_sizes(rows, protocol)
        if not all(sizes.values()):
            raise UserError(
                f"dataset '{entry['name']}': {len(rows)} row(s) in {len({row['group'] for row in rows})} group(s) give "
                f"{sizes['validation']} validation and {sizes['test']} test rows under the split '{protocol}'"
                f"{f'; dropped: {left_out}' if left_out else ''}. "
                f"Both need at least one: {raised}check its source and options."
            )


def _split_sizes(rows: Sequence[Mapping[str, Any]], protocol: str) -> dict[str, int]:
    sides = Counter(row[f"split_{protocol}"] for row in rows)
    return {side: sides[side] for side in ("validation", "test")}


def _beside_paper(described: Definition, size: int) -> dict[str, Any]:
    """Return the paper's row count and the difference to ours before any limit."""
    paper = None
    if PAPER_SIZES.is_file():
        with PAPER_SIZES.open(encoding="utf-8") as handle:
            sizes = {row["dataset"]: int(row["size"]) for row in csv.DictReader(handle)}
        paper = sizes.get(described.title)
    return {"paper_rows": paper, "difference_from_paper": None if paper is None else size - paper}


def _answers(rows: Sequence[Mapping[str, Any]], described: Definition) -> dict[str, Any]:
    """Return the distribution of answers (`labels_of`), and the test accuracy of always giving the most common one."""
    labels = labels_of([row["answer"] for row in rows], [row["options"] for row in rows])
    test = {
        name: [label for label, row in zip(labels, rows, strict=True) if row[f"split_{name}"] == "test"]
        for name in PROTOCOLS
    }
    return {
        "distinct": len(set(labels)),
        "shares": _shares(labels, described.options),
        "test_shares": {name: _shares(answers, described.options) for name, answers in test.items()},
        "constant_answer": {name: _constant(answers) for name, answers in test.items()},
    }


def _shares(answers: Sequence[str], options: Sequence[str]) -> dict[str, float]:
    """Return the share of every option or, for open answers, of the most common answers."""
    counts = Counter(answers)
    names = options or [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:NAMED]]
    return {name: round(counts[name] / len(answers), 6) for name in names}


def _constant(answers: Sequence[str]) -> dict[str, Any]:
    answer, count = min(Counter(answers).items(), key=lambda item: (-item[1], item[0]))
    return {"answer": answer, "accuracy_percent": round(100 * count / len(answers), 4)}


def _share(flags: Any) -> float:
    listed = list(flags)
    return round(sum(listed) / len(listed), 6)
