"""Answers of the smallest singular values on the questions that LASER repairs (paper 5.1.2, Figure 5).

The chosen matrix keeps only its smallest singular values, in the percentages that the spec gives (0: none, the
control). The rows are the test rows that the base model gets wrong and LASER gets right. The paper does not say how it
measured the similarity of answers; here it is the cosine of the model's own input embeddings, averaged over the tokens
of each answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch

from laser.config.specs import HigherOrderSpec
from laser.evaluation.cell import Cell, answer_each, chosen_interventions, job_cell, no_rows, result_rows
from laser.io.files import read_parquet, write_parquet
from laser.models.load import LoadedModel
from laser.provenance.job import Job
from laser.reduction.interventions import Edit, Intervention
from laser.tasks.tokens import continuation, encode

TYPES = {"percent": "float64", "similarity": "float64"}
WHOLE = 100.0


def higher_order(job: Job) -> None:
    """Evaluate the spec's `percents` of smallest components on the repaired rows and write one file.

    The file has `protocol`, `percent`, the columns of result rows, and `similarity`. Its spec says what was chosen, how
    many rows each protocol has, and on how many of them the whole matrix (100 percent) gives the base model's own
    answer. If there is no repaired row, or base was chosen, the file has its columns and no rows, and no model is
    loaded.
    """
    spec: HigherOrderSpec = job.spec
    output = job.output("higher_order", **spec.cell)
    chosen = chosen_interventions(job.input("selection", **spec.cell))
    test = read_parquet(job.input("test", **spec.cell), ["protocol", "arm", "id", "correct", "prediction"])
    wanted = {name: repaired(test, name) if chosen[name] else [] for name in spec.protocols}
    facts: dict[str, Any] = {"chosen": chosen, "repaired": {name: len(ids) for name, ids in wanted.items()}}
    frame = no_rows({"protocol": "", "percent": 0.0}).assign(similarity=0.0).astype(TYPES)
    if any(wanted.values()):
        asked = set().union(*wanted.values())
        cell = job_cell(job, "test", lambda frame: frame[frame["id"].isin(asked)])
        frame = evaluate(cell, chosen, wanted, job)
        facts |= {"run": cell.run_facts, "whole_matrix": agreement(frame, test)}
    else:
        job.say("no test row is wrong in the base model and right under LASER: the file has no rows")
    write_parquet(output, frame, job.metadata(**facts))


def repaired(test: pd.DataFrame, protocol: str) -> list[str]:
    """Return the ids, in file order, of a protocol's test rows that base gets wrong and LASER gets right.

    Args:
        test: the rows of a test file: `protocol`, `arm` (base | laser), `id`, `correct`.
        protocol: the protocol whose rows are searched.
    """
    rows = test[test["protocol"] == protocol]
    right = {arm: set(rows.loc[(rows["arm"] == arm) & rows["correct"], "id"]) for arm in ("base", "laser")}
    return [name for name in rows.loc[rows["arm"] == "base", "id"] if name in right["laser"] - right["base"]]


def evaluate(cell: Cell, chosen: dict[str, Any], wanted: dict[str, list[str]], job: Job) -> pd.DataFrame:
    """Return one row per (protocol, percent, repaired example); protocols with the same place share the evaluation."""
    edits = {
        (protocol, percent): _smallest(chosen[protocol], percent)
        for protocol, ids in wanted.items()
        for percent in job.spec.percents
        if ids
    }
    answered = answer_each(job, cell, edits.values())
    truth = {question.example.id: question.example.answer for question in cell.questions.items}
    alike = similarity(cell.loaded)
    frames = []
    for (protocol, percent), edit in edits.items():
        frame = result_rows(cell, answered[edit], protocol, percent=float(percent))
        frame = frame[frame["id"].isin(wanted[protocol])]
        pairs = zip(frame["prediction"], frame["id"], strict=True)
        frames.append(frame.assign(similarity=[alike(prediction, truth[name]) for prediction, name in pairs]))
    return pd.concat(frames, ignore_index=True).astype(TYPES)


def _smallest(chosen: dict[str, Any], percent: float) -> Edit:
    return (Intervention(chosen["matrix"], chosen["layer"], round(percent / WHOLE, 9), "smallest"),)


def agreement(frame: pd.DataFrame, test: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return, per protocol, on how many rows the whole matrix (100 percent) gives the base model's own prediction.

    It does so on all rows, except for rounding: the product of all factors is the matrix to about seven digits.
    """
    whole = frame[frame["percent"] == WHOLE]
    base = test.loc[test["arm"] == "base", ["protocol", "id", "prediction"]]
    both = whole.merge(base, on=["protocol", "id"], suffixes=("", "_base"))
    return {
        str(name): {"rows": len(rows), "as_base": int((rows["prediction"] == rows["prediction_base"]).sum())}
        for name, rows in both.groupby("protocol")
    }


def similarity(loaded: LoadedModel) -> Callable[[str, str], float]:
    """Return a function (prediction, answer) that gives the cosine of their mean input embeddings, in fp64.

    If the prediction is longer than the answer, as generations are, only as many leading tokens count as the answer
    has. The result is NaN if the prediction has no tokens (only an end token, or two options that tie).
    """
    table = loaded.model.get_input_embeddings().weight
    known: dict[str, tuple[int, ...]] = {}

    def tokens(text: str) -> tuple[int, ...]:
        if text not in known:
            known[text] = _answer_ids(loaded.tokenizer, text)
        return known[text]

    def mean(ids: tuple[int, ...]) -> torch.Tensor:
        return table[list(ids)].double().mean(dim=0)

    def alike(prediction: str, answer: str) -> float:
        right = tokens(answer)
        predicted = tokens(prediction)[: len(right)]
        if not predicted:
            return math.nan
        return float(torch.nn.functional.cosine_similarity(mean(predicted), mean(right), dim=0))

    return alike


def _answer_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Return the ids of a text as it would follow a prompt; a text of only white space is encoded as it is."""
    if not text.strip():
        return encode(tokenizer, text, special=False)
    ids, length = continuation(tokenizer, "is", text.strip(), special=False)
    return ids[-length:]
