"""Judging whether a text contains the answer: the released rule and the corrected one.

The released rule strips white space at both ends, lowercases and compares code points. The corrected one compares
texts in one normal form, and requires word boundaries where the script has them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

SPACELESS = frozenset(
    {
        "CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "HENTAIGANA", "BOPOMOFO", "NUSHU", "TANGUT",
        "YI", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "TAI", "NEW", "JAVANESE", "BALINESE",
    }
)  # fmt: skip
"""First words of the Unicode names of characters in scripts that put no spaces between words (NEW: New Tai Lue)."""

COMBINING_GRAPHEME_JOINER = "\u034f"


def normalise(text: str) -> str:
    """Strip white space at both ends and lowercase, as the released metric does."""
    return text.strip().lower()


def canonical(text: str) -> str:
    """Return the normal form in which the corrected protocol compares texts.

    The form is NFKC, case-folded, without invisible characters (joiners, variation selectors, soft hyphens) or white
    space at either end. NFKC is used because many tokenizers apply it to every text: under NFC, an answer with
    full-width digits, a ligature or a no-break space could never be generated as it is written.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", "".join(filter(_is_seen, folded))).strip()


def same(text: str, answer: str, corrected: bool) -> bool:
    """Return True if a text is the answer, under the corrected rule or the released one."""
    form = canonical if corrected else normalise
    return form(text) == form(answer)


def contains(text: str, answer: str, word_boundaries: bool) -> bool:
    """Return True if the text contains the answer. An empty answer is never contained.

    Without `word_boundaries` this is the released rule. With them it is the corrected one: neither neighbour of the
    match may be a letter, digit or underscore, so that "no" is not found in "know" nor "12" in "2012", and a match may
    not split a letter from its combining marks. No boundary is needed beside a character of a script without spaces
    between words, except between two digits.
    """
    if not word_boundaries:
        wanted = normalise(answer)
        return bool(wanted) and wanted in normalise(text)
    wanted, searched = canonical(answer), canonical(text)
    return any(_stands_alone(searched, start, start + len(wanted)) for start in _occurrences(searched, wanted))


def _occurrences(text: str, wanted: str) -> Iterator[int]:
    start = text.find(wanted) if wanted else -1
    while start >= 0:
        yield start
        start = text.find(wanted, start + 1)


def _stands_alone(text: str, start: int, stop: int) -> bool:
    """Return True if text[start:stop] is bounded on both sides."""
    if _is_mark(text[start]) or (stop < len(text) and _is_mark(text[stop])):
        return False
    before = _last_letter(text[:start])
    after = text[stop : stop + 1]
    return not _joined(before, text[start]) and not _joined(after, _last_letter(text[start:stop]))


def _joined(neighbour: str, edge: str) -> bool:
    """Return True if a neighbour of a match continues the word that the match begins or ends with."""
    if not (neighbour.isalnum() or neighbour == "_"):
        return False
    if neighbour.isdecimal() and edge.isdecimal():
        return True
    return not (_is_spaceless(neighbour) or _is_spaceless(edge))


def _last_letter(text: str) -> str:
    """Return the last character that is not a combining mark; an empty text if there is none."""
    return next((character for character in reversed(text) if not _is_mark(character)), "")


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _is_seen(character: str) -> bool:
    return unicodedata.category(character) != "Cf" and not _is_selector(character)


def _is_selector(character: str) -> bool:
    return character == COMBINING_GRAPHEME_JOINER or "VARIATION SELECTOR" in unicodedata.name(character, "")


@lru_cache(maxsize=4096)
def _is_spaceless(character: str) -> bool:
    return bool(character) and unicodedata.name(character, "").partition(" ")[0].partition("-")[0] in SPACELESS
