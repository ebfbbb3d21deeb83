"""One (model, dataset) cell: load both, ask the questions, and make per-example rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from laser.cluster.local_copy import local_folder
from laser.config.protocols import PROTOCOLS, interventions_kind
from laser.config.specs import EvaluationSpec
from laser.engine import fast, naive
from laser.engine.products import products_of, use_split_products
from laser.errors import UserError
from laser.io.files import read_json, read_parquet
from laser.models.adapter import parameter_view
from laser.models.device import precision_facts, set_threads
from laser.models.kinds import POLICY
from laser.models.load import LoadedModel, load
from laser.models.tokenizer import hold_against_file
from laser.policies import engine as policy
from laser.policies.games import Games, games, score_games
from laser.policies.inputs import sight_of
from laser.provenance.job import Job
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Edit, Intervention
from laser.tasks.definitions import definition
from laser.tasks.example import Example
from laser.tasks.questions import Questions, ask
from laser.tasks.scoring import Score, rows, score

COUNTS = {"answer_tokens": "int32", "answer_rank": "int32", "steps": "int32"}
"""Types of result columns that pandas would make wider; only policies have `steps`."""

SITE_LABELS = {"protocol": "", "matrix": "", "layer": 0, "rho": 0.0}
"""Labels of the rows of interventions at several sites, with example values for a file without rows."""

SPLIT_ON = ("cuda",)
"""Devices on which split products are faster than those in fp32."""

HELD_PROMPTS = 200
"""Number of prompts whose token ids are compared with the checkpoint's tokenizer.json before a cell is evaluated."""

ENGINES: dict[str, Any] = {"fast": fast.evaluate, "naive": naive.evaluate}
"""Engines for language models; a policy has only one engine, whatever the spec names."""


@dataclass
class Cell:
    """A loaded model with the questions of one dataset.

    Attributes:
        spec: the rule's spec.
        loaded: the model and its tokenizer.
        questions: the examples that are asked, in order; for a policy, the games.
        sides: per protocol, the ids that its split puts on the side that is being evaluated.
        store: the store of the factors.
    """

    spec: EvaluationSpec
    loaded: LoadedModel
    questions: Questions | Games
    sides: dict[str, set[str]]
    store: FactorStore

    @property
    def run_facts(self) -> dict[str, Any]:
        """What the run adds to the spec: how the model computes, the examples left out and the low-rank steps."""
        return {
            **compute_facts(self.loaded),
            "dtype": self.spec.model.dtype,
            "left_out": self.questions.left_out,
            "interventions": {name: step(self, name) for name in self.spec.protocols},
        }


def job_cell(
    job: Job, side: str, only: Callable[[pd.DataFrame], pd.DataFrame] | None = None, gradients: bool = False
) -> Cell:
    """Load a job's model and the examples of one side (`validation` or `test`) of any of its spec's protocols.

    Args:
        job: a job with the spec of an evaluation; its files are found by name.
        side: the side of the split that is evaluated; the model never sees any other row.
        only: selects the rows of that side that are asked; all of them if it is not given.
        gradients: whether gradients of the weights will be taken; the weights then stay in their own precision.
    """
    spec = job.spec
    model, rows = job.input("model", model_key=spec.model.key), job.input("rows", data_key=spec.dataset.key)
    loaded = open_model(spec, local_folder(model.parent), gradients)
    return cell_of(spec, loaded, rows, FactorStore(job.folders.path("factors")), side, only)


def job_cells(job: Job, specs: Sequence[EvaluationSpec], side: str) -> list[Cell]:
    """Open the cells of a job that evaluates one model on several datasets; the model is loaded once."""
    model = job.input("model", model_key=job.spec.model.key)
    loaded = open_model(job.spec, local_folder(model.parent))
    rows = [job.input("rows", data_key=spec.dataset.key) for spec in specs]
    store = FactorStore(job.folders.path("factors"))
    return [cell_of(spec, loaded, path, store, side) for spec, path in zip(specs, rows, strict=True)]


