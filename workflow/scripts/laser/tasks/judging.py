"""Whether a generated text holds the answer: the released rule and the corrected one."""

from __future__ import annotations

import re


def normalise(text: str) -> str:
    """Strip white space at both ends and lower the case, as the released metric does."""
    return text.strip().lower()


def contains(text: str, answer: str, word_boundaries: bool) -> bool:
    """Tell whether the normalised answer stands in the normalised text.

    With `word_boundaries` neither neighbour of the match may be a letter, digit or underscore, so that "no" is not
    found in "know" nor "12" in "2012". An empty answer is never found.
    """
    wanted, searched = normalise(answer), normalise(text)
    if not wanted:
        return False
    if not word_boundaries:
        return wanted in searched
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", searched) is not None
