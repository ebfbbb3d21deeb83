"""A text that says what a study will ask and how long it will take, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.config.evaluations import task_of
from laser.config.own_rows import BUILDERS, asked_options
from laser.config.plan import Plan
from laser.cost.cautions import cautions
from laser.cost.inputs import folder_at_hand, own_rows_of, sizes_of_folder, tokenizer_of
from laser.errors import UserError
from laser.io.files import read_json, read_parquet
from laser.tasks.definitions import definition
from laser.tasks.prepare import PROTOCOLS, to_frame
from laser.tasks.questions import style_of
from laser.tasks.tokens import continuation, prompt_ids

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 3
"""Prompts that are shown of each dataset."""
LISTED = 5
"""Most rows that are named among those that were dropped or that ask the same."""
STYLES = {
    "options": "the option with the highest log-probability",
    "option_masks": "the option with the highest log-probability, its tokens masked",
    "generate": "the generated text contains an answer",
    "next_token": "the most probable next token is an answer",
    "single_mask": "the most probable token in the mask is an answer",
    "open_masks": "the most probable tokens in five masks contain an answer",
}


def preview_lines(plan: Plan) -> Iterator[str]:
    """Yield the lines about a study's models and datasets."""
    yield f"{plan.study['title']} (study {plan.study['name']})"
    for model in plan.models:
        yield ""
        yield from _model_lines(plan, model)
    for dataset in plan.datasets:
        yield ""
        yield from _dataset_lines(plan, dataset)


def _model_lines(plan: Plan, model: str) -> Iterator[str]:
    entry, folder = plan.model(model), folder_at_hand(plan, model)
    grid = plan.study["grid"][model]
    yield f"Model {model}: {entry['architecture']}, {task_of(entry)}, {entry['layers']} layers, {entry['dtype']}"
    if folder is None:
        yield f"  not here yet; fetched from its source of kind {entry['source']['kind']} when the study runs"
    else:
        facts = sizes_of_folder(folder, task_of(entry))
        named = ", ".join(f"{key.replace('_', ' ')} {value:,}" for key, value in facts.items())
        yield f"  {folder / 'config.json'}: {named}"
    matrices, layers, rhos = (len(part) for part in (grid["matrices"], grid["layers"], plan.rhos))
    tried = f"{', '.join(grid['matrices'])} in {layers} layer(s) at {rhos} value(s) of rho"
    yield f"  {matrices * layers * rhos} interventions: {tried}"


def _dataset_lines(plan: Plan, dataset: str) -> Iterator[str]:
    entry = plan.dataset(dataset)
    yield f"Dataset {dataset} (builder {entry['builder']})"
    folder = Path(plan.config["cache"]) / "data" / plan.data_key(dataset)
    made = own_rows_of(plan, dataset)
    if made is not None:
        card, frame = made.card, to_frame(made.rows, made.own)
    elif (folder / "card.json").is_file():
        card, frame = read_json(folder / "card.json"), read_parquet(folder / "rows.parquet")
    else:
        yield "  not read yet: its rows are fetched when the study runs"
        return
    yield from (f"  {line}" for line in [*_card_lines(plan, card), *_row_lines(plan, dataset, frame)])


def _card_lines(plan: Plan, card: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is in a dataset's card: rows, drops, sides, groups, constant answers, answers in prompts."""
    bad = {name: part["count"] for name, part in card["bad_rows"].items()}
    dropped = {name: count for name, count in {**card["dropped_by_filter"], **bad}.items() if count}
    read = card["rows_before_limit"] + sum(bad.values())
    if card["builder"] in BUILDERS:
        read += sum(card["dropped_by_filter"].values())
    said = ", ".join(f"{count} ({reason})" for reason, count in dropped.items()) or "none"
    yield f"rows: {read:,} read, {card['rows']:,} used; dropped: {said}; groups: {card['groups']:,}"
    for protocol in PROTOCOLS:
        if protocol in plan.study["protocols"]:
            sides, constant = card["splits"][protocol], card["answers"]["constant_answer"][protocol]
            yield (
                f"{protocol}: {sides['validation']:,} validation and {sides['test']:,} test rows; always answering "
                f"{constant['answer']!r} is right on {constant['accuracy_percent']:.1f} % of the test rows"
            )
    yield f"answer in the prompt: {100 * card['answer_in_prompt_share']:.1f} % of the rows"
    alike = card.get("alike", {"count": 0, "first": []})
    if alike["count"]:
        shown = "; ".join(", ".join(ids[:LISTED]) for ids in alike["first"][:LISTED])
        yield (
            f"note: {alike['count']:,} rows ask what a row of another group asks (ids {shown}), so that the split may "
            "put them on both sides. Give them a common group with columns: {group: …}"
        )


def _row_lines(plan: Plan, dataset: str, frame: pd.DataFrame) -> Iterator[str]:
    """Yield how rows are judged, which rows are not asked, and the first rows with their numbers of tokens."""
    entry = plan.dataset(dataset)
    offered = bool((frame["options"].map(len) > 0).any())
    described = definition(entry["builder"], asked_options(dict(entry)))
    of_rows = described.options_in_rows and offered
    for model in plan.models:
        task, family = task_of(plan.model(model)), plan.model(model)["architecture"]
        if task in ("causal", "masked"):
            style = style_of(described, task, family, of_rows)
            generated = f", {described.new_tokens} new tokens" if style == "generate" else ""
            yield f"right on {model}: {STYLES[style]}{generated}"
            folder = folder_at_hand(plan, model)
            if folder is not None:
                yield from cautions(plan, model, dataset, frame, folder)
    rows: list[Any] = frame.head(SHOWN).to_dict("records")
    for number, row in enumerate(rows, 1):
        yield f"{number}. {row['prompt']!r}"
        yield f"   answer: {' or '.join(repr(str(text)) for text in (row['answer'], *_others(row)))}"
        if len(row["options"]):
            yield f"   options: {', '.join(repr(str(text)) for text in row['options'])}"
        for model in plan.models:
            folder = folder_at_hand(plan, model)
            if folder is not None and task_of(plan.model(model)) != "policy":
                tokenizer = tokenizer_of(folder)
                _, length = continuation(tokenizer, row["prompt"], row["answer"])
                yield f"   tokens of {model}: {len(prompt_ids(tokenizer, row['prompt']))} prompt, {length} answer"


def _others(row: Mapping[str, Any]) -> list[str]:
    others = row.get("other_answers")
    return [] if others is None else [str(text) for text in others]


def time_line(seconds: float, jobs: int, device: str) -> str:
    """Return the line about the time if `jobs` jobs run at once."""
    minutes = seconds / jobs / 60
    said = f"{minutes:.0f} minutes" if minutes >= 2 else f"{seconds / jobs:.0f} seconds"
    return (
        f"Time: about {said} with {jobs} job(s) at once on {device}; downloads, training, tables and the report are "
        "not in it (docs/cost.md)"
    )


def no_time_line(error: UserError) -> str:
    """Return the line about the time if it cannot be estimated."""
    return f"Time: not estimated. {error}"
