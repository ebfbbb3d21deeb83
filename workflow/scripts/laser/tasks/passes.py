"""Requests to an engine and its answers, as token ids. Engines do not know tasks, and tasks do not know engines."""

from __future__ import annotations

from dataclasses import dataclass, field

TOP = 10


@dataclass(frozen=True)
class Pass:
    """One token sequence to run through the model, and the outputs that are wanted.

    Position p of a causal model's output predicts token p + 1; of a masked model's, token p. Both count from 0.

    Attributes:
        ids: token ids, special tokens included, no padding.
        queries: pairs (position, token id) whose log-probability (softmax over the whole vocabulary, nats) is wanted.
        top: positions at which the `TOP` most probable tokens are wanted.
    """

    ids: tuple[int, ...]
    queries: tuple[tuple[int, int], ...] = ()
    top: tuple[int, ...] = ()


@dataclass(frozen=True)
class Generation:
    """Greedy continuation: at least one and at most `new_tokens` tokens, ending after an end-of-sequence token.

    The first new token may not be an end-of-sequence token (the released code sets `min_new_tokens=1`).
    """

    ids: tuple[int, ...]
    new_tokens: int


@dataclass(frozen=True)
class Requests:
    """Everything that is asked about one set of examples."""

    passes: tuple[Pass, ...] = ()
    generations: tuple[Generation, ...] = ()


@dataclass(frozen=True)
class PassAnswer:
    """The answer to one `Pass`.

    Attributes:
        logprobs: one per query, in order; nats. Not finite where the model overflowed at that position.
        ranks: one per query: 1 + the number of tokens strictly more probable at that position.
        top_ids, top_logprobs: per wanted position, the `TOP` most probable tokens, best first. If the best value is
            not finite, the tokens are meaningless.
    """

    logprobs: tuple[float, ...]
    ranks: tuple[int, ...] = ()
    top_ids: tuple[tuple[int, ...], ...] = ()
    top_logprobs: tuple[tuple[float, ...], ...] = ()


@dataclass
class Answers:
    """The answers to `Requests`, in the same order.

    Attributes:
        passes: one per pass.
        generations: only the new token ids; None if the largest logit was not finite at some step, so that no token
            was the most probable one.
    """

    passes: list[PassAnswer] = field(default_factory=list)
    generations: list[tuple[int, ...] | None] = field(default_factory=list)
