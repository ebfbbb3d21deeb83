"""Composed interventions: a greedy search from the last layer down, on validation rows only.

Source: arXiv 2312.13558 section 5.1 and Figure 4. The released composition script skips the last layer, and its
acceptance test is always true. It cannot have produced the paper's number, so this module follows the paper's text.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from laser.config.specs import ComposeSpec
from laser.engine.live_edits import edited
from laser.evaluation.cell import Cell, answers_for, counter, intervention, job_cell, of_protocol, result_rows
from laser.evaluation.choices import with_kept_rank
from laser.provenance.job import Job
from laser.reduction.interventions import Intervention
from laser.tasks.passes import Answers

RULE = (
    "greedy, from the last layer down, matrices in the grid's order; at each (layer, matrix) every rho is tried on "
    "the validation rows together with the edits accepted so far; the best of them (highest accuracy; ties: lower "
    "loss, then smaller rho) is accepted only if it is better than the best so far (higher accuracy, or equal "
    "accuracy and lower loss), starting from the base model; otherwise the matrix stays as it was"
)

Scores = dict[str, Any]
"""accuracy (percent), loss (nats; None if it is not finite) and n."""


def search(
    base: Scores,
    places: Sequence[tuple[int, str]],
    evaluate: Callable[[int, str], list[Scores]],
    accept: Callable[[int, str, float], None],
) -> list[dict[str, Any]]:
    """Run the greedy search (`RULE`).

    Args:
        base: scores of the model without edits.
        places: (layer, matrix), in the order in which they are visited.
        evaluate: returns the scores, with `rho` and `kept_rank`, of every rho at a place, on top of the accepted edits.
        accept: puts an edit in place for everything that follows.

    Returns:
        One step per place: `layer`, `matrix`, the best rho there with its scores, `accepted`, and under `candidates`
        the scores of every rho.
    """
    # Rows on which base overflows count as wrong, so they affect only its accuracy.
    best = worth(base) if base["loss"] is not None else (base["accuracy"], -math.inf)
    steps = []
    for layer, matrix in places:
        tried = evaluate(layer, matrix)
        winner = max(tried, key=lambda candidate: (worth(candidate), -candidate["rho"]))
        accepted = worth(winner) > best
        if accepted:
            accept(layer, matrix, winner["rho"])
            best = worth(winner)
        steps.append({"layer": layer, "matrix": matrix, **winner, "accepted": accepted, "candidates": tried})
    return steps


def worth(scores: Scores) -> tuple[float, float]:
    """Return the key that compares edits: accuracy, then minus the loss; an edit that overflows is below all others."""
    loss = scores["loss"]
    return (-math.inf, -math.inf) if loss is None else (scores["accuracy"], -loss)


def compose(job: Job) -> dict[str, Any]:
    """Search under each protocol of the spec and return what goes into the JSON under `protocols`.

    Per protocol: `base` (scores), `steps` (`search`), and `chosen`: the accepted edits in the order of acceptance.
    """
    cell = job_cell(job, "validation")
    return {protocol: _compose(job, of_protocol(cell, protocol), protocol) for protocol in job.spec.protocols}


def _compose(job: Job, cell: Cell, protocol: str) -> dict[str, Any]:
    spec: ComposeSpec = job.spec
    places = [(layer, matrix) for layer in sorted(spec.layers, reverse=True) for matrix in spec.matrices]
    count = counter(job, cell, 1 + len(places) * len(spec.rhos))
    (answers,) = answers_for(cell, [()], count)
    base = _scores(cell, answers, protocol)

    def evaluate(layer: int, matrix: str) -> list[Scores]:
        edits = [intervention(cell, protocol, matrix, layer, rho) for rho in spec.rhos]
        return [
            {"rho": edit.rho, "kept_rank": with_kept_rank(cell, edit)["kept_rank"], **_scores(cell, answers, protocol)}
            for edit, answers in zip(edits, answers_for(cell, [(edit,) for edit in edits], count), strict=True)
        ]

    with contextlib.ExitStack() as in_place:
        # Accepted edits stay in the live weights, so that a place's candidates are single edits on top of them, which
        # the engine evaluates together. Leaving the block restores every weight.
        steps = search(
            base,
            places,
            evaluate,
            lambda layer, matrix, rho: in_place.enter_context(
                edited(cell.loaded, [intervention(cell, protocol, matrix, layer, rho)], cell.store)
            ),
        )
    chosen = [{key: step[key] for key in ("matrix", "layer", "rho", "kept_rank")} for step in steps if step["accepted"]]
    job.say(f"{protocol}: {len(chosen)} of {len(places)} places edited")
    return {"base": base, "steps": steps, "chosen": chosen}


def _scores(cell: Cell, answers: Answers, protocol: str) -> Scores:
    rows = result_rows(cell, answers, protocol)
    loss = float(rows["loss"].mean(skipna=False))
    return {
        "accuracy": 100 * float(rows["correct"].mean()),
        "loss": loss if math.isfinite(loss) else None,
        "n": len(rows),
    }


def prefixes(cell: Cell, edits: Sequence[Intervention], count: Callable[[int], None]) -> Iterator[Answers]:
    """Answer the cell's questions under the first 0, 1, … len(edits) edits together.

    Each edit is evaluated on top of those before it, which stay in the live weights meanwhile.
    """
    yield from answers_for(cell, [()], count)
    with contextlib.ExitStack() as in_place:
        for edit in edits:
            yield from answers_for(cell, [(edit,)], count)
            in_place.enter_context(edited(cell.loaded, [edit], cell.store))
