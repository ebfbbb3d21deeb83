"""The training loop: AdamW on batches of single sentences, deterministic and resumable."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from laser.errors import UserError
from laser.training import checkpoint
from laser.training.batches import IGNORED, Sentence, causal_batch, masked_batch, schedule
from laser.training.tokenizer import PAD

DEFAULTS: dict[str, Any] = {
    "warm_up": 100,
    "weight_decay": 0.01,
    "clip": 1.0,
    "save_every": 500,
    "record_every": 20,
    "mask_answers": 0.9,
}
"""The defaults of a training's optional keys."""


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """Make torch use only deterministic algorithms; an operation without one raises an error."""
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def learning_rate(step: int, training: Mapping[str, Any]) -> float:
    """Return the learning rate of a step (1 to `steps`): linear over `warm_up` steps, then half a cosine down to 0."""
    warm_up = min(training["warm_up"], training["steps"] - 1)
    if step <= warm_up:
        return training["learning_rate"] * step / warm_up
    passed = (step - warm_up - 1) / (training["steps"] - warm_up)
    return training["learning_rate"] * 0.5 * (1 + math.cos(math.pi * passed))


def sentence_batches(
    sentences: Sequence[Sentence], training: Mapping[str, Any], masked: bool, vocabulary: int
) -> Callable[[int], Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]]:
    """Return what yields (step, (ids, labels)) from the step after a given one to the last.

    Every batch depends only on the seed and its step. On the same machine with the same number of threads, a resumed
    training therefore ends with the same bits as an uninterrupted one.

    Args:
        sentences: the corpus.
        training: every setting; `batch` counts sentences.
        masked: True if the model fills masks.
        vocabulary: number of tokens that the model knows.
    """
    lengths = np.array([len(sentence.ids) for sentence in sentences])

    def batches(done: int) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]:
        epoch, order = -1, schedule(lengths, training["batch"], training["seed"], 0)
        for step in range(done + 1, training["steps"] + 1):
            wanted, position = divmod(step - 1, len(order))
            if wanted != epoch:
                epoch, order = wanted, schedule(lengths, training["batch"], training["seed"], wanted)
            chosen = [sentences[index] for index in order[position]]
            mask = (training["mask_answers"], vocabulary, training["seed"], step)
            yield step, masked_batch(chosen, *mask) if masked else causal_batch(chosen)

    return batches


def descend(
    model: Any,
    batches: Callable[[int], Iterable[tuple[int, Any]]],
    loss_of: Callable[[Any], torch.Tensor],
    size_of: Callable[[Any], int],
    training: Mapping[str, Any],
    folder: Path,
    identity: str,
    say: Callable[[str], None],
    progress: Callable[[int], None],
) -> list[dict[str, float]]:
    """Train a model in place from its last checkpoint, or from the start.

    Args:
        model: the model with its starting weights.
        batches: yields (step, batch) from the step after the given one to the last.
        loss_of: returns the loss of a batch, a scalar tensor.
        size_of: returns the number of tokens, or of steps of episodes, in a batch.
        training: every setting.
        folder: where checkpoints are kept.
        identity: a hash of everything that the training depends on.
        say: takes a line of text.
        progress: called with the number of steps done since its last call.

    Returns:
        The loss curve, a row per `record_every` steps: step, loss, learning_rate, tokens.

    Raises:
        UserError: the loss is no longer a number.
    """
    optimiser = optimiser_of(model, training)
    state = checkpoint.restore(folder, identity, model, optimiser)
    if state is None:
        checkpoint.remove(folder)
        state = {"step": 0, "tokens": 0, "pending": [], "curve": []}
    else:
        say(f"resuming after step {state['step']:,}")
        progress(state["step"])
    curve, pending, tokens = state["curve"], state["pending"], state["tokens"]
    model.train()
    for step, batch in batches(state["step"]):
        rate = learning_rate(step, training)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = loss_of(batch)
        if not math.isfinite(loss.item()):
            raise UserError(
                f"the loss is no longer a number at step {step}: lower training.learning_rate "
                f"(now {training['learning_rate']}) or training.clip (now {training['clip']})."
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training["clip"])
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        tokens += size_of(batch)
        pending.append(loss.item())
        if step % training["record_every"] == 0 or step == training["steps"]:
            mean = math.fsum(pending) / len(pending)
            curve.append({"step": step, "loss": mean, "learning_rate": rate, "tokens": tokens})
            pending.clear()
        if step % training["save_every"] == 0 and step < training["steps"]:
            now = {"step": step, "tokens": tokens, "pending": pending, "curve": curve}
            checkpoint.save(folder, identity, model, optimiser, now)
        progress(1)
    return curve


def optimiser_of(model: Any, training: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return AdamW with weight decay for matrices, but not for biases and scales."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": training["weight_decay"]},
        {"params": [weight for weight in weights if weight.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=training["learning_rate"], fused=True, betas=(0.9, 0.98))


def sentence_loss(model: Any, ids: np.ndarray, labels: np.ndarray, masked: bool) -> torch.Tensor:
    """Return the mean negative log-probability of the labelled tokens, in nats (a scalar that has a gradient).

    Args:
        model: the model in training.
        ids: (batch, length) int64.
        labels: (batch, length) int64; `IGNORED` where nothing is predicted.
        masked: True if the model fills masks.
    """
    given = torch.from_numpy(ids).to(model.device)
    wanted = torch.from_numpy(labels).to(model.device)
    if masked:
        # Run the head only at labelled positions: it is a fifth of a small model, and few positions have labels.
        hidden = model.base_model(input_ids=given, attention_mask=(given != PAD).long()).last_hidden_state
        asked = wanted != IGNORED
        logits, wanted = model.lm_head(hidden[asked]), wanted[asked]
    else:
        # Padding follows the sentence, whose tokens cannot see it.
        logits, wanted = model(input_ids=given, use_cache=False).logits[:, :-1], wanted[:, 1:]
    return cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), wanted.reshape(-1), ignore_index=IGNORED)
