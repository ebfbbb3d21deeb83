"""Coarse amounts of work of each job, for its run time and memory; docs/cost.md describes the exact model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from laser.config.evaluations import is_masked, task_of
from laser.config.plan import Plan
from laser.config.pools import is_policy
from laser.config.protocols import interventions_kind
from laser.config.yaml_files import read_yaml
from laser.paper.published import read_published

ROWS = 20_000
TOKENS = 100.0
"""Rows of a dataset, and tokens of a row, if they are unknown."""
NEW_TOKENS = 15
VALIDATION_SHARE = 0.25
"""A little more than a fifth: with both protocols a row is evaluated that either puts on the validation side."""
VARIANTS = 8
"""Prompts beside the original, at most."""
WINDOWS = 4000 * 512
"""Tokens of a text for perplexity, at most."""
GPU_DECOMPOSITION = 0.13
"""Share of a GPU's fp32 peak that an exact decomposition reaches, checks included: measured on an H100, docs/gpu.md."""
GPU_RANDOMISED = 0.2
"""The same of a randomised one."""


@dataclass(frozen=True)
class Work:
    """The work of a job.

    Attributes:
        tokens: through the whole model, all evaluations together.
        copies: number of copies of the weights that the job holds.
        dense: edited weights that are kept in the host's memory.
        decompositions: exact, of one matrix.
        randomised: decompositions on the CPU, in units of a product of the matrix with as many columns as its smaller
            side has.
        evaluates: True if batches go through the model.
    """

    tokens: float = 0.0
    copies: float = 1.0
    dense: int = 0
    decompositions: int = 0
    randomised: float = 0.0
    evaluates: bool = True


def work_of(plan: Plan, stage: str, wildcards: Mapping[str, str]) -> Work:
    """Return the work of a job of one stage.

    Args:
        plan: the study.
        stage: a rule's name, one of `STAGES`.
        wildcards: model, and as far as the stage has them dataset, layer, rho.
    """
    return STAGES[stage](plan, wildcards)


def row_tokens(plan: Plan, model: str, dataset: str, side: str, most: int | None = None) -> float:
    """Return the tokens of one side of a dataset: rows times the mean of config/cost.yaml, new tokens included.

    Rows are those of the paper's Table 4 or of config/cost.yaml, cut at the dataset's limit and at `most`.
    """
    if is_policy(plan.model(model)):
        return _game_tokens(plan, model, dataset, side, most)
    entry = plan.dataset(dataset)
    root = plan.scripts.parents[1]
    known = _cost_facts(root)["datasets"].get(entry["builder"], {})
    rows = entry["limit"] or _sizes(root / "config/published", dataset) or known.get("rows") or ROWS
    rows *= VALIDATION_SHARE if side == "validation" else 1 - VALIDATION_SHARE / 2
    mean = known.get("masked" if is_masked(plan.model(model)) else "causal")
    tokens = TOKENS
    if mean is not None:
        tokens = mean["nodes"] if plan.study["engine"] == "fast" else mean["pass_tokens"] + mean["prompt_tokens"]
        tokens += NEW_TOKENS if mean["prompt_tokens"] else 0
    return min(rows, most or rows) * tokens


def _game_tokens(plan: Plan, model: str, dataset: str, side: str, most: int | None) -> float:
    """Return the tokens of a side's games: three for every step in sight, at every step until the limit."""
    entry, policy = plan.dataset(dataset), plan.model(model)
    pool = entry["options"]["pool"]
    rows = entry["limit"] or pool.get("count", ROWS) * pool["evaluation_share"]
    rows *= VALIDATION_SHARE if side == "validation" else 1 - VALIDATION_SHARE / 2
    return min(rows, most or rows) * 3.0 * policy["source"]["context"] * policy["play"]["step_limit"]


def decodes(plan: Plan, model: str, dataset: str) -> bool:
    """Return True if new tokens are generated, so that keys and values are kept."""
    if is_masked(plan.model(model)) or is_policy(plan.model(model)):
        return False
    known = _cost_facts(plan.scripts.parents[1])["datasets"].get(plan.dataset(dataset)["builder"])
    return known is None or known["causal"]["prompt_tokens"] > 0


@cache
def _cost_facts(root: Path) -> dict[str, Any]:
    return read_yaml(root / "config/cost.yaml")


@cache
def _sizes(folder: Path, dataset: str) -> int | None:
    sizes = read_published(folder).sizes(dataset)
    return sizes["size"] if sizes else None


def _matrices(plan: Plan, wildcards: Mapping[str, str]) -> int:
    return len(plan.study["grid"][wildcards["model"]]["matrices"])


def _rhos(plan: Plan, wildcards: Mapping[str, str]) -> int:
    return 1 if "rho" in wildcards else len(plan.rhos)


