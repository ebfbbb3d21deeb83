"""Rows that contradict themselves: a loss that does not match its log-probability, an answer judged wrongly."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from laser_audit.reading import Study, text_of
from laser_audit.splits import OWN, Prepared

NEXT_TOKEN = {("counterfact", "gptj"), ("counterfact", "phi")}
"""(builder, architecture) whose open answers are the most probable next token; all others generate."""

FIVE_MASKS = ("hotpotqa", "qa_wikidata")
"""Builders that ask masked models with five masks, whose best tokens are searched for the answer."""

ULPS = 4e-16


def contradictions(
    study: Study, spec: dict[str, Any], data: Prepared, protocol: str, where: str, part: pd.DataFrame
) -> Iterable[tuple[str, Any, Any]]:
    """Yield the contradictions in the rows of one part, whose ids are right."""
    ids = part["id"].tolist()
    loss, logprob = part["loss"].to_numpy(), part["logprob"].to_numpy()
    tokens = part["answer_tokens"].to_numpy().astype(np.float64)
    with np.errstate(all="ignore"):
        plain = np.abs(loss - -logprob / tokens) <= ULPS * np.abs(loss)
        masked = np.abs(loss - -logprob / (tokens + 1)) <= ULPS * np.abs(loss)
    finite = np.isfinite(loss) | np.isfinite(logprob)
    right = plain.all() or (protocol == "published" and masked.all())
    either = plain | (masked if protocol == "published" and not right else False)
    ranks, missing = part["answer_rank"].to_numpy(), ~np.isfinite(loss)
    answered = part["correct"].to_numpy() | np.isfinite(logprob) | part["in_top10"].to_numpy()
    tests: list[tuple[str, Any, Any, str]] = [
        ("loss", missing & answered, loss, "a number: only a row on which the model overflows has none, and is wrong"),
        ("answer_rank", np.isnan(ranks.astype(np.float64)) != missing, ranks, "missing exactly where the loss is"),
        ("loss", ~(plain | masked if right else either) & finite, loss, "−logprob / answer_tokens"),
        ("logprob", logprob > 0, logprob, "at most 0"),
        ("answer_tokens", tokens < 1, tokens, "at least 1"),
        ("answer_rank", ranks < 1, ranks, "at least 1"),
        ("in_top10", (part["in_top5"] & ~part["in_top10"]).to_numpy(), part["in_top10"].to_numpy(), "True: in_top5 is"),
    ]
    for name, wrong, values, expected in tests:
        for row in np.flatnonzero(wrong)[:3]:
            yield f"{where}: {name} of {ids[row]}", values[row].item(), expected
    yield from _judged(study, spec, data, protocol, where, part)


def _judged(
    study: Study, spec: dict[str, Any], data: Prepared, protocol: str, where: str, part: pd.DataFrame
) -> Iterable[tuple[str, Any, Any]]:
    """Judge each answer again if the file has everything that this needs."""
    model = text_of(spec["model"]["name"])
    task = study.json(f"inputs/models/{model}/card.json").get("task", "causal")
    if task not in ("causal", "masked"):
        return  # a policy: its games are replayed in `laser_audit.policies`
    builder = text_of(data.entry["builder"])
    family = next(entry["architecture"] for entry in study.settings["models"] if entry["name"] == model)
    next_token = builder in OWN and data.entry["options"].get("scoring") == "next_token"
    five_masks = builder in FIVE_MASKS or (builder in OWN and not next_token)
    boundaries = protocol == "corrected"
    shown = 0
    scored = part[np.isfinite(part["loss"].to_numpy())]
    columns = (scored[name].tolist() for name in ("id", "correct", "prediction", "answer_tokens", "answer_rank"))
    for name, correct, prediction, tokens, rank in zip(*columns, strict=True):
        row = data.rows[name]
        answer, options = row["answer"], row["options"] or []
        answers = [answer, *(row.get("other_answers") or [])]
        generated = task == "causal" and (builder, family) not in NEXT_TOKEN and not next_token
        expected: bool | None = None
        if options:
            if prediction not in (*options, ""):
                yield f"{where}: prediction of {name}", prediction, f"one of {options}"
            expected = prediction in answers
        elif generated and protocol == "published":
            # The prompt is searched too. Its decoded spelling is not in the file, so only two cases are certain.
            if _any_held(prediction, answers, False):
                expected = True
            elif not _any_held(f"{row['prompt']}{prediction}", answers, False):
                expected = False if not _any_held(f"{row['prompt']} {prediction}", answers, False) else None
        elif generated or (task == "masked" and five_masks):
            expected = _any_held(prediction, answers, boundaries)
        elif any(form(prediction, boundaries) == form(other, boundaries) for other in answers[1:]):
            expected = True
        elif tokens == 1:
            expected = form(prediction, boundaries) == form(answer, boundaries)
            if boundaries and not expected and rank == 1:
                expected = None  # right if its token was the one chosen: others may be equally probable
        elif rank != 1:
            expected = False
        if expected is not None and expected != correct:
            yield f"{where}: correct of {name}", correct, f"{expected} (prediction {prediction!r}, answer {answer!r})"
            shown += 1
            if shown == 3:
                return


def _any_held(text: str, answers: list[str], boundaries: bool) -> bool:
    """Return True if a text contains any of the right answers."""
    return any(holds(text, answer, boundaries) for answer in answers)


def form(text: str, corrected: bool) -> str:
    """Return a text in the form that is compared: as released, or (corrected) by Unicode's caseless compatibility.

    Invisible characters are left out: format characters, variation selectors, the grapheme joiner.
    """
    if not corrected:
        return text.strip().lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    seen = [
        character
        for character in folded
        if unicodedata.category(character) != "Cf"
        and character != "\u034f"
        and "VARIATION SELECTOR" not in unicodedata.name(character, "")
    ]
    return unicodedata.normalize("NFKC", "".join(seen)).strip()


SPACELESS = (
    *("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "KATAKANA", "HENTAIGANA ", "BOPOMOFO ", "NUSHU ", "TANGUT ", "YI ", "THAI "),
    *("LAO ", "KHMER ", "MYANMAR ", "TIBETAN ", "TAI ", "NEW TAI LUE ", "JAVANESE ", "BALINESE "),
)
"""Beginnings of the Unicode names of characters of scripts without spaces between words."""


def holds(text: str, answer: str, boundaries: bool) -> bool:
    """Return True if a text contains an answer: as released, or (corrected) as whole words with their marks."""
    wanted, searched = form(answer, boundaries), form(text, boundaries)
    if not wanted or not boundaries:
        return bool(wanted) and wanted in searched
    indices = [index for index in range(len(searched)) if searched.startswith(wanted, index)]
    return any(_whole(searched[:index], wanted, searched[index + len(wanted) :]) for index in indices)


def _whole(before: str, match: str, after: str) -> bool:
    """Return True if a match ends at word boundaries on both sides."""
    if any(unicodedata.category(character)[0] == "M" for character in (match[0], *after[:1])):
        return False
    letters = [
        [character for character in part if unicodedata.category(character)[0] != "M"] for part in (before, match)
    ]
    return _apart(letters[0][-1:], [match[0]]) and _apart([*after[:1]], letters[1][-1:])


def _apart(neighbour: list[str], edge: list[str]) -> bool:
    """Return True if a neighbour (or none) does not continue the word at this edge."""
    if not neighbour or not (neighbour[0].isalnum() or neighbour[0] == "_"):
        return True
    if neighbour[0].isdecimal() and edge[0].isdecimal():
        return False
    return any(unicodedata.name(character, "").startswith(SPACELESS) for character in (*neighbour, *edge))
