"""A decision transformer's checkpoint folder made from expert episodes: weights, loss curve and card."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.nn.functional import cross_entropy
from transformers import DecisionTransformerConfig, DecisionTransformerModel

from laser.config.specs import TrainSpec, as_json
from laser.errors import UserError
from laser.io.files import digest, read_parquet, sha256_file
from laser.models.device import resolve_device, set_threads
from laser.models.sources import Filled, make_folder
from laser.policies.inputs import Sight, action_logits, as_config
from laser.policies.windows import Batch, Steps, batch_of, steps_of, symmetries, windows
from laser.sokoban.rules import ACTIONS
from laser.training import checkpoint
from laser.training.model import CURVE, save_trained
from laser.training.train import DEFAULTS, descend, deterministic


def untrained_policy(source: Mapping[str, Any], height: int, width: int, seed: int) -> tuple[Any, Sight]:
    """Build a decision transformer with random fp32 weights on the CPU; return it and what it sees.

    Its action head returns logits, without tanh. Dropout is off, so a run needs random numbers only for its batches.

    Args:
        source: layers, hidden, intermediate, heads, encoding, context, timesteps.
        height: number of rows of the rooms.
        width: number of columns of the rooms.
        seed: seed of the weights.
    """
    sight = Sight(source["encoding"], height, width, source["context"], source["timesteps"])
    torch.manual_seed(seed)
    config = DecisionTransformerConfig(
        state_dim=sight.features,
        act_dim=len(ACTIONS),
        hidden_size=source["hidden"],
        max_ep_len=sight.timesteps,
        action_tanh=False,
        vocab_size=1,
        n_positions=3 * sight.context,
        n_layer=source["layers"],
        n_head=source["heads"],
        n_inner=source["intermediate"],
        activation_function="gelu_new",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=(2 / (5 * source["hidden"])) ** 0.5,
        dtype="float32",
        **as_config(sight),
    )
    model = DecisionTransformerModel(config)
    model.set_attn_implementation("eager")
    return model, sight


def train_policy(
    spec: TrainSpec,
    episodes: Path,
    folder: Path,
    say: Callable[[str], None],
    progress: Callable[[int], Callable[[int], None]] = lambda steps: lambda done: None,
) -> dict[str, Any]:
    """Train a policy on the training side of a pool of rooms, make its folder, and return its card.

    In addition to the usual keys the card has `episodes` (sha256 of the file, number of episodes used and of their
    steps), `training` (all settings, final loss, device, threads), `versions`, and `identity`, a hash of everything
    that the weights depend on. A folder with the same identity is kept. An interrupted training resumes from its last
    checkpoint and ends with the same bytes, on the same machine with the same number of threads.

    Args:
        spec: `model` (an entry whose source is a policy's), `compute` (device, threads) and `code`.
        episodes: the pool's episodes.parquet.
        folder: where the checkpoint goes.
        say: takes a line of text.
        progress: given the number of steps, returns a function that is called with the steps done since its last call.

    Raises:
        UserError: there is no episode to train on, the device is missing, or the loss is not a number.
    """
    name, source, compute = spec.model["name"], spec.model["source"], spec.compute
    versions = {library.__name__: library.__version__ for library in (np, torch, transformers)}
    known = {"sha256": sha256_file(episodes)}
    identity = digest({"spec": as_json(spec), "episodes": known, "versions": versions})
    state = checkpoint.checkpoint_folder(folder)

    def fill(part: Path) -> Filled:
        transformers.utils.logging.disable_progress_bar()
        training = DEFAULTS | {"symmetries": False} | dict(source["training"])
        del training["mask_answers"]
        set_threads(compute.threads)
        device = resolve_device(compute.device)
        steps, count = training_steps(episodes)
        try:
            with deterministic():
                model, sight = untrained_policy(source, steps.height, steps.width, training["seed"])
                say(f"{model.num_parameters():,} parameters, {count:,} episodes of {len(steps):,} steps")
                curve = descend(
                    model.to(device),
                    lambda done: schedule(steps, sight.context, training, done),
                    lambda batch: policy_loss(model, sight, batch),
                    lambda batch: int(batch.there.sum()),
                    training,
                    state,
                    identity,
                    say,
                    progress(training["steps"]),
                )
        except UserError as error:
            raise UserError(f"model '{name}': {error}") from error
        save_trained(model, curve, part)
        done = {"final_loss": curve[-1]["loss"], "steps_seen": curve[-1]["tokens"], "device": device.type}
        note = f"trained on {count:,} expert episodes of the pool {source['pool']['name']} alone; curve in {CURVE}"
        used = known | {"count": count, "steps": len(steps)}
        facts = {"episodes": used, "versions": versions, "identity": identity}
        return Filled([note], None, facts | {"training": training | done | {"threads": compute.threads}})

    card = make_folder(spec.model, folder, fill, say, keeps=lambda card: card.get("identity") == identity)
    checkpoint.remove(state)
    return card


def training_steps(episodes: Path) -> tuple[Steps, int]:
    """Return the steps of all solved episodes of the training side, and the number of episodes.

    Raises:
        UserError: there is no such episode.
    """
    frame = read_parquet(episodes, ["text", "side", "solved", "actions"])
    # A room that is solved from the start has no moves to learn.
    frame = frame[(frame["side"] == "training") & frame["solved"] & (frame["actions"].str.len() > 0)]
    if frame.empty:
        raise UserError(f"{episodes}: no solved room on the training side. Raise the pool's count or max_nodes.")
    return steps_of(frame["text"].tolist(), frame["actions"].tolist()), len(frame)


def schedule(steps: Steps, context: int, training: Mapping[str, Any], done: int) -> Any:
    """Yield (step, batch) from the step after `done` to the last; every window occurs once per epoch."""
    size, seed, epoch = training["batch"], training["seed"], -1
    first = lengths = np.zeros(0, dtype=np.int64)
    forms = len(symmetries(steps.height, steps.width)[0])
    index, per_epoch = 0, 0
    for step in range(1, training["steps"] + 1):
        if index >= per_epoch:
            epoch, index = epoch + 1, 0
            first, lengths = windows(steps, context, seed, epoch)
            per_epoch = math.ceil(len(first) / size)
        at = slice(index * size, (index + 1) * size)
        index += 1
        if step <= done:
            continue
        shown = None
        if training["symmetries"]:
            drawn = np.random.Generator(np.random.PCG64([seed, 1, step]))
            shown = drawn.integers(forms, size=len(first[at]))
        yield step, batch_of(steps, first[at], lengths[at], context, shown)


def policy_loss(model: Any, sight: Sight, batch: Batch) -> torch.Tensor:
    """Return the mean negative log-probability of the expert's actions, in nats."""
    logits = action_logits(model, sight, batch.cells, batch.actions, batch.to_go, batch.first)
    there = torch.from_numpy(batch.there)
    wanted = torch.from_numpy(batch.actions)[there].to(logits.device)
    return cross_entropy(logits[there.to(logits.device)], wanted)
