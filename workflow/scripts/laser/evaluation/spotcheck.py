"""Repeated evaluation of a random sample of a finished study's rows, from the checkpoint, with the naive engine."""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from laser.cluster.local_copy import local_folder
from laser.config.specs import EvaluationSpec, from_metadata
from laser.errors import UserError
from laser.evaluation.baselines import BASE, CALIBRATED, FORBIDDEN, REMOVED, Baseline, edit_of
from laser.evaluation.cell import (
    Cell,
    answers_for,
    asked,
    cell_of,
    chosen_edit,
    examples,
    intervention,
    matrix_view,
    open_model,
    result_rows,
)
from laser.evaluation.landscape import CLUSTERED, landscape_intervention
from laser.evaluation.prompts import questions_of
from laser.evaluation.row_clusters import decomposed, replacements
from laser.io.files import read_json, read_parquet, read_spec, sha256_file
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Edit, Intervention
from laser.tasks.variants import variants

TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 5e-2}
"""Largest allowed difference of a log-probability, in nats per answer token, by the precision of the model."""

RANKS = {"fp32": 0.02, "fp16": 0.1, "bf16": 0.1}
"""Largest allowed difference of an answer's rank, as a share of it: far down, tokens are nearly equally probable."""

EXACT = ("correct", "prediction", "answer_tokens", "in_top5", "in_top10", "steps")
"""Columns that must be equal; only policies have `steps`."""

TESTED = "test"
OTHERS = (
    *("sweep", "landscape", "choices", "seeds", "compose", "transfer", "rank_rules", "prompts", "higher_order"),
    *("clustered", "baselines"),
)
"""Folders of rows besides those that Table 1 rests on."""

NOT_EDITS = (REMOVED, CALIBRATED, FORBIDDEN)
"""Baselines that are more than another matrix: they change biases, or answers."""

ORIGINAL = "original"
Say = Callable[[str], None]
NumberedRow = tuple[Path, int]
"""A file and the index of a row in it."""


@dataclass(frozen=True)
class Pick:
    """One row of a result file that is to be evaluated again.

    Attributes:
        folder: the kind of file: `test`, `sweep` ...
        path: the file.
        number: the index of the row in the file.
        row: the row's values, labels first.
        spec: the spec that the file carries.
    """

    folder: str
    path: Path
    number: int
    row: dict[str, Any]
    spec: dict[str, Any]

    @property
    def side(self) -> str:
        """The side of the split that the row is on."""
        if self.folder == "clustered":
            return str(self.row["split"])
        return "validation" if self.folder in ("sweep", "landscape") else "test"

    @property
    def wording(self) -> str:
        """The wording of the prompt."""
        return str(self.row.get("variant", ORIGINAL))

    @property
    def labels(self) -> str:
        """The labels that tell the row from others of the same example, as text."""
        names = list(self.row)
        return ", ".join(str(self.row[name]) for name in names[: names.index("id")])


