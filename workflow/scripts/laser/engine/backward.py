"""One backward pass of the answer loss: its gradients with respect to any of a model's matrices.

The loss is that of the per-example rows: −log p(answer) per answer token, in nats, averaged over the examples.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

from laser.config.protocols import Protocol
from laser.engine.naive import groups
from laser.errors import UserError
from laser.models.adapter import locate, parameter_view, view_of
from laser.models.batching import forget_lengths, pad
from laser.models.load import LoadedModel
from laser.tasks.passes import Pass
from laser.tasks.questions import Question, Questions

Place = tuple[int, str]
"""(layer, logical matrix)."""

SCALES = {"fp16": (2.0**16, 2.0**12, 2.0**8, 2.0**4, 1.0)}
"""Factors of the loss by dtype, largest first: fp16 would round small gradients to 0; other dtypes need no factor."""


def answer_pass(questions: Questions, question: Question) -> tuple[Pass, tuple[tuple[int, int], ...]]:
    """Return the pass that scores the right answer, and its queries (position, token)."""
    passes = [questions.requests.passes[index] for index in question.passes]
    if not question.example.options:
        return passes[-1], passes[-1].queries
    gold = question.example.options.index(question.example.answer)
    if len(passes) == 1 and len(question.lengths) > 1:
        return passes[0], (passes[0].queries[gold],)
    return passes[gold], passes[gold].queries


def divisor(questions: Questions, queries: int, protocol: Protocol) -> int:
    """Return the divisor that a protocol applies to an answer's summed log-probability."""
    return queries + (protocol.mask_divisor_extra if questions.style in ("option_masks", "open_masks") else 0)


def gradients(
    loaded: LoadedModel, questions: Questions, protocol: Protocol, places: Sequence[Place], token_budget: int
) -> tuple[float, dict[Place, Tensor]]:
    """Return the mean answer loss of the questions and its gradient for every place.

    Each batch runs forward and backward once for all places. As soon as a batch has computed a weight's gradient, it is
    added up in fp32 in the host's memory and freed on the device. If the device runs out of memory, the pass starts
    again with half the budget.

    Args:
        loaded: model and tokenizer; unchanged afterwards.
        questions: examples and requests.
        protocol: determines the divisor of the loss.
        places: (layer, logical matrix); the checkpoint may store the matrix packed or transposed.
        token_budget: upper bound of batch size times padded length.

    Returns:
        The loss (nats), and per place the gradient in the shape of the logical matrix (out, in), fp32, on the CPU.

    Raises:
        UserError: the gradients are not finite.
    """
    owners = {place: _owner(loaded, place) for place in places}
    for scale in SCALES.get(loaded.dtype, (1.0,)):
        loss, sums = _accumulate(loaded, questions, protocol, list(owners.values()), token_budget, scale)
        if all(bool(torch.isfinite(gradient).all()) for gradient in sums.values()):
            located = {place: locate(loaded.config, *place, loaded.mapping) for place in places}
            return loss, {place: view_of(sums[id(owners[place])], located[place]) for place in places}
    raise UserError(
        f"{loaded.folder}: the gradients of the answer loss are not finite in {loaded.dtype} (mean loss {loss}). "
        "Set the model's dtype to bf16 or fp32 in the study, or use search: exhaustive."
    )


def _owner(loaded: LoadedModel, place: Place) -> Parameter:
    """Return the parameter that holds a place's matrix."""
    storage = parameter_view(loaded.model, loaded.config, *place, loaded.mapping).untyped_storage().data_ptr()
    return next(
        parameter for parameter in loaded.model.parameters() if parameter.untyped_storage().data_ptr() == storage
    )


def _accumulate(
    loaded: LoadedModel,
    questions: Questions,
    protocol: Protocol,
    owners: Sequence[Parameter],
    token_budget: int,
    scale: float,
) -> tuple[float, dict[int, Tensor]]:
    """Run all batches and return the mean loss and the gradients by the id of their parameter."""
    while True:
        sums = {id(parameter): torch.zeros(parameter.shape, dtype=torch.float32) for parameter in owners}
        try:
            return _run(loaded, questions, protocol, owners, sums, token_budget, scale), sums
        except torch.OutOfMemoryError:
            if token_budget <= 1:
                raise
        token_budget //= 2
        torch.cuda.empty_cache()


def _run(
    loaded: LoadedModel,
    questions: Questions,
    protocol: Protocol,
    owners: Sequence[Parameter],
    sums: dict[int, Tensor],
    token_budget: int,
    scale: float,
) -> float:
    asked = [answer_pass(questions, question) for question in questions.items]
    weights = [1 / (divisor(questions, len(queries), protocol) * len(asked)) for _, queries in asked]

    def take(parameter: Tensor) -> None:
        assert parameter.grad is not None
        sums[id(parameter)] += parameter.grad.float().cpu() / scale
        parameter.grad = None

    distinct = {id(parameter): parameter for parameter in owners}.values()
    handles = [parameter.requires_grad_(True).register_post_accumulate_grad_hook(take) for parameter in distinct]
    total = 0.0
    try:
        with torch.enable_grad():
            for group in groups(loaded, [(len(request.ids), 0) for request, _ in asked], token_budget):
                forget_lengths(loaded.model)
                ids, mask = pad([asked[index][0].ids for index in group], loaded.padding_token, loaded.device)
                logits = loaded.model(input_ids=ids, attention_mask=mask).logits
                loss = sum(-weights[index] * _logprob(logits[row], asked[index][1]) for row, index in enumerate(group))
                assert isinstance(loss, Tensor)
                (loss * scale).backward()
                total += float(loss.detach())
    finally:
        for handle, parameter in zip(handles, distinct, strict=True):
            handle.remove()
            parameter.grad = None
            parameter.requires_grad_(False)
    return total


def _logprob(logits: Tensor, queries: Sequence[tuple[int, int]]) -> Tensor:
    """Return the summed log-probability of the queries, in fp32, from one sequence's logits (length, vocabulary)."""
    positions, tokens = zip(*queries, strict=True)
    return torch.log_softmax(logits[list(positions)].float(), dim=-1)[range(len(tokens)), list(tokens)].sum()