def cell_of(
    spec: EvaluationSpec,
    loaded: LoadedModel,
    data_rows: Path,
    store: FactorStore,
    side: str,
    only: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> Cell:
    """Ask a loaded model the examples of one side of the prepared rows (`job_cell`).

    Raises:
        UserError: no row of that side can be asked.
    """
    frame = read_parquet(data_rows)
    sides = {name: set(frame.loc[frame[f"split_{name}"] == side, "id"]) for name in spec.protocols}
    wanted = frame[frame["id"].isin(set().union(*sides.values()))]
    if only is not None:
        wanted = only(wanted)
    if loaded.tokenizer is not None:
        hold_against_file(loaded.folder, loaded.tokenizer, wanted["prompt"].head(HELD_PROMPTS))
    questions = asked(spec, loaded, examples(wanted))
    if not questions.items:
        raise UserError(
            f"{data_rows}: no {side} row can be scored. Reasons: {sorted(set(questions.left_out.values()))[:3]}."
        )
    return Cell(spec, loaded, questions, sides, store)


def first_rows(cell: Cell, count: int | None) -> Cell:
    """Return the cell with the first `count` scorable examples of each protocol's side, in the data's order.

    Args:
        cell: an open cell.
        count: number of examples; None for all, which returns the cell itself.
    """
    if count is None:
        return cell
    sides = {
        protocol: {
            item.example.id for item in [item for item in cell.questions.items if item.example.id in ids][:count]
        }
        for protocol, ids in cell.sides.items()
    }
    return replace(cell, questions=cell.questions.only(set().union(*sides.values())), sides=sides)


def of_protocol(cell: Cell, protocol: str) -> Cell:
    """Return the cell with one protocol and only the examples of its side."""
    ids = cell.sides[protocol]
    return replace(cell, questions=cell.questions.only(ids), sides={protocol: ids})


def open_model(spec: EvaluationSpec, folder: Path, gradients: bool = False) -> LoadedModel:
    """Load the spec's model, with the job's threads; on a GPU an fp32 model uses split products if it can.

    Args:
        spec: the spec of an evaluation.
        folder: the checkpoint's folder.
        gradients: whether gradients of the weights will be taken; the weights then stay in their own precision.
    """
    set_threads(spec.compute.threads)
    loaded = load(folder, spec.model.dtype, spec.compute.device, spec.model.mapping)
    if loaded.device.type in SPLIT_ON and not gradients:
        use_split_products(loaded.model)
    return loaded


def compute_facts(loaded: LoadedModel) -> dict[str, Any]:
    """Return how a model computes: device, products and, on a GPU, the pinned settings (`laser.models.device`)."""
    facts = {"device": str(loaded.device), "products": products_of(loaded.model, loaded.dtype)}
    return facts | precision_facts(loaded.device)


def matrix_view(cell: Cell, matrix: str, layer: int) -> torch.Tensor:
    """Return a logical matrix (out, in) of a cell's model, in the precision in which the model holds it."""
    loaded = cell.loaded
    return parameter_view(loaded.model, loaded.config, layer, matrix, loaded.mapping)


def asked(spec: EvaluationSpec, loaded: LoadedModel, items: Sequence[Example]) -> Questions | Games:
    """Return the questions that the spec's dataset makes from examples for this model; for a policy, the games."""
    if loaded.task == POLICY:
        sight = sight_of(loaded.config)
        return games(items, spec.model.play or {}, sight.height, sight.width)
    family = loaded.config["model_type"]
    described = definition(spec.dataset.builder, spec.dataset.asked)
    return ask(described, items, loaded.tokenizer, loaded.task, family, loaded.max_positions)


def examples(frame: pd.DataFrame) -> list[Example]:
    """Return prepared rows as examples."""
    columns = [frame[name].tolist() for name in ("id", "group", "text", "prompt", "answer", "options")]
    others = frame["other_answers"].tolist() if "other_answers" in frame.columns else [()] * len(frame)
    return [
        Example(name, group, text, prompt, answer, tuple(options), other_answers=tuple(further))
        for name, group, text, prompt, answer, options, further in zip(*columns, others, strict=True)
    ]


def answers_for(
    cell: Cell,
    edits: Sequence[Edit],
    count: Callable[[int], None],
) -> Iterator[Any]:
    """Answer the cell's questions under every edit, with the engine that the spec names.

    Yields `Answers` per edit; for a policy, a list of `laser.policies.games.Played`.
    """
    engine: Any = policy.evaluate if cell.loaded.task == POLICY else ENGINES[cell.spec.engine]
    yield from engine(
        cell.loaded,
        cell.questions.requests,
        edits,
        cell.store,
        token_budget=cell.spec.token_budget,
        progress=count,
    )


def answer_each(job: Job, cell: Cell, edits: Iterable[Edit]) -> dict[Edit, Any]:
    """Answer the cell's questions once under each distinct edit, and report the progress."""
    distinct = list(dict.fromkeys(edits))
    return dict(zip(distinct, answers_for(cell, distinct, counter(job, cell, len(distinct))), strict=True))


def counter(job: Job, cell: Cell, edits: int) -> Callable[[int], None]:
    """Return a function that reports the progress of a run over `edits` edits, in examples times interventions."""
    requests, examples = cell.questions.requests, len(cell.questions.items)
    total = edits * examples
    advance = job.progress(total, f"examples × {'interventions' if edits > 1 else 'model'}")
    each = (len(requests.passes) + len(requests.generations)) / examples
    answered = reported = 0

    def count(done: int) -> None:
        nonlocal answered, reported
        answered += done
        whole = int(answered / each + 1e-9)
        advance(whole - reported)
        reported = whole

    return count


def result_rows(cell: Cell, answers: Any, protocol: str, **labels: Any) -> pd.DataFrame:
    """Judge answers under one protocol and return a row per example of that protocol's side, labels first."""
    kept = [scored for scored in _scores(cell, answers, protocol) if scored.id in cell.sides[protocol]]
    frame = pd.DataFrame(rows(kept)).rename(columns={"total": "return"})
    frame = frame.astype(_types(frame))
    for position, (name, value) in enumerate({"protocol": protocol, **labels}.items()):
        frame.insert(position, name, value)
    return frame


def say_overflows(job: Job, cell: Cell, frame: pd.DataFrame, of_base: bool = False) -> None:
    """Report on how many rows the model overflowed.

    Args:
        job: the job that reports it.
        cell: the cell that the rows belong to.
        frame: `result_rows` of one or several interventions.
        of_base: whether these are the base model's rows, with which everything else is compared.

    Raises:
        UserError: the base model overflowed on every row.
    """
    count, dtype = int(frame["loss"].isna().sum()), cell.spec.model.dtype
    if not count:
        return
    if dtype == "fp16":
        advice = "Set the model's dtype to bf16 or fp32 in the study."
    else:
        advice = "Check the checkpoint's weights: they, or the activations that they give, are too large for its dtype."
    if of_base and count == len(frame):
        raise UserError(
            f"{cell.spec.model.name} on {cell.spec.dataset.name}: the base model overflows in {dtype} on each "
            f"of the {frame['id'].nunique()} rows, so that there is nothing to compare with. {advice}"
        )
    job.say(f"overflows in {dtype} on {count} of {len(frame)} rows, which count as wrong and have no loss. {advice}")


def _scores(cell: Cell, answers: Any, protocol: str) -> Sequence[Score]:
    if isinstance(cell.questions, Games):
        return score_games(cell.questions, answers)
    return score(cell.questions, answers, cell.loaded.tokenizer, PROTOCOLS[protocol])


def no_rows(labels: Mapping[str, Any]) -> pd.DataFrame:
    """Return a frame without rows that has the columns and types of `result_rows` with labels like the given ones."""
    row = rows([Score("", False, 0.0, 0.0, 0, "", 0, False, False)])
    frame = pd.DataFrame({name: [value] for name, value in labels.items()} | row)
    return frame.astype(_types(frame)).head(0)


def _types(frame: pd.DataFrame) -> dict[str, str]:
    """Return the types of a frame's counts; a column with gaps (rows without a rank) has pandas' nullable type."""
    return {
        name: kind.capitalize() if frame[name].isna().any() else kind
        for name, kind in COUNTS.items()
        if name in frame.columns
    }


def step(cell: Cell, protocol: str) -> dict[str, Any]:
    """Return kind and settings of a protocol's low-rank step on this model, with the seed if the step is random."""
    return step_of(protocol, cell.loaded.task, cell.spec.seed)


def step_of(protocol: str, task: str, seed: int) -> dict[str, Any]:
    """Return kind and settings of a protocol's low-rank step for a task (causal | masked), with `seed` if random."""
    settings = interventions_kind(protocol, task)
    return settings | ({"seed": seed} if settings["kind"] == "randomised" else {})


def intervention(cell: Cell, protocol: str, matrix: str, layer: int, rho: float) -> Intervention:
    """Return a protocol's low-rank step at (matrix, layer, rho)."""
    return Intervention(matrix=matrix, layer=layer, rho=rho, **step(cell, protocol))


def chosen_interventions(selection: Path) -> dict[str, dict[str, Any] | None]:
    """Return the chosen intervention per protocol from a selection file; None where the base model won."""
    return {name: part["chosen"] for name, part in read_json(selection)["protocols"].items()}


def chosen_edit(cell: Cell, protocol: str, chosen: Mapping[str, Any] | None) -> Edit:
    """Return the edit of a chosen (matrix, layer, rho) under a protocol; the empty edit if base was chosen."""
    return () if chosen is None else (intervention(cell, protocol, chosen["matrix"], chosen["layer"], chosen["rho"]),)
