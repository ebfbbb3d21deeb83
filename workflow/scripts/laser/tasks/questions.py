"""Turning examples into requests: the token sequences that a (model, dataset) pair needs, for every scoring style."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from laser.tasks.definitions import Definition
from laser.tasks.example import Example
from laser.tasks.passes import Generation, Pass, Requests
from laser.tasks.tokens import continuation, encode, prompt_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from transformers import PreTrainedTokenizerBase

OPEN_MASKS = 5


@dataclass(frozen=True)
class Question:
    """One example with the requests that belong to it.

    Attributes:
        example: the prepared example.
        prompt: the text that the model sees (a masked prompt for masked models).
        passes: indices into `Requests.passes`.
        generation: index into `Requests.generations`, or None.
        lengths: number of tokens of each candidate answer: one per option, or one for the open answer.
        prompt_ids: ids of the prompt, for causal models.
    """

    example: Example
    prompt: str
    passes: tuple[int, ...]
    lengths: tuple[int, ...]
    generation: int | None = None
    prompt_ids: tuple[int, ...] = ()


@dataclass
class Questions:
    """All questions of one (model, dataset) pair.

    Attributes:
        style: how answers are judged, one of `next_token`, `generate`, `options`, `single_mask`, `open_masks`,
            `option_masks`.
        shared_pass: for options that all rows share: True where one pass per example holds a query per option (every
            option is one token), False where each option has its own pass.
        left_out: examples that cannot be scored, by id, with the reason: too long, or, for a masked model, with a mask
            token in their own text.
    """

    style: str
    definition: Definition
    shared_pass: bool = True
    items: list[Question] = field(default_factory=list)
    requests: Requests = field(default_factory=Requests)
    left_out: dict[str, str] = field(default_factory=dict)

    def only(self, ids: Collection[str]) -> Questions:
        """Return the questions about the examples named by `ids`, in their order, with only their own requests."""
        passes, generations = self.requests.passes, self.requests.generations
        items: list[Question] = []
        kept_passes: list[Pass] = []
        kept_generations: list[Generation] = []
        for question in self.items:
            if question.example.id not in ids:
                continue
            start = len(kept_passes)
            kept_passes += [passes[index] for index in question.passes]
            generation = None
            if question.generation is not None:
                generation = len(kept_generations)
                kept_generations.append(generations[question.generation])
            items.append(replace(question, passes=tuple(range(start, len(kept_passes))), generation=generation))
        return replace(self, items=items, requests=Requests(tuple(kept_passes), tuple(kept_generations)))


def style_of(definition: Definition, task: str, family: str, options_in_rows: bool = False) -> str:
    """Return how a dataset is scored.

    Args:
        definition: the dataset's definition.
        task: the model's task, `causal` or `masked`.
        family: the model's model_type.
        options_in_rows: whether the rows offer options of their own.
    """
    if options_in_rows:
        return "option_masks" if task == "masked" else "options"
    if task == "masked":
        return {"single": "single_mask", "open5": "open_masks", "options": "option_masks"}[definition.masked_style]
    if definition.options:
        return "options"
    return definition.open_scoring_of(family)


def ask(
    definition: Definition,
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    task: str,
    family: str,
    longest: int | None = None,
) -> Questions:
    """Make the questions and requests of one (model, dataset) pair.

    Args:
        definition: what the dataset asks and how.
        examples: prepared examples, in the order in which results are wanted.
        tokenizer: the model's.
        task: `causal` or `masked`.
        family: the checkpoint's model_type.
        longest: largest number of tokens that the model takes, or None for no limit. Longer examples are listed in
            `left_out`.
    """
    style = style_of(definition, task, family, _offered(definition, examples))
    made: list[Pass] = []
    generations: list[Generation] = []
    questions = Questions(style=style, definition=definition)
    if style == "options":
        # Rows with options of their own need a pass for each: one row's tokens must not decide how another is asked.
        questions.shared_pass = bool(definition.options) and all(
            len(_option_ids(tokenizer, option)) == 1 for option in definition.options
        )
    if style == "single_mask" and definition.options:
        questions.shared_pass = all(len(_mask_answer_ids(tokenizer, option)) == 1 for option in definition.options)
    for example in examples:
        if task == "masked":
            prompt = definition.masked_prompt(example.text, example.prompt, tokenizer)
            if _has_mask_of_its_own(example, prompt, 1 if style == "single_mask" else 0, tokenizer):
                questions.left_out[example.id] = f"its own text holds the model's mask token {tokenizer.mask_token}"
                continue
            passes, lengths = _masked_passes(questions, example, prompt, tokenizer)
            generation = None
            ids: tuple[int, ...] = ()
        else:
            prompt = example.prompt
            ids = prompt_ids(tokenizer, prompt)
            passes, lengths = _causal_passes(questions, example, ids, tokenizer)
            generation = Generation(ids, definition.new_tokens) if style == "generate" else None
        sizes = [max(len(scored.ids) for scored in passes)]
        if generation is not None:
            sizes.append(len(ids) + definition.new_tokens)
        too_many = next((size for size in sizes if longest is not None and size > longest), None)
        if too_many is not None:
            questions.left_out[example.id] = f"{too_many} tokens, the model takes {longest}"
            continue
        index = None
        if generation is not None:
            index = len(generations)
            generations.append(generation)
        places = tuple(range(len(made), len(made) + len(passes)))
        made += passes
        questions.items.append(Question(example, prompt, places, lengths, index, ids))
    questions.requests = Requests(tuple(made), tuple(generations))
    return questions


def _offered(definition: Definition, examples: Sequence[Example]) -> bool:
    """Return True if the rows offer options that the definition does not have."""
    return definition.options_in_rows and any(example.options for example in examples)


def _option_ids(tokenizer: PreTrainedTokenizerBase, option: str) -> tuple[int, ...]:
    """Return the ids of an option after a prompt (with a space before it), independent of the prompt."""
    ids, length = continuation(tokenizer, "is", option, special=False)
    return ids[-length:]


def _causal_passes(
    questions: Questions, example: Example, ids: tuple[int, ...], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Pass], tuple[int, ...]]:
    last = len(ids) - 1
    if questions.style == "options" and questions.shared_pass:
        tokens = [_option_ids(tokenizer, option)[0] for option in example.options]
        return [Pass(ids, tuple((last, token) for token in tokens), (last,))], (1,) * len(tokens)
    if questions.style == "options":
        made = [_continuation_pass(tokenizer, example.prompt, option) for option in example.options]
        return [scored for scored, _ in made], tuple(length for _, length in made)
    if questions.style == "next_token":
        answer = encode(tokenizer, example.answer, special=False)
        if len(answer) == 1:
            return [Pass(ids, ((last, answer[0]),), (last,))], (1,)
        scored, length = _continuation_pass(tokenizer, example.prompt, example.answer)
        return [replace(scored, top=tuple(position for position, _ in scored.queries))], (length,)
    scored, length = _continuation_pass(tokenizer, example.prompt, example.answer, top=True)
    return [scored], (length,)


def _continuation_pass(
    tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str, top: bool = False
) -> tuple[Pass, int]:
    ids, length = continuation(tokenizer, prompt, answer)
    start = len(ids) - length
    queries = tuple((position - 1, ids[position]) for position in range(start, len(ids)))
    return Pass(ids[:-1], queries, (start - 1,) if top else ()), length


def _mask_answer_ids(tokenizer: PreTrainedTokenizerBase, answer: str) -> tuple[int, ...]:
    return encode(tokenizer, answer if answer.startswith(" ") else f" {answer}", special=False)


def _masked_passes(
    questions: Questions, example: Example, prompt: str, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Pass], tuple[int, ...]]:
    if questions.style == "single_mask":
        candidates = [_mask_answer_ids(tokenizer, text) for text in (example.options or (example.answer,))]
        if all(len(candidate) == 1 for candidate in candidates):
            ids, positions = _mask_positions(tokenizer, prompt)
            queries = tuple((positions[0], candidate[0]) for candidate in candidates)
            return [Pass(ids, queries, (positions[0],))], (1,) * len(candidates)
        return [_repeated_mask_pass(tokenizer, prompt, candidate) for candidate in candidates], tuple(
            map(len, candidates)
        )
    if questions.style == "open_masks":
        ids, positions = _mask_positions(tokenizer, prompt + f" {tokenizer.mask_token}" * OPEN_MASKS)
        scored, length = _masked_answer_pass(tokenizer, prompt, example.answer)
        return [Pass(ids, (), positions[-OPEN_MASKS:]), scored], (length,)
    made = [_masked_answer_pass(tokenizer, prompt, option) for option in example.options]
    return [scored for scored, _ in made], tuple(length for _, length in made)


def _has_mask_of_its_own(example: Example, prompt: str, masks: int, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return True if a text of an example contains the mask token, which would be taken for the answer's position.

    Args:
        example: its answer and options are checked as well.
        prompt: the masked prompt.
        masks: the number of mask tokens in the prompt if its text contains none.
        tokenizer: the model's.
    """
    if any(tokenizer.mask_token in answer for answer in (*example.right_answers, *example.options)):
        return True
    return len(_mask_positions(tokenizer, prompt)[1]) != masks


def _mask_positions(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    ids = encode(tokenizer, text)
    return ids, tuple(position for position, token in enumerate(ids) if token == tokenizer.mask_token_id)


def _repeated_mask_pass(tokenizer: PreTrainedTokenizerBase, prompt: str, answer: tuple[int, ...]) -> Pass:
    """Return a pass with one mask per token of the answer in place of the prompt's single mask."""
    ids, masks = _mask_positions(tokenizer, prompt)
    at = masks[0]
    repeated = ids[:at] + (tokenizer.mask_token_id,) * len(answer) + ids[at + 1 :]
    positions = tuple(range(at, at + len(answer)))
    return Pass(repeated, tuple(zip(positions, answer, strict=True)), positions)


def _masked_answer_pass(tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str) -> tuple[Pass, int]:
    """Return a pass with all answer tokens of "{prompt} {answer}" masked and no special tokens (the released rule)."""
    ids, length = continuation(tokenizer, prompt, answer, special=False)
    start = len(ids) - length
    masked = ids[:start] + (tokenizer.mask_token_id,) * length
    return Pass(masked, tuple((position, ids[position]) for position in range(start, len(ids))), (start,)), length