def draw(folder: Path, count: int, seed: int) -> list[Pick]:
    """Draw rows without repetition: half from test files, the others in turn from each other kind of file.

    Up to half of the rows from test files are rows on which base and LASER disagree.

    Raises:
        UserError: the folder holds no test rows.
    """
    numbers = random.Random(seed)
    queues = {kind: _every_row(folder / kind) for kind in (TESTED, *OTHERS)}
    if not queues[TESTED]:
        raise UserError(f"{folder / TESTED}: holds no per-example rows. Give the folder of a finished study.")
    for rows in queues.values():
        numbers.shuffle(rows)
    wanted = count - count // 2
    disagreeing = _disagreeing({path for path, _ in queues[TESTED]})
    preferred = [row for row in queues[TESTED] if row in disagreeing][: wanted // 2]
    already = set(preferred)
    # The remaining test rows are drawn from all that are left, whether the arms disagree on them or not.
    others = [row for row in queues.pop(TESTED) if row not in already]
    drawn = [(TESTED, row) for row in [*preferred, *others[: wanted - len(preferred)]]]
    while len(drawn) < count and any(queues.values()):
        in_turn = [(kind, rows.pop()) for kind, rows in queues.items() if rows]
        drawn += in_turn[: count - len(drawn)]
    files = groupby(sorted(drawn), lambda row: (row[0], row[1][0]))
    return [pick for (kind, path), rows in files for pick in _picks(kind, path, [number for _, (_, number) in rows])]


def _every_row(folder: Path) -> list[NumberedRow]:
    """Return the rows of a folder that can be evaluated again, by file and number."""
    import pyarrow.parquet as pq

    files = sorted(folder.rglob("*.parquet"))
    if folder.name == "baselines":
        return [
            (path, number)
            for path in files
            for number, baseline in enumerate(read_parquet(path, ["baseline"])["baseline"])
            if baseline not in NOT_EDITS
        ]
    return [(path, number) for path in files for number in range(pq.read_metadata(path).num_rows)]


def _disagreeing(files: set[Path]) -> set[NumberedRow]:
    """Return the rows of test files on which one arm is right and the other wrong."""
    rows: set[NumberedRow] = set()
    for path in files:
        frame = read_parquet(path, ["protocol", "id", "correct"])
        outcomes = frame.groupby(["protocol", "id"], sort=False)["correct"].transform("nunique")
        rows |= {(path, int(number)) for number in outcomes.to_numpy().nonzero()[0] if outcomes.iloc[number] > 1}
    return rows


def _picks(kind: str, path: Path, numbers: list[int]) -> Iterator[Pick]:
    rows, spec = read_parquet(path), read_spec(path)
    for number in numbers:
        yield Pick(kind, path, number, {str(key): value for key, value in rows.iloc[number].items()}, spec)


def check_models(study: Path, picks: Sequence[Pick], cache: Path, say: Say) -> dict[str, Path]:
    """Check the hashes of every model that is needed against the study's copy of its card; return name to card.json.

    Raises:
        UserError: a folder is missing, or a file in it is missing or has another hash.
    """
    cards = {}
    for name, key in sorted({(pick.spec["model"]["name"], pick.spec["model"]["key"]) for pick in picks}):
        folder = cache / "models" / key
        if not (folder / "card.json").is_file():
            raise UserError(f"{folder}: the checkpoint of {name} is not here. Fetch it (target `models`), or --cache.")
        wanted = read_json(study / "inputs/models" / name / "card.json")["files"]
        for file, sha256 in wanted.items():
            path = folder / file
            if Path(file).name != file or not path.is_file() or sha256_file(path) != sha256:
                raise UserError(f"{path}: is not the file that the study used (sha256 {sha256[:16]}…).")
        say(f"{name}: {len(wanted)} files in {folder} have the study's hashes")
        cards[name] = folder / "card.json"
    return cards


def spot_check(study: Path, count: int, seed: int, cache: Path, device: str, say: Say) -> list[str]:
    """Evaluate `count` random rows again and return a line per difference.

    Rows are grouped by model, dataset, side and wording, so that models are loaded and matrices decomposed as rarely as
    possible. Decompositions are computed again, in a temporary folder. For every file with a drawn row, the examples
    that it names as left out are compared with those that the tokenizer cannot ask.

    Args:
        study: the study's folder.
        count: number of rows.
        seed: seed of the draw.
        cache: folder with `models/`.
        device: auto, cpu or cuda.
        say: called with each line of progress.

    Raises:
        UserError: files are missing or damaged, or the checkpoint is a different one.
    """
    picks = draw(study, count, seed)
    say(f"{len(picks)} rows drawn with seed {seed}")
    cards = check_models(study, picks, cache, say)
    groups: dict[tuple[str, str, str, str], list[Pick]] = {}
    for pick in picks:
        key = (pick.spec["model"]["name"], pick.spec["dataset"]["name"], pick.side, pick.wording)
        groups.setdefault(key, []).append(pick)
    differences = []
    with tempfile.TemporaryDirectory(prefix="laser-spotcheck-") as factors:
        for (model, dataset, *_), group in groups.items():
            rows = study / "inputs/data" / dataset / "rows.parquet"
            cell = _open(group, cards[model], rows, Path(factors), device)
            for path, reason in _left_out(cell, group, rows):
                differences.append(f"{path.relative_to(study)}: {reason}")
                say(f"DIFFERS {path.relative_to(study)}: {reason}")
            for pick, again in _again(cell, group):
                name = f"{pick.path.relative_to(study)} row {pick.number} ({pick.row['id']}, {pick.labels})"
                wrong = compare(pick.row, again, pick.spec["model"]["dtype"])
                differences += [f"{name}: {each}" for each in wrong]
                say(f"{'DIFFERS' if wrong else 'same   '} {name}")
    return differences


def _open(picks: Sequence[Pick], card: Path, rows: Path, factors: Path, device: str) -> Cell:
    """Open the cell of a group's rows, with the questions in the group's wording."""
    first = picks[0]
    stored = from_metadata(EvaluationSpec, first.spec, str(first.path))
    spec = replace(stored, engine="naive", compute=replace(stored.compute, device=device))
    ids = {pick.row["id"] for pick in picks}
    loaded = open_model(spec, local_folder(card.parent))
    cell = cell_of(spec, loaded, rows, FactorStore(factors), first.side, lambda frame: frame[frame["id"].isin(ids)])
    if first.wording == ORIGINAL:
        return cell
    (variant,) = [each for each in variants(spec.dataset.builder) if each.name == first.wording]
    return replace(cell, questions=questions_of(cell, variant))


def _left_out(cell: Cell, picks: Sequence[Pick], rows: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file that leaves out examples that this model can be asked, with a description."""
    if picks[0].wording != ORIGINAL:
        return
    frame = read_parquet(rows)
    unasked = asked(cell.spec, cell.loaded, examples(frame)).left_out
    for pick in {pick.path: pick for pick in picks}.values():
        named = pick.spec["run"]["left_out"]
        named = named[ORIGINAL] if pick.folder == "prompts" else named
        if extra := sorted(set(named) - set(unasked)):
            yield pick.path, f"leaves out {len(extra)} rows that the model can be asked, {extra[:3]}"


def _edit_of(cell: Cell, pick: Pick) -> Edit:
    """Return the edit under which a row was scored, as its file says."""
    row, protocol, spec = pick.row, pick.row["protocol"], pick.spec
    if pick.folder in (TESTED, "prompts"):
        return chosen_edit(cell, protocol, spec["chosen"][protocol]) if row["arm"] == "laser" else ()
    if pick.folder == "choices":
        return chosen_edit(cell, protocol, spec["choices"][protocol][row["choice"]])
    if pick.folder == "seeds":
        at = spec["intervention"][protocol]
        return (Intervention(at["matrix"], at["layer"], at["rho"], "randomised", at["niter"], int(row["seed"])),)
    if pick.folder == "compose":
        sites = spec["chosen"][protocol][: int(row["step"])]
        return tuple(intervention(cell, protocol, edit["matrix"], edit["layer"], edit["rho"]) for edit in sites)
    if pick.folder == "higher_order":
        at = spec["chosen"][protocol]
        return (Intervention(at["matrix"], at["layer"], round(row["percent"] / 100, 9), "smallest"),)
    if pick.folder == "baselines":
        made = spec["baselines"][protocol]
        return () if row["baseline"] == BASE else edit_of(cell, Baseline(**made[row["baseline"]]))
    if pick.folder == "clustered":
        at = spec["places"][protocol]
        return _clustered(cell, at["matrix"], at["layer"], int(row["clusters"]), spec["seed"], float(row["rho"]))
    if "matrix" not in row:
        return ()
    site = (str(row["matrix"]), int(row["layer"]), float(row["rho"]))
    if pick.folder == "landscape":
        if row["kind"] == CLUSTERED:
            return _clustered(cell, *site[:2], spec["clusters"], spec["seed"], site[2])
        return (landscape_intervention(cell, protocol, row["kind"], *site),)
    return (intervention(cell, protocol, *site),)


def _clustered(cell: Cell, matrix: str, layer: int, count: int, seed: int, rho: float) -> Edit:
    """Return the edit of a matrix reduced by clusters, which are computed again."""
    return (replacements(decomposed(matrix_view(cell, matrix, layer), count, seed), matrix, layer, [rho])[rho],)


def _again(cell: Cell, picks: Sequence[Pick]) -> Iterator[tuple[Pick, dict[str, Any]]]:
    """Evaluate the rows of one cell and yield each with its new values."""
    edits: dict[Edit, list[Pick]] = {}
    for pick in picks:
        edits.setdefault(_edit_of(cell, pick), []).append(pick)
    for alike, answers in zip(edits.values(), answers_for(cell, list(edits), lambda done: None), strict=True):
        for pick in alike:
            rows = result_rows(cell, answers, pick.row["protocol"]).set_index("id", drop=False)
            if pick.row["id"] not in rows.index:
                raise UserError(
                    f"{pick.path}: row {pick.number} is not on the {pick.side} side of its split, or left out."
                )
            yield pick, rows.loc[pick.row["id"]].to_dict()


def compare(before: dict[str, Any], after: dict[str, Any], dtype: str) -> list[str]:
    """Return what differs between a stored row and its new evaluation by a model in `dtype`."""
    wrong = [
        f"{key} was {before.get(key)!r}, is {after.get(key)!r}" for key in EXACT if before.get(key) != after.get(key)
    ]
    tolerance = TOLERANCE[dtype]
    for key, scale in (("loss", 1), ("logprob", max(1, int(after["answer_tokens"])))):
        stored, new = float(before[key]), float(after[key])
        if not (abs(stored - new) <= tolerance * scale or (not math.isfinite(stored) and not math.isfinite(new))):
            wrong.append(f"{key} was {stored:.8g}, is {new:.8g} (allowed difference {tolerance * scale:g})")
    ranks = [math.nan if pd.isna(row["answer_rank"]) else float(row["answer_rank"]) for row in (before, after)]
    if not (abs(ranks[0] - ranks[1]) <= RANKS[dtype] * max(ranks) or all(map(math.isnan, ranks))):
        wrong.append(f"answer_rank was {ranks[0]:g}, is {ranks[1]:g}")
    return wrong
