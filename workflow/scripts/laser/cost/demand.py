"""What each job computes and holds, for its run time and memory: the formulae of `operations` with coarse inputs.

Only the config is read: rows and tokens are stated or guessed, so that jobs can be planned before anything is
prepared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from typing import Any

from laser.config.evaluations import is_masked, task_of
from laser.config.plan import Plan
from laser.config.pools import is_policy
from laser.config.protocols import interventions_kind
from laser.config.settings import WEIGHT_BASELINES
from laser.cost.facts import read_facts
from laser.cost.operations import (
    FACTORED,
    Asked,
    Work,
    decomposition_work,
    evaluation_work,
    randomised_work,
    reduce_work,
    tokens_work,
)
from laser.cost.shapes import LARGEST, Shape, guessed_shape
from laser.paper.published import read_published
from laser.reduction.interventions import Intervention
from laser.reduction.rank_rules import RULES

ROWS = 20_000
TOKENS = 100.0
"""Rows of a dataset and tokens of a row that are assumed if they are unknown."""
NEW_TOKENS = 15
"""Most tokens that are generated."""
VALIDATION_SHARE = 0.25
"""Share of validation rows: a little over a fifth, as a row counts if either of two protocols puts it on that side."""
VARIANTS = 8
"""Most prompts besides the original."""
MOST_ITERATIONS = 20
"""Most power iterations of the released code's randomised decompositions: those of masked models."""
WINDOWS = 4000 * 512
"""Most tokens of a text for perplexity."""


@dataclass(frozen=True)
class Demand:
    """What a job computes and holds.

    Attributes:
        work: operations.
        copies: number of copies of the weights that the job holds.
        dense: number of edited matrices that are held in memory.
        evaluates: True if batches go through the model.
    """

    work: Work
    copies: float = 1.0
    dense: int = 0
    evaluates: bool = True


def demand_of(plan: Plan, stage: str, wildcards: Mapping[str, str]) -> Demand:
    """Return what a job of one stage computes and holds.

    Args:
        plan: the study.
        stage: a rule's name, one of `STAGES`.
        wildcards: model, and as far as the stage has them dataset, layer, rho.
    """
    return STAGES[stage](plan, wildcards)


def low_rank_steps(plan: Plan, task: str) -> list[dict[str, Any]]:
    """Return the distinct low-rank steps of the study's protocols on a causal or masked model."""
    steps: list[dict[str, Any]] = []
    for protocol in plan.study["protocols"]:
        step = interventions_kind(protocol, task)
        if step not in steps:
            steps.append(step)
    return steps


def layer_edits(plan: Plan, model: str, layer: int, rhos: Sequence[float]) -> list[Intervention]:
    """Return the edits of one layer of a model: every low-rank step of the protocols, matrix and ρ."""
    steps = low_rank_steps(plan, task_of(plan.model(model)))
    matrices = plan.study["grid"][model]["matrices"]
    return [Intervention(matrix, layer, rho, **step) for step in steps for matrix in matrices for rho in rhos]


def rows_asked(plan: Plan, model: str, dataset: str, side: str, most: int | None = None) -> Asked:
    """Return what one side of a dataset asks of a model: the means of config/cost.yaml.

    Rows are those of the paper's Table 4 or of config/cost.yaml, cut at the dataset's limit and at `most`. For a
    policy, rows are games: at every step until the limit it reads three tokens per step of its context.
    """
    entry, model_entry = plan.dataset(dataset), plan.model(model)
    share = VALIDATION_SHARE if side == "validation" else 1 - VALIDATION_SHARE / 2
    if is_policy(model_entry):
        pool, steps = entry["options"]["pool"], model_entry["play"]["step_limit"]
        games = entry["limit"] or pool.get("count", ROWS) * pool["evaluation_share"]
        return _in_one_pass(min(games * share, most or games), 3.0 * model_entry["source"]["context"] * steps, steps)
    known = read_facts()["datasets"].get(entry["builder"], {})
    rows = entry["limit"] or _size(dataset) or known.get("rows") or ROWS
    rows = min(rows * share, most or rows)
    if side == "validation":
        rows = min(rows, entry.get("validation_rows", rows))
    mean = known.get("masked" if is_masked(model_entry) else "causal")
    if mean is None:
        return _in_one_pass(rows, TOKENS, 1.0)
    generates = mean["prompt_tokens"] > 0
    return Asked(
        examples=ceil(rows),
        pass_tokens=mean["pass_tokens"],
        prompt_tokens=mean["prompt_tokens"],
        nodes=mean["nodes"],
        read=mean["read"],
        passes=mean["passes"],
        generations=float(generates),
        steps=NEW_TOKENS - 1.0 if generates else 0.0,
    )


