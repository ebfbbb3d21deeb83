"""Gathering a study's result files into frames, checking that they belong together.

What a file holds is learned from the spec that it carries, never from its path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from laser.config.specs import PARTIAL, check_format
from laser.errors import UserError, understood
from laser.io.files import read_json, read_spec
from laser.results.cells import ARMS, PairedCell
from laser.results.columns import read_columns

OF_GAMES = ("return", "steps")
"""Additional columns in the results of policies."""

SCORES = ("correct", "loss", "prediction", "answer_rank", "in_top5", "in_top10")


def load_rows(paths: Iterable[Path]) -> dict[str, tuple[pd.DataFrame, dict[str, Any]]]:
    """Read prepared datasets.

    Args:
        paths: rows.parquet files.

    Returns:
        A mapping from dataset name to (rows without their texts, the dataset's entry as in its spec). If the dataset
        was read from a source that has only part of its rows, the entry has the reason under `PARTIAL`.
    """
    columns = ["id", "group", "answer", "options", "split_published", "split_corrected", "answer_in_prompt"]
    datasets = {}
    for path in paths:
        spec = spec_of(path)
        entry = spec.get("dataset", spec)
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise UserError(f"{path}: its spec does not name a dataset. Delete it and run again.")
        if isinstance(reason := spec.get(PARTIAL), str):
            entry = entry | {PARTIAL: reason}
        datasets[entry["name"]] = (read_columns(path, columns), entry)
    return datasets


def is_partial(entry: Mapping[str, Any]) -> bool:
    """Return True if a dataset was read from a source that has only part of its rows."""
    return PARTIAL in entry


def is_complete(entry: Mapping[str, Any]) -> bool:
    """Return True if a dataset was prepared in full and all its validation rows are used."""
    return entry.get("limit") is None and entry.get("validation_rows") is None and not is_partial(entry)


def load_selections(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Read selection files, in the given order."""
    selections = []
    for path in paths:
        selection = read_json(path)
        missing = [
            key for key in ("model", "dataset", "protocols") if not isinstance(selection, dict) or key not in selection
        ]
        if missing:
            raise UserError(f"{path}: lacks the key '{missing[0]}'. Delete it and run again.")
        with understood(path):
            _check_selection(selection)
        selections.append(selection)
    return selections


def _check_selection(selection: dict[str, Any]) -> None:
    """Check every value of a selection file that is used; any fault raises an exception."""
    if not (isinstance(selection["model"], str) and isinstance(selection["dataset"], str) and selection["protocols"]):
        raise ValueError("model and dataset are texts, and there is at least one protocol")
    for selected in selection["protocols"].values():
        base = selected["validation"]["base"]
        edits = [selected["chosen"]] if selected["chosen"] is not None else []
        for edit in [*edits, *selected["candidates"]]:
            if not isinstance(edit["matrix"], str) or not 0 <= edit["rho"] <= 1 or edit["layer"] < 0:
                raise ValueError(f"an intervention is a matrix, a layer and a rho, not {edit}")
            _whole(edit["layer"], edit.get("kept_rank", 0))
        for scores in (base, selected["validation"].get("chosen") or base):
            _whole(scores["n"])
            if not 0 <= scores["accuracy"] <= 100 or not isinstance(scores["loss"], float | int | None):
                raise ValueError(f"scores are an accuracy in percent and a loss, not {scores}")


def _whole(*values: Any) -> None:
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**53:
            raise ValueError(f"{str(value)[:60]} is not a whole number")


def load_cells(
    tests: Sequence[Path], selections: Sequence[Path], rows: Sequence[Path], more: Sequence[str] = ()
) -> list[PairedCell]:
    """Join test results with the prepared rows: a cell per model, dataset and protocol, in the files' order.

    Args:
        tests: test/<model>/<dataset>.parquet.
        selections: selection/<model>/<dataset>.json of the same cells.
        rows: rows.parquet of the datasets.
        more: columns of the test results besides `SCORES`, such as `OF_GAMES`.

    Raises:
        UserError: a selection or dataset is missing, the tested intervention is not the selected one, or the scored
            rows are not exactly the test rows of the split (except those that could not be scored).
    """
    prepared = load_rows(rows)
    chosen = {(selection["model"], selection["dataset"]): selection for selection in load_selections(selections)}
    cells = []
    for path in tests:
        with understood(path):
            cells += _cells(path, prepared, chosen, (*SCORES, *more))
    return cells


def _cells(
    path: Path, prepared: dict[str, Any], chosen: dict[tuple[str, str], dict[str, Any]], scores: tuple[str, ...]
) -> list[PairedCell]:
    """Return one test file's cells, one per protocol."""
    cells = []
    model, dataset, spec = cell_of(path)
    if (model, dataset) not in chosen:
        raise UserError(f"{path}: no selection file was given for {model} on {dataset}. Give it, or run `select`.")
    if dataset not in prepared:
        raise UserError(f"{path}: the prepared rows of {dataset} were not given. Have: {', '.join(prepared)}.")
    protocols = chosen[model, dataset]["protocols"]
    _same_choice(path, spec, protocols)
    frame = read_columns(path, ["protocol", "arm", "id", *scores])
    examples, entry = prepared[dataset]
    left_out = set(spec.get("run", {}).get("left_out", {}))
    for protocol in spec.get("protocols", sorted(protocols)):
        intervention = protocols[protocol]["chosen"]
        cells.append(
            PairedCell(
                model=model,
                dataset=dataset,
                protocol=protocol,
                rows=_paired(
                    path,
                    frame[frame["protocol"] == protocol],
                    examples,
                    protocol,
                    left_out,
                    intervention is None,
                    scores,
                ),
                chosen=intervention,
                dtype=str(spec["model"].get("dtype", "")) if isinstance(spec["model"], dict) else "",
                complete=is_complete(entry),
                partial=is_partial(entry),
                left_out=int((examples["id"].isin(left_out) & (examples[f"split_{protocol}"] == "test")).sum()),
            )
        )
    return cells


def _paired(
    path: Path,
    frame: pd.DataFrame,
    examples: pd.DataFrame,
    protocol: str,
    left_out: set[str],
    base_chosen: bool,
    scores: Sequence[str],
) -> pd.DataFrame:
    """Return the frame of `PairedCell.rows`, in the dataset's order."""
    side = examples[(examples[f"split_{protocol}"] == "test") & ~examples["id"].isin(left_out)]
    joined = pd.DataFrame(
        {
            "id": side["id"],
            "group": side["group"],
            "answer": side["answer"],
            "has_options": side["options"].map(len) > 0,
            "options": side["options"].map(tuple),
            "answer_in_prompt": side["answer_in_prompt"],
        }
    ).reset_index(drop=True)
    if joined.empty:
        raise UserError(f"{path}: protocol {protocol} has no test rows. Raise the dataset's `limit` and run again.")
    for arm in ARMS:
        scored = frame[frame["arm"] == arm]
        if scored.empty and arm == "laser" and base_chosen:
            scored = frame[frame["arm"] == "base"]
        _same_ids(path, f"protocol {protocol}, arm {arm}", scored["id"], joined["id"])
        scored = scored.set_index("id").loc[joined["id"]]
        for name in scores:
            joined[f"{arm}_{name}"] = scored[name].to_numpy()
        missing = ~np.isfinite(joined[f"{arm}_loss"])
        if (joined.loc[missing, f"{arm}_correct"] | joined.loc[missing, f"{arm}_answer_rank"].notna()).any():
            raise UserError(
                f"{path}: protocol {protocol}, arm {arm}: a row without a loss is one on which the model overflowed; "
                "it is wrong and has no rank. Delete the file and run again."
            )
    return joined


def _same_ids(path: Path, what: str, scored: pd.Series, wanted: pd.Series) -> None:
    repeated = int(scored.duplicated().sum())
    missing, extra = set(wanted) - set(scored), set(scored) - set(wanted)
    if repeated or missing or extra:
        raise UserError(
            f"{path}: {what} does not hold exactly the {len(wanted)} rows of the split: {len(missing)} missing, "
            f"{len(extra)} that do not belong there, {repeated} twice. Delete it and run again."
        )


def _same_choice(path: Path, spec: dict[str, Any], protocols: dict[str, Any]) -> None:
    for protocol, tested in spec.get("chosen", {}).items():
        selected = protocols.get(protocol, {}).get("chosen")
        if tested != selected:
            raise UserError(
                f"{path}: protocol {protocol} was tested with {tested}, but the selection file has {selected}. "
                "Delete the test file and run again."
            )


def load_reductions(paths: Iterable[Path]) -> pd.DataFrame:
    """Read reduction records: a row per model, layer, matrix and rho with every recorded number."""
    rows = []
    for path in paths:
        record = read_json(path)
        with understood(path):
            missing = [key for key in ("layer", "rho", "matrices", "spec") if key not in record]
            if missing:
                raise UserError(f"{path}: lacks the key '{missing[0]}'. Delete it and run again.")
            _whole(record["layer"])
            if not 0 <= record["rho"] <= 1:
                raise ValueError(f"rho is {record['rho']}")
            if not record["matrices"]:
                raise ValueError("there is no matrix")
            for matrix, numbers in record["matrices"].items():
                single = {key: value for key, value in numbers.items() if not isinstance(value, list | dict)}
                names = {"model": name_in(record["spec"], "model", path), "layer": record["layer"], "matrix": matrix}
                rows.append(single | names | {"rho": record["rho"]})
    frame = pd.DataFrame(rows)
    first = ["model", "layer", "matrix", "rho"]
    if frame.empty:
        raise UserError("No reduction record was given. Give rho<rho>.json files, or run `reduce`.")
    return frame[first + [name for name in frame.columns if name not in first]]


def spec_of(path: Path) -> dict[str, Any]:
    """Return the spec that a Parquet file carries; a missing or damaged file raises a `UserError` that names it."""
    if not Path(path).is_file():
        raise UserError(f"{path}: does not exist. Run the rule that makes it.")
    return read_spec(path)


def cell_of(path: Path) -> tuple[str, str, dict[str, Any]]:
    """Return model, dataset and spec of a Parquet result file.

    Raises:
        UserError: the file is missing or damaged, or does not name its model and dataset.
    """
    spec = spec_of(path)
    check_format(spec, str(path))
    return name_in(spec, "model", path), name_in(spec, "dataset", path), spec


def name_in(spec: dict[str, Any], key: str, path: Path) -> str:
    """Return the name of the spec's `model` or `dataset`."""
    entry = spec.get(key)
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise UserError(f"{path}: its spec does not name a {key}. Delete it and run again.")
    return name
