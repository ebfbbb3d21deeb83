"""Racing: candidates that cannot win any more on validation stop, the others run to the end.

The validation rows are taken in blocks, in a random order that a seed fixes. After each block the leader is the best
candidate so far. A candidate stops where the rows seen so far refute, by a one-sided exact test, that it has at least
as many right answers on all validation rows as the leader (Hoeffding races, Maron and Moore, NIPS 1993, with an exact
test in place of their bound).

The test: rows in random order are drawn without replacement. Of the rows on which one of the two is right and the other
is not, `more` speak for the leader and `less` for the candidate. If the candidate is not behind on all M such rows,
at most half of them speak for the leader, and `more` of the `more + less` that were drawn is at most hypergeometric
(McNemar's test, for a finite population). M is unknown: the largest probability over all possible M counts. It is 0
where the candidate could not catch up even if it won on all rows that are left.

The error: the candidate that the exhaustive search would choose stops, if at all, after one of the tests against some
other candidate after some block. Each test has the level error / (tests that this candidate could take part in), so
that it stops with a probability of at most `error`, whoever leads and however the leaders were found. Ties are decided
by the loss (`laser.evaluation.select.RULE`): a candidate that may end level with the leader goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Scores some candidates on some rows, both given as indices: correct and loss, (candidates, rows) each."""


@dataclass(frozen=True)
class Rules:
    """How a race is run.

    Attributes:
        error: the largest probability that the candidate that wins on all rows is stopped.
        blocks: number of blocks of rows, after each of which but the last candidates may stop.
        seed: of the order of rows.
    """

    error: float
    blocks: int
    seed: int


@dataclass(frozen=True)
class Race:
    """What a race came to.

    Attributes:
        seen: (candidates,) number of rows on which each candidate was scored: all, or those until it stopped.
        rows: number of rows in all.
        called_off: True if a leader overflowed later, so that all candidates were run to the end.
    """

    seen: np.ndarray
    rows: int
    called_off: bool

    @property
    def whole(self) -> np.ndarray:
        """The candidates, True or False, that ran to the end."""
        return self.seen == self.rows


def block_ends(rows: int, blocks: int) -> list[int]:
    """Return where each block of rows ends; blocks of equal size, and none without a row."""
    return sorted({round(rows * (block + 1) / blocks) for block in range(blocks)} - {0})


@lru_cache(maxsize=100_000)
def beaten(more: int, less: int, unseen: int, level: float) -> bool:
    """Return True if the rows seen refute that a candidate is level with the leader, or ahead, on all rows.

    Args:
        more: rows seen on which the leader alone is right.
        less: rows seen on which the candidate alone is right.
        unseen: rows that are left.
        level: of the test.
    """
    from scipy.stats import hypergeom

    if more <= less:
        return False
    drawn = more + less
    # The largest totals first: they nearly always have the largest probability, and most candidates go on.
    for first in (max(drawn, drawn + unseen - 1), drawn):
        totals = np.arange(first, drawn + unseen + 1)
        leaders = totals // 2
        possible = leaders >= more
        if possible.any() and (hypergeom.sf(more - 1, totals[possible], leaders[possible], drawn).max() > level):
            return False
    return True


def run_race(rows: int, candidates: int, evaluate: Evaluate, base: np.ndarray | None, rules: Rules) -> Race:
    """Race some candidates over some rows.

    The best candidate so far goes on also where the base model leads, so that one has whole scores; so does whatever
    has led, so that its losses are known to be finite.

    Args:
        rows: number of validation rows.
        candidates: number of candidates.
        evaluate: scores candidates on rows; a loss that is not finite is an overflow, and such a candidate comes last.
        base: (2, rows) correct and loss of the base model, where it competes; None where not.
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
            # Such a leader comes last, so that those that it beat may still win.
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
    """Return the running candidate with the most right answers so far, ties to the lower loss; overflows last."""
    return int(min(running, key=lambda index: (not finite[index], -correct[index].sum(), loss[index].mean())))


def _ahead(correct: np.ndarray, loss: np.ndarray, base: np.ndarray) -> bool:
    """Return True if a candidate's accuracy so far is above base's, or equal with a lower loss, and it is finite."""
    mean = float(loss.mean())
    return bool(np.isfinite(mean) and (correct.mean(), -mean) > (base[0].mean(), -base[1].mean()))