def _in_one_pass(rows: float, tokens: float, read: float) -> Asked:
    """Return what rows ask that are each scored in one pass of `tokens` tokens."""
    return Asked(ceil(rows), tokens, prompt_tokens=0.0, nodes=tokens, read=read, passes=1.0, generations=0.0, steps=0.0)


def decodes(plan: Plan, model: str, dataset: str) -> bool:
    """Return True if new tokens are generated, so that keys and values are kept."""
    if is_masked(plan.model(model)) or is_policy(plan.model(model)):
        return False
    known = read_facts()["datasets"].get(plan.dataset(dataset)["builder"])
    return known is None or known["causal"]["prompt_tokens"] > 0


@cache
def _size(dataset: str) -> int | None:
    """Return the number of rows that the paper gives for a dataset, or None."""
    sizes = read_published().sizes(dataset)
    return sizes["size"] if sizes else None


def _matrices(plan: Plan, wildcards: Mapping[str, str]) -> list[str]:
    matrices: list[str] = plan.study["grid"][wildcards["model"]]["matrices"]
    return matrices


def _shape(plan: Plan, wildcards: Mapping[str, str]) -> Shape:
    return guessed_shape(plan.model(wildcards["model"]))


def _engine(plan: Plan, wildcards: Mapping[str, str]) -> str:
    """Return the engine that evaluates a model; a policy runs in full for every edit, as with the naive engine."""
    return "naive" if is_policy(plan.model(wildcards["model"])) else str(plan.study["engine"])


def _whole_matrix(plan: Plan, wildcards: Mapping[str, str]) -> list[Intervention]:
    """Return the protocols' randomised steps at the largest matrix and ρ, for choices that are not known yet."""
    edits = layer_edits(plan, wildcards["model"], 0, [1.0])
    return list(dict.fromkeys(replace(edit, matrix=LARGEST) for edit in edits if edit.kind == "randomised"))


def _decompositions(shape: Shape, count: int) -> Work:
    """Return the work of decomposing the largest matrix `count` times."""
    return Work(decomposition=decomposition_work(*shape.matrix(LARGEST))).times(count)


def _evaluation(plan: Plan, wildcards: Mapping[str, str], side: str, times: float, most: int | None = None) -> Demand:
    """Run one side through the whole model `times` times, with a few edits, each of which may be randomised."""
    shape, randomised = _shape(plan, wildcards), _whole_matrix(plan, wildcards)
    asked = rows_asked(plan, wildcards["model"], wildcards["dataset"], side, most)
    work = evaluation_work(_engine(plan, wildcards), shape, asked, shape.layers - 1, [None]).times(times)
    return Demand(work + randomised_work(shape, randomised) + _decompositions(shape, 2), dense=len(randomised))


def _layer(plan: Plan, wildcards: Mapping[str, str], edits: Sequence[Intervention], most: int | None = None) -> Demand:
    """Evaluate the validation side under base and under edits of one layer, by the study's engine."""
    shape, model = _shape(plan, wildcards), wildcards["model"]
    asked = rows_asked(plan, model, wildcards["dataset"], "validation", most)
    work = evaluation_work(_engine(plan, wildcards), shape, asked, int(wildcards["layer"]), [None, *edits])
    return Demand(work + _decompositions(shape, 2), dense=sum(edit.kind not in FACTORED for edit in edits))


def _sweep(plan: Plan, wildcards: Mapping[str, str]) -> Demand:
    rhos = [float(wildcards["rho"])] if "rho" in wildcards else plan.rhos
    return _layer(plan, wildcards, layer_edits(plan, wildcards["model"], int(wildcards["layer"]), rhos))


