"""The reference engine, slow and simple: it edits the weights and runs the whole model on padded batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from laser.engine.answers import best_tokens
from laser.engine.batches import batches, run_halving
from laser.engine.live_edits import edited
from laser.models.batching import ONE_LENGTH, ONE_ROW, forget_lengths, pad, without_own_settings
from laser.models.load import LoadedModel
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Edit
from laser.tasks.passes import Answers, Generation, Pass, PassAnswer, Requests


def evaluate(
    loaded: LoadedModel,
    requests: Requests,
    edits: Sequence[Edit],
    store: FactorStore,
    token_budget: int = 2048,
    progress: Callable[[int], None] = lambda count: None,
) -> Iterator[Answers]:
    """Answer all requests under every edit (an empty edit is the base model), one edit after the other.

    Args:
        loaded: model and tokenizer, as `laser.models.load.load` returns them.
        requests: what is asked.
        edits: each a tuple of interventions made at once.
        store: the store of the factors.
        token_budget: upper bound of batch size times padded length.
        progress: called with the number of requests answered since the last call.

    Yields:
        One `Answers` per edit, in order.
    """
    for edit in edits:
        with edited(loaded, edit, store):
            yield answer(loaded, requests, token_budget, progress)


def answer(
    loaded: LoadedModel, requests: Requests, token_budget: int, progress: Callable[[int], None] = lambda count: None
) -> Answers:
    """Answer all requests with the model as it is."""
    answers = Answers([PassAnswer(())] * len(requests.passes), [()] * len(requests.generations))
    passes, generations = requests.passes, requests.generations
    for group in groups(loaded, [(len(request.ids), 0) for request in passes], token_budget):
        for part, results in run_halving(group, lambda part: _run_passes(loaded, [passes[i] for i in part])):
            for index, result in zip(part, results, strict=True):
                answers.passes[index] = result
            progress(len(part))
    for group in groups(loaded, [(len(request.ids), request.new_tokens) for request in generations], token_budget):
        for part, texts in run_halving(group, lambda part: _generate(loaded, [generations[i] for i in part])):
            for index, text in zip(part, texts, strict=True):
                answers.generations[index] = text
            progress(len(part))
    return answers


def groups(loaded: LoadedModel, lengths: Sequence[tuple[int, int]], token_budget: int) -> Iterator[list[int]]:
    """Yield groups of indices of sequences that run side by side, as far as the model allows.

    `lengths` has the number of (given tokens, new tokens) of each sequence.
    """
    for group in batches([given + new for given, new in lengths], token_budget):
        if loaded.batching == ONE_LENGTH:
            alike: dict[tuple[int, int], list[int]] = {}
            for index in group:
                alike.setdefault(lengths[index], []).append(index)
            yield from alike.values()
        elif loaded.batching == ONE_ROW:
            yield from ([index] for index in group)
        else:
            yield group


@torch.inference_mode()
def _run_passes(loaded: LoadedModel, passes: Sequence[Pass]) -> list[PassAnswer]:
    forget_lengths(loaded.model)
    ids, mask = pad([request.ids for request in passes], loaded.padding_token, loaded.device)
    logits = loaded.model(input_ids=ids, attention_mask=mask).logits
    return [read_answer(request, logits[row]) for row, request in enumerate(passes)]


def read_answer(request: Pass, logits: torch.Tensor) -> PassAnswer:
    """Read a pass's answer from logits (length, vocabulary), of which padding may follow those of its sequence.

    Log-probabilities are taken in fp32 over the whole vocabulary.
    """
    wanted = sorted({position for position, _ in request.queries} | set(request.top))
    logprobs = torch.log_softmax(logits[wanted].float(), dim=-1)
    row_of_wanted = {position: row for row, position in enumerate(wanted)}
    rows = [row_of_wanted[position] for position, _ in request.queries]
    values = logprobs[rows, [token for _, token in request.queries]]
    ranks = 1 + (logprobs[rows] > values[:, None]).sum(dim=-1)
    best = best_tokens(logprobs[[row_of_wanted[position] for position in request.top]]) if request.top else None
    return PassAnswer(
        logprobs=tuple(values.tolist()),
        ranks=tuple(ranks.tolist()),
        top_ids=tuple(map(tuple, best[1].tolist())) if best else (),
        top_logprobs=tuple(map(tuple, best[0].tolist())) if best else (),
    )


@torch.inference_mode()
def _generate(loaded: LoadedModel, generations: Sequence[Generation]) -> list[tuple[int, ...] | None]:
    """Generate greedily, with the checkpoint's end tokens but none of its other generation settings.

    Returns:
        Per generation its new tokens, or None if the largest logit was not finite at one of the steps.
    """
    forget_lengths(loaded.model)
    new_tokens = max(request.new_tokens for request in generations)
    token = loaded.padding_token
    ids, mask = pad([request.ids for request in generations], token, loaded.device, left=True)
    ends = loaded.end_tokens
    settings = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=new_tokens,
        min_new_tokens=1,
        eos_token_id=list(ends) or None,
        pad_token_id=token,
    )
    watched = _Finite()
    with without_own_settings(loaded.model):
        output = loaded.model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=settings,
            logits_processor=LogitsProcessorList([watched]),
        )
    finite = torch.stack(watched.steps, dim=1).tolist()
    made = []
    for row, generation, steps in zip(output[:, ids.shape[1] :].tolist(), generations, finite, strict=True):
        tokens = cut(tuple(row), ends, generation.new_tokens)
        made.append(tokens if all(steps[: len(tokens)]) else None)
    return made


class _Finite(LogitsProcessor):
    """Records, at every step of a generation, the rows whose largest logit is finite; it changes no score."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Record one step's logits (batch, vocabulary)."""
        self.steps.append(scores.amax(dim=-1).isfinite())
        return scores


def cut(tokens: tuple[int, ...], ends: tuple[int, ...], new_tokens: int) -> tuple[int, ...]:
    """Cut a generation after its first end token and at its requested length."""
    for index, token in enumerate(tokens[:new_tokens]):
        if token in ends:
            return tokens[: index + 1]
    return tokens[:new_tokens]
