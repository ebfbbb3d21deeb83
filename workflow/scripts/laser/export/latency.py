"""Seconds per token of a model whose edited matrix is two factors, and of the same model with their product.

The measured times differ from run to run and from machine to machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from laser.export.factored import FactoredLinear, linear, with_module

BATCHES = (1, 16)
PROMPT_TOKENS = 32
NEW_TOKENS = 8
REPEATS = 3
SECONDS = 10.0
"""Seconds per batch size after which no further repeat begins; each form runs at least once."""


def latency(model: Any) -> dict[str, Any]:
    """Measure a model from `load_factored` in both forms.

    For a causal model, the time of greedy generation after a short prompt is divided by the new tokens of all
    sequences; for a masked model, the time of one pass is divided by the tokens that it reads. The forms take turns.
    The first run of each does not count, and the median over `REPEATS` further runs is taken. After `SECONDS` no more
    runs begin, and the first one counts if there is no other.

    Returns:
        The conditions of the measurement, and under `seconds_per_token` an entry per batch size with `dense`,
        `factored` and `repeats`, the number of runs of each form that count.
    """
    ((name, factors),) = [pair for pair in model.named_modules() if isinstance(pair[1], FactoredLinear)]
    forms = {"dense": dense_linear(factors), "factored": factors}
    generates = model.can_generate()
    entries: list[dict[str, Any]] = []
    for batch in BATCHES:
        run = _run(model, batch, generates)
        tokens = batch * (NEW_TOKENS if generates else PROMPT_TOKENS)
        times: dict[str, list[float]] = {form: [] for form in forms}
        ends = time.monotonic() + SECONDS
        for _ in range(1 + REPEATS):
            for form, module in forms.items():
                with with_module(model, name, module):
                    times[form].append(_seconds(run, model.device) / tokens)
            if time.monotonic() > ends:
                break
        counted = {form: values[1:] or values for form, values in times.items()}
        medians = {form: statistics.median(values) for form, values in counted.items()}
        entries.append({"batch": batch, "repeats": len(counted["dense"])} | medians)
    return {
        "note": "measured: differs from run to run",
        "device": torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "prompt_tokens": PROMPT_TOKENS,
        **({"new_tokens": NEW_TOKENS} if generates else {}),
        "seconds_per_token": entries,
    }


def dense_linear(factors: FactoredLinear) -> torch.nn.Linear:
    """Return the linear layer with the product of the factors as its weight."""
    return linear(factors.weight.detach(), factors.bias)


def _run(model: Any, batch: int, generates: bool) -> Callable[[], Any]:
    """Return a function that runs the model once on made-up token ids."""
    ids = torch.arange(batch * PROMPT_TOKENS, device=model.device).reshape(batch, -1) % model.config.vocab_size
    mask = torch.ones_like(ids)
    if not generates:
        return lambda: model(input_ids=ids, attention_mask=mask)
    length = {"min_new_tokens": NEW_TOKENS, "max_new_tokens": NEW_TOKENS}
    return lambda: model.generate(input_ids=ids, attention_mask=mask, do_sample=False, use_cache=True, **length)


def _seconds(run: Callable[[], Any], device: torch.device) -> float:
    with torch.inference_mode():
        _wait(device)
        started = time.perf_counter()
        run()
        _wait(device)
        return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