def _sweep_together(plan: Plan, wildcards: Mapping[str, str]) -> Demand:
    """The sweeps of several datasets, an upper bound: what their prompts have in common is counted for each."""
    sweeps = [_sweep(plan, {**wildcards, "dataset": dataset}) for dataset in plan.together]
    return replace(sweeps[0], work=sum((sweep.work for sweep in sweeps), Work()))


def _test(plan: Plan, wildcards: Mapping[str, str]) -> Demand:
    return _evaluation(plan, wildcards, "test", 1 + len(plan.study["protocols"]))


def _landscape(plan: Plan, wildcards: Mapping[str, str]) -> Demand:
    run, layer = plan.study["landscape"], int(wildcards["layer"])
    matrices = run["grid"][wildcards["model"]]["matrices"]
    edits = [
        Intervention(matrix, layer, rho, kind) for kind in run["kinds"] for matrix in matrices for rho in run["rhos"]
    ]
    demand = _layer(plan, wildcards, edits, run.get("rows"))
    clustered = len(matrices) if "clustered" in run["kinds"] else 0
    return replace(demand, work=demand.work + _decompositions(_shape(plan, wildcards), clustered))


def _gradients(plan: Plan, wildcards: Mapping[str, str]) -> Demand:
    """A forward and a backward pass over a few examples, and the factors of all matrices of the grid."""
    demand = _evaluation(plan, wildcards, "validation", 3, plan.study["gradient"]["examples"])
    reduced = reduce_work(_shape(plan, wildcards), _matrices(plan, wildcards))
    return replace(demand, work=demand.work + reduced.times(len(plan.layers(wildcards["model"]))), copies=2.0)


def _race(plan: Plan, wildcards: Mapping[str, str]) -> Demand:
    """The sweeps of all layers, an upper bound: no candidate stops."""
    layers = plan.layers(wildcards["model"])
    sweeps = [_sweep(plan, {**wildcards, "layer": str(layer)}) for layer in layers]
    return replace(sweeps[0], work=sum((sweep.work for sweep in sweeps), Work()))


def _compose(plan: Plan, wildcards: Mapping[str, str]) -> Demand:
    """Every candidate on top of those accepted so far: the whole model each time."""
    run = plan.study["compose"]
    matrices = run.get("matrices", _matrices(plan, wildcards))
    layers = len(plan.layers(wildcards["model"]))
    demand = _evaluation(plan, wildcards, "validation", 1 + layers * len(matrices) * len(run["rhos"]))
    reduced = reduce_work(_shape(plan, wildcards), matrices).times(layers)
    return replace(demand, work=demand.work + reduced, dense=2 * layers)


def _compose_test(plan: Plan, wildcards: Mapping[str, str]) -> Demand:
    layers = len(plan.layers(wildcards["model"]))
    demand = _evaluation(plan, wildcards, "test", 1 + layers)
    reduced = _decompositions(_shape(plan, wildcards), 2 * layers)
    return replace(demand, work=demand.work + reduced, dense=2 * layers)


def _seeds(plan: Plan, wildcards: Mapping[str, str]) -> Demand:
    """A randomised decomposition per seed, at most of the whole matrix with the most power iterations."""
    count = plan.study["seeds"]["count"]
    demand = _evaluation(plan, wildcards, "test", 1 + count)
    drawn = Intervention(LARGEST, 0, 1.0, "randomised", niter=MOST_ITERATIONS)
    work = randomised_work(_shape(plan, wildcards), [drawn]).times(count)
    return replace(demand, work=demand.work + work, dense=count)


def _chosen(plan: Plan, wildcards: Mapping[str, str], choices: int) -> Demand:
    """Evaluate the test side at `choices` choices under every protocol, each possibly at a different matrix."""
    count = len(plan.study["protocols"]) * choices
    demand, shape = _evaluation(plan, wildcards, "test", count), _shape(plan, wildcards)
    drawn = _whole_matrix(plan, wildcards)
    work = demand.work + randomised_work(shape, drawn).times(count) + _decompositions(shape, count)
    return replace(demand, work=work, dense=count if drawn else 0)


