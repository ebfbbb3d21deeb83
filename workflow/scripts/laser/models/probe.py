"""Probes of an architecture at fetch: which tokens see which, what may share a batch, how long a prompt may be.

All three are properties of the architecture and its settings, not of the weights. They are therefore tested on a few
tokens with a model of random weights, which has fewer layers if the whole model is large.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch

from laser.errors import UserError
from laser.models.batching import ONE_LENGTH, ONE_ROW, PADDED, pad, rotary_modules, without_own_settings
from laser.models.building import CHOSEN_BY_SUPPORT
from laser.models.kinds import POLICY, auto_class

MOST_PARAMETERS = 50_000_000
"""Largest number of parameters of a model that is probed with all its layers."""

MOST_OF_A_COPY = 1_000_000_000
"""Largest number of parameters of two layers for which there is a probe: a login node may lack the memory for more."""

VOCABULARY = 512
"""Vocabulary of a copy with fewer layers."""

SHORT, LONG, NEW_TOKENS = 5, 8, 3
TOLERANCE = 1e-4
"""Tolerance relative to the largest logit: rounding errors are below it, real differences far above."""

LONGEST_TRIED = 4096
"""Largest number of positions that is tried: transformers' architectures that take more have no table of positions."""


@dataclass(frozen=True)
class Probed:
    """The results of the probes.

    Attributes:
        batching: which requests may share a batch (`laser.models.batching`).
        longest: the number of tokens that the model takes; None if its positions are not a table.
        notes: lines for the card.
    """

    batching: str = PADDED
    longest: int | None = None
    notes: tuple[str, ...] = ()


def probe(config: Any, task: str, parameters: int, longest: int | None) -> Probed:
    """Probe how a model of a configuration behaves.

    Args:
        config: configuration from `laser.models.building.model_config`.
        task: `causal`, `masked` or `policy`; a policy is not probed.
        parameters: the number of parameters of the whole model.
        longest: the number of tokens that it takes according to its configuration, or None.

    Raises:
        UserError: a causal model sees later tokens, a masked one does not, or the model cannot be run.
    """
    if task == POLICY:
        return Probed()
    whole = parameters <= MOST_PARAMETERS
    try:
        if not whole and (size := _copy_parameters(config, task)) > MOST_OF_A_COPY:
            return Probed(notes=(f"not probed for causality and batching: two layers alone have {size:,} parameters",))
        model = _random_model(config if whole else _fewer_layers(config), task)
        with torch.inference_mode():
            sees_later = _sees_later_tokens(model)
            batching = _batching(model, task)
            taken = _longest(model, longest)
    except UserError:
        raise
    except Exception as error:
        line = (str(error).splitlines() or ["no message"])[0]
        reason = f"{type(error).__name__}: {line}"[:300]
        if whole:
            raise UserError(
                f"a {task} model of the architecture '{config.model_type}' cannot be run with its config ({reason})."
            ) from error
        return Probed(
            notes=(f"not probed for causality and batching, as a copy of few layers does not run ({reason})",)
        )
    if sees_later and task == "causal":
        raise UserError(
            f"its architecture '{config.model_type}' as {type(model).__name__} is not causal: the logits of earlier "
            "tokens depend on later ones, so that it would see the answers. Use a causal language model; if it is a "
            "masked one, its config.json must name a class such as BertForMaskedLM in `architectures`; if it is a "
            "decoder, it needs is_decoder: true."
        )
    if not sees_later and task == "masked":
        raise UserError(
            f"its architecture '{config.model_type}' as {type(model).__name__} is causal (is_decoder in config.json?), "
            "but a masked model must see both sides of its masks."
        )
    return Probed(batching, taken)


def _copy_parameters(config: Any, task: str) -> int:
    """Return the number of parameters of the copy with the fewest layers, without building it."""
    with torch.device("meta"):
        return int(_from_config(_fewer_layers(config), task).num_parameters())


def _from_config(config: Any, task: str) -> Any:
    return auto_class(task).from_config(
        copy.deepcopy(config), attn_implementation=CHOSEN_BY_SUPPORT, dtype=torch.float32
    )


