"""The families of architectures that the sweep engine has blocks for.

Every block is made from the checkpoint's own modules (their weights, norms and activations).
`laser.config.architectures` declares where a family keeps its layers and matrices; a family adds here how they fit
together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from laser.config.architectures import ARCHITECTURES
from laser.engine import products
from laser.engine.blocks import Block, Linear, Network, Rotary


def _layers(model: Any) -> Iterator[tuple[Any, dict[str, Linear]]]:
    """Yield every layer's module and its logical matrices."""
    layout = ARCHITECTURES[model.config.model_type]
    for layer in model.get_submodule(layout.layer.removesuffix(".{layer}.")):
        linears = {}
        for matrix, weight in layout.matrices.items():
            module = layer.get_submodule(weight.removesuffix(".weight"))
            linears[matrix] = _linear(module, matrix in layout.transposed, layout.packed.get(matrix, (0, 1)))
        yield layer, linears


def _linear(module: Any, transposed: bool, part: tuple[int, int]) -> Linear:
    """Return a module's matrix (out, in), or one of the equal parts (index, count) that it packs."""
    index, count = part
    weight = module.weight.T if transposed else module.weight
    bias = None if module.bias is None else module.bias.chunk(count)[index]
    return Linear(weight.chunk(count)[index], bias, isinstance(module, products.SplitLinear))


def _rotate_halves(states: Tensor, rotary: Rotary) -> Tensor:
    """Rotate the first components of every head, their first half against their second (Llama, GPT-NeoX)."""
    cos, sin = (part[:, None, :] for part in rotary)
    size = cos.shape[-1]
    half = size // 2
    # In place, because the usual concatenation of halves costs more on a CPU than the layer's norms.
    turned = states[..., :size] * cos
    turned[..., :half].addcmul_(states[..., half:size], sin[..., :half], value=-1)
    turned[..., half:].addcmul_(states[..., :half], sin[..., half:])
    turned = turned.to(states.dtype)  # OLMo 2 keeps the rotary positions in fp32
    return turned if size == states.shape[-1] else torch.cat((turned, states[..., size:]), dim=-1)


def _rotate_pairs(states: Tensor, rotary: Rotary) -> Tensor:
    """Rotate the first components of every head, neighbours against each other (GPT-J)."""
    cos, sin = (part[:, None, :].repeat_interleave(2, dim=-1) for part in rotary)
    size = cos.shape[-1]
    turned = states[..., :size]
    swapped = torch.stack((-turned[..., 1::2], turned[..., ::2]), dim=-1).flatten(-2)
    result = turned * cos + swapped * sin
    return result if size == states.shape[-1] else torch.cat((result, states[..., size:]), dim=-1)


def _same(states: Tensor) -> Tensor:
    return states