def _above(plan: Plan, wildcards: Mapping[str, str]) -> float:
    """Return the share of the model that lies above the edited layer: what every edit runs for itself."""
    if plan.study["engine"] == "naive" or is_policy(plan.model(wildcards["model"])):
        return 1.0
    return 1.0 - int(wildcards["layer"]) / plan.model(wildcards["model"])["layers"]


def _steps(plan: Plan, wildcards: Mapping[str, str]) -> tuple[int, int, int]:
    """Return the distinct low-rank steps of the study's protocols, how many are randomised, and their products."""
    task = task_of(plan.model(wildcards["model"]))
    kinds = [interventions_kind(name, task) for name in plan.study["protocols"]]
    random = [kind for kind in kinds if kind["kind"] == "randomised"]
    products = sum(6 + 4 * kind["niter"] for kind in random)
    return len({kind["kind"] for kind in kinds}), len(random), products


def _evaluation(plan: Plan, wildcards: Mapping[str, str], side: str, times: float, most: int | None = None) -> Work:
    """Evaluate one side `times` times; a few edits, each of which may be a randomised one."""
    _, random, products = _steps(plan, wildcards)
    tokens = times * row_tokens(plan, wildcards["model"], wildcards["dataset"], side, most)
    return Work(tokens=tokens, dense=random, randomised=2.0 * products, decompositions=2)


def _reduce(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    return Work(copies=0.0, decompositions=_matrices(plan, wildcards), evaluates=False)


def _base(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    return _evaluation(plan, wildcards, "validation", 1)


def _sweep(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    steps, random, products = _steps(plan, wildcards)
    edits = _matrices(plan, wildcards) * _rhos(plan, wildcards)
    work = _evaluation(plan, wildcards, "validation", 1 + steps * edits * _above(plan, wildcards))
    # A third: the mean of ρ over the paper's grid, and a product with so many columns.
    return replace(work, dense=random * edits, randomised=2.0 * products * edits / 3)


def _test(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    return _evaluation(plan, wildcards, "test", 1 + len(plan.study["protocols"]))


def _landscape(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    run = plan.study["landscape"]
    matrices = len(run["grid"][wildcards["model"]]["matrices"])
    edits = matrices * len(run["rhos"]) * len(run["kinds"])
    work = _evaluation(plan, wildcards, "validation", 1 + edits * _above(plan, wildcards), run.get("rows"))
    pruned = edits // len(run["kinds"]) * sum(kind not in ("svd", "smallest") for kind in run["kinds"])
    return replace(work, dense=pruned, decompositions=matrices)


def _gradients(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    """A forward and a backward pass over a few examples, and the factors of all matrices of the grid."""
    examples = plan.study["gradient"]["examples"]
    matrices = _matrices(plan, wildcards) * len(plan.layers(wildcards["model"]))
    work = _evaluation(plan, wildcards, "validation", 3, examples)
    return replace(work, copies=2.0, decompositions=matrices)


def _compose(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    """Every candidate on top of those accepted so far: the whole model each time."""
    run = plan.study["compose"]
    matrices = len(run.get("matrices", plan.study["grid"][wildcards["model"]]["matrices"]))
    layers = len(plan.layers(wildcards["model"]))
    work = _evaluation(plan, wildcards, "validation", 1 + layers * matrices * len(run["rhos"]))
    return replace(work, dense=2 * layers, decompositions=layers * matrices)


def _compose_test(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    layers = len(plan.layers(wildcards["model"]))
    return replace(_evaluation(plan, wildcards, "test", 1 + layers), dense=2 * layers, decompositions=2 * layers)


def _choices(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    return _evaluation(plan, wildcards, "test", 3)


def _seeds(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    count = plan.study["seeds"]["count"]
    return replace(_evaluation(plan, wildcards, "test", 1 + count), dense=count, randomised=100.0 * count)


def _prompts(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    return _evaluation(plan, wildcards, "test", 2 * (1 + VARIANTS), plan.study["prompts"].get("rows"))


def _higher_order(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    """Only rows that LASER puts right are asked again; at most half of all are counted on."""
    return _evaluation(plan, wildcards, "test", 0.5 * len(plan.study["higher_order"]["percents"]))


def _perplexity(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    return Work(tokens=3.0 * len(plan.study["protocols"]) * WINDOWS, dense=2, decompositions=2, randomised=100.0)


def _export(plan: Plan, wildcards: Mapping[str, str]) -> Work:
    """The weights are copied or read once; nothing is evaluated."""
    return Work(decompositions=1, evaluates=False)


STAGES: dict[str, Callable[[Plan, Mapping[str, str]], Work]] = {
    "reduce": _reduce,
    "base": _base,
    "sweep": _sweep,
    "test_intervention": _test,
    "landscape": _landscape,
    "gradients": _gradients,
    "compose_layers": _compose,
    "compose_test": _compose_test,
    "evaluate_choices": _choices,
    "evaluate_seeds": _seeds,
    "evaluate_prompts": _prompts,
    "evaluate_higher_order": _higher_order,
    "evaluate_perplexity": _perplexity,
    "export": _export,
}
