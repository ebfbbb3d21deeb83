"""Perplexity of base and LASER on running text, read in strides (paper 5.1 and C.4: stride 512).

The paper gives the stride but not the window. Here a window has as many tokens as the model takes, at most 1,024, and
the stride is 512, or half a window if that is less. Each document is read separately. A window begins every stride and
scores those of its tokens that no earlier window has scored; the context of a token is all tokens of the window before
it. The first token of a document (the begin token, if the tokenizer has one) serves only as context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from laser.cluster.local_copy import local_folder
from laser.config.specs import EvaluationSpec, PerplexitySpec
from laser.errors import UserError
from laser.evaluation.cell import ENGINES, compute_facts, open_model, step_of
from laser.io.files import read_json, read_parquet, write_parquet
from laser.models.load import LoadedModel
from laser.provenance.job import Job
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Edit, Intervention
from laser.tasks.passes import Pass, Requests
from laser.tasks.tokens import prompt_ids

LARGEST_WINDOW = 1024
STRIDE = 512
ARMS = {"input": ("u_in", "u_gate", "q", "k", "v"), "output": ("u_out", "o")}
"""Arms besides `base`, and for each the matrices among which it takes the best candidate of the selection."""


@dataclass(frozen=True)
class Window:
    """A stretch of one document.

    Attributes:
        document: the document's index in the text, from 0.
        ids: the token ids, context included.
        first: index of the first id that is scored, at least 1; all ids after it are scored too.
    """

    document: int
    ids: tuple[int, ...]
    first: int


@dataclass(frozen=True)
class Arm:
    """An edit of the model, or base.

    Attributes:
        parameters: matrix, layer, rho, kept rank and settings of the low-rank step; None for base.
        edit: the same for an engine; None if the selection has no candidate, so that nothing is evaluated.
    """

    parameters: dict[str, Any] | None
    edit: Edit | None


def evaluate_perplexity(job: Job) -> None:
    """Score the text under base and the best candidates, and write one file.

    The file has a row per (protocol, arm, window): `protocol`, `arm` (`base`, `input`, `output`), `document`, `window`
    (numbered over the whole text), `tokens` (the number scored) and `nll` (their summed negative log-likelihood, nats).
    Its spec gives the window, the stride, and each arm's intervention. If the selection has no candidate for an arm's
    matrices, the arm is null there and has no rows.

    Raises:
        UserError: the model is masked, or the text has no token to score.
    """
    spec: PerplexitySpec = job.spec
    output = job.output("perplexity", **spec.cell)
    if spec.corpus_key is None:
        text = job.input("text", text_key=spec.text_key)
    else:
        text = job.input("held_out", corpus_key=spec.corpus_key)
    loaded = open_model(spec, local_folder(job.input("model", model_key=spec.model.key).parent))
    if loaded.task != "causal":
        raise UserError(
            f"model '{spec.model.name}' is a masked language model, which has no perplexity. "
            "Leave it out of perplexity.models."
        )
    size, stride = sizes(loaded.max_positions)
    texts = read_parquet(text, ["text"])["text"].tolist()
    read = windows(loaded, texts, size, stride)
    if not read:
        raise UserError(f"{text}: holds no text of at least two tokens, so that nothing can be scored.")
    arms = choose_arms(spec, loaded.task, job.input("selection", **spec.cell))
    frame = score(loaded, read, arms, spec, FactorStore(job.folders.path("factors")), job)
    facts = {
        **{"window": size, "stride": stride, "documents": len(texts), **compute_facts(loaded)},
        "arms": {
            protocol: {name: arm.parameters for name, arm in by_name.items()} for protocol, by_name in arms.items()
        },
    }
    write_parquet(output, frame, job.metadata(**facts))


def sizes(positions: int | None) -> tuple[int, int]:
    """Return window and stride, in tokens, for a model that takes `positions` tokens (None: no limit)."""
    size = min(positions or LARGEST_WINDOW, LARGEST_WINDOW)
    return size, max(1, min(STRIDE, size // 2))


def windows(loaded: LoadedModel, texts: Sequence[str], size: int, stride: int) -> list[Window]:
    """Return the windows of all documents; documents of fewer than two tokens have none."""
    return [
        Window(document, ids[start:stop], first - start)
        for document, text in enumerate(texts)
        for ids in (prompt_ids(loaded.tokenizer, text),)
        for start, first, stop in spans(len(ids), size, stride)
    ]


def spans(length: int, size: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Yield (start, first scored, stop) of each window over `length` tokens; every token but the first is scored once.

    A window starts every `stride` tokens and has `size` tokens; the last one ends with the document and may be shorter.
    """
    scored = 1
    for start in range(0, length, stride):
        stop = min(start + size, length)
        if stop > scored:
            yield start, scored, stop
        scored = stop
        if stop == length:
            return


def choose_arms(spec: EvaluationSpec, task: str, selection: Path) -> dict[str, dict[str, Arm]]:
    """Return the arms by protocol and name.

    The selection file lists candidates from best to worst. An arm takes the first candidate with one of its matrices,
    whether LASER won on validation or not.
    """
    protocols = read_json(selection)["protocols"]
    arms: dict[str, dict[str, Arm]] = {}
    for protocol in spec.protocols:
        arms[protocol] = {"base": Arm(None, ())}
        for name, matrices in ARMS.items():
            best = next(
                (candidate for candidate in protocols[protocol]["candidates"] if candidate["matrix"] in matrices), None
            )
            if best is None:
                arms[protocol][name] = Arm(None, None)
                continue
            settings = step_of(protocol, task, spec.seed)
            parameters = {key: best[key] for key in ("matrix", "layer", "rho", "kept_rank")} | settings
            edit = Intervention(best["matrix"], best["layer"], best["rho"], **settings)
            arms[protocol][name] = Arm(parameters, (edit,))
    return arms


def score(
    loaded: LoadedModel,
    windows: Sequence[Window],
    arms: dict[str, dict[str, Arm]],
    spec: EvaluationSpec,
    store: FactorStore,
    job: Job,
) -> pd.DataFrame:
    """Return the rows of the file; arms and protocols with equal edits share one run over the text."""
    requests = Requests(tuple(map(_pass, windows)))
    edits = [arm.edit for by_name in arms.values() for arm in by_name.values() if arm.edit is not None]
    distinct = list(dict.fromkeys(edits))
    advance = job.progress(len(distinct) * len(windows), "windows × interventions")
    engine: Callable[..., Any] = ENGINES[spec.engine]
    answers = engine(loaded, requests, distinct, store, token_budget=spec.token_budget, progress=advance)
    losses = {
        edit: [-sum(scored.logprobs) for scored in answer.passes]
        for edit, answer in zip(distinct, answers, strict=True)
    }
    frames = [
        pd.DataFrame(
            {
                **{"protocol": protocol, "arm": name, "document": [window.document for window in windows]},
                **{"window": range(len(windows)), "tokens": [len(window.ids) - window.first for window in windows]},
                "nll": losses[arm.edit],
            }
        )
        for protocol, by_name in arms.items()
        for name, arm in by_name.items()
        if arm.edit is not None
    ]
    frame = pd.concat(frames, ignore_index=True)
    return frame.astype({"document": "int32", "window": "int32", "tokens": "int32", "nll": "float64"})


def _pass(window: Window) -> Pass:
    """Ask for each scored token's log-probability, read at the position before it; the last id is not an input."""
    queries = tuple((position - 1, window.ids[position]) for position in range(window.first, len(window.ids)))
    return Pass(window.ids[:-1], queries)
