"""Rows of the user's own: questions with open answers or options, from a table in any of the common formats.

What a row becomes is said in the study (docs/your-own-task.md). A row without a question or an answer is dropped and
counted; anything else that cannot be used is refused with its file, row and column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from laser.errors import UserError, nearest, shortened
from laser.tasks.datasets._cells import (
    ORDER,
    cell,
    check_template,
    filled,
    fits,
    offered,
    placeholders,
    position,
    text,
    texts,
)
from laser.tasks.example import Example

SPLITS = ("rows",)
COLUMNS: tuple[str, ...] = ()
OPTIONS = ("columns", "prompt", "answer_is", "scoring", "new_tokens")
FILLED = True
"""Prompts are filled in from the rows alone, whose texts may hold braces."""

PLAIN = {
    "question": ("question", "prompt", "input"),
    "answer": ("answer", "answers", "answerkey", "answer_key", "correct_answer", "target", "targets", "label"),
    "options": ("options", "choices"),
    "group": ("group",),
    "id": ("id",),
    "subject": ("subject",),
}
"""Names of columns that are taken where the study names none, in any case."""

BARE = "{}"
LETTERED = ("option_{}", "option{}", "choice_{}", "choice{}", BARE)
"""Names of columns with one option each, the letter or number in place of {}. A letter alone may name any column."""

TEMPLATES = {"question": "Question: {question}\nAnswer:"}
"""The prompt by the plain name of the question's column; other columns hold the prompt itself."""

WAYS = ("text", "letter", "index")
"""How an answer may name its option."""

NO_QUESTION, NO_ANSWER = "no question", "no answer"


@dataclass(frozen=True)
class Layout:
    """Which columns hold what, and the prompt's template.

    Attributes:
        question: the column of the question.
        answers: columns of right answers.
        options: one column of lists, or a column per option; empty for open answers.
        lists: whether `options` is one column of lists.
        group, subject, id: columns, or None.
        id_is_given: whether the study names the column of ids, which must then be distinct.
        options_are_guessed: whether nothing but letters as the names of columns says that these hold options.
        prompt: the template.
    """

    question: str
    answers: tuple[str, ...]
    options: tuple[str, ...]
    lists: bool
    group: str | None
    subject: str | None
    id: str | None
    id_is_given: bool
    options_are_guessed: bool
    prompt: str


@dataclass(frozen=True)
class _Asked:
    """A row with its cells as texts; `names` are what its options are called."""

    row: Mapping[str, Any]
    where: str
    side: str | None
    question: str
    answers: list[str]
    options: list[str]
    names: list[str]


def layout(options: Mapping[str, Any], present: Sequence[str], where: str) -> Layout:
    """Return which of a table's columns hold what.

    Args:
        options: of the dataset's entry.
        present: the table's columns.
        where: the file, for messages.

    Raises:
        UserError: a column that the study names is not there, none has a plain name, or the template names none.
    """
    given = dict(options.get("columns") or {})
    for key, value in given.items():
        for name in [value] if isinstance(value, str) else value:
            if name not in present and name.split(".")[0] not in present:
                raise UserError(
                    f"{where}: columns.{key} is '{name}'{nearest(name, present)}, which is not among its columns: "
                    f"{_listed(present)}."
                )
    chosen: dict[str, Any] = {key: given.get(key) or _plain(names, present) for key, names in PLAIN.items()}
    for key in ("question", "answer"):
        if not chosen[key]:
            raise UserError(
                f"{where}: has no column named {' or '.join(PLAIN[key])}. Say which one holds the {key} with "
                f"columns: {{{key}: …}}. Its columns: {_listed(present)}."
            )
    lists = isinstance(chosen["options"], str)
    columns = [chosen["options"]] if lists else list(chosen["options"] or _lettered(present))
    guessed = not chosen["options"] and all(len(name) == 1 for name in columns)
    if options.get("scoring") == "options" and not columns:
        raise UserError(
            f"{where}: scoring is 'options', but no column holds them. Say which with columns: {{options: …}}, a "
            f"column of lists or a list of columns. Its columns: {_listed(present)}."
        )
    if not lists and len(columns) == 1:
        lists = True
    if options.get("answer_is") in ("letter", "index") and not columns:
        raise UserError(
            f"{where}: answer_is is '{options['answer_is']}', but no column holds options. Say which with "
            f"columns: {{options: …}}. Its columns: {_listed(present)}."
        )
    question = chosen["question"]
    prompt = options.get("prompt") or TEMPLATES.get(question.casefold(), "{question}")
    if "prompt" not in options and question != "question" and "question" in present:
        prompt = f"{{{question}}}"
    check_template(
        prompt, list(dict.fromkeys(["question", *(["options"] if columns else []), *present])), f"{where}: prompt"
    )
    answers = chosen["answer"]
    return Layout(
        question=question,
        answers=(answers,) if isinstance(answers, str) else tuple(answers),
        options=tuple(columns),
        lists=lists,
        group=chosen["group"],
        subject=chosen["subject"],
        id=chosen["id"],
        id_is_given="id" in given,
        options_are_guessed=guessed
        and not {"scoring", "answer_is"} & set(options)
        and "options" not in placeholders(prompt),
        prompt=prompt,
    )


