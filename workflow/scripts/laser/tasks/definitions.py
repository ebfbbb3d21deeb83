"""What each dataset asks and how it is scored: the table that evaluation reads, without data or heavy imports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from laser.errors import UserError, nearest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MaskedPrompt = Callable[[str, str, "PreTrainedTokenizerBase"], str]

TAIL_TOKENS = 50
"""Number of tokens of a biography that masked models see: its last ones (released code)."""

PROFESSIONS = ("journalist", "poet", "composer", "model", "teacher", "architect", "painter", "professor")
"""The professions that are one token in the paper's tokenizers, in the released order."""


@dataclass(frozen=True)
class Definition:
    """How one dataset is asked and scored.

    Attributes:
        name: the builder's name.
        title: the paper's name for the dataset; ours where the paper has none.
        options: the answers to choose from, in the released order; empty for open answers.
        new_tokens: length of greedy generation for open answers.
        open_scoring: for open answers, maps a model family (the config's model_type) to `next_token` (the answer must
            be the most probable next token) or `generate` (the generated text must contain it).
        options_in_rows: whether rows may offer options of their own.
        scoring: for open answers of any family, in place of `open_scoring`.
        masked_style: how masked models are asked. `single`: one mask in the prompt; `open5`: five masks appended;
            `options`: all tokens of an option masked in "{prompt} {option}".
        ties: `wrong` (the right option must score strictly higher) or `first` (the first of equals is chosen).
        prompt_fixes: named departures from the released prompt, off unless options["prompt_fix"] lists them.
        masked_prompt: returns the prompt for masked models, exactly as released, from an example's text, its prompt
            for causal models, and the tokenizer. The result contains the mask token once if `masked_style` is `single`,
            and not at all otherwise.

    The rooms of `sokoban` are played, not asked about (`laser.policies.games`), so its definition is only a title.
    """

    name: str
    title: str
    options: tuple[str, ...] = ()
    new_tokens: int = 10
    open_scoring: Mapping[str, str] = field(default_factory=dict)
    options_in_rows: bool = False
    scoring: str | None = None
    masked_style: str = "single"
    ties: str = "first"
    prompt_fixes: Mapping[str, str] = field(default_factory=dict)
    masked_prompt: MaskedPrompt = field(default=lambda text, prompt, tokenizer: prompt, repr=False)

    def open_scoring_of(self, family: str) -> str:
        """Return how open answers of a model family are scored: `generate` if the family is not in the table."""
        return self.scoring or self.open_scoring.get(family, "generate")


def _mask_and_stop(text: str, prompt: str, tokenizer: PreTrainedTokenizerBase) -> str:
    return f"{text if text.endswith(' ') else text + ' '}{tokenizer.mask_token}."


def _prompt_mask_and_stop(text: str, prompt: str, tokenizer: PreTrainedTokenizerBase) -> str:
    return f"{prompt} {tokenizer.mask_token}."


def _prompt_and_mask(text: str, prompt: str, tokenizer: PreTrainedTokenizerBase) -> str:
    return f"{prompt} {tokenizer.mask_token}"


def _text(text: str, prompt: str, tokenizer: PreTrainedTokenizerBase) -> str:
    return text


def _bios_gender(text: str, prompt: str, tokenizer: PreTrainedTokenizerBase) -> str:
    return (
        f"{tail(text, tokenizer)} Is the person in this text a male or female? This person is {tokenizer.mask_token}."
    )


def _bios_profession(text: str, prompt: str, tokenizer: PreTrainedTokenizerBase) -> str:
    return f"{tail(text, tokenizer)} The profession of the person in the text is called {tokenizer.mask_token}."


def tail(text: str, tokenizer: PreTrainedTokenizerBase, opening: str = "Consider the following text:") -> str:
    """Return the opening with the last `TAIL_TOKENS` tokens of a biography, which are all that masked models see."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][-TAIL_TOKENS:]
    last = without_spaces_before_marks(str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))).strip()
    return f"{opening} {last}" + ("" if last.endswith((".", "?")) else ".")


_MARKS = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


def without_spaces_before_marks(text: str) -> str:
    """Remove the spaces before punctuation and English contractions, as tokenizers' default decoding once did.

    The released code decoded biographies with the default of transformers 4.34.1. Later versions skip this step for
    byte-level tokenizers, RoBERTa's among them, so it is written out here.
    """
    for mark in _MARKS:
        text = text.replace(mark, mark.strip())
    return text


DEFINITIONS: dict[str, Definition] = {
    entry.name: entry
    for entry in (
        Definition(
            name="counterfact",
            title="CounterFact",
            open_scoring={"gptj": "next_token", "phi": "next_token"},
            masked_prompt=_mask_and_stop,
        ),
        Definition(name="hotpotqa", title="HotPotQA", new_tokens=15, masked_style="open5"),
        Definition(
            name="fever",
            title="FEVER",
            options=("true", "false"),
            ties="wrong",
            prompt_fixes={"question_mark": "ends the question with a question mark instead of a full stop"},
            masked_prompt=_prompt_and_mask,
        ),
        Definition(
            name="bios_gender",
            title="Bios Gender",
            options=("male", "female"),
            ties="wrong",
            masked_prompt=_bios_gender,
        ),
        Definition(
            name="bios_profession",
            title="Bios Profession",
            options=PROFESSIONS,
            masked_prompt=_bios_profession,
        ),
        Definition(
            name="truthfulqa",
            title="TruthfulQA",
            options=("true", "false"),
            ties="wrong",
            prompt_fixes={"space": "puts the missing space between the statement and the question about it"},
            masked_prompt=_prompt_and_mask,
        ),
        Definition(
            name="epistemic_reasoning",
            title="BigBench-Epistemic Reasoning",
            options=("entailment", "non-entailment"),
            masked_style="options",
            masked_prompt=_text,
        ),
        Definition(name="qa_wikidata", title="BigBench-WikidataQA", masked_style="open5", masked_prompt=_text),
        Definition(
            name="causal_judgment",
            title="BigBench-Causal Judgment",
            options=("Yes", "No"),
            masked_style="options",
            masked_prompt=_text,
        ),
        Definition(
            name="web_of_lies",
            title="BigBench Hard-Web of Lies",
            options=("Yes", "No"),
            masked_style="options",
            masked_prompt=_text,
        ),
        Definition(name="sokoban", title="Sokoban"),
        Definition(name="generic", title="Rows of one's own", options_in_rows=True, masked_style="open5"),
        Definition(name="lm_eval", title="Task of lm-evaluation-harness", options_in_rows=True, masked_style="open5"),
        Definition(name="worldfacts", title="World Facts", masked_prompt=_mask_and_stop),
    )
}
"""Builder name to definition."""


def definition(name: str, asked: Mapping[str, Any] | None = None) -> Definition:
    """Return a builder's definition.

    Args:
        name: the builder's name.
        asked: for the user's own rows, the dataset's `scoring` and `new_tokens`, if they are given.

    Raises:
        UserError: the name is unknown.
    """
    if name not in DEFINITIONS:
        raise UserError(f"builder is '{name}'{nearest(name, DEFINITIONS)}. Allowed: {', '.join(sorted(DEFINITIONS))}.")
    known, asked = DEFINITIONS[name], asked or {}
    if asked.get("scoring") == "next_token":
        known = replace(known, scoring="next_token", masked_style="single", masked_prompt=_prompt_mask_and_stop)
    return replace(known, new_tokens=asked.get("new_tokens", known.new_tokens))
