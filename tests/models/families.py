"""Tiny random models of every known architecture, made from their transformers configurations."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    DecisionTransformerModel,
    PreTrainedTokenizerFast,
)

HIDDEN, INNER, LAYERS, HEADS = 32, 48, 2, 4
BERT = {
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
}
GROUPED = BERT | {"num_key_value_heads": 2}
GPT2 = {"n_inner": INNER, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 64}
SETTINGS = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "gpt_neox", "phi"), BERT),
    **dict.fromkeys(("granite", "olmo", "olmo2", "stablelm", "phi3"), GROUPED),
    **dict.fromkeys(
        ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "smollm3"),
        GROUPED | {"head_dim": HIDDEN // HEADS},
    ),
    "gptj": GPT2 | {"n_embd": HIDDEN, "rotary_dim": 4},
    "gpt2": GPT2 | {"n_embd": HIDDEN},
    "decision_transformer": GPT2 | {"hidden_size": HIDDEN, "state_dim": 3, "act_dim": 2},
    "opt": {
        "hidden_size": HIDDEN,
        "word_embed_proj_dim": HIDDEN,
        "ffn_dim": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
    },
}
MASKED = ("bert", "roberta", "xlm-roberta")
COMMON = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 64}


def build(kind, seed=0, **settings):
    """Return a random model of one architecture."""
    common = {key: value for key, value in COMMON.items() if "n_layer" not in SETTINGS[kind] or "max" not in key}
    config = AutoConfig.for_model(kind, **(common | SETTINGS[kind] | settings))
    torch.manual_seed(seed)
    if kind == "decision_transformer":
        model = DecisionTransformerModel(config)
    else:
        model = (AutoModelForMaskedLM if kind in MASKED else AutoModelForCausalLM).from_config(config)
    return model.eval().requires_grad_(False)


def tokenizer():
    """Return a tokenizer of 40 words, w3 to w39 beside three special tokens."""
    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{number}": number for number in range(3, 40)}
    raw = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def save(folder, kind="llama", **settings):
    """Write a random model and the tokenizer into a folder; return the model."""
    model = build(kind, **settings)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return model
