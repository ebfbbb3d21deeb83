"""The two protocols: the full set of choices that turn (model, dataset, intervention) into numbers.

`published` reproduces the released code's choices, quirks included, so that numbers can be compared with the paper's;
`corrected` is what we stand behind. docs/protocols.md explains each choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Protocol:
    """The choices of one protocol.

    Attributes:
        name: `published` or `corrected`; also names the split column that it uses.
        low_rank: kind of the low-rank step, `randomised` (the released `svd_lowrank`) or `svd` (exact).
        search_prompt: an open answer of a causal model counts when it occurs anywhere in prompt + generation;
            otherwise only new tokens are searched.
        word_boundaries: an open answer must be enclosed by word boundaries.
        mask_divisor_extra: added to the number of answer tokens when a multi-token masked log-loss is averaged.
        option_mean: options of several tokens are compared by their mean log-probability per token where their
            lengths differ; otherwise by the sum.
        base_is_candidate: LASER is chosen only if it beats the unmodified model on validation.
    """

    name: str
    low_rank: str
    search_prompt: bool
    word_boundaries: bool
    mask_divisor_extra: int
    option_mean: bool
    base_is_candidate: bool


SIGNIFICANCE = 0.05
"""Significance level: an adjusted p value below it is significant, under both protocols."""

PROTOCOLS = {
    "published": Protocol(
        name="published",
        low_rank="randomised",
        search_prompt=True,
        word_boundaries=False,
        mask_divisor_extra=1,
        option_mean=False,
        base_is_candidate=False,
    ),
    "corrected": Protocol(
        name="corrected",
        low_rank="svd",
        search_prompt=False,
        word_boundaries=True,
        mask_divisor_extra=0,
        option_mean=True,
        base_is_candidate=True,
    ),
}


def randomised_iterations(task: str) -> int:
    """Return the power iterations of the released randomised SVD: 2 for decoders, 20 for masked models.

    Nothing was released for policies: they get 20, which is nearer to the exact decomposition.
    """
    return 20 if task in ("masked", "policy") else 2


def interventions_kind(protocol: str, task: str) -> dict[str, Any]:
    """Return kind and settings of a protocol's low-rank step for a causal or masked model, or a policy."""
    kind = PROTOCOLS[protocol].low_rank
    return {"kind": kind, "niter": randomised_iterations(task)} if kind == "randomised" else {"kind": kind}
