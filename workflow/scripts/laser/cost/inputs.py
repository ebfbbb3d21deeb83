"""Requests of a study to each model: from the prepared rows and the tokenizer if they exist, else as stated."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.config.evaluations import task_of
from laser.config.own_rows import BUILDERS, GENERIC, asked_options
from laser.config.plan import Plan
from laser.cost.facts import read_facts
from laser.cost.operations import Asked
from laser.cost.shapes import Shape, guessed_shape, shape_of
from laser.errors import UserError
from laser.io.files import read_json, read_parquet
from laser.io.user_paths import expanded
from laser.paper.published import read_published
from laser.tasks.definitions import Definition, definition
from laser.tasks.prepare import Prepared, build_rows, to_frame
from laser.tasks.questions import style_of

if TYPE_CHECKING:
    import pandas as pd

    from laser.tasks.passes import Requests

SIDES = ("validation", "test")
MOST_ROWS = 4000
"""Most rows of a side that are tokenized; their mean is used for all."""


CHARACTERS_PER_TOKEN = 4.0
"""Assumed for own rows whose model is not at hand: a common rate of English text, not measured."""


def model_folder(plan: Plan, model: str) -> Path:
    """Return the path of the model's folder in the cache; it may not exist."""
    return Path(plan.config["cache"]) / "models" / plan.model_key(model)


def folder_at_hand(plan: Plan, model: str) -> Path | None:
    """Return the folder with a model's files: in the cache, else that of a local source; None if there is none."""
    folder, source = model_folder(plan, model), plan.model(model)["source"]
    if (folder / "card.json").is_file():
        return folder
    local = Path(expanded(source["path"], "source.path")) if source["kind"] == "local" else None
    return local if local is not None and local.is_dir() else None


def sizes_of_folder(folder: Path, task: str) -> dict[str, int]:
    """Return the sizes of a checkpoint's matrices and its number of parameters, from config.json and headers alone."""
    from laser.models.building import model_config
    from laser.models.card import sizes
    from laser.models.stored import read_header, weight_files

    headers = [read_header(folder / name) for name in weight_files(folder)]
    count = sum(math.prod(tensor["shape"]) for header in headers for tensor in header.values())
    return sizes(model_config(folder, task)) | {"parameters": count}


def rows_at_hand(plan: Plan, dataset: str) -> pd.DataFrame | None:
    """Return a dataset's rows: the prepared ones, else own rows of local files; None if there are none."""
    rows = Path(plan.config["cache"]) / "data" / plan.data_key(dataset) / "rows.parquet"
    if rows.is_file():
        return read_parquet(rows)
    made = own_rows_of(plan, dataset)
    return None if made is None else to_frame(made.rows, made.own)


def own_rows_of(plan: Plan, dataset: str) -> Prepared | None:
    """Build own rows of local files in memory; None for any other dataset, which may need a network."""
    entry = plan.dataset(dataset)
    if entry["builder"] != GENERIC or any(source["kind"] != "local" for source in entry["sources"]):
        return None
    return build_rows(entry)


def model_shape(plan: Plan, model: str) -> Shape:
    """Return a model's shape: from card.json if it was fetched, else from its entry. Raises UserError for a policy."""
    if plan.is_policy(model):
        raise UserError(
            f"model '{model}' is a policy, and the cost model counts the tokens of texts alone. docs/sokoban.md says "
            "what the study of policies took."
        )
    entry, folder = plan.model(model), model_folder(plan, model)
    at_hand = folder_at_hand(plan, model)
    if at_hand not in (None, folder):
        stored = sum(path.stat().st_size for path in at_hand.glob("*.safetensors"))
        return shape_of(entry | sizes_of_folder(at_hand, task_of(entry)), stored)
    if not (folder / "card.json").is_file():
        if plan.is_trained(model):
            return guessed_shape(entry)
        known = read_facts().get("stored_in_half", [])
        return shape_of(entry, in_half=model in known)
    stored = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return shape_of(read_json(folder / "card.json") | {"name": model, "dtype": entry["dtype"]}, stored)


def asked(plan: Plan, model: str, dataset: str) -> dict[str, Asked]:
    """Return what a dataset asks of a model, by side.

    Rows that any of the study's protocols puts on a side are counted, as `laser.evaluation.cell` evaluates them.

    Args:
        plan: the study.
        model: name of a model.
        dataset: name of a dataset.

    Raises:
        UserError: nothing is known about the dataset.
    """
    entry = plan.model(model)
    task, family = task_of(entry), entry["architecture"]
    builder = plan.dataset(dataset)["builder"]
    frame = rows_at_hand(plan, dataset)
    if frame is None:
        return stated(builder, task, family, _table4(plan, dataset))
    described = definition(builder, asked_options(plan.dataset(dataset)))
    sides = {side: frame[_on_side(frame, plan.study["protocols"], side)] for side in SIDES}
    counts = {side: len(rows) for side, rows in sides.items()}
    folder = folder_at_hand(plan, model)
    if folder is not None:
        tokenizer = tokenizer_of(folder)
        return {side: _tokenized(described, sides[side], tokenizer, task, family) for side in SIDES}
    if builder in BUILDERS:
        return {side: _by_characters(described, sides[side], task, family) for side in SIDES}
    characters = float(frame["prompt"].str.len().mean())
    return stated(builder, task, family, counts, characters)


