"""Floating-point operations of every job of a study, by formula: docs/cost.md explains each.

An operation count is that of `torch.utils.flop_counter` on a CPU: 2·N·m·n for the product of (N, n) with an (m, n)
weight, and nothing for attention scores, norms and activations. Nothing here runs a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

from laser.cost.shapes import ATTENTION, Shape, product
from laser.reduction.interventions import Intervention, kept_rank

FACTORED = ("svd", "smallest")
DISTINCT_SHARES = (
    (0.0, 0.81), (0.21, 0.24), (0.41, 0.18), (0.62, 0.18), (0.83, 0.21), (0.93, 0.22), (0.97, 0.28), (1.0, 0.48),
)  # fmt: skip
"""Depth of a layer, from 0 (the first) to 1 (the last), and the share of its further edits whose continuation differs
from all others so far, the mean over decoded tokens: measured on smollm2-135m (`benchmarks.distinct`, docs/cost.md)."""


@dataclass(frozen=True)
class Work:
    """Floating-point operations, by where and in what precision they run.

    Attributes:
        native: products in the model's dtype.
        single: products in fp32, whatever the model's dtype is (the factors of truncations).
        decomposition: exact singular value decompositions, fp32.
        randomised: the released code's randomised decompositions.
    """

    native: float = 0.0
    single: float = 0.0
    decomposition: float = 0.0
    randomised: float = 0.0

    def __add__(self, other: Work) -> Work:
        """Add field by field."""
        return Work(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def times(self, count: float) -> Work:
        """Return this work done `count` times."""
        return Work(*(count * getattr(self, field.name) for field in fields(self)))

    @property
    def total(self) -> float:
        """All operations."""
        return self.native + self.single + self.decomposition + self.randomised


@dataclass(frozen=True)
class Asked:
    """The requests of one side of a dataset to one model; all but `examples` are means per example.

    Attributes:
        examples: number of examples.
        pass_tokens: tokens of all sequences that are scored in one pass.
        prompt_tokens: tokens of the prompts that are continued by generation.
        nodes: tokens that remain after prefixes are merged (docs/engine.md, prefix trees).
        read: positions at which the head is needed, before any token is decoded.
        passes, generations: number of each.
        steps: tokens that are fed back while decoding (the last new token is not), all generations together.
        source: source of the numbers, for the reader.
    """

    examples: int
    pass_tokens: float
    prompt_tokens: float
    nodes: float
    read: float
    passes: float
    generations: float
    steps: float
    source: str = ""


def engine_work(
    shape: Shape, asked: Asked, layer: int, edits: Sequence[Intervention | None], share: float | None = None
) -> Work:
    """Return the work of the sweep engine on one layer (`laser.engine.fast`).

    Args:
        shape: the model.
        asked: the dataset's side.
        layer: the layer of all edits.
        edits: None for the base model.
        share: share of further edits with a continuation of their own; by default the one measured for such a layer.
    """
    share = distinct_share(layer, shape.layers) if share is None else share
    attention = [edit for edit in edits if edit is not None and edit.matrix in ATTENTION]
    mlp = [edit for edit in edits if edit is None or edit.matrix not in ATTENTION]
    work = Work()
    for part, in_mlp in ((attention, False), (mlp, True)):
        if part:
            work += _half(shape, asked, layer, part, in_mlp, 1 + share * (len(part) - 1)).times(asked.examples)
    return work + randomised_work(shape, edits)


def distinct_share(layer: int, layers: int) -> float:
    """Return the share of a layer's further edits whose continuation differs from all others so far.

    Between the depths of `DISTINCT_SHARES` the share is interpolated.
    """
    depth = layer / (layers - 1) if layers > 1 else 1.0
    for (below, low), (above, high) in pairwise(DISTINCT_SHARES):
        if depth <= above:
            return low + (high - low) * (depth - below) / (above - below)
    return DISTINCT_SHARES[-1][1]


def _half(
    shape: Shape, asked: Asked, layer: int, edits: Sequence[Intervention | None], in_mlp: bool, distinct: float
) -> Work:
    """One example's part: layers below once, the edited layer, layers above and head for every edit."""
    count, above, last = len(edits), shape.layers - 1 - layer, layer == shape.layers - 1
    shared_steps = asked.steps * distinct
    asking = asked.read if last else asked.nodes
    work = Work((asked.nodes + shared_steps) * layer * shape.block)
    keys, queries = shape.product("k", "v"), shape.product("q", "o")
    if in_mlp:
        work += Work(asked.nodes * keys + asking * queries + shared_steps * (keys + queries))
        work += _edited_mlp(shape, edits, asking, None) + _edited_mlp(shape, edits, shared_steps, asked.steps)
    else:
        for shared, per_edit, through in ((asked.nodes, None, asking), (shared_steps, asked.steps, asked.steps)):
            work += Work(shared * (keys + shape.product("q")) + count * through * (shape.product("o") + shape.mlp))
            for matrix in "qkv":
                work += _edited(shape, edits, matrix, shared, per_edit)
            separate = [edit for edit in edits if edit is not None and edit.matrix == "o"]
            for edit in separate:
                work += _edited(shape, [edit], "o", through, None)
    if above:
        work += Work(count * (asked.nodes * ((above - 1) * shape.block + keys) + asked.read * (queries + shape.mlp)))
        work += Work(count * asked.steps * above * shape.block)
    return work + Work(count * (asked.read + asked.steps) * shape.head)


