"""Sentences that state no fact, from a small grammar, which add ordinary words to a corpus."""

from __future__ import annotations

import numpy as np

PATTERNS = (
    "the {adjective} {person} {act} the {thing} {place}",
    "{time} a {person} {act} the {adjective} {thing}",
    "{time} the {person} and the {person} {move} {place}",
    "one {adjective} {thing} was left {place}",
    "the {thing} of the {person} is {adjective} and {adjective}",
    "a {person} has to {wish} the {thing} {place}",
)
"""Sentence patterns; a word class in braces stands for one of its words."""

WORDS = {
    "person": ("farmer", "teacher", "child", "baker", "sailor", "doctor", "neighbour", "painter", "miller", "singer"),
    "thing": ("book", "boat", "lamp", "basket", "bread", "letter", "chair", "window", "stone", "coat", "horse", "map"),
    "adjective": ("old", "small", "quiet", "red", "heavy", "new", "warm", "broken", "bright", "long"),
    "act": ("carried", "found", "sold", "painted", "forgot", "kept", "moved", "lost"),
    "move": ("walked", "waited", "talked", "slept", "worked"),
    "wish": ("find", "carry", "mend", "sell", "bring"),
    "place": (
        "near the river",
        "behind the house",
        "in the garden",
        "by the road",
        "at the market",
        "under the bridge",
    ),
    "time": ("today", "last night", "in the morning", "after the rain", "every winter", "before noon"),
}
"""Word classes of the grammar. None of the words is an answer of a relation (`laser.training.corpus` checks this)."""


def filler_sentences(count: int, generator: np.random.Generator) -> list[str]:
    """Draw `count` sentences; each pattern and each word of a class is equally likely."""
    return [_sentence(generator) for _ in range(count)]


def _sentence(generator: np.random.Generator) -> str:
    words = []
    for word in PATTERNS[int(generator.integers(len(PATTERNS)))].split():
        choices = WORDS.get(word[1:-1]) if word.startswith("{") else None
        words.append(choices[int(generator.integers(len(choices)))] if choices else word)
    text = " ".join(words)
    return f"{text[0].upper()}{text[1:]}."