def _listed(present: Sequence[str]) -> str:
    return shortened(", ".join(present), 300).strip("'\"")


def _plain(names: Sequence[str], present: Sequence[str]) -> str | None:
    known = {name.casefold(): name for name in reversed(present)}
    return next((known[name] for name in names if name in known), None)


def _lettered(present: Sequence[str]) -> list[str]:
    """Return columns named option_a, option_b, … or alike; at least two of them."""
    known = {name.casefold(): name for name in present}
    for pattern in LETTERED:
        for order in (ORDER.lower(), "123456789", "0123456789"):
            if pattern == "{}" and order != ORDER.lower():
                continue
            run = []
            for mark in order:
                if pattern.format(mark) not in known:
                    break
                run.append(known[pattern.format(mark)])
            if len(run) > 1:
                return run
    return []


def build(
    options: Mapping[str, Any], read: Callable[[str], list[dict[str, Any]]]
) -> tuple[list[Example], dict[str, int]]:
    """Build one example per row, in the file's order; rows on given sides come validation first.

    Args:
        options: `columns`, `prompt`, `answer_is`, `scoring`, `new_tokens`.
        read: gives the rows, those that no side is given for and those of `validation` and `test`.
    """
    given = [(row, None) for row in read("rows")] + [
        (row, side) for side in ("validation", "test") for row in read(side)
    ]
    if not given:
        raise UserError("the source has no rows.")
    present = list(dict.fromkeys(name for row, _ in given[:1000] for name in row))
    where = str(getattr(given[0][0], "where", "the source")).partition(", row ")[0]
    table = layout(options, present, where)
    dropped = {NO_QUESTION: 0, NO_ANSWER: 0}
    asked = []
    for number, (row, side) in enumerate(given, 1):
        each = _asked(row, side, table, str(getattr(row, "where", f"row {number}")))
        if not each.question:
            dropped[NO_QUESTION] += 1
        elif not each.answers:
            dropped[NO_ANSWER] += 1
        else:
            asked.append((number, each))
    if table.options_are_guessed and not _names_options([each for _, each in asked]):
        table = replace(table, options=(), lists=False)
        asked = [(number, replace(each, options=[], names=[])) for number, each in asked]
    for _, each in asked:
        _check_options(each, table)
    how = options.get("answer_is") or _how([each for _, each in asked], where)
    names = _names(asked, table)
    examples = [_example(each, table, how, options, name) for name, (_, each) in zip(names, asked, strict=True)]
    _one_side(examples, table)
    return examples, dropped


def _asked(row: Mapping[str, Any], side: str | None, table: Layout, where: str) -> _Asked:
    question = text(cell(row, table.question), where, table.question)
    answers = [answer for column in table.answers for answer in texts(cell(row, column), where, column) if answer]
    answers = list(dict.fromkeys(answers))
    names: list[str] | None = None
    if table.lists:
        (column,) = table.options
        choices, names = offered(cell(row, column), where, column)
    else:
        choices = [text(cell(row, column), where, column) for column in table.options]
    return _Asked(row, where, side, question, answers, choices, names or list(ORDER[: len(choices)]))


def _names_options(asked: Sequence[_Asked]) -> bool:
    """Return True if at least half of the answers name an option of their row in any way.

    Columns with letters for names may be operands, or sides of a triangle; a few wrong answers among options remain
    faults that are told.
    """
    answers = [(answer, each.options, each.names) for each in asked for answer in each.answers]
    named = [any(position(*_as(answer, how)) is not None for how in WAYS) for answer in answers]
    return 2 * sum(named) >= len(named)


def _check_options(each: _Asked, table: Layout) -> None:
    if not table.options:
        return
    where, columns = each.where, ", ".join(f"'{name}'" for name in table.options)
    filled_in = [option for option in each.options if option]
    if len(filled_in) < 2:
        raise UserError(
            f"{where}, column {columns}: holds {len(filled_in)} option(s) ({shortened(filled_in)}). A question needs "
            "at least two; several in one cell are written as a list, as in JSON."
        )
    if len(each.options) > len(ORDER):
        raise UserError(
            f"{where}, column {columns}: holds {len(each.options)} options. At most {len(ORDER)} are asked."
        )
    twice = [option for option, count in Counter(filled_in).items() if count > 1]
    if twice:
        raise UserError(f"{where}, column {columns}: offers {shortened(twice[0])} twice. Options must differ.")


def _how(asked: Sequence[_Asked], where: str) -> str:
    """Return how answers name options: as text, by letter or by index, whichever fits every row."""
    answers = [(name, each.options, each.names) for each in asked if each.options for name in each.answers]
    if fits(answers, "text"):
        return "text"
    if fits(answers, "letter"):
        return "letter"
    if fits(answers, "index"):
        if any(float(name) == 0 for name, *_ in answers):
            return "index"
        raise UserError(
            f"{where}: its answers are numbers such as {answers[0][0]}, and none is 0, so that they may count options "
            "from 1. Indices count from 0: lower each by 1, or, where they do count from 0, say answer_is: index."
        )
    shares = {how: sum(position(*_as(answer, how)) is not None for answer in answers) for how in WAYS}
    best = max(shares, key=lambda how: shares[how])
    if shares[best]:
        return best  # the row that does not fit is named with its column
    raise UserError(
        f"{where}: its answers, such as {shortened(answers[0][0])}, are neither the text of an option nor its letter "
        "nor its index. Say how they name the right option with answer_is: letter, index or text."
    )