def _fewer_layers(config: Any) -> Any:
    """Return a configuration with two layers (or one) and a small vocabulary."""
    few = copy.deepcopy(config)
    few.num_hidden_layers = min(2, config.num_hidden_layers)
    for name in ("layer_types", "mlp_layer_types", "block_types"):
        if isinstance(getattr(few, name, None), list):
            setattr(few, name, getattr(few, name)[: few.num_hidden_layers])
    few.vocab_size = min(VOCABULARY, config.vocab_size)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        index = getattr(few, name, None)
        if type(index) is not int or index >= few.vocab_size:
            setattr(few, name, None)
    return few


def _random_model(config: Any, task: str) -> Any:
    """Return a model with random weights that are large enough to show every dependence on a token."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _from_config(config, task)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return model.eval().requires_grad_(False)


def _tokens(model: Any, count: int, start: int = 0) -> list[int]:
    """Return `count` token ids, never the padding token, to which some models give no position."""
    config = model.config
    special = {getattr(config, f"{name}_token_id", None) for name in ("pad", "bos", "eos", "mask")}
    usable = [index for index in range(config.vocab_size) if index not in special] or [0]
    return [usable[(start + 3 * index) % len(usable)] for index in range(count)]


def _padding(model: Any) -> int:
    index = getattr(model.config, "pad_token_id", None)
    return index if type(index) is int else 0


def _logits(model: Any, rows: list[list[int]]) -> list[torch.Tensor]:
    """Return the logits of each row, padded on the right as the reference engine does."""
    ids, mask = pad([tuple(row) for row in rows], _padding(model), model.device)
    logits = model(input_ids=ids, attention_mask=mask).logits
    return [logits[index, : len(row)].float() for index, row in enumerate(rows)]


def _continued(model: Any, rows: list[list[int]]) -> list[torch.Tensor]:
    """Return the logits of greedy new tokens of each row, padded on the left as the reference engine does."""
    from transformers import GenerationConfig

    padding = _padding(model)
    ids, mask = pad([tuple(row) for row in rows], padding, model.device, left=True)
    settings = GenerationConfig(
        do_sample=False, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, pad_token_id=padding, eos_token_id=None
    )
    with without_own_settings(model):
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=settings,
            return_dict_in_generate=True,
            output_logits=True,
        )
    return list(torch.stack(output.logits, dim=1).float())


def _same(given: list[torch.Tensor], expected: list[torch.Tensor]) -> bool:
    bound = TOLERANCE * max(float(logits.abs().max()) for logits in expected)
    return all(
        answer.shape == reference.shape and float((answer - reference).abs().max()) <= bound
        for answer, reference in zip(given, expected, strict=True)
    )


def _sees_later_tokens(model: Any) -> bool:
    """Return True if earlier logits change when the last token is replaced or removed."""
    row = _tokens(model, LONG)
    changed = [*row[:-1], _tokens(model, 1, start=1)[0]]
    (before,), (after,) = _logits(model, [row]), _logits(model, [changed])
    if not _same([before[:-1]], [after[:-1]]):
        return True
    return not rotary_modules(model) and not _same(_logits(model, [row[:-1]]), [before[:-1]])


def _batching(model: Any, task: str) -> str:
    """Return the least restricted batching under which every row is answered as if it were alone."""
    if rotary_modules(model):
        return ONE_LENGTH

    def alike(lengths: tuple[int, ...]) -> bool:
        rows = [_tokens(model, length, start) for start, length in enumerate(lengths)]
        runs = [_logits, _continued] if task == "causal" else [_logits]
        return all(_same(run(model, rows), [run(model, [row])[0] for row in rows]) for run in runs)

    if alike((LONG, SHORT)):
        return PADDED
    if alike((SHORT, SHORT)):
        return ONE_LENGTH
    if alike((SHORT,)):
        return ONE_ROW
    raise UserError(
        f"a model of the architecture '{model.config.model_type}' answers the same tokens differently twice"
    )


def _longest(model: Any, expected: int | None) -> int | None:
    """Return the number of tokens that the model takes if its positions are a short enough table, else `expected`."""
    tables = [
        module
        for name, module in model.named_modules()
        if "pos" in name.lower() and isinstance(module, torch.nn.Embedding)
    ]
    if not tables or expected is None or expected > LONGEST_TRIED:
        return expected
    for count in range(expected, max(0, expected - 8), -1):
        try:
            _logits(model, [_tokens(model, count)])
            return count
        except (IndexError, RuntimeError):
            continue
    raise UserError(
        f"it cannot take a prompt of {expected} tokens, as its config.json says, nor one that is a little shorter"
    )
