"""The sweep engine: every edit of a layer at once, over prefix trees, from the hidden states at that layer.

It agrees with `laser.engine.naive`; docs/engine.md explains what is shared and why that changes no number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from laser.engine import naive
from laser.engine.answers import NO_TOKEN, ReadPositions, pass_answers, positions_to_read, read_values
from laser.engine.attention import Cache, through_attention, through_layer
from laser.engine.batches import Room, batches, run_halving
from laser.engine.blocks import Network
from laser.engine.decode import Pair, capacity, continue_greedily, finished
from laser.engine.edited_layer import ATTENTION, edited_attention, edited_mlp
from laser.engine.edited_matrix import Change, changes
from laser.engine.families import network
from laser.engine.freed_memory import keep_freed_memory
from laser.engine.naive import cut
from laser.engine.packing import Batch, layout_of, make_batch, sequences_of
from laser.engine.screen import screen_for
from laser.engine.trees import Tree, prefix_trees, separate
from laser.models.load import LoadedModel
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Edit
from laser.tasks.passes import Answers, PassAnswer, Requests

TREE_LIMIT = 64
SHARED_TOKENS = 256
BUDGET_IN_SLOTS = ("cuda",)
"""Devices on which the token budget bounds the slots of keys and values, not only the tokens that are run."""


@dataclass
class _Job:
    """Everything that the batches of one (layer, half) share.

    Attributes:
        room, edit_room: sizes that did not fit, in slots of all edits: for whole batches, and for one tree's edits.
    """

    network: Network
    layer: int
    in_mlp: bool
    changes: list[Change]
    requests: Requests
    ends: tuple[int, ...]
    device: torch.device
    token_budget: int
    room: Room = field(default_factory=Room)
    edit_room: Room = field(default_factory=Room)


@dataclass
class _Shared:
    """What the edits of a batch share: what is read, keys and values of lower layers, states to continue from."""

    where: ReadPositions
    lower: Cache
    entry: tuple[Tensor, ...]


@dataclass
class _Answered:
    """One edit's answers to a batch, and whether any value in them is not a number."""

    passes: list[tuple[int, PassAnswer]]
    generations: list[tuple[int, tuple[int, ...] | None]]
    overflowed: bool


def supported(loaded: LoadedModel, net: Network | None, edit: Edit) -> bool:
    """Return True if this engine can evaluate an edit; other edits go to the reference engine.

    It can if the edit has at most one intervention, on a matrix that the architecture stores separately.

    Args:
        loaded: the model.
        net: what `laser.engine.families.network` makes of it.
        edit: the edit.
    """
    if net is None or loaded.mapping is not None:
        return False
    if not edit:
        return True
    intervention = edit[0]
    return (
        len(edit) == 1
        and 0 <= intervention.layer < len(net.blocks)
        and intervention.matrix in net.blocks[intervention.layer].linears
    )


@torch.inference_mode()
def _evaluate(
    loaded: LoadedModel,
    net: Network,
    requests: Requests,
    edits: dict[int, Edit],
    store: FactorStore,
    token_budget: int,
    progress: Callable[[int], None],
) -> dict[int, Answers]:
    """Evaluate supported edits, given by index, in groups of one (layer, half)."""
    groups: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for index, edit in edits.items():
        if edit:
            groups[edit[0].layer, edit[0].matrix not in ATTENTION].append(index)
    unchanged = [index for index, edit in edits.items() if not edit]
    if unchanged:
        # The base model joins any group as one more edit. Without a group it is an edit of nothing at the last layer.
        groups[next(iter(groups), (len(net.blocks) - 1, True))] += unchanged
    answers_of: dict[int, Answers] = {}
    for (layer, in_mlp), indices in groups.items():
        wanted_changes = changes(
            dict(net.blocks[layer].linears), [edits[index][0] if edits[index] else None for index in indices], store
        )
        job = _Job(
            net, layer, in_mlp, wanted_changes, requests,
            loaded.end_tokens if requests.generations else (), loaded.device, token_budget,
        )  # fmt: skip
        for index, answers in zip(indices, _run(job, progress), strict=True):
            answers_of[index] = answers
    return answers_of


