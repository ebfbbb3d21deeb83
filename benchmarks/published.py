"""Evaluation by the released code's procedure, reimplemented from a description of its behaviour.

It takes one example at a time, without padding or mask, and writes one randomised low-rank step into the weights per
configuration. Decoders do a greedy generation and then a second forward pass over prompt and answer with a log-softmax
at every position; RoBERTa takes batches of 256 prompts. Nothing is kept from one configuration to the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import GenerationConfig

from laser.models.adapter import parameter_view
from laser.models.load import LoadedModel
from laser.reduction.interventions import Intervention, kept_rank
from laser.tasks.passes import Generation, Pass

MASKED_BATCH = 256


def edit(loaded: LoadedModel, one: Intervention, iterations: int) -> torch.Tensor:
    """Write the randomised low-rank step into the weights; return the original weight."""
    weight = parameter_view(loaded.model, loaded.config, one.layer, one.matrix)
    original = weight.clone()
    torch.manual_seed(0)
    u, s, v = torch.svd_lowrank(weight.float(), q=kept_rank(one.rho, weight.shape), niter=iterations)
    weight.copy_(u @ torch.diag(s) @ v.T)
    return original


@torch.no_grad()
def run(
    loaded: LoadedModel, one: Intervention, passes: Sequence[Pass], generations: Sequence[Generation]
) -> list[float]:
    """Evaluate one configuration; return the log-probability of each pass's answer.

    Args:
        loaded: the model; left as it was.
        one: the configuration.
        passes: one per example.
        generations: one per example for decoders, empty for masked models.
    """
    masked = loaded.task == "masked"
    original = edit(loaded, one, 20 if masked else 2)
    try:
        if masked:
            return _masked(loaded, passes)
        return [_decoder(loaded, asked, prompt) for asked, prompt in zip(passes, generations, strict=True)]
    finally:
        parameter_view(loaded.model, loaded.config, one.layer, one.matrix).copy_(original)


def _decoder(loaded: LoadedModel, asked: Pass, prompt: Generation) -> float:
    settings = GenerationConfig(
        do_sample=False, max_new_tokens=prompt.new_tokens, min_new_tokens=1,
        eos_token_id=loaded.model.generation_config.eos_token_id, pad_token_id=loaded.tokenizer.eos_token_id,
    )  # fmt: skip
    ids = torch.tensor([prompt.ids])
    output = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    loaded.tokenizer.decode(output[0].tolist())
    logprobs = torch.log_softmax(loaded.model(torch.tensor([asked.ids])).logits[0], dim=-1)
    return sum(float(logprobs[position, token].item()) for position, token in asked.queries)


def _masked(loaded: LoadedModel, passes: Sequence[Pass]) -> list[float]:
    found = []
    padding = loaded.tokenizer.pad_token_id
    for start in range(0, len(passes), MASKED_BATCH):
        part = passes[start : start + MASKED_BATCH]
        width = max(len(one.ids) for one in part)
        ids = torch.tensor([one.ids + (padding,) * (width - len(one.ids)) for one in part])
        mask = torch.tensor([[1] * len(one.ids) + [0] * (width - len(one.ids)) for one in part])
        logprobs = torch.log_softmax(loaded.model(ids, attention_mask=mask).logits, dim=-1)
        for row, one in enumerate(part):
            found.append(sum(float(logprobs[row, position, token].item()) for position, token in one.queries))
    return found
