"""Comparison with per-example outputs of the released code, for any folder of the golden layout.

Layout: `index.csv` (a line per configuration and part), `data/<dataset>.jsonl`, `models/<family>/` (optional: another
golden folder's models serve), and `<family>/<dataset>/<configuration>.jsonl`.
"""

from __future__ import annotations

import csv
import json
import os
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from laser.config.protocols import PROTOCOLS, randomised_iterations
from laser.models.load import LoadedModel, load
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.tasks.datasets import build
from laser.tasks.definitions import definition
from laser.tasks.passes import Answers
from laser.tasks.questions import Questions, ask
from laser.tasks.scoring import generated_text, option_scores, score

SHARED = Path(os.environ.get("LASER_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))
FOLDER = Path(os.environ.get("LASER_GOLDEN", SHARED / "golden"))
BUILDERS = {"hotpot": "hotpotqa"}
TOLERANCE = 1e-4
PUBLISHED = PROTOCOLS["published"]

NAMES = {"q_proj": ["q"], "k_proj": ["k"], "v_proj": ["v"], "out_proj": ["o"], "fc_out": ["u_out"], "fc_in": ["u_in"]}
LLAMA = {"fc_in": ["u_gate"], "fc_up": ["u_in"]}
ATTENTION = ["k", "q", "v", "o"]


def matrices(family: str, name: str) -> list[str]:
    """Return the logical matrices behind a released layer name; Llama's fc_in is the gate projection."""
    mlp = ["u_gate", "u_in", "u_out"] if family == "llama" else ["u_in", "u_out"]
    groups = {"mlp": mlp, "attn": ATTENTION, "all": ATTENTION + mlp}
    if name in groups:
        return groups[name]
    return (NAMES | LLAMA if family == "llama" else NAMES)[name]


def interventions(row: dict[str, str], layers: int, task: str) -> tuple[Intervention, ...]:
    """Return the edit that a line of index.csv describes; an empty edit is the base model."""
    if row["intervention"] == "dont":
        return ()
    kind = {"zero": "zero", "dropout": "pruning"}.get(row["intervention"])
    if kind is None:
        kind = "svd" if row["svd"] == "exact" else "randomised"
    rho = 0.0 if kind == "zero" else round(1 - float(row["rate"]) / 10, 9)
    seed = int(row["svd"].removeprefix("lowrank_seed")) if kind == "randomised" else 0
    where = range(layers) if int(row["lnum"]) == -1 else [int(row["lnum"])]
    return tuple(
        Intervention(matrix, layer, rho, kind, randomised_iterations(task), seed)
        for layer in where
        for matrix in matrices(row["family"], row["lname"])
    )


@cache
def index() -> list[dict[str, str]]:
    """Return the lines of index.csv."""
    with (FOLDER / "index.csv").open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def cells() -> list[tuple[str, str]]:
    """Return the (family, dataset) pairs that the folder has."""
    if not (FOLDER / "index.csv").is_file():
        return []
    return sorted({(row["family"], row["dataset"]) for row in index()})


def models_folder() -> Path:
    """Return the folder of the three checkpoints: the golden folder's own, or the default one's."""
    own = FOLDER / "models"
    return own if own.is_dir() else SHARED / "golden" / "models"


@cache
def model(family: str) -> LoadedModel:
    """Load one family's checkpoint in fp32 on the CPU."""
    return load(models_folder() / family, "fp32", "cpu")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


@cache
def questions(family: str, dataset: str, part: str) -> Questions:
    """Build one part's questions with our own dataset builders and prompts."""
    lines = [row for row in read_lines(FOLDER / "data" / f"{dataset}.jsonl") if row["part"] == part]
    if dataset == "counterfact":
        lines = [row | {"split": "train"} for row in lines]
    name = BUILDERS.get(dataset, dataset)
    options: dict[str, Any] = {}
    if dataset == "hotpot":
        options["answer_tokenizer"] = {"kind": "local", "path": str(models_folder() / "llama")}
    examples, _ = build(name, options, lambda split: [row for row in lines if row["split"] == split])
    loaded = model(family)
    return ask(definition(name), examples, loaded.tokenizer, loaded.task, loaded.config["model_type"])


@dataclass
class Agreement:
    """How far one (family, dataset) agrees.

    Attributes:
        agreed, total: examples times configurations.
        faults: what differs beyond the tolerance.
        ties: differences in a flag, a prediction or a text where the compared scores lie within the tolerance.
    """

    agreed: int = 0
    total: int = 0
    faults: list[str] = field(default_factory=list)
    ties: list[str] = field(default_factory=list)


def compare(family: str, dataset: str, engine: Any, store: FactorStore) -> Agreement:
    """Compare every configuration of one (family, dataset) with an engine's results."""
    loaded = model(family)
    layers = loaded.config.get("n_layer") or loaded.config["num_hidden_layers"]
    result = Agreement()
    by_part: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in index():
        if (row["family"], row["dataset"]) == (family, dataset):
            by_part[row["part"]].append(row)
    for part, wanted in by_part.items():
        asked = questions(family, dataset, part)
        edits = [interventions(row, layers, loaded.task) for row in wanted]
        for row, answers in zip(wanted, engine(loaded, asked.requests, edits, store), strict=True):
            _compare_configuration(row, asked, answers, loaded, result)
    return result


def _compare_configuration(
    row: dict[str, str], asked: Questions, answers: Answers, loaded: LoadedModel, result: Agreement
) -> None:
    golden = [one for one in read_lines(FOLDER / row["file"]) if one["part"] == row["part"]]
    where = f"{row['file']} part {row['part']}"
    if len(golden) != len(asked.items):
        result.faults.append(f"{where}: {len(asked.items)} examples, the released code has {len(golden)}")
        result.total += len(golden)
        return
    scores = score(asked, answers, loaded.tokenizer, PUBLISHED)
    for place, reference in enumerate(golden):
        faults = list(_faults(asked, place, answers, loaded, scores[place], reference))
        result.total += 1
        hard = [text for text, tie in faults if not tie]
        result.ties += [f"{where} ix {reference['ix']}: {text}" for text, tie in faults if tie]
        result.faults += [f"{where} ix {reference['ix']}: {text}" for text in hard]
        result.agreed += not hard
    accuracy = 100 * sum(one.correct for one in scores) / len(scores)
    loss = sum(one.loss for one in scores) / len(scores)
    tied = sum(1 for text in result.ties if text.startswith(where) and " correct " in text)
    if abs(accuracy - float(row["accuracy"])) > 100 * tied / len(scores) + 1e-9:
        result.faults.append(f"{where}: accuracy {accuracy}, the released code has {row['accuracy']}")
    if abs(loss - float(row["logloss"])) > TOLERANCE:
        result.faults.append(f"{where}: log-loss {loss}, the released code has {row['logloss']}")
    for side, ours in _sides(scores).items():
        if row.get(f"{side}_acc") and abs(ours - float(row[f"{side}_acc"])) > 100 * tied / len(scores) + 1e-9:
            result.faults.append(f"{where}: {side} accuracy {ours}, the released code has {row[f'{side}_acc']}")


def _sides(scores: list[Any]) -> dict[str, float]:
    cut = int(0.2 * len(scores))
    return {
        side: 100 * sum(one.correct for one in part) / len(part)
        for side, part in (("val", scores[:cut]), ("test", scores[cut:]))
        if part
    }


def _faults(
    asked: Questions, place: int, answers: Answers, loaded: LoadedModel, ours: Any, golden: dict[str, Any]
) -> Any:
    """Yield (text, whether it is a near tie) for everything that differs."""
    question = asked.items[place]
    if question.prompt != golden["prompt"]:
        yield f"prompt {question.prompt!r}, released {golden['prompt']!r}", False
    if abs(ours.logprob - golden["answer_logprob"]) > TOLERANCE:
        yield f"answer log-probability {ours.logprob}, released {golden['answer_logprob']}", False
    extra = PUBLISHED.mask_divisor_extra if asked.style in ("open_masks", "option_masks") else 0
    if ours.answer_tokens + extra != golden["answer_length"]:
        yield f"answer length {ours.answer_tokens + extra}, released {golden['answer_length']}", False
    tie = False
    if "options" in golden:
        values = option_scores(asked, question, answers)
        released = [golden["options"][name] for name in question.example.options]
        ordered = sorted(released, reverse=True)
        tie = ordered[0] - ordered[1] < TOLERANCE
        worst = max(abs(one - other) for one, other in zip(values, released, strict=True))
        if worst > TOLERANCE:
            yield f"option log-probabilities differ by {worst}", False
        if ours.prediction and ours.prediction != golden["pred"]:
            yield f"prediction {ours.prediction!r}, released {golden['pred']!r}", tie
    if "top10_tokens" in golden:
        yield from _top(answers.passes[question.passes[-1]], loaded, golden)
        gaps = golden["top10_logprob"]
        tie = tie or gaps[0] - gaps[1] < TOLERANCE
    if "generation" in golden and asked.style == "generate":
        text = generated_text(question, answers, loaded.tokenizer, with_prompt=True)
        if text != golden["generation"]:
            yield f"generation {text!r}, released {golden['generation']!r}", False
    if "generation" in golden and asked.style == "open_masks" and ours.prediction != golden["generation"]:
        yield f"generation {ours.prediction!r}, released {golden['generation']!r}", False
    if ours.correct != golden["correct"]:
        yield f"the flag correct is {ours.correct}, released {golden['correct']}", tie


def _top(answer: Any, loaded: LoadedModel, golden: dict[str, Any]) -> Any:
    worst = max(abs(a - b) for a, b in zip(answer.top_logprobs[0], golden["top10_logprob"], strict=True))
    if worst > TOLERANCE:
        yield f"top-10 log-probabilities differ by {worst}", False
    for rank, (token, name) in enumerate(zip(answer.top_ids[0], golden["top10_tokens"], strict=True)):
        ours = loaded.tokenizer.decode([token], clean_up_tokenization_spaces=False)
        if name not in (ours, ours.strip().lower(), ours.lower(), ours.strip()):
            values = golden["top10_logprob"]
            around = [abs(values[rank] - values[other]) for other in (rank - 1, rank + 1) if 0 <= other < len(values)]
            yield f"top token {rank} is {ours!r}, released {name!r}", min(around) < TOLERANCE or rank == len(values) - 1