def evaluate(
    loaded: LoadedModel,
    requests: Requests,
    edits: Sequence[Edit],
    store: FactorStore,
    token_budget: int = 2048,
    progress: Callable[[int], None] = lambda count: None,
) -> Iterator[Answers]:
    """Answer all requests under every edit (an empty edit is the base model).

    Args:
        loaded: model and tokenizer, as `laser.models.load.load` returns them.
        requests: what is asked.
        edits: each a tuple of interventions made at once; the more edits of one layer in a call, the more they share.
        store: the store of the factors.
        token_budget: upper bound of edits times batch size times length that run at once.
        progress: called with the number of requests answered since the last call.

    Yields:
        One `Answers` per edit, in order, equal to what `laser.engine.naive.evaluate` yields.
    """
    if loaded.device.type == "cpu":
        keep_freed_memory()
    net = network(loaded.model)
    supported_edits = {index: edit for index, edit in enumerate(edits) if supported(loaded, net, edit)}
    answers_of: dict[int, Answers] = {}
    if supported_edits:
        assert net is not None
        if requests.generations:
            net = replace(net, screen=screen_for(net.head))
        answers_of = _evaluate(loaded, net, requests, supported_edits, store, token_budget, progress)
    for index, edit in enumerate(edits):
        if index in answers_of:
            yield answers_of.pop(index)
        else:
            yield from naive.evaluate(loaded, requests, [edit], store, token_budget, progress)


