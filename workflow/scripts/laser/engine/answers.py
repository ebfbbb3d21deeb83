"""Answers read from the last layer's hidden states: log-probabilities, ranks and most probable tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from laser.engine import screen
from laser.engine.blocks import Network
from laser.engine.packing import Batch, on_device
from laser.tasks.passes import TOP, PassAnswer, Requests

LOGITS_AT_ONCE = 1 << 25
NO_TOKEN = -1
"""Stands for the most probable token if the largest logit is not finite."""


@dataclass
class ReadPositions:
    """The nodes of a batch at which values are read, and what is read there.

    Attributes:
        nodes: packed indices at which logits are wanted, ascending.
        query_rows, query_tokens: per query, the row of `nodes` and the token id.
        top_rows: per top-ten position, the row of `nodes`.
        counts: per pass of the batch, the number of (queries, top-ten positions).
        prompt_rows: per prompt, the row of `nodes` at its last token.
    """

    nodes: np.ndarray
    query_rows: np.ndarray
    query_tokens: np.ndarray
    top_rows: np.ndarray
    counts: list[tuple[int, int]]
    prompt_rows: np.ndarray


def positions_to_read(batch: Batch, requests: Requests) -> ReadPositions:
    """Return the nodes of a batch that reach the head, and what is read there."""
    query_nodes: list[int] = []
    query_tokens: list[int] = []
    top_nodes: list[int] = []
    counts = []
    for index, row, path in batch.passes:
        request = requests.passes[index]
        query_nodes += [batch.packed(row, path[position]) for position, _ in request.queries]
        query_tokens += [token for _, token in request.queries]
        top_nodes += [batch.packed(row, path[position]) for position in request.top]
        counts.append((len(request.queries), len(request.top)))
    last_nodes = [batch.packed(prompt.row, prompt.path[-1]) for prompt in batch.prompts]
    nodes = np.unique(np.array(query_nodes + top_nodes + last_nodes, dtype=np.int64))
    return ReadPositions(
        nodes,
        np.searchsorted(nodes, np.array(query_nodes, dtype=np.int64)),
        np.array(query_tokens, dtype=np.int64),
        np.searchsorted(nodes, np.array(top_nodes, dtype=np.int64)),
        counts,
        np.searchsorted(nodes, np.array(last_nodes, dtype=np.int64)),
    )


@dataclass
class Values:
    """The values read for one edit: arrays in the order of `ReadPositions`.

    Attributes:
        values: (queries,) log-probabilities in nats.
        ranks: (queries,) ranks, from 1.
        top_ids, top_values: (top positions, TOP) the most probable tokens and their log-probabilities.
        first: (prompts,) most probable token that does not end the text, or `NO_TOKEN`.
    """

    values: np.ndarray
    ranks: np.ndarray
    top_ids: np.ndarray
    top_values: np.ndarray
    first: np.ndarray

    @property
    def overflowed(self) -> bool:
        """True if any value that was read is not a number."""
        numbers = np.isnan(self.values).any() or np.isnan(self.top_values).any()
        return bool(numbers or (self.first == NO_TOKEN).any())


def read_values(
    network: Network, hidden: Tensor, where: ReadPositions, copies: int, ends: tuple[int, ...]
) -> list[Values]:
    """Read everything for `copies` edits from stacked hidden states (copies·len(nodes), H).

    Log-probabilities are taken in fp32 over the whole vocabulary, a block of rows at a time.
    """
    count = len(where.nodes)
    device = hidden.device
    queries, tops = len(where.query_rows), len(where.top_rows)
    values = torch.empty(copies, queries)
    ranks = torch.empty(copies, queries, dtype=torch.long)
    top_ids = torch.empty(copies, tops, TOP, dtype=torch.long)
    top_values = torch.empty(copies, tops, TOP)
    first = torch.empty(copies, len(where.prompt_rows), dtype=torch.long)
    shift = np.arange(copies)[:, None] * count
    all_queries = (shift + where.query_rows).reshape(-1)
    all_tokens = np.tile(where.query_tokens, copies)
    all_tops = (shift + where.top_rows).reshape(-1)
    all_prompts = (shift + where.prompt_rows).reshape(-1)
    for start, logits in logit_blocks(network, hidden):
        stop = start + len(logits)
        chosen = np.flatnonzero((all_prompts >= start) & (all_prompts < stop))
        if len(chosen):
            rows = on_device(all_prompts[chosen] - start, device)
            first.view(-1)[chosen] = most_probable(without(logits[rows], ends)).cpu()
        touched = np.unique(np.concatenate((_within(all_queries, start, stop), _within(all_tops, start, stop))))
        if not len(touched):
            continue
        logprobs = torch.log_softmax(logits[on_device(touched - start, device)], dim=-1)
        chosen = np.flatnonzero((all_queries >= start) & (all_queries < stop))
        if len(chosen):
            rows = on_device(np.searchsorted(touched, all_queries[chosen]), device)
            logprob = logprobs[rows, on_device(all_tokens[chosen], device)]
            values.view(-1)[chosen] = logprob.cpu()
            ranks.view(-1)[chosen] = 1 + _greater(logprobs, rows, logprob).cpu()
        chosen = np.flatnonzero((all_tops >= start) & (all_tops < stop))
        if len(chosen):
            rows = on_device(np.searchsorted(touched, all_tops[chosen]), device)
            best_values, tokens = best_tokens(logprobs[rows])
            top_ids.view(-1, TOP)[chosen] = tokens.cpu()
            top_values.view(-1, TOP)[chosen] = best_values.cpu()
    arrays = [array.numpy() for array in (values, ranks, top_ids, top_values, first)]
    return [Values(*(array[copy] for array in arrays)) for copy in range(copies)]


def _within(values: np.ndarray, start: int, stop: int) -> np.ndarray:
    return values[(values >= start) & (values < stop)]


def _greater(logprobs: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """Count the strictly more probable tokens of each query; queries are processed in parts to bound the memory."""
    step = max(1, LOGITS_AT_ONCE // logprobs.shape[1])
    parts = [
        (logprobs[rows[start : start + step]] > values[start : start + step, None]).sum(dim=-1)
        for start in range(0, len(rows), step)
    ]
    return torch.cat(parts)


def logit_blocks(network: Network, hidden: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield (first row, fp32 logits of a block of rows)."""
    step = max(1, LOGITS_AT_ONCE // network.vocabulary)
    for start in range(0, len(hidden), step):
        yield start, network.head(network.final(hidden[start : start + step])).float()


def next_tokens(network: Network, hidden: Tensor) -> Tensor:
    """Return the most probable token (the first of equals) per row of hidden states (N, H), or `NO_TOKEN`."""
    if network.screen is None:
        return torch.cat([most_probable(logits) for _, logits in logit_blocks(network, hidden)])
    states = network.final(hidden)
    step = max(1, LOGITS_AT_ONCE // network.vocabulary)
    tokens = torch.cat([screen.most_probable(network.screen, part) for part in states.split(step)])
    left = tokens == screen.UNSCREENED
    if left.any():
        tokens[left] = torch.cat([most_probable(logits) for _, logits in logit_blocks(network, hidden[left])])
    return tokens


def most_probable(logits: Tensor) -> Tensor:
    """Return the most probable token (the first of equals) per row of logits (N, vocabulary), or `NO_TOKEN`."""
    largest, tokens = logits.max(dim=-1)
    return tokens.masked_fill(~largest.isfinite(), NO_TOKEN)


def best_tokens(logprobs: Tensor) -> tuple[Tensor, Tensor]:
    """Return values and ids (N, TOP) of the most probable tokens, best first; among equals the lower id comes first.

    `torch.topk` puts equal values in any order, and half-precision logits are often equal.
    """
    values, tokens = torch.topk(logprobs, TOP, dim=-1)
    equal = (values[:, 1:] == values[:, :-1]).any(dim=-1) | ((logprobs >= values[:, -1:]).sum(dim=-1) > TOP)
    if equal.any():
        tokens[equal] = logprobs[equal].sort(dim=-1, descending=True, stable=True).indices[:, :TOP]
    return values, tokens


def without(logits: Tensor, ends: tuple[int, ...]) -> Tensor:
    """Return a copy of the logits in which the end tokens cannot be chosen."""
    if not ends:
        return logits
    return logits.index_fill(1, torch.tensor(ends, device=logits.device), float("-inf"))


def pass_answers(batch: Batch, where: ReadPositions, values: Values) -> Iterator[tuple[int, PassAnswer]]:
    """Yield (index of the pass, its answer) for one edit."""
    queries = tops = 0
    for (index, _, _), (query_count, top_count) in zip(batch.passes, where.counts, strict=True):
        span, top_span = slice(queries, queries + query_count), slice(tops, tops + top_count)
        queries, tops = span.stop, top_span.stop
        yield (
            index,
            PassAnswer(
                logprobs=tuple(values.values[span].tolist()),
                ranks=tuple(values.ranks[span].tolist()),
                top_ids=tuple(map(tuple, values.top_ids[top_span].tolist())),
                top_logprobs=tuple(map(tuple, values.top_values[top_span].tolist())),
            ),
        )
