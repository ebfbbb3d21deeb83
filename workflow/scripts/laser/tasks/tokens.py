"""From text to token ids: prompts, continuations and masked answers, for any Hugging Face tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode(tokenizer: PreTrainedTokenizerBase, text: str, special: bool = True) -> tuple[int, ...]:
    """Return the token ids of `text`, with the tokenizer's special tokens unless `special` is False."""
    return tuple(tokenizer(text, add_special_tokens=special)["input_ids"])


def decode(tokenizer: PreTrainedTokenizerBase, ids: tuple[int, ...]) -> str:
    """Return the text of `ids` without special tokens, with the spaces that the tokens have."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def join(prompt: str, answer: str) -> str:
    """Return prompt and answer with one space between them, unless the answer begins with one."""
    return prompt + answer if answer.startswith(" ") else f"{prompt} {answer}"


def answer_length(
    tokenizer: PreTrainedTokenizerBase, ids: tuple[int, ...], prompt_ids: tuple[int, ...], answer: str
) -> int:
    """Return how many trailing tokens of `ids` spell `answer`.

    The released rule takes the shortest suffix whose decoded, stripped text equals the stripped answer. If there is
    none (the released code stops there), the answer is the tokens after the common prefix with the prompt's own ids.
    """
    wanted = answer.strip()
    for length in range(1, len(ids)):
        text = decode(tokenizer, ids[-length:]).strip()
        if text == wanted:
            return length
        if len(text) > 2 * len(wanted) + 8:
            break
    common = 0
    for token, prompt_token in zip(ids, prompt_ids, strict=False):
        if token != prompt_token:
            break
        common += 1
    return max(1, len(ids) - common)


def continuation(
    tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str, special: bool = True
) -> tuple[tuple[int, ...], int]:
    """Tokenise prompt and answer as one string; return all ids and the number of trailing ids that are the answer."""
    ids = encode(tokenizer, join(prompt, answer), special)
    trailing = 0
    if special:
        bare = encode(tokenizer, join(prompt, answer), False)
        trailing = _trailing_specials(ids, bare)
    body = ids[: len(ids) - trailing]
    prompt_ids = encode(tokenizer, prompt, special)
    return body, answer_length(tokenizer, body, prompt_ids[: len(prompt_ids) - trailing], answer)


def _trailing_specials(ids: tuple[int, ...], bare: tuple[int, ...]) -> int:
    """Count the special tokens that the tokenizer appends after the text."""
    if not bare:
        return 0
    for trailing in range(len(ids) - len(bare) + 1):
        if ids[len(ids) - trailing - len(bare) : len(ids) - trailing] == bare:
            return trailing
    return 0


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> tuple[int, ...]:
    """Return a causal prompt's ids: leading special tokens as the tokenizer gives them, none after the text."""
    ids = encode(tokenizer, prompt)
    trailing = _trailing_specials(ids, encode(tokenizer, prompt, False))
    return ids[: len(ids) - trailing]
