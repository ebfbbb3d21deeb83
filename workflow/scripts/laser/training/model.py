"""A checkpoint folder made from a corpus: tokenizer, weights, loss curve and card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import tokenizers
import torch
import transformers

from laser.config.specs import TrainSpec, as_json
from laser.errors import UserError
from laser.io.files import digest, read_json, read_parquet, sha256_file, write_text
from laser.models.device import resolve_device, set_threads
from laser.models.sources import Filled, make_folder
from laser.training import checkpoint
from laser.training.batches import read_sentences
from laser.training.families import is_masked, untrained, usable_positions
from laser.training.tokenizer import PAD, train_tokenizer
from laser.training.train import DEFAULTS, descend, deterministic, sentence_batches, sentence_loss

CURVE = "training.csv"
COLUMNS = ("step", "loss", "learning_rate", "tokens")


def train_model(
    spec: TrainSpec,
    corpus_card: Path,
    folder: Path,
    say: Callable[[str], None],
    progress: Callable[[int], Callable[[int], None]] = lambda steps: lambda done: None,
) -> dict[str, Any]:
    """Train a model on a corpus, make its folder, and return its card.

    In addition to the usual keys the card has `corpus` (key and sha256 of its files), `training` (all settings, final
    loss, tokens, device, threads), `versions` of the libraries, and `identity`, a hash of everything that the weights
    depend on. A folder with the same identity is kept; an interrupted training resumes from its last checkpoint.

    Args:
        spec: `model` (an entry whose source is of kind `trained`), `compute` (device, threads) and `code`.
        corpus_card: card.json of the corpus.
        folder: where the checkpoint goes.
        say: takes a line of text.
        progress: given the number of steps, returns a function that is called with the steps done since its last call.

    Raises:
        UserError: a size does not fit, the corpus is damaged, the device is missing, or the loss is not a number.
    """
    name, source, compute = spec.model["name"], spec.model["source"], spec.compute
    corpus = _corpus(corpus_card)
    versions = {library.__name__: library.__version__ for library in (numpy, tokenizers, torch, transformers)}
    identity = digest({"spec": as_json(spec), "corpus": corpus, "versions": versions})
    state = checkpoint.checkpoint_folder(folder)

    def fill(part: Path) -> Filled:
        transformers.utils.logging.disable_progress_bar()
        training = DEFAULTS | dict(source["training"])
        masked, longest = is_masked(source["family"]), usable_positions(source)
        set_threads(compute.threads)
        device = resolve_device(compute.device)
        frame, known = (read_parquet(corpus_card.parent / f"{table}.parquet") for table in ("sentences", "facts"))
        try:
            with deterministic():
                model: Any = untrained(source, training["seed"])
                words = train_tokenizer(tokenizer_texts(frame, known), source["vocabulary"], masked, longest)
                sentences = read_sentences(frame, known, words, longest)
                steps = training["steps"]
                say(f"{model.num_parameters():,} parameters, {steps:,} steps of {training['batch']} sentences")
                curve = descend(
                    model.to(device),
                    sentence_batches(sentences, training, masked, model.config.vocab_size),
                    lambda batch: sentence_loss(model, batch[0], batch[1], masked),
                    lambda batch: int((batch[0] != PAD).sum()),
                    training,
                    state,
                    identity,
                    say,
                    progress(steps),
                )
        except UserError as error:
            raise UserError(f"model '{name}': {error}") from error
        words.save_pretrained(part)
        save_trained(model, curve, part)
        done = {"final_loss": curve[-1]["loss"], "tokens": curve[-1]["tokens"], "device": device.type}
        note = f"trained on corpus-{corpus['key']} alone; its loss curve is in {CURVE}"
        facts = {"corpus": corpus, "versions": versions, "identity": identity}
        return Filled([note], None, facts | {"training": training | done | {"threads": compute.threads}})

    card = make_folder(spec.model, folder, fill, say, keeps=lambda card: card.get("identity") == identity)
    checkpoint.remove(state)
    return card


def _corpus(card: Path) -> dict[str, Any]:
    """Return a corpus's key and the hashes of its files, after checking the files."""
    known = read_json(card)
    for name, expected in known["files"].items():
        path = card.parent / name
        if not path.is_file() or sha256_file(path) != expected:
            raise UserError(f"{path}: is not the file that {card.name} describes. Delete {card} and run again.")
    return {"key": known["key"], "files": known["files"]}


def tokenizer_texts(sentences: Any, facts: Any) -> list[str]:
    """Return the texts that a tokenizer is trained on: the corpus with the true answer of every fact.

    Models of different noise levels therefore share a tokenizer, and an answer has the same number of tokens in each.
    """
    truth = dict(zip(facts["fact"], facts["answer"], strict=True))
    columns = (sentences[name] for name in ("text", "fact", "prompt", "answer"))
    return [
        text if fact is None or fact != fact else f"{prompt}{truth[fact]}{text[len(prompt) + len(answer) :]}"
        for text, fact, prompt, answer in zip(*columns, strict=True)
    ]


def save_trained(model: Any, curve: Sequence[Mapping[str, float]], folder: Path) -> None:
    """Write a model's config, weights and loss curve, readable by all users, since the cache may be shared.

    Args:
        model: the trained model on any device; it is moved to the CPU.
        curve: the loss curve from `laser.training.train.descend`.
        folder: an existing folder.
    """
    model.to("cpu").save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # transformers makes weights readable for their owner only
    lines = [",".join(COLUMNS), *(",".join(repr(row[column]) for column in COLUMNS) for row in curve)]
    write_text(folder / CURVE, "\n".join(lines) + "\n")
