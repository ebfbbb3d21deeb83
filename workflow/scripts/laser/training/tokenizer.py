"""A byte-level tokenizer, trained on the model's corpus."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from laser.errors import UserError

SPECIAL = ("<s>", "</s>", "<pad>", "<mask>")
"""The special tokens, by id: beginning, end, padding, and mask (used only by masked models)."""

BOS, EOS, PAD, MASK = range(len(SPECIAL))


def train_tokenizer(texts: Iterable[str], vocabulary: int, masked: bool, longest: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer; the same texts in the same order give the same tokenizer.

    `<s>` is put before every text, and only for masked models `</s>` after it. As in RoBERTa's tokenizer, the mask
    absorbs the space before it, so that "is <mask>." has the mask where " Paris" has its first token.

    Args:
        texts: the training texts.
        vocabulary: number of tokens, special ones included, and of rows of the model's embedding.
        masked: True for a masked model.
        longest: number of tokens that the model takes.

    Raises:
        UserError: the texts do not yield that many tokens.
    """
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    mask = AddedToken(SPECIAL[MASK], lstrip=True, special=True) if masked else SPECIAL[MASK]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[*SPECIAL[:MASK], mask],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    built.train_from_iterator(texts, trainer)
    if built.get_vocab_size() != vocabulary:
        raise UserError(
            f"source.vocabulary is {vocabulary}, but this corpus yields only {built.get_vocab_size()} tokens, "
            "since every word in it is already a token. Lower vocabulary to that number or less (at least 300)."
        )
    single = f"{SPECIAL[BOS]} $A {SPECIAL[EOS]}" if masked else f"{SPECIAL[BOS]} $A"
    built.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(SPECIAL[BOS], BOS), (SPECIAL[EOS], EOS)]
    )
    names = {"bos_token": SPECIAL[BOS], "eos_token": SPECIAL[EOS], "pad_token": SPECIAL[PAD]}
    return PreTrainedTokenizerFast(
        tokenizer_object=built, model_max_length=longest, **names, **({"mask_token": mask} if masked else {})
    )