def beside_others(plan: Plan, model: str, dataset: str, swept: Asked) -> Asked:
    """Return what a sweep asks beside the datasets that come before it in the same job (`sweep_together`).

    Args:
        plan: the study.
        model: name of a model; masked models share no tokens.
        dataset: name of a dataset.
        swept: what its sweep asks alone.
    """
    if dataset not in plan.together or task_of(plan.model(model)) != "causal" or plan.study["engine"] == "naive":
        return swept
    # The share of the dataset's tokens that another one has too, by builder.
    in_common = read_facts()["datasets"].get(plan.dataset(dataset)["builder"], {}).get("in_common", {})
    before = plan.together[: plan.together.index(dataset)]
    shared = max((in_common.get(plan.dataset(name)["builder"], 0.0) for name in before), default=0.0)
    return replace(swept, nodes=swept.nodes * (1 - shared))


def asked_from(requests: Requests, examples: int, causal: bool) -> Asked:
    """Count what requests ask, with prefixes merged as the sweep engine merges them."""
    from laser.engine.fast import TREE_LIMIT
    from laser.engine.packing import sequences_of
    from laser.engine.trees import prefix_trees, separate

    sequences = sequences_of(requests)
    trees = prefix_trees(sequences, TREE_LIMIT) if causal else separate(sequences)
    nodes = read = 0
    for tree in trees:
        positions: set[int] = set()
        for member, path in tree.paths.items():
            if member < len(requests.passes):
                request = requests.passes[member]
                positions |= {path[position] for position in (*(at for at, _ in request.queries), *request.top)}
            else:
                positions.add(path[-1])
        nodes += len(tree)
        read += len(positions)
    passes, generations = requests.passes, requests.generations
    return Asked(
        examples=examples,
        pass_tokens=sum(len(request.ids) for request in passes) / examples,
        prompt_tokens=sum(len(request.ids) for request in generations) / examples,
        nodes=nodes / examples,
        read=read / examples,
        passes=len(passes) / examples,
        generations=len(generations) / examples,
        steps=sum(max(0, request.new_tokens - 1) for request in generations) / examples,
        source="rows and tokenizer",
    )


def _on_side(frame: pd.DataFrame, protocols: list[str], side: str) -> pd.Series:
    return (frame[[f"split_{name}" for name in protocols]] == side).any(axis=1)


@cache
def tokenizer_of(folder: Path) -> Any:
    """Return the tokenizer in a checkpoint's folder."""
    from laser.models.tokenizer import load_tokenizer

    return load_tokenizer(folder)


def _by_characters(described: Definition, frame: pd.DataFrame, task: str, family: str) -> Asked:
    """Return what rows ask of a model whose tokenizer is not at hand, from the length of their texts."""
    prompt = float(frame["prompt"].str.len().mean()) / CHARACTERS_PER_TOKEN
    offered = frame["options"].map(len) > 0
    passes = float(frame["options"].map(len).mean()) if offered.any() else 1.0
    answer = float(frame["answer"].str.len().mean()) / CHARACTERS_PER_TOKEN + 1.0
    generates = style_of(described, task, family, bool(offered.any())) == "generate"
    return Asked(
        examples=len(frame),
        pass_tokens=passes * (prompt + answer),
        prompt_tokens=prompt if generates else 0.0,
        nodes=prompt + passes * answer,
        read=passes * answer,
        passes=passes,
        generations=float(generates),
        steps=float(described.new_tokens - 1) if generates else 0.0,
        source=f"rows, {CHARACTERS_PER_TOKEN:g} characters a token",
    )


def _tokenized(described: Definition, frame: pd.DataFrame, tokenizer: Any, task: str, family: str) -> Asked:
    from laser.evaluation.cell import examples
    from laser.tasks.questions import ask

    questions = ask(described, examples(frame[:MOST_ROWS]), tokenizer, task, family)
    counted = asked_from(questions.requests, len(questions.items), task == "causal")
    return replace(counted, examples=len(frame))


def _table4(plan: Plan, dataset: str) -> dict[str, int]:
    """Return rows per side: the paper's Table 4, or config/cost.yaml for datasets that are not in it."""
    sizes = read_published().sizes(dataset)
    entry = plan.dataset(dataset)
    rows = sizes["size"] if sizes else read_facts()["datasets"].get(entry["builder"], {}).get("rows")
    if rows is None:
        raise UserError(
            f"dataset '{dataset}': neither prepared, nor in the paper's Table 4, nor has config/cost.yaml rows for "
            f"its builder '{entry['builder']}'. Add it there, or run the prepare rule first."
        )
    rows = min(rows, entry["limit"] or rows)
    return {"validation": min(rows // 5, entry.get("validation_rows", rows)), "test": rows - rows // 5}


def stated(
    builder: str, task: str, family: str, counts: dict[str, int], characters: float | None = None
) -> dict[str, Asked]:
    """Return the stated means of a builder; longer or shorter prompts scale them."""
    datasets = read_facts()["datasets"]
    known = datasets.get(builder)
    if known is None:
        raise UserError(
            f"builder '{builder}': config/cost.yaml has no token counts for it. "
            f"It has: {', '.join(sorted(datasets))}. Add an entry, or prepare the data and fetch the model."
        )
    mean = known[task]
    scale = 1.0 if characters is None else characters / known["characters"]
    generates = task == "causal" and style_of(definition(builder), task, family) == "generate"
    return {
        side: Asked(
            examples=count,
            pass_tokens=scale * mean["pass_tokens"],
            prompt_tokens=scale * mean["prompt_tokens"] if generates else 0.0,
            nodes=scale * mean["nodes"],
            read=mean["read"],
            passes=mean["passes"],
            generations=1.0 if generates else 0.0,
            steps=float(definition(builder).new_tokens - 1) if generates else 0.0,
            source="stated means" if characters is None else "rows, stated tokens per character",
        )
        for side, count in counts.items()
    }
