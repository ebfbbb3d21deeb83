"""Tiny random models of every family the engine has blocks for, and requests that exercise it."""

from __future__ import annotations

import os
import random
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import torch
import transformers

from laser.models.device import DTYPES
from laser.models.load import LoadedModel
from laser.tasks.passes import Generation, Pass, Requests

DEVICE = torch.device(os.environ.get("LASER_TEST_DEVICE", "cpu"))
"""Where the tests of the engine run: LASER_TEST_DEVICE=cuda lets them run on a GPU."""
VOCABULARY = 97
LAYERS = 3
COMMON = dict(vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LLAMA = COMMON | dict(
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=LAYERS,
    num_attention_heads=6,
    num_key_value_heads=2,
    max_position_embeddings=128,
    initializer_range=0.25,
)
GPT2 = COMMON | dict(n_embd=48, n_layer=LAYERS, n_head=4, n_positions=128, initializer_range=0.25)
BERT = dict(
    vocab_size=VOCABULARY,
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=LAYERS,
    num_attention_heads=4,
    max_position_embeddings=128,
    initializer_range=0.25,
)
NEOX = COMMON | dict(
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=LAYERS,
    num_attention_heads=4,
    max_position_embeddings=128,
    initializer_range=0.25,
)

WINDOW = 5
"""Tokens of a sliding window: most of the requests are longer."""
SLIDING, FULL = "sliding_attention", "full_attention"
GEMMA = LLAMA | dict(
    head_dim=12,
    num_attention_heads=4,
    query_pre_attn_scalar=7,
    layer_types=[SLIDING, FULL, SLIDING],
    sliding_window=WINDOW,
    rope_parameters={
        SLIDING: {"rope_type": "default", "rope_theta": 100.0},
        FULL: {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0},
    },
)

OPT = COMMON | dict(
    hidden_size=48,
    ffn_dim=80,
    num_hidden_layers=LAYERS,
    num_attention_heads=4,
    max_position_embeddings=128,
    init_std=0.25,
)

PHI = NEOX | dict(rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5})

CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**LLAMA),
    "llama_bias": lambda: transformers.LlamaConfig(**LLAMA, attention_bias=True, mlp_bias=True),
    "mistral": lambda: transformers.MistralConfig(**LLAMA, sliding_window=None),
    "mistral_window": lambda: transformers.MistralConfig(**LLAMA, sliding_window=WINDOW),
    "qwen2": lambda: transformers.Qwen2Config(**LLAMA),
    "qwen2_windows": lambda: transformers.Qwen2Config(
        **LLAMA, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "gemma3_text": lambda: transformers.Gemma3TextConfig(**GEMMA),
    "qwen3": lambda: transformers.Qwen3Config(**LLAMA, head_dim=10),
    "qwen3_tied_bias": lambda: transformers.Qwen3Config(
        **LLAMA, head_dim=8, attention_bias=True, tie_word_embeddings=True
    ),
    "qwen3_windows": lambda: transformers.Qwen3Config(
        **LLAMA, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "olmo2": lambda: transformers.Olmo2Config(**LLAMA),
    "olmo2_bias": lambda: transformers.Olmo2Config(**LLAMA, attention_bias=True, tie_word_embeddings=True),
    "phi": lambda: transformers.PhiConfig(**PHI),
    "phi_normed": lambda: transformers.PhiConfig(**PHI, qk_layernorm=True, num_key_value_heads=2),
    "opt": lambda: transformers.OPTConfig(**OPT, word_embed_proj_dim=48),
    "opt_350m": lambda: transformers.OPTConfig(**OPT, word_embed_proj_dim=32, do_layer_norm_before=False),
    "opt_bare": lambda: transformers.OPTConfig(
        **OPT,
        word_embed_proj_dim=48,
        enable_bias=False,
        layer_norm_elementwise_affine=False,
        activation_function="gelu",
        tie_word_embeddings=False,
    ),
    "gptj": lambda: transformers.GPTJConfig(**GPT2, rotary_dim=8),
    "gpt2": lambda: transformers.GPT2Config(**GPT2),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**NEOX),
    "gpt_neox_sequential": lambda: transformers.GPTNeoXConfig(**NEOX, use_parallel_residual=False),
    "bert": lambda: transformers.BertConfig(**BERT, pad_token_id=0),
    "roberta": lambda: transformers.RobertaConfig(**BERT, pad_token_id=1),
}
MASKED = ["bert", "roberta"]
VARIANTS = ["qwen3_tied_bias", "qwen3_windows", "olmo2_bias", "phi_normed", "opt_350m", "opt_bare"]
"""Of families that stand above: their blocks are held to the models, one layer of them to the reference engine."""
CAUSAL = [name for name in CONFIGS if name not in (*MASKED, *VARIANTS)]


