"""Baselines for LASER on the test rows, such as deleting, shrinking or thinning the chosen matrix.

The file's spec names each baseline that a cell cannot have, with the reason. Nothing here feeds a choice: selection has
already chosen the matrix, the layer and the rank from validation rows.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch

from laser.config.protocols import PROTOCOLS
from laser.config.specs import BaselinesSpec
from laser.evaluation.calibration import calibrate
from laser.evaluation.cell import (
    Cell,
    answers_for,
    chosen_edit,
    chosen_interventions,
    counter,
    job_cell,
    matrix_view,
    result_rows,
    say_overflows,
)
from laser.evaluation.forbidden_words import forbid, words_of_noise
from laser.io.files import write_parquet
from laser.models.adapter import live_name, locate, matrices
from laser.provenance.job import Job
from laser.reduction.edit import NEEDS_FACTORS, edited_weight
from laser.reduction.interventions import Edit, Intervention, Replacement, kept_rank

BASE, CALIBRATED, FORBIDDEN = "base", "calibrated", "forbidden_words"
ZEROED, REMOVED, SCALED, RANDOM, PRUNED = (
    "zeroed_matrix", "removed_mlp", "scaled_matrix", "random_subspace", "pruned_matrix",
)  # fmt: skip
SAYS = {
    BASE: "the base model",
    ZEROED: "the chosen matrix zeroed",
    REMOVED: "the layer's MLP removed",
    SCALED: "the chosen matrix scaled to the energy that LASER leaves",
    RANDOM: "a random subspace of the rank that LASER keeps",
    PRUNED: "the largest entries, as many as LASER's factors have",
    CALIBRATED: "the base model with contextual calibration",
    FORBIDDEN: "the base model, the noise's words forbidden",
}
"""Description of each kind of baseline, for readers."""

OUTPUTS = re.compile(r"u_out(_\d+)?")
"""Logical names of the output matrices of a layer's MLP: everything that the MLP computes passes through them."""


class Baseline(NamedTuple):
    """One change of the weights.

    Attributes:
        kind: one of the kinds of `SAYS` that change weights.
        matrix: the chosen matrix; for a removed MLP, its output matrices, separated by spaces.
        layer: the layer's index, from 0.
        amount: what is kept: the factor of a scaled matrix, the rank of a subspace or the number of entries of a pruned
            matrix; 0 if nothing is kept.
        seed: seed of a random subspace; 0 for other kinds.
    """

    kind: str
    matrix: str
    layer: int
    amount: float = 0
    seed: int = 0

    @property
    def name(self) -> str:
        """The label of the baseline's rows."""
        return f"{self.kind}_{self.seed}" if self.kind == RANDOM else self.kind


def evaluate_baselines(job: Job) -> None:
    """Write the test rows of every baseline that can be made, labelled `baseline`; the base model's rows come first.

    The file's spec says what was `chosen`, under `baselines` what each baseline is per protocol, and under
    `not_applicable` why a baseline could not be made. Calibration and forbidden words change the answers and keep the
    base model's loss.
    """
    spec: BaselinesSpec = job.spec
    output = job.output("baselines", **spec.cell)
    cell = job_cell(job, "test")
    chosen = chosen_interventions(job.input("selection", **spec.cell))
    corpus = job.input("corpus", corpus_key=spec.corpus_key) if spec.corpus_key else None
    made: dict[str, dict[str, Baseline]] = {}
    lacking: dict[str, dict[str, str]] = {}
    for protocol in spec.protocols:
        made[protocol], lacking[protocol] = of_weights(cell, protocol, chosen[protocol], spec.seeds)
    distinct = dict.fromkeys(baseline for by_name in made.values() for baseline in by_name.values())
    count = counter(job, cell, 1 + len(distinct))
    apart = [baseline for baseline in distinct if _biases(cell, baseline)]
    together = [baseline for baseline in distinct if baseline not in apart]
    base, *others = answers_for(cell, [(), *(edit_of(cell, baseline) for baseline in together)], count)
    answered = dict(zip(together, others, strict=True))
    for baseline in apart:
        with _without_biases(cell, baseline):
            (answered[baseline],) = answers_for(cell, [edit_of(cell, baseline)], count)
    frames = []
    facts: dict[str, Any] = {}
    for protocol in spec.protocols:
        unchanged = result_rows(cell, base, protocol, baseline=BASE)
        frames.append(unchanged)
        for name, baseline in made[protocol].items():
            frames.append(result_rows(cell, answered[baseline], protocol, baseline=name))
        facts[protocol] = {name: baseline._asdict() for name, baseline in made[protocol].items()}
        of_answers = {
            CALIBRATED: calibrate(cell, base, PROTOCOLS[protocol]),
            FORBIDDEN: forbid(cell, base, words_of_noise(corpus)),
        }
        for name, outcome in of_answers.items():
            if isinstance(outcome, str):
                lacking[protocol][name] = outcome
                continue
            answers, fact = outcome
            changed = result_rows(cell, answers, protocol, baseline=name)
            frames.append(changed.assign(loss=unchanged["loss"], logprob=unchanged["logprob"]))
            facts[protocol][name] = {"kind": name, **fact}
    frame = pd.concat(frames, ignore_index=True)
    say_overflows(job, cell, frame)
    says = {"says": SAYS, "chosen": chosen, "baselines": facts, "not_applicable": lacking}
    write_parquet(output, frame, job.metadata(run=cell.run_facts, **says))