def _edited_mlp(shape: Shape, edits: Sequence[Intervention | None], shared: float, per_edit: float | None) -> Work:
    """The MLP of an edited layer (`laser.engine.edited_layer`): `per_edit` states per edit, or only shared ones."""
    first = "u_gate" if shape.gated else "u_in"
    touched = {None if edit is None else edit.matrix for edit in edits}
    work = Work()
    if touched - {first}:
        work += Work(shared * shape.product(first))
    if shape.gated and touched != {"u_in"}:
        work += Work(shared * shape.product("u_in"))
    for matrix in dict.fromkeys((first, "u_in", "u_out")):
        work += _edited(shape, edits, matrix, shared, per_edit)
    unedited = sum(edit is None or edit.matrix != "u_out" for edit in edits)
    return work + Work(unedited * (shared if per_edit is None else per_edit) * shape.product("u_out"))


def _edited(
    shape: Shape, edits: Sequence[Intervention | None], matrix: str, shared: float, per_edit: float | None
) -> Work:
    """The edited matrix itself (`laser.engine.edited_matrix.outputs`): truncations share their factors."""
    outputs, inputs = shape.matrix(matrix)
    matching = [edit for edit in edits if edit is not None and edit.matrix == matrix]
    kept = [kept_rank(edit.rho, (outputs, inputs)) for edit in matching if edit.kind in FACTORED]
    dense = len(matching) - len(kept)
    single = product(shared, max(kept, default=0), inputs)
    # Prompts: rhos are nested, so the largest holds all. Decoding: every edit has its own states.
    single += (
        product(shared, outputs, max(kept, default=0)) if per_edit is None else product(per_edit, outputs, sum(kept))
    )
    return Work(product(dense * (shared if per_edit is None else per_edit), outputs, inputs), single)


def plain_work(shape: Shape, asked: Asked, edits: int) -> Work:
    """Return the work of running the whole model for every edit (`laser.engine.naive`), without padding."""
    tokens = asked.pass_tokens + asked.prompt_tokens + asked.steps
    heads = asked.pass_tokens + asked.generations + asked.steps
    return tokens_work(shape, tokens, heads).times(edits * asked.examples)


def tokens_work(shape: Shape, tokens: float, heads: float) -> Work:
    """Return the work of `tokens` tokens through all layers and `heads` positions through the head."""
    return Work(tokens * shape.layers * shape.block + heads * shape.head)


def evaluation_work(engine: str, shape: Shape, asked: Asked, layer: int, edits: Sequence[Intervention | None]) -> Work:
    """Return the work of evaluating edits of one layer with an engine (fast | naive); None is the base model."""
    if engine == "naive":
        return plain_work(shape, asked, len(edits)) + randomised_work(shape, edits)
    return engine_work(shape, asked, layer, edits)


def calls(asked: Asked, edits: int) -> float:
    """Return how often the released procedure, which runs one sequence at a time, calls the model."""
    return edits * asked.examples * (asked.passes + asked.generations + asked.steps)


def decomposition_work(outputs: int, inputs: int) -> float:
    """Return 6mn² + 20n³ (m ≥ n) for a thin decomposition with both sides, and 2mn² for checking the residual.

    The constants are those of the R-SVD with u, s and v (Golub and Van Loan, Matrix Computations, 4th edition,
    figure 8.6.1); divide and conquer needs fewer where small singular values deflate.
    """
    m, n = max(outputs, inputs), min(outputs, inputs)
    return 8.0 * m * n**2 + 20.0 * n**3


def reduce_work(shape: Shape, matrices: Sequence[str]) -> Work:
    """Return the work of decomposing some matrices of one layer."""
    return Work(decomposition=sum(decomposition_work(*shape.matrix(matrix)) for matrix in matrices))


def randomised_work(shape: Shape, edits: Sequence[Intervention | None]) -> Work:
    """Return the work of the randomised decompositions among some edits (torch.svd_lowrank).

    With q kept components: 2 + 2·niter products with W, a QR after each but the last, a small exact decomposition, and
    the product of the factors.
    """
    total = 0.0
    for edit in edits:
        if edit is not None and edit.kind == "randomised":
            outputs, inputs = shape.matrix(edit.matrix)
            kept = kept_rank(edit.rho, (outputs, inputs))
            reflections = (1 + 2 * edit.niter) * 2.0 * (outputs + inputs) * kept**2
            total += (3 + 2 * edit.niter) * product(kept, outputs, inputs) + reflections
            total += 6.0 * min(outputs, inputs) * kept**2 + 20.0 * kept**3
    return Work(randomised=total)