@cache
def tiny(family: str, dtype: str = "fp32", ends: tuple[int, ...] = (2,)) -> LoadedModel:
    """Return a random model of a family, made once."""
    return made(CONFIGS[family](), dtype, ends)


@torch.inference_mode(False)
def made(chosen, dtype: str = "fp32", ends: tuple[int, ...] = (2,)) -> LoadedModel:
    """Return a random model of a configuration.

    Biases and norms are random too: a fresh model's zeros and ones would hide them.
    """
    torch.manual_seed(7)
    task = "masked" if chosen.model_type in MASKED else "causal"
    kind = transformers.AutoModelForMaskedLM if task == "masked" else transformers.AutoModelForCausalLM
    model = kind.from_config(chosen)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn_like(parameter)
    model = model.to(DEVICE, DTYPES[dtype]).eval().requires_grad_(False)
    if task == "causal":
        model.generation_config.eos_token_id = list(ends) or None
    tokenizer = SimpleNamespace(pad_token_id=chosen.pad_token_id, eos_token_id=2)
    return LoadedModel(model, tokenizer, chosen.to_dict(), task, DEVICE, dtype, Path("tiny"))


def requests(seed: int = 0, count: int = 10, generate: bool = True, longest: int = 10) -> Requests:
    """Return requests of every shape: several options, answers of several tokens, repeated and nested prompts."""
    source = random.Random(seed)

    def tokens(length: int) -> tuple[int, ...]:
        return tuple(source.randrange(3, VOCABULARY) for _ in range(length))

    heads = [tokens(7) for _ in range(3)]
    passes, generations = [], []
    for index in range(count):
        prompt = (1,) + heads[index % 3][: source.randrange(8)] + tokens(source.randrange(1, 5))
        if index % 5 == 4:
            prompt = passes[-1].ids
        answer = tokens(source.randrange(1, 4))
        last = len(prompt) - 1
        passes.append(
            Pass(prompt + answer[:-1], tuple((last + place, token) for place, token in enumerate(answer)), (last,))
        )
        if index % 3 == 0:
            passes.append(Pass(prompt, tuple((last, token) for token in tokens(3))))
        if generate:
            generations.append(Generation(prompt, source.choice([1, 4, longest])))
    return Requests(tuple(passes), tuple(generations))


def masked_requests(seed: int = 0, count: int = 12) -> Requests:
    """Return passes with queries and wanted positions anywhere, the padding token inside one of them."""
    source = random.Random(seed)
    passes = []
    for index in range(count):
        ids = tuple(source.randrange(3, VOCABULARY) for _ in range(source.randrange(3, 20)))
        if index == 5:
            ids = ids[:2] + (1,) + ids[2:]
        places = sorted(source.sample(range(len(ids)), min(3, len(ids))))
        passes.append(Pass(ids, tuple((place, source.randrange(VOCABULARY)) for place in places), tuple(places[:2])))
    return Requests(tuple(passes))


def assert_agree(expected, found, tolerance: float = 1e-4) -> None:
    """Hold two engines' answers to each other: log-probabilities to the tolerance, everything else exactly.

    But for near ties: where two tokens lie within 1e-5 of each other, the order of floating-point sums, which differs
    between machines, decides which comes first. Such tokens may change places, and a rank may so move by one, in no
    more than one query of a hundred.
    """
    expected, found = list(expected), list(found)
    queries = moved = 0
    assert len(expected) == len(found)
    for place, (one, other) in enumerate(zip(expected, found, strict=True)):
        assert len(one.passes) == len(other.passes)
        for left, right in zip(one.passes, other.passes, strict=True):
            assert len(left.logprobs) == len(right.logprobs)
            assert len(left.top_ids) == len(right.top_ids)
            for a, b in zip(left.logprobs, right.logprobs, strict=True):
                assert abs(a - b) <= tolerance, place
            for a, b in zip(left.top_logprobs, right.top_logprobs, strict=True):
                assert max(abs(x - y) for x, y in zip(a, b, strict=True)) <= tolerance, place
            assert all(abs(a - b) <= 1 for a, b in zip(left.ranks, right.ranks, strict=True)), place
            queries += len(left.ranks)
            moved += sum(a != b for a, b in zip(left.ranks, right.ranks, strict=True))
            for ids, others, values in zip(left.top_ids, right.top_ids, left.top_logprobs, strict=True):
                _same_but_for_ties(ids, others, values, place)
        assert one.generations == other.generations, place
    assert moved <= queries / 100


def _same_but_for_ties(ids, others, values, place) -> None:
    for rank, (a, b) in enumerate(zip(ids, others, strict=True)):
        if a != b:
            around = [abs(values[rank] - values[near]) for near in (rank - 1, rank + 1) if 0 <= near < len(values)]
            assert min(around) < 1e-5 or rank == len(ids) - 1, place
