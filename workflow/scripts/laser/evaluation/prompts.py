"""The base model and the selected intervention on test rows with reworded prompts (`laser.tasks.variants`)."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from laser.config.specs import PromptsSpec
from laser.evaluation.cell import (
    Cell,
    answer_each,
    chosen_edit,
    chosen_interventions,
    job_cell,
    result_rows,
)
from laser.io.files import write_parquet
from laser.provenance.job import Job
from laser.reduction.interventions import Edit
from laser.tasks.definitions import definition
from laser.tasks.questions import Questions, ask
from laser.tasks.variants import Variant, reworded, variants


def evaluate_prompts(job: Job) -> None:
    """Evaluate every wording of the spec's dataset and write one file.

    The spec's `rows` limits the test rows to that many, completed to whole groups (null or absent: all). The file has
    `protocol`, `variant` (`original` first), `arm` (`base`, `laser`) and the columns of result rows; if base was
    chosen, the laser arm repeats base, as in the test file. Its spec says what each wording changes, what was chosen,
    and which examples a wording made too long.
    """
    spec: PromptsSpec = job.spec
    output, count = job.output("prompts", **spec.cell), spec.rows
    cell = job_cell(job, "test", None if count is None else lambda frame: first_groups(frame, count))
    chosen = chosen_interventions(job.input("selection", **spec.cell))
    edits = {name: chosen_edit(cell, name, choice) for name, choice in chosen.items()}
    wordings = variants(spec.dataset.builder)
    frames, left_out = [], {}
    for variant in wordings:
        job.say(f"wording '{variant.name}': {variant.says}")
        worded = replace(cell, questions=questions_of(cell, variant))
        left_out[variant.name] = worded.questions.left_out
        frames.append(evaluate_variant(worded, variant.name, edits, job))
    facts = {
        "run": cell.run_facts | {"left_out": left_out},
        "chosen": chosen,
        "variants": {variant.name: variant.says for variant in wordings},
    }
    write_parquet(output, pd.concat(frames, ignore_index=True), job.metadata(**facts))


def first_groups(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the first `count` rows and all others of their groups, in order."""
    return frame[frame["group"].isin(set(frame["group"].head(count)))]


def questions_of(cell: Cell, variant: Variant) -> Questions:
    """Return the cell's questions in a variant's wording, for the examples that could be asked as released."""
    loaded = cell.loaded
    asked = variant.definition(definition(cell.spec.dataset.builder, cell.spec.dataset.asked))
    examples = reworded(variant, [item.example for item in cell.questions.items])
    return ask(asked, examples, loaded.tokenizer, loaded.task, loaded.config["model_type"], loaded.max_positions)


def evaluate_variant(cell: Cell, name: str, edits: dict[str, Edit], job: Job) -> pd.DataFrame:
    """Return one row per (protocol, arm, example) of a cell whose questions have one wording."""
    answered = answer_each(job, cell, [(), *edits.values()])
    frames = [
        result_rows(cell, answered[edit], protocol, variant=name, arm=arm)
        for protocol in cell.spec.protocols
        for arm, edit in (("base", ()), ("laser", edits[protocol]))
        if any(item.example.id in cell.sides[protocol] for item in cell.questions.items)
    ]
    return pd.concat(frames, ignore_index=True)
