"""One transformer block taken apart, for the architectures that the sweep engine knows.

Every block is written from the checkpoint's own modules (their weights, norms and activations). Hidden states are
packed: one row per token, (tokens, hidden), whatever its sequence; `laser.engine.attention` keeps sequences apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from laser.engine import products

Rotary = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Linear:
    """A logical matrix of the model: weight (out, in), bias (out,) or None.

    `dtype` is that of the states, and of an edited weight: fp32 too where the weight itself is kept in fp16 for exact
    products on tensor cores (`laser.engine.products`).
    """

    weight: Tensor
    bias: Tensor | None = None
    split: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """The states' dtype."""
        return torch.float32 if self.split else self.weight.dtype

    def __call__(self, states: Tensor | products.Halves) -> Tensor:
        """Return (N, out) for states (N, in)."""
        return products.linear(states, self.weight, self.bias)


@dataclass(frozen=True)
class Block:
    """The operations of one layer.

    Attributes:
        linears: logical matrices that can be edited one by one, by name (q k v o u_in u_gate u_out).
        heads, key_heads: number of query heads, and of key and value heads (fewer under grouped-query attention).
        scale: factor of the attention scores.
        before_attention: hidden (N, H) to the input of q, k and v.
        qkv: that input to q, k, v where they are packed in one weight; None where `linears` has them.
        rotate: (states (N, heads, size), rotary) to rotated states; None without rotary positions.
        between: (hidden, attention output) to (residual, input of the MLP).
        activation: of the MLP; with a u_gate it acts on the gate.
        after: (residual, MLP output) to the next hidden states.
    """

    linears: Mapping[str, Linear]
    heads: int
    key_heads: int
    scale: float
    before_attention: Callable[[Tensor], Tensor]
    between: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    activation: Callable[[Tensor], Tensor]
    after: Callable[[Tensor, Tensor], Tensor]
    rotate: Callable[[Tensor, Rotary], Tensor] | None = None
    qkv: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]] | None = None

    def project(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return q (N, heads·size), k and v (N, key_heads·size) before rotation."""
        if self.qkv is not None:
            return self.qkv(states)
        query, key, value = (self.linears[name] for name in "qkv")
        shared = products.prepared(states, query.weight, key.weight, value.weight)
        return query(shared), key(shared), value(shared)

    def turn(self, states: Tensor, rotary: Rotary | None) -> Tensor:
        """Rotate packed queries or keys (N, heads·size) to their positions, where the architecture does so."""
        if self.rotate is None or rotary is None:
            return states
        size = self.linears["o"].weight.shape[1] // self.heads
        return self.rotate(states.view(len(states), -1, size), rotary).reshape(len(states), -1)

    @property
    def gated(self) -> bool:
        """True if the MLP has a gate."""
        return "u_gate" in self.linears

    def inner(self, states: Tensor) -> Tensor:
        """Return the MLP's inner activations (N, inner) for its input (N, H)."""
        if self.gated:
            gate, up = self.linears["u_gate"], self.linears["u_in"]
            shared = products.prepared(states, gate.weight, up.weight)
            return self.activation(gate(shared)).mul_(up(shared))
        return self.activation(self.linears["u_in"](states))

    def mlp(self, states: Tensor) -> Tensor:
        """Return the MLP's output (N, H) for its input (N, H)."""
        return self.linears["u_out"](self.inner(states))


@dataclass(frozen=True)
class Network:
    """A whole model as the engine sees it.

    Attributes:
        embed: (ids (N,), positions (N,)) to hidden states (N, H).
        rotary: positions (N,) to (cos, sin), or None.
        head: hidden states after the last layer (N, H) to logits (N, vocabulary), final norm included.
        causal: False for masked models, whose tokens see each other.
        first_position: the position id of a sequence's first token.
        unplaced: a token id that takes no position of its own (RoBERTa's padding token), or None.
    """

    blocks: tuple[Block, ...]
    embed: Callable[[Tensor, Tensor], Tensor]
    head: Callable[[Tensor], Tensor]
    vocabulary: int
    rotary: Callable[[Tensor], Rotary] | None = None
    causal: bool = True
    first_position: int = 0
    unplaced: int | None = None


def _linear(module: Any) -> Linear:
    return Linear(module.weight, module.bias, isinstance(module, products.SplitLinear))


def _conv1d(module: Any) -> Linear:
    """GPT-2's Conv1D keeps its weight as (in, out)."""
    return Linear(module.weight.T, module.bias)


def _rotate_halves(states: Tensor, rotary: Rotary) -> Tensor:
    """Rotate the first components of every head, its halves against each other (Llama, GPT-NeoX)."""
    cos, sin = (part[:, None, :] for part in rotary)
    size = cos.shape[-1]
    half = size // 2
    # In place: the usual concatenation of halves costs more on a CPU than the layer's norms.
    turned = states[..., :size] * cos
    turned[..., :half].addcmul_(states[..., half:size], sin[..., :half], value=-1)
    turned[..., half:].addcmul_(states[..., :half], sin[..., half:])
    return turned if size == states.shape[-1] else torch.cat((turned, states[..., size:]), dim=-1)


def _rotate_pairs(states: Tensor, rotary: Rotary) -> Tensor:
    """Rotate the first components of every head, neighbours against each other (GPT-J)."""
    cos, sin = (part[:, None, :].repeat_interleave(2, dim=-1) for part in rotary)
    size = cos.shape[-1]
    turned = states[..., :size]
    swapped = torch.stack((-turned[..., 1::2], turned[..., ::2]), dim=-1).flatten(-2)
    result = turned * cos + swapped * sin
    return result if size == states.shape[-1] else torch.cat((result, states[..., size:]), dim=-1)


def _before_mlp(norm: Any) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Sequential pre-norm blocks: the MLP sees the normed sum."""

    def between(hidden: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        residual = hidden + attention
        return residual, norm(residual)

    return between


def _beside_mlp(norm: Any) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Parallel blocks: the MLP sees the block's input, not the attention's output."""

    def between(hidden: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        return hidden + attention, norm(hidden)

    return between


def _rms_norm(module: Any) -> Callable[[Tensor], Tensor]:
    """Return an RMSNorm module's function; in fp32 with one pass for the mean square and one for the product."""
    if module.weight.dtype != torch.float32:
        return module

    def norm(states: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
        scale = length.square_().div_(states.shape[-1]).add_(module.variance_epsilon).rsqrt_()
        return (states * scale).mul_(module.weight)

    return norm


def _add(residual: Tensor, output: Tensor) -> Tensor:
    return residual + output


def _rotary_module(module: Any, like: Tensor) -> Callable[[Tensor], Rotary]:
    def rotary(positions: Tensor) -> Rotary:
        cos, sin = module(like, positions[None])
        return cos[0], sin[0]

    return rotary


def _llama(model: Any) -> Network:
    """Llama, Mistral, Qwen2: sequential, RMSNorm, grouped-query attention, rotary positions, gated MLP."""
    body = model.model
    blocks, norm = [], _rms_norm(body.norm)
    for layer in body.layers:
        attention, mlp = layer.self_attn, layer.mlp
        linears = {
            "q": _linear(attention.q_proj), "k": _linear(attention.k_proj), "v": _linear(attention.v_proj),
            "o": _linear(attention.o_proj), "u_gate": _linear(mlp.gate_proj), "u_in": _linear(mlp.up_proj),
            "u_out": _linear(mlp.down_proj),
        }  # fmt: skip
        heads, key_heads = model.config.num_attention_heads, model.config.num_key_value_heads
        blocks.append(
            Block(
                linears, heads, key_heads, attention.scaling, _rms_norm(layer.input_layernorm),
                _before_mlp(_rms_norm(layer.post_attention_layernorm)), mlp.act_fn, _add, _rotate_halves,
            )
        )  # fmt: skip
    return Network(
        tuple(blocks),
        embed=lambda ids, positions: body.embed_tokens(ids),
        head=lambda hidden: model.lm_head(norm(hidden)),
        vocabulary=model.config.vocab_size,
        rotary=_rotary_module(body.rotary_emb, body.embed_tokens.weight),
    )


def _gptj(model: Any) -> Network:
    """GPT-J: attention and MLP side by side, rotary positions on the first components of a head."""
    body = model.transformer
    blocks = []
    for layer in body.h:
        attention, mlp = layer.attn, layer.mlp
        linears = {
            "q": _linear(attention.q_proj), "k": _linear(attention.k_proj), "v": _linear(attention.v_proj),
            "o": _linear(attention.out_proj), "u_in": _linear(mlp.fc_in), "u_out": _linear(mlp.fc_out),
        }  # fmt: skip
        heads = attention.num_attention_heads
        blocks.append(
            Block(
                linears, heads, heads, attention.head_dim**-0.5, layer.ln_1, _beside_mlp(layer.ln_1), mlp.act, _add,
                _rotate_pairs,
            )
        )  # fmt: skip
    table = body.h[0].attn.embed_positions

    def rotary(positions: Tensor) -> Rotary:
        sin, cos = table.to(positions.device)[positions].to(body.wte.weight.dtype).chunk(2, dim=-1)
        return cos, sin

    return Network(
        tuple(blocks),
        embed=lambda ids, positions: body.wte(ids),
        head=lambda hidden: model.lm_head(body.ln_f(hidden)),
        vocabulary=model.config.vocab_size,
        rotary=rotary,
    )


def _gpt2(model: Any) -> Network:
    """GPT-2: sequential, LayerNorm, learned positions, weights stored (in, out) with q, k, v packed."""
    body = model.transformer
    blocks = []
    for layer in body.h:
        packed = _conv1d(layer.attn.c_attn)
        parts = zip(packed.weight.chunk(3), packed.bias.chunk(3), strict=True)  # type: ignore[union-attr]
        linears = {name: Linear(*part) for name, part in zip("qkv", parts, strict=True)}
        linears |= {
            "o": _conv1d(layer.attn.c_proj), "u_in": _conv1d(layer.mlp.c_fc), "u_out": _conv1d(layer.mlp.c_proj),
        }  # fmt: skip
        heads = layer.attn.num_heads
        blocks.append(
            Block(linears, heads, heads, layer.attn.scaling, layer.ln_1, _before_mlp(layer.ln_2), layer.mlp.act, _add)
        )
    return Network(
        tuple(blocks),
        embed=lambda ids, positions: body.wte(ids) + body.wpe(positions),
        head=lambda hidden: model.lm_head(body.ln_f(hidden)),
        vocabulary=model.config.vocab_size,
    )


def _gpt_neox(model: Any) -> Network:
    """GPT-NeoX and Pythia: q, k, v interleaved head by head in one weight, so they are not edited here."""
    body = model.gpt_neox
    blocks = []
    for layer in body.layers:
        attention, mlp = layer.attention, layer.mlp
        linears = {
            "o": _linear(attention.dense), "u_in": _linear(mlp.dense_h_to_4h), "u_out": _linear(mlp.dense_4h_to_h),
        }  # fmt: skip
        heads = model.config.num_attention_heads

        def qkv(states: Tensor, packed: Any = attention.query_key_value, heads: int = heads) -> tuple[Tensor, ...]:
            by_head = packed(states).view(len(states), heads, 3, -1)
            return tuple(by_head[:, :, part].flatten(1) for part in range(3))

        meet = _beside_mlp if layer.use_parallel_residual else _before_mlp
        blocks.append(
            Block(
                linears, heads, heads, attention.scaling, layer.input_layernorm, meet(layer.post_attention_layernorm),
                mlp.act, _add, _rotate_halves, qkv,  # type: ignore[arg-type]
            )
        )  # fmt: skip
    return Network(
        tuple(blocks),
        embed=lambda ids, positions: body.embed_in(ids),
        head=lambda hidden: model.get_output_embeddings()(body.final_layer_norm(hidden)),
        vocabulary=model.config.vocab_size,
        rotary=_rotary_module(body.rotary_emb, body.embed_in.weight),
    )


def _bert(model: Any) -> Network:
    """BERT and RoBERTa with a masked-language-model head: bidirectional, norms after each half, learned positions."""
    roberta = hasattr(model, "roberta")
    body = model.roberta if roberta else model.bert
    blocks = []
    for layer in body.encoder.layer:
        attention, joined = layer.attention.self, layer.attention.output
        linears = {
            "q": _linear(attention.query), "k": _linear(attention.key), "v": _linear(attention.value),
            "o": _linear(joined.dense), "u_in": _linear(layer.intermediate.dense),
            "u_out": _linear(layer.output.dense),
        }  # fmt: skip

        def between(hidden: Tensor, output: Tensor, norm: Any = joined.LayerNorm) -> tuple[Tensor, Tensor]:
            residual = norm(output + hidden)
            return residual, residual

        def after(residual: Tensor, output: Tensor, norm: Any = layer.output.LayerNorm) -> Tensor:
            return norm(output + residual)

        heads = attention.num_attention_heads
        act = layer.intermediate.intermediate_act_fn
        blocks.append(Block(linears, heads, heads, attention.scaling, torch.nn.Identity(), between, act, after))
    padding = model.config.pad_token_id
    return Network(
        tuple(blocks),
        embed=lambda ids, positions: body.embeddings(input_ids=ids[None], position_ids=positions[None])[0],
        head=model.lm_head if roberta else model.cls,
        vocabulary=model.config.vocab_size,
        causal=False,
        first_position=padding + 1 if roberta else 0,
        unplaced=padding if roberta else None,
    )


FAMILIES: dict[str, Callable[[Any], Network]] = {
    "llama": _llama,
    "mistral": _llama,
    "qwen2": _llama,
    "gptj": _gptj,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "bert": _bert,
    "roberta": _bert,
}

STATIC_ROTARY = ("default", "linear", "llama3", "yarn")


def network(model: Any) -> Network | None:
    """Return a model as the engine sees it, or None where it has no blocks of its own for it.

    Not supported: an unknown model_type, rotary positions whose frequencies depend on the sequence length, GPT-J
    without rotary positions, decoders made from BERT, and models spread over several devices.
    """
    config = model.config
    if config.model_type not in FAMILIES or type(model).__name__.endswith(("Classification", "QuestionAnswering")):
        return None
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") not in STATIC_ROTARY:
        return None
    bidirectional = config.model_type in ("bert", "roberta")
    if bidirectional != type(model).__name__.endswith("MaskedLM") or (bidirectional and config.is_decoder):
        return None
    if config.model_type == "gpt2" and getattr(config, "add_cross_attention", False):
        return None
    if config.model_type == "gptj" and config.rotary_dim is None:
        return None
    split = {id(module.weight) for module in model.modules() if isinstance(module, products.SplitLinear)}
    kinds = {
        (parameter.device, torch.float32 if id(parameter) in split else parameter.dtype)
        for parameter in model.parameters()
    }
    if len(kinds) != 1:
        return None
    return FAMILIES[config.model_type](model)


def window(model: Any) -> int | None:
    """Return how far back the model's attention reaches in tokens, or None where it reaches to the start."""
    return getattr(model.config, "sliding_window", None)
