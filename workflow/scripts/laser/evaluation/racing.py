"""Racing: candidates that can no longer win on validation stop; the others run to the end.

The validation rows are scored in blocks, in a random order that a seed fixes. After each block the leader is the best
candidate so far. A candidate stops if a one-sided exact test on the rows seen so far refutes that it has at least as
many right answers on all validation rows as the leader (Hoeffding races, Maron and Moore, NIPS 1993, with an exact
test in place of their bound).

The test: rows in random order are drawn without replacement. Among the rows seen on which exactly one of the two is
right, `more` favour the leader and `less` favour the candidate. Suppose that the candidate is not behind on all M such
rows. Then at most half of them favour the leader, and `more` out of the `more + less` drawn is stochastically at most
hypergeometric (McNemar's test, for a finite population). M is unknown, so the largest probability over all possible M
is taken. It is 0 if the candidate could not catch up even if it won on all rows that are left.

The error: the candidate that the exhaustive search would choose can only be stopped by one of its tests against some
other candidate after some block. Each test has the level error / (tests that this candidate could take part in), so
it is stopped with a probability of at most `error`, whoever leads and however the leaders were found. The loss decides
ties (`laser.evaluation.select.RULE`): a candidate that may end level with the leader goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Function that scores candidates on rows, both given as indices: correct and loss, (candidates, rows) each."""


@dataclass(frozen=True)
class Rules:
    """How a race is run.

    Attributes:
        error: largest probability that the candidate that would win on all rows is stopped.
        blocks: number of blocks of rows; candidates may stop after each block but the last.
        seed: seed of the order of rows.
    """

    error: float
    blocks: int
    seed: int


@dataclass(frozen=True)
class Race:
    """The outcome of a race.

    Attributes:
        seen: (candidates,) number of rows on which each candidate was scored: all, or those until it stopped.
        rows: number of rows in all.
        called_off: True if a leader overflowed later, so all candidates ran to the end.
    """

    seen: np.ndarray
    rows: int
    called_off: bool

    @property
    def whole(self) -> np.ndarray:
        """(candidates,) True for each candidate that ran to the end."""
        return self.seen == self.rows


def block_ends(rows: int, blocks: int) -> list[int]:
    """Return where each block of rows ends; blocks have equal size up to rounding, and none is empty."""
    return sorted({round(rows * (block + 1) / blocks) for block in range(blocks)} - {0})


@lru_cache(maxsize=100_000)
def beaten(more: int, less: int, unseen: int, level: float) -> bool:
    """Return True if the rows seen refute that a candidate is level with the leader, or ahead, on all rows.

    Args:
        more: number of rows seen on which only the leader is right.
        less: number of rows seen on which only the candidate is right.
        unseen: number of rows that are left.
        level: level of the test.
    """
    from scipy.stats import hypergeom

    if more <= less:
        return False
    drawn = more + less
    # Try the largest totals first: they nearly always have the largest probability, and most candidates go on.
    for first in (max(drawn, drawn + unseen - 1), drawn):
        totals = np.arange(first, drawn + unseen + 1)
        leaders = totals // 2
        possible = leaders >= more
        if possible.any() and (hypergeom.sf(more - 1, totals[possible], leaders[possible], drawn).max() > level):
            return False
    return True


def run_race(rows: int, candidates: int, evaluate: Evaluate, base: np.ndarray | None, rules: Rules) -> Race:
    """Race candidates over rows.

    The best candidate so far goes on even if the base model leads, so that one candidate has scores on all rows. Every
    candidate that has led goes on too, to find out whether all its losses are finite.

    Args:
        rows: number of validation rows.
        candidates: number of candidates.
        evaluate: scores candidates on rows; a loss that is not finite is an overflow, and such a candidate comes last.
        base: (2, rows) correct and loss of the base model if it competes, else None.
        rules: error, blocks and seed.
    """
    order = np.random.default_rng(rules.seed).permutation(rows)
    correct, loss = np.zeros((candidates, rows), dtype=bool), np.full((candidates, rows), np.nan)
    seen, running = np.zeros(candidates, dtype=int), np.ones(candidates, dtype=bool)
    ends = block_ends(rows, rules.blocks)
    competitors = candidates + (base is not None)
    level = rules.error / max(1, (len(ends) - 1) * (competitors - 1))
    leaders: set[int] = set()
    called_off = False

    def score(which: np.ndarray, start: int, end: int) -> None:
        block = order[start:end]
        correct[np.ix_(which, block)], loss[np.ix_(which, block)] = evaluate(which, block)
        seen[which] = end

    for start, end in pairwise([0, *ends]):
        score(np.flatnonzero(running), start, end)
        looked = order[:end]
        finite = np.isfinite(loss[:, looked]).all(axis=1)
        if not called_off and not finite[list(leaders)].all():
            # A leader that overflows comes last, so candidates that it beat may still win.
            called_off, running[:] = True, True
            for since in np.unique(seen[seen < end]):
                score(np.flatnonzero(seen == since), int(since), end)
        if end == rows or called_off:
            continue
        right, losses = correct[:, looked], loss[:, looked]
        best = _best(np.flatnonzero(running), right, losses, finite)
        leading = right[best]
        if base is not None and not _ahead(right[best], losses[best], base[:, looked]):
            leading = base[0, looked].astype(bool)
        elif finite[best]:
            leaders.add(best)
        else:
            continue
        more, less = (leading & ~right).sum(axis=1), (~leading & right).sum(axis=1)
        for candidate in set(np.flatnonzero(running)) - leaders - {best}:
            if not finite[candidate] or beaten(int(more[candidate]), int(less[candidate]), rows - end, level):
                running[candidate] = False
    return Race(seen, rows, called_off)


def _best(running: np.ndarray, correct: np.ndarray, loss: np.ndarray, finite: np.ndarray) -> int:
    """Return the running candidate with the most right answers so far; ties go to the lower loss, overflows last."""
    return int(min(running, key=lambda index: (not finite[index], -correct[index].sum(), loss[index].mean())))


def _ahead(correct: np.ndarray, loss: np.ndarray, base: np.ndarray) -> bool:
    """Return True if a candidate with a finite loss is ahead of base so far, by accuracy or, if equal, by the loss."""
    mean = float(loss.mean())
    return bool(np.isfinite(mean) and (correct.mean(), -mean) > (base[0].mean(), -base[1].mean()))