def _run(job: _Job, progress: Callable[[int], None]) -> list[Answers]:
    """Run all batches of a job and return the answers per edit."""
    requests = job.requests
    answers = [Answers([PassAnswer(())] * len(requests.passes), [()] * len(requests.generations)) for _ in job.changes]
    sequences = sequences_of(requests)
    if not sequences:
        return answers
    trees = prefix_trees(sequences, TREE_LIMIT) if job.network.causal else separate(sequences)
    budget = max(job.token_budget // len(job.changes), min(job.token_budget, SHARED_TOKENS))

    def run(part: list[int]) -> tuple[int, list[_Answered]]:
        batch = make_batch(job.network, [trees[index] for index in part], requests, job.device)
        return batch.requests, _run_batch(job, batch)

    sizes = [_size(job, tree) for tree in trees]

    def size(part: list[int]) -> int:
        return len(part) * max(sizes[index] for index in part)

    for group in batches(sizes, budget):
        for _, (count, results) in run_halving(group, run, job.room, size):
            for answered, result in zip(answers, results, strict=True):
                for index, answer in result.passes:
                    answered.passes[index] = answer
                for index, tokens in result.generations:
                    answered.generations[index] = tokens
            progress(count * len(job.changes))
    return answers


def _size(job: _Job, tree: Tree) -> int:
    """Return the size of a tree under the token budget.

    On a CPU it is the number of nodes: larger batches are faster, and memory is plentiful. On CUDA it is the number of
    slots for keys and values, which is several times larger for a tree with many prompts that decode.
    """
    if job.device.type not in BUDGET_IN_SLOTS:
        return len(tree)
    generations = [job.requests.generations[member - len(job.requests.passes)]
                   for member in tree.paths if member >= len(job.requests.passes)]  # fmt: skip
    longest = max((request.new_tokens for request in generations), default=1)
    return len(tree) + len(generations) * max(0, longest - 1)


def _run_batch(job: _Job, batch: Batch) -> list[_Answered]:
    """Run a batch under all edits of the job.

    If sequences share slots, one that overflows turns the others into NaN too. Edits under which this happens run again
    with an attention that keeps sequences separate.
    """
    results = _run_edits(job, batch, range(len(job.changes)), separate=False)
    overflowed = [index for index, answered in results.items() if answered.overflowed]
    if job.network.causal and overflowed:
        results |= _run_edits(job, batch, overflowed, separate=True)
    return [results[index] for index in range(len(job.changes))]


def _run_edits(job: _Job, batch: Batch, edits: Iterable[int], separate: bool) -> dict[int, _Answered]:
    """Run a batch under the edits given by index and return their answers by index."""
    shared = _shared(job, batch, separate)
    results: dict[int, _Answered] = {}
    slots = capacity(batch) if job.device.type in BUDGET_IN_SLOTS and batch.prompts else batch.width
    most = max(1, job.token_budget // (len(batch.trees) * slots))
    run = partial(_run_chunk, job, batch, shared)
    for chunk in _chunks(list(edits), most):
        # With several trees, the caller halves the batch instead: more edits then stay side by side.
        alone = len(batch.trees) == 1
        halving = run_halving(chunk, run, job.edit_room, lambda part: slots * len(part))
        parts = halving if alone else [(chunk, run(chunk))]
        for part, answered in parts:
            results.update(zip(part, answered, strict=True))
    return results


def _chunks(indices: list[int], most: int) -> list[list[int]]:
    """Cut indices into as few chunks of at most `most` as possible, of even size."""
    count = -(-len(indices) // most)
    return [list(map(int, part)) for part in np.array_split(indices, count)] if indices else []


def _shared(job: _Job, batch: Batch, separate: bool) -> _Shared:
    """Run the layers below the edits once, and for edits of an MLP also the attention of their layer."""
    net, last = job.network, len(job.network.blocks) - 1
    where = positions_to_read(batch, job.requests)
    lower = Cache(len(batch.trees), batch.width, separate)
    layout = layout_of(batch, None, 1, lower.slots)
    hidden = net.embed(batch.ids, batch.positions)
    rotary = None if net.rotary is None else net.rotary(batch.positions)
    for layer in range(job.layer):
        hidden = through_layer(net.blocks[layer], layer, lower, layout, hidden, rotary)
        if not batch.prompts:
            lower.states.pop(layer)
    if not job.in_mlp:
        return _Shared(where, lower, (hidden,))
    if job.layer == last:
        layout = layout_of(batch, where.nodes, 1, lower.slots)
    entry = through_attention(net.blocks[job.layer], job.layer, lower, layout, hidden, rotary)
    return _Shared(where, lower, entry)


def _run_chunk(job: _Job, batch: Batch, shared: _Shared, chunk: list[int]) -> list[_Answered]:
    """Run some edits, stacked, from their layer on, then decode; return an answer per edit."""
    net, last = job.network, len(job.network.blocks) - 1
    edits = [job.changes[index] for index in chunk]
    slots = capacity(batch) if batch.prompts else batch.width
    upper = Cache(len(chunk) * len(batch.trees), slots, shared.lower.separate)
    positions = batch.positions.repeat(len(chunk))
    rotary = None if net.rotary is None else net.rotary(positions)
    whole = layout_of(batch, None, len(chunk), upper.slots)
    asking = layout_of(batch, shared.where.nodes, len(chunk), upper.slots)
    block = net.blocks[job.layer]
    if job.in_mlp:
        residual, states = shared.entry
        hidden = edited_mlp(block, residual, states, edits)
    else:
        layout = asking if job.layer == last else whole
        hidden = edited_attention(block, job.layer, upper, layout, shared.entry[0], rotary, edits)
    for layer in range(job.layer + 1, last + 1):
        layout = asking if layer == last else whole
        hidden = through_layer(net.blocks[layer], layer, upper, layout, hidden, rotary)
        if not batch.prompts:
            upper.states.pop(layer)
    values = read_values(net, hidden, shared.where, len(chunk), job.ends)
    pairs = [
        Pair(copy, index, [int(values[copy].first[index])])
        for copy in range(len(chunk))
        for index in range(len(batch.prompts))
    ]
    if any(not finished(pair.tokens, batch.prompts[pair.prompt].new_tokens, job.ends) for pair in pairs):
        continue_greedily(net, job.layer, job.in_mlp, edits, batch, shared.lower, upper, pairs, job.ends)
    generations: dict[int, list[tuple[int, tuple[int, ...] | None]]] = defaultdict(list)
    for pair in pairs:
        prompt = batch.prompts[pair.prompt]
        tokens = None if pair.tokens[-1] == NO_TOKEN else cut(tuple(pair.tokens), job.ends, prompt.new_tokens)
        generations[pair.edit].append((prompt.index, tokens))
    return [
        _Answered(
            list(pass_answers(batch, shared.where, values[copy])),
            generations[copy],
            values[copy].overflowed or any(tokens is None for _, tokens in generations[copy]),
        )
        for copy in range(len(chunk))
    ]