def of_weights(
    cell: Cell, protocol: str, chosen: Mapping[str, Any] | None, seeds: Sequence[int]
) -> tuple[dict[str, Baseline], dict[str, str]]:
    """Return one protocol's baselines that change weights, by name, and the reasons why others cannot be made.

    Args:
        cell: an open cell.
        protocol: the protocol; its low-rank step determines how much energy LASER leaves.
        chosen: what selection chose; None if the base model won.
        seeds: seeds of the random subspaces.
    """
    if chosen is None:
        reason = "the base model was chosen, so that there is no matrix to delete"
        return {}, dict.fromkeys((ZEROED, REMOVED, SCALED, RANDOM, PRUNED), reason)
    (laser,) = chosen_edit(cell, protocol, chosen)
    matrix, layer = laser.matrix, laser.layer
    weight = matrix_view(cell, matrix, layer).float()
    kept = kept_rank(laser.rho, weight.shape)
    made, lacking = [Baseline(ZEROED, matrix, layer)], {}
    if outputs := [name for name in matrices(cell.loaded.config, cell.loaded.mapping) if OUTPUTS.fullmatch(name)]:
        made.append(Baseline(REMOVED, " ".join(outputs), layer))
    else:
        lacking[REMOVED] = "the model's mapping names no u_out"
    if kept == 0:
        reason = "at rank 0 LASER is the zeroed matrix"
        return {baseline.name: baseline for baseline in made}, lacking | dict.fromkeys((SCALED, RANDOM, PRUNED), reason)
    made.append(Baseline(SCALED, matrix, layer, _share_of_norm(cell, weight, laser)))
    made += [Baseline(RANDOM, matrix, layer, kept, seed) for seed in seeds]
    entries = kept * sum(weight.shape)
    if entries < weight.numel():
        made.append(Baseline(PRUNED, matrix, layer, entries))
    else:
        lacking[PRUNED] = "LASER's factors have at least as many entries as the matrix"
    return {baseline.name: baseline for baseline in made}, lacking


def _share_of_norm(cell: Cell, weight: torch.Tensor, laser: Intervention) -> float:
    """Return the Frobenius norm of LASER's matrix as a share of that of the whole matrix."""
    factors = cell.store.get(weight) if laser.kind in NEEDS_FACTORS else None
    norms = [float(matrix.double().norm()) for matrix in (edited_weight(weight, laser, factors), weight)]
    return norms[0] / norms[1] if norms[1] else 0.0


def edit_of(cell: Cell, baseline: Baseline) -> Edit:
    """Return the edit that makes a baseline."""
    names, layer = baseline.matrix.split(" "), baseline.layer
    return tuple(
        Replacement(name, layer, weight=changed_matrix(matrix_view(cell, name, layer).float(), baseline))
        for name in names
    )


@contextlib.contextmanager
def _without_biases(cell: Cell, baseline: Baseline) -> Iterator[None]:
    """Set a removed MLP's output biases to 0 for the duration of the block, then restore the exact original values."""
    biases = _biases(cell, baseline)
    original = [bias.clone() for bias in biases]
    try:
        for bias in biases:
            bias.zero_()
        yield
    finally:
        for bias, values in zip(biases, original, strict=True):
            bias.copy_(values)


def _biases(cell: Cell, baseline: Baseline) -> list[torch.Tensor]:
    """Return the biases that are removed with an MLP: those added to its outputs, each once."""
    if baseline.kind != REMOVED:
        return []
    loaded = cell.loaded
    held = dict(loaded.model.named_parameters())
    outputs = baseline.matrix.split(" ")
    parameters = [locate(loaded.config, baseline.layer, name, loaded.mapping).parameter for name in outputs]
    weights = dict.fromkeys(live_name(loaded.model, parameter) for parameter in parameters)
    biases = [name for weight in weights for name in (f"{weight}_bias", re.sub(r"weight$", "bias", weight))]
    return [held[name].data for name in biases if name in held and name not in weights]


def changed_matrix(weight: torch.Tensor, baseline: Baseline) -> torch.Tensor:
    """Return the matrix that replaces an fp32 matrix (m, n) under a baseline."""
    if baseline.kind == SCALED:
        return weight * baseline.amount
    if baseline.kind == RANDOM:
        return in_random_subspace(weight, int(baseline.amount), baseline.seed)
    if baseline.kind == PRUNED:
        return largest_entries(weight, int(baseline.amount))
    return torch.zeros_like(weight)


def in_random_subspace(weight: torch.Tensor, rank: int, seed: int) -> torch.Tensor:
    """Return the matrix projected onto a random subspace of its shorter side, uniform among those of dimension `rank`.

    At full rank nothing is removed, as with LASER. The random numbers are drawn on the CPU, whatever the device.
    """
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(min(weight.shape), rank, generator=generator)).Q.to(weight.device)
    if weight.shape[0] < weight.shape[1]:
        return basis @ (basis.T @ weight)
    return (weight @ basis) @ basis.T


def largest_entries(weight: torch.Tensor, count: int) -> torch.Tensor:
    """Return the matrix with all but its `count` largest magnitudes set to 0; the first of equals are kept."""
    magnitudes = weight.abs().flatten()
    if count >= magnitudes.numel():
        return weight.clone()
    threshold = magnitudes.kthvalue(magnitudes.numel() - count + 1).values
    kept = magnitudes > threshold
    equal = (magnitudes == threshold).nonzero().flatten()
    kept[equal[: count - int(kept.sum())]] = True
    return torch.where(kept.view_as(weight), weight, 0.0)