def _perplexity(plan: Plan, wildcards: Mapping[str, str]) -> Demand:
    shape, tokens = _shape(plan, wildcards), 3.0 * len(plan.study["protocols"]) * WINDOWS
    drawn = Intervention(LARGEST, 0, 1.0, "randomised", niter=MOST_ITERATIONS)
    work = tokens_work(shape, tokens, tokens) + randomised_work(shape, [drawn]) + _decompositions(shape, 2)
    return Demand(work, dense=2)


def _replacements(
    plan: Plan, wildcards: Mapping[str, str], side: str, count: int, most: int | None = None, base: bool = False
) -> Work:
    """Evaluate one side under other matrices, and under the base model if asked, at the middle layer: it may be any."""
    shape = _shape(plan, wildcards)
    asked, layer = rows_asked(plan, wildcards["model"], wildcards["dataset"], side, most), shape.layers // 2
    edits: list[Intervention | None] = [Intervention(LARGEST, layer, 1.0, "replacement")] * count
    return evaluation_work(_engine(plan, wildcards), shape, asked, layer, [None, *edits] if base else edits)


def _clustered(plan: Plan, wildcards: Mapping[str, str]) -> Demand:
    """Every number of clusters and ρ on validation rows, at the middle layer; the best one on test rows."""
    run, shape, protocols = plan.study["clustered"], _shape(plan, wildcards), len(plan.study["protocols"])
    rhos = len(run["rhos"])
    work = _replacements(plan, wildcards, "validation", rhos, run.get("rows")).times(len(run["clusters"]))
    tested = _evaluation(plan, wildcards, "test", protocols)
    decomposed = _decompositions(shape, protocols * len(run["clusters"]))
    return Demand(work.times(protocols) + tested.work + decomposed, dense=rhos)


def _baselines(plan: Plan, wildcards: Mapping[str, str]) -> Demand:
    """Base, and per protocol each change of the chosen matrix; it may be any, so one of the middle layer is assumed."""
    shape, protocols = _shape(plan, wildcards), len(plan.study["protocols"])
    changes = WEIGHT_BASELINES + plan.study["baselines"]["subspaces"]
    work = _replacements(plan, wildcards, "test", changes, base=True).times(protocols)
    return Demand(work + _decompositions(shape, protocols), dense=protocols * changes)


STAGES: dict[str, Callable[[Plan, Mapping[str, str]], Demand]] = {
    "reduce": lambda plan, names: Demand(
        reduce_work(_shape(plan, names), _matrices(plan, names)), copies=0.0, evaluates=False
    ),
    "base": lambda plan, names: _evaluation(plan, names, "validation", 1),
    "sweep": _sweep,
    "sweep_together": _sweep_together,
    "race": _race,
    "test_intervention": _test,
    "landscape": _landscape,
    "gradients": _gradients,
    "compose_layers": _compose,
    "compose_test": _compose_test,
    "evaluate_choices": lambda plan, names: _evaluation(plan, names, "test", 3),
    "evaluate_seeds": _seeds,
    # At most one choice per dataset: those of all others, and their generic one.
    "evaluate_transfer": lambda plan, names: _chosen(plan, names, len(plan.transferred(names["model"]))),
    # The factors are stored: they are read, and nothing is computed.
    "spectra": lambda plan, names: Demand(Work(), copies=0.0, evaluates=False),
    "evaluate_rank_rules": lambda plan, names: _chosen(plan, names, len(RULES)),
    "evaluate_prompts": lambda plan, names: _evaluation(
        plan, names, "test", 2 * (1 + VARIANTS), plan.study["prompts"].get("rows")
    ),
    # Only rows that LASER corrects are asked again; half of all rows is assumed as the upper bound.
    "evaluate_higher_order": lambda plan, names: _evaluation(
        plan, names, "test", 0.5 * len(plan.study["higher_order"]["percents"])
    ),
    "evaluate_perplexity": _perplexity,
    "evaluate_efficacy": _test,
    "evaluate_clustered": _clustered,
    "evaluate_baselines": _baselines,
    # The weights are copied or read once; nothing is evaluated.
    "export": lambda plan, names: Demand(_decompositions(_shape(plan, names), 1), evaluates=False),
}
"""Name of a rule to what its jobs compute and hold, given the study and the job's wildcards."""