def _before_mlp(norm: Any = _same, of_attention: Any = _same) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Sequential blocks: the MLP sees the residual, normalised if it has a norm; so may be the attention's output."""

    def between(hidden: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        residual = hidden + of_attention(attention)
        return residual, norm(residual)

    return between


def _beside_mlp(norm: Any) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Parallel blocks: the MLP sees the block's input, not the attention's output."""
    return lambda hidden, attention: (hidden + attention, norm(hidden))


def _normed_before_mlp(norm: Any) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Sequential post-norm blocks: the MLP sees the normalised sum, which is the residual too."""
    return lambda hidden, attention: (norm(hidden + attention),) * 2


def _normed_sum(norm: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """Post-norm blocks: the sum of residual and MLP output is normalised."""
    return lambda residual, output: norm(residual + output)


def _normed_output(norm: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """Blocks that normalise the MLP's output before adding it."""
    return lambda residual, output: residual + norm(output)


def _rms_norm(module: Any) -> Callable[[Tensor], Tensor]:
    """Return an RMSNorm module's function; in fp32 it makes one pass for the mean square and one for the product."""
    if module.weight.dtype != torch.float32:
        return module
    return partial(_rms_normed, module.weight, module.variance_epsilon)


def _rms_normed(weight: Tensor, epsilon: float, states: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
    scale = length.square_().div_(states.shape[-1]).add_(epsilon).rsqrt_()
    return (states * scale).mul_(weight)


def _rotary_module(module: Any, like: Tensor) -> Callable[[Tensor], Rotary]:
    def rotary(positions: Tensor) -> Rotary:
        cos, sin = module(like, positions[None])
        return cos[0], sin[0]

    return rotary


def _reach(config: Any, layer: int) -> int | None:
    """Return the sliding window of a layer in tokens, or None if a token sees all tokens before it."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and kinds[layer] != "sliding_attention":
        return None
    reach: int | None = getattr(config, "sliding_window", None)
    return reach


def _by_head(
    query: Callable[[Tensor], Tensor], key: Callable[[Tensor], Tensor], size: int
) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return a block's norms of packed queries and keys (N, heads·size) that apply to each head separately."""

    def by_head(norm: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda states: norm(states.view(len(states), -1, size)).view(len(states), -1)

    return {"q": by_head(query), "k": by_head(key)}


def _llama(model: Any) -> Network:
    """Llama, Mistral, Qwen2, Qwen3: sequential, RMSNorm, grouped-query attention, rotary positions, gated MLP.

    Qwen3 normalises the queries and keys of every head.
    """
    blocks = []
    for index, (layer, linears) in enumerate(_layers(model)):
        attention = layer.self_attn
        norms = {}
        if hasattr(attention, "q_norm"):
            norms = _by_head(_rms_norm(attention.q_norm), _rms_norm(attention.k_norm), attention.head_dim)
        blocks.append(
            Block(
                linears, model.config.num_attention_heads, model.config.num_key_value_heads, attention.scaling,
                _rms_norm(layer.input_layernorm), _before_mlp(_rms_norm(layer.post_attention_layernorm)),
                layer.mlp.act_fn, torch.add, _rotate_halves, norms=norms, reach=_reach(model.config, index),
            )
        )  # fmt: skip
    return _llama_network(model, blocks, _rms_norm(model.model.norm))


def _olmo2(model: Any) -> Network:
    """OLMo 2: like Llama, but with a norm after each half instead of before it, and norms over all heads together."""
    blocks = [
        Block(
            linears, model.config.num_attention_heads, model.config.num_key_value_heads, layer.self_attn.scaling,
            torch.nn.Identity(), _before_mlp(of_attention=_rms_norm(layer.post_attention_layernorm)), layer.mlp.act_fn,
            _normed_output(_rms_norm(layer.post_feedforward_layernorm)), _rotate_halves,
            norms={"q": _rms_norm(layer.self_attn.q_norm), "k": _rms_norm(layer.self_attn.k_norm)},
        )
        for layer, linears in _layers(model)
    ]  # fmt: skip
    return _llama_network(model, blocks, _rms_norm(model.model.norm))


def _llama_network(
    model: Any,
    blocks: Sequence[Block],
    norm: Callable[[Tensor], Tensor],
    rotary: Callable[[Tensor], Rotary] | None = None,
) -> Network:
    """Return the network of a model whose embeddings, final norm and head are arranged as in Llama.

    Args:
        model: the model.
        blocks: the blocks of its layers.
        norm: the final norm.
        rotary: the network's rotary positions, if they are not those of the model's own module.
    """
    body = model.model
    return Network(
        tuple(blocks),
        embed=lambda ids, positions: body.embed_tokens(ids),
        final=norm,
        head=model.lm_head,
        vocabulary=model.config.vocab_size,
        rotary=rotary or _rotary_module(body.rotary_emb, body.embed_tokens.weight),
    )


def _gemma_norm(module: Any) -> Callable[[Tensor], Tensor]:
    """Return the function of Gemma's RMSNorm module, whose factor is 1 + weight."""
    return module if module.weight.dtype != torch.float32 else partial(_rms_normed, 1 + module.weight, module.eps)


def _gemma3(model: Any) -> Network:
    """Gemma 3: norms before and after each half, normalised queries and keys, layers with and without sliding window.

    Each kind of layer has rotary positions of its own. Those of the network hold all kinds side by side, and each block
    takes its part.
    """
    body, config = model.model, model.config
    norm, size, kinds = _gemma_norm(body.norm), config.head_dim, sorted(set(config.layer_types))
    blocks = []
    for index, (layer, linears) in enumerate(_layers(model)):
        attention, start = layer.self_attn, size * kinds.index(config.layer_types[index])
        between = _before_mlp(_gemma_norm(layer.pre_feedforward_layernorm), _gemma_norm(layer.post_attention_layernorm))
        after = _normed_output(_gemma_norm(layer.post_feedforward_layernorm))

        def rotate(states: Tensor, rotary: Rotary, part: slice = slice(start, start + size)) -> Tensor:
            return _rotate_halves(states, (rotary[0][:, part], rotary[1][:, part]))

        blocks.append(
            Block(
                linears, config.num_attention_heads, config.num_key_value_heads, attention.scaling,
                _gemma_norm(layer.input_layernorm), between, layer.mlp.act_fn, after, rotate,
                norms=_by_head(_gemma_norm(attention.q_norm), _gemma_norm(attention.k_norm), size),
                reach=_reach(config, index),
            )
        )  # fmt: skip

    def rotary(positions: Tensor) -> Rotary:
        pairs = [body.rotary_emb(body.embed_tokens.weight, positions[None], kind) for kind in kinds]
        cos, sin = (torch.cat(parts, dim=-1)[0] for parts in zip(*pairs, strict=True))
        return cos, sin

    return _llama_network(model, blocks, norm, rotary)


def _refuses_gemma3(config: Any) -> bool:
    """Return True if logits are capped, or tokens see the tokens after them."""
    settings = ("attn_logit_softcapping", "final_logit_softcapping", "use_bidirectional_attention")
    return any(getattr(config, name, None) for name in settings)


def _gptj(model: Any) -> Network:
    """GPT-J: attention and MLP side by side, rotary positions on the first components of a head."""
    body = model.transformer
    heads = model.config.num_attention_heads
    blocks = [
        Block(
            linears, heads, heads, layer.attn.head_dim**-0.5, layer.ln_1, _beside_mlp(layer.ln_1), layer.mlp.act,
            torch.add, _rotate_pairs,
        )
        for layer, linears in _layers(model)
    ]  # fmt: skip
    table = body.h[0].attn.embed_positions

    def rotary(positions: Tensor) -> Rotary:
        sin, cos = table.to(positions.device)[positions].to(body.wte.weight.dtype).chunk(2, dim=-1)
        return cos, sin

    return Network(
        tuple(blocks),
        embed=lambda ids, positions: body.wte(ids),
        final=body.ln_f,
        head=model.lm_head,
        vocabulary=model.config.vocab_size,
        rotary=rotary,
    )


def _gpt2(model: Any) -> Network:
    """GPT-2: sequential, LayerNorm, learned positions, weights stored (in, out) with q, k, v packed."""
    body = model.transformer
    heads = model.config.num_attention_heads
    blocks = [
        Block(linears, heads, heads, layer.attn.scaling, layer.ln_1, _before_mlp(layer.ln_2), layer.mlp.act, torch.add)
        for layer, linears in _layers(model)
    ]
    return Network(
        tuple(blocks),
        embed=lambda ids, positions: body.wte(ids) + body.wpe(positions),
        final=body.ln_f,
        head=model.lm_head,
        vocabulary=model.config.vocab_size,
    )


def _gpt_neox(model: Any) -> Network:
    """GPT-NeoX and Pythia: one weight interleaves q, k and v head by head, so they are not edited here."""
    body = model.gpt_neox
    heads = model.config.num_attention_heads
    blocks = []
    for layer, linears in _layers(model):
        attention = layer.attention

        def qkv(states: Tensor, packed: Any = attention.query_key_value, heads: int = heads) -> tuple[Tensor, ...]:
            by_head = packed(states).view(len(states), heads, 3, -1)
            return tuple(by_head[:, :, part].flatten(1) for part in range(3))

        meet = _beside_mlp if layer.use_parallel_residual else _before_mlp
        blocks.append(
            Block(
                linears, heads, heads, attention.scaling, layer.input_layernorm, meet(layer.post_attention_layernorm),
                layer.mlp.act, torch.add, _rotate_halves, qkv,  # type: ignore[arg-type]
            )
        )  # fmt: skip
    return Network(
        tuple(blocks),
        embed=lambda ids, positions: body.embed_in(ids),
        final=body.final_layer_norm,
        head=model.get_output_embeddings(),
        vocabulary=model.config.vocab_size,
        rotary=_rotary_module(body.rotary_emb, body.embed_in.weight),
    )


def _phi(model: Any) -> Network:
    """Phi 1 and 2: attention and MLP side by side after one norm, rotary positions on the first components of a head.

    With `qk_layernorm` the queries and keys of every head are normalised.
    """
    blocks = []
    for layer, linears in _layers(model):
        attention = layer.self_attn
        norms = {}
        if attention.qk_layernorm:
            norms = _by_head(attention.q_layernorm, attention.k_layernorm, attention.head_dim)
        blocks.append(
            Block(
                linears, model.config.num_attention_heads, model.config.num_key_value_heads, attention.scaling,
                layer.input_layernorm, _beside_mlp(layer.input_layernorm), layer.mlp.activation_fn, torch.add,
                _rotate_halves, norms=norms,
            )
        )  # fmt: skip
    return _llama_network(model, blocks, model.model.final_layernorm)


def _opt(model: Any) -> Network:
    """OPT: sequential, LayerNorm before each half or (350M) after it, learned positions, ReLU.

    Embeddings of a width other than that of the states (350M) are projected at both ends.
    """
    body = model.model.decoder
    heads = model.config.num_attention_heads
    project_in, project_out, norm = (
        torch.nn.Identity() if module is None else module
        for module in (body.project_in, body.project_out, body.final_layer_norm)
    )
    blocks = []
    for layer, linears in _layers(model):
        first, second = layer.self_attn_layer_norm, layer.final_layer_norm
        before = layer.do_layer_norm_before
        blocks.append(
            Block(
                linears, heads, heads, layer.self_attn.scaling, first if before else torch.nn.Identity(),
                _before_mlp(second) if before else _normed_before_mlp(first), layer.activation_fn,
                torch.add if before else _normed_sum(second),
            )
        )  # fmt: skip

    def embed(ids: Tensor, positions: Tensor) -> Tensor:
        placed: Tensor = body.embed_positions(None, position_ids=positions)
        return project_in(body.embed_tokens(ids)) + placed

    return Network(
        tuple(blocks),
        embed=embed,
        final=lambda hidden: project_out(norm(hidden)),
        head=model.lm_head,
        vocabulary=model.config.vocab_size,
    )


def _bert(model: Any) -> Network:
    """BERT and RoBERTa with a masked-language-model head: bidirectional, norms after each half, learned positions."""
    roberta = hasattr(model, "roberta")
    body = model.roberta if roberta else model.bert
    heads = model.config.num_attention_heads
    blocks = [
        Block(
            linears, heads, heads, layer.attention.self.scaling, torch.nn.Identity(),
            _normed_before_mlp(layer.attention.output.LayerNorm), layer.intermediate.intermediate_act_fn,
            _normed_sum(layer.output.LayerNorm),
        )
        for layer, linears in _layers(model)
    ]  # fmt: skip
    padding = model.config.pad_token_id
    return Network(
        tuple(blocks),
        embed=lambda ids, positions: body.embeddings(input_ids=ids[None], position_ids=positions[None])[0],
        final=torch.nn.Identity(),
        head=model.lm_head if roberta else model.cls,
        vocabulary=model.config.vocab_size,
        causal=False,
        first_position=padding + 1 if roberta else 0,
        unplaced=padding if roberta else None,
    )


FAMILIES: Mapping[str, Callable[[Any], Network]] = {
    "llama": _llama,
    "mistral": _llama,
    "qwen2": _llama,
    "gemma3_text": _gemma3,
    "qwen3": _llama,
    "olmo2": _olmo2,
    "phi": _phi,
    "opt": _opt,
    "gptj": _gptj,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "bert": _bert,
    "roberta": _bert,
}
"""What makes the network of a model, by its model_type."""

_REFUSES: Mapping[str, Callable[[Any], bool]] = {
    # Llama's own code has no sliding window. Mistral's has one in all layers or in none, whatever config.json says.
    "llama": lambda config: getattr(config, "sliding_window", None) is not None,
    "mistral": lambda config: getattr(config, "layer_types", None) is not None,
    "gemma3_text": _refuses_gemma3,
    "gptj": lambda config: config.rotary_dim is None,
    "gpt2": lambda config: config.add_cross_attention,
    "bert": lambda config: config.is_decoder,
    "roberta": lambda config: config.is_decoder,
}
"""What returns True for a config that a family's blocks do not cover, by model_type."""

STATIC_ROTARY = ("default", "linear", "llama3", "yarn")


def network(model: Any) -> Network | None:
    """Return a model as the engine sees it, or None if the engine does not support it.

    Not supported are an unknown model_type, a variant that its family refuses, rotary positions whose frequencies
    depend on the sequence length, and models spread over several devices or dtypes.
    """
    config = model.config
    build, refuses = FAMILIES.get(config.model_type), _REFUSES.get(config.model_type)
    name = type(model).__name__
    if build is None or name.endswith(("Classification", "QuestionAnswering")) or (refuses and refuses(config)):
        return None
    if not _static_rotary(getattr(config, "rope_parameters", None) or {}):
        return None
    if (build is _bert) != name.endswith("MaskedLM"):
        return None
    split = {id(module.weight) for module in model.modules() if isinstance(module, products.SplitLinear)}
    kinds = {
        (parameter.device, torch.float32 if id(parameter) in split else parameter.dtype)
        for parameter in model.parameters()
    }
    return build(model) if len(kinds) == 1 else None


def _static_rotary(parameters: Mapping[str, Any]) -> bool:
    """Return True if no frequency depends on the sequence length; some models have parameters per kind of layer."""
    by_kind: list[Mapping[str, Any]] = [values for values in parameters.values() if isinstance(values, dict)]
    return all(values.get("rope_type", "default") in STATIC_ROTARY for values in by_kind or [parameters])
