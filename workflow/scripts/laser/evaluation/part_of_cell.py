"""A cell that asks fewer of its examples: the first rows of each protocol's side, or the rows of one protocol."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from laser.evaluation.cell import Cell
from laser.policies.games import Games
from laser.tasks.passes import Generation, Pass, Requests
from laser.tasks.questions import Question, Questions


def first_rows(cell: Cell, count: int | None) -> Cell:
    """Return the cell with the first `count` scorable examples of each protocol's side, in the data's order.

    Args:
        cell: an open cell.
        count: number of examples; None for all, which returns the cell itself.
    """
    if count is None:
        return cell
    sides = {
        protocol: {
            item.example.id for item in [item for item in cell.questions.items if item.example.id in ids][:count]
        }
        for protocol, ids in cell.sides.items()
    }
    return replace(cell, questions=part_of(cell.questions, set().union(*sides.values())), sides=sides)


def of_protocol(cell: Cell, protocol: str) -> Cell:
    """Return the cell with one protocol and only the examples of its side."""
    ids = cell.sides[protocol]
    return replace(cell, questions=part_of(cell.questions, ids), sides={protocol: ids})


def part_of(questions: Questions | Games, ids: Collection[str]) -> Questions | Games:
    """Return the questions, or the games, of the examples named by `ids`."""
    return questions.only(ids) if isinstance(questions, Games) else only(questions, ids)


def only(questions: Questions, ids: Collection[str]) -> Questions:
    """Return the questions about the examples named by `ids`, in their order, with only their own requests."""
    passes, generations = questions.requests.passes, questions.requests.generations
    items: list[Question] = []
    kept_passes: list[Pass] = []
    kept_generations: list[Generation] = []
    for question in questions.items:
        if question.example.id not in ids:
            continue
        start = len(kept_passes)
        kept_passes += [passes[index] for index in question.passes]
        generation = None
        if question.generation is not None:
            generation = len(kept_generations)
            kept_generations.append(generations[question.generation])
        items.append(replace(question, passes=tuple(range(start, len(kept_passes))), generation=generation))
    return replace(questions, items=items, requests=Requests(tuple(kept_passes), tuple(kept_generations)))
