"""Log-probabilities of false targets on test rows, under base and the chosen intervention.

The test file has the log-probabilities of the true answers. The false targets are asked in the same way
(`laser.tasks.questions`), without generating anything.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from laser.config.specs import EvaluationSpec
from laser.errors import UserError
from laser.evaluation.cell import Cell, answer_each, asked, chosen_edit, chosen_interventions, job_cell
from laser.io.files import read_parquet, write_parquet
from laser.provenance.job import Job
from laser.tasks.passes import Answers, Requests
from laser.tasks.questions import Question, Questions
from laser.tasks.scoring import is_finite, option_scores


def evaluate_efficacy(job: Job) -> None:
    """Write one row per (protocol, arm, test row with a false target).

    Columns: `protocol`, `arm` (`base`, `laser`), `id`, `logprob` (float64, nats, summed over the false target's tokens;
    NaN if the model overflowed) and `answer_tokens` (int32). If base was chosen, the laser arm repeats base.

    Raises:
        UserError: no test row that can be asked has a false target.
    """
    spec: EvaluationSpec = job.spec
    output = job.output("efficacy", **spec.cell)
    targets = read_parquet(job.input("false_targets", dataset=spec.dataset.name), ["id", "answer"])
    false = dict(zip(targets["id"], targets["answer"], strict=True))
    chosen = chosen_interventions(job.input("selection", **spec.cell))
    cell = job_cell(job, "test", lambda frame: frame[frame["id"].isin(false)])
    questions = false_questions(cell, false)
    if not questions.items:
        raise UserError(f"{spec.label}: no test row with a false target can be asked: its false targets are too long.")
    cell = replace(cell, questions=questions)
    edits = {name: chosen_edit(cell, name, choice) for name, choice in chosen.items()}
    answered = answer_each(job, cell, [(), *edits.values()])
    frames = [
        target_rows(questions, answered[edit], cell.sides[protocol]).assign(protocol=protocol, arm=arm)
        for protocol in spec.protocols
        for arm, edit in (("base", ()), ("laser", edits[protocol]))
    ]
    frame = pd.concat(frames, ignore_index=True)[["protocol", "arm", "id", "logprob", "answer_tokens"]]
    write_parquet(output, frame, job.metadata(run=cell.run_facts, chosen=chosen))


def false_questions(cell: Cell, false: Mapping[str, str]) -> Questions:
    """Return the cell's questions with false targets (by id) as their answers; they request passes only."""
    examples = [replace(item.example, answer=false[item.example.id], other_answers=()) for item in cell.questions.items]
    questions = asked(cell.spec, cell.loaded, examples)
    assert isinstance(questions, Questions)  # policies have no false targets
    return replace(
        questions,
        items=[replace(item, generation=None) for item in questions.items],
        requests=Requests(questions.requests.passes),
        left_out=cell.questions.left_out | questions.left_out,
    )


def target_rows(questions: Questions, answers: Answers, ids: Collection[str]) -> pd.DataFrame:
    """Return id, log-probability and number of tokens of the answers to the questions named by `ids`."""
    items = [item for item in questions.items if item.example.id in ids]
    scores: dict[str, Any] = {
        "id": [item.example.id for item in items],
        "logprob": [log_probability(questions, item, answers) for item in items],
        "answer_tokens": [item.lengths[_index(item)] for item in items],
    }
    return pd.DataFrame(scores).astype({"logprob": "float64", "answer_tokens": "int32"})


def log_probability(questions: Questions, question: Question, answers: Answers) -> float:
    """Return the summed log-probability of a question's answer, in nats; NaN if the model overflowed."""
    if not is_finite(question, answers):
        return math.nan
    if question.example.options:
        return option_scores(questions, question, answers)[_index(question)]
    return float(sum(answers.passes[question.passes[-1]].logprobs))


def _index(question: Question) -> int:
    """Return the index of a question's answer among its candidates."""
    options = question.example.options
    return options.index(question.example.answer) if options else 0