def _as(answer: tuple[str, Sequence[str], Sequence[str]], how: str) -> tuple[str, str, Sequence[str], Sequence[str]]:
    return answer[0], how, answer[1], answer[2]


def _names(asked: Sequence[tuple[int, _Asked]], table: Layout) -> list[str]:
    """Return the rows' ids: of their column, or numbers of rows from 1.

    A column that the study does not name, whose name merely is `id`, is taken if it is whole and distinct.

    Raises:
        UserError: the study names the column, and a row lacks an id or shares it with another.
    """
    numbers = [str(number) for number, _ in asked]
    if table.id is None:
        return numbers
    names = [text(cell(each.row, table.id), each.where, table.id) for _, each in asked]
    first: dict[str, str] = {}
    for name, (_, each) in zip(names, asked, strict=True):
        if name and name not in first:
            first[name] = each.where
            continue
        if not table.id_is_given:
            return numbers
        what = f"is '{name[:80]}', as in {first[name]}" if name else "is empty"
        raise UserError(
            f"{each.where}, column '{table.id}': {what}. Each row needs an id of its own; without columns.id, rows are "
            "numbered."
        )
    return names


def _example(each: _Asked, table: Layout, how: str, options: Mapping[str, Any], name: str) -> Example:
    answers, choices = each.answers, [option for option in each.options if option]
    if each.options:
        answers = [_right(each, answer, how, table) for answer in each.answers]
    values = {placeholder: _value(each, placeholder, table) for placeholder in placeholders(table.prompt)}
    group = text(cell(each.row, table.group), each.where, table.group) if table.group else ""
    subject = text(cell(each.row, table.subject), each.where, table.subject) if table.subject else ""
    by_options = bool(choices) and options.get("scoring", "options") == "options"
    return Example(
        id=name,
        # A row without a group is one of its own, which no other is named like.
        group=group or f"row {name}",
        text=each.question,
        prompt=filled(table.prompt, values).rstrip(" "),
        # The next token after a prompt begins with the space before the answer, where tokenizers have one.
        answer=f" {answers[0]}" if options.get("scoring") == "next_token" else answers[0],
        options=tuple(choices) if by_options else (),
        subject=subject or None,
        other_answers=tuple(dict.fromkeys(answer for answer in answers[1:] if answer != answers[0])),
        side=each.side,
    )


def _right(each: _Asked, answer: str, how: str, table: Layout) -> str:
    """Return the text of the option that an answer names."""
    at = position(answer, how, each.options, each.names)
    if at is not None:
        return each.options[at]
    named = {"letter": "letters", "index": "indices", "text": "options"}[how]
    allowed: list[Any] = [
        {"letter": each.names[index], "index": index, "text": option}[how]
        for index, option in enumerate(each.options)
        if option
    ]
    columns = ", ".join(f"'{column}'" for column in table.answers)
    counted = " (counted from 0)" if how == "index" else ""
    raise UserError(
        f"{each.where}, column {columns}: is {shortened(answer)}, which is none of its {named}{counted}: "
        f"{', '.join(map(str, allowed))[:300]}. Correct the row, or say how answers name options with answer_is: "
        "letter, index or text."
    )


def _value(each: _Asked, placeholder: str, table: Layout) -> str:
    """Return what stands in a prompt for a name in braces: the row's column of that name, else question or options."""
    if placeholder == "question" and placeholder not in each.row:
        return each.question
    if table.options and (
        (placeholder == "options" and placeholder not in each.row) or (table.lists and placeholder in table.options)
    ):
        pairs = zip(each.names, each.options, strict=False)
        return "\n".join(f"{name}. {option}" for name, option in pairs if option)
    return text(cell(each.row, placeholder), each.where, placeholder)


def _one_side(examples: Sequence[Example], table: Layout) -> None:
    """Refuse a group that the given files put on both sides, and groups of which there is but one to split."""
    if table.group and len(examples) > 1 and examples[0].side is None and len({each.group for each in examples}) == 1:
        raise UserError(
            f"column '{table.group}': all rows are of the group {shortened(examples[0].group)}, so that none could be "
            "put on another side. Say which column tells groups apart with columns: {group: …}, such as one with "
            "another value in every row."
        )
    sides: dict[str, Example] = {}
    for example in examples:
        other = sides.setdefault(example.group, example)
        if table.group and other.side != example.side:
            raise UserError(
                f"column '{table.group}': the group {shortened(example.group)} stands in the file of {other.side} and "
                f"in that of {example.side}, so that the intervention would be chosen on what it is tested on. Move "
                "its rows to one of them."
            )
