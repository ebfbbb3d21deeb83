"""The cheap search by gradients of singular values (arXiv 2510.20800), and racing, against the exhaustive search.

The race is replayed on the sweep (docs/racing.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from laser.analysis.comparison import compare, difference, with_interval
from laser.analysis.racing import replay, swept_scores
from laser.analysis.statistics import RESAMPLES
from laser.analysis.tables import View, integer, intervention, number, p_value
from laser.config.artefacts import Artefact, drawn_cells
from laser.config.protocols import PROTOCOLS
from laser.config.searches import lacks_candidates
from laser.errors import UserError
from laser.evaluation.racing import Race, Rules
from laser.results.cells import PairedCell, intervention_labels, same_intervention
from laser.results.labelled import Labelled, aligned, by_cell, choices_of

if TYPE_CHECKING:
    from laser.config.plan import Plan
    from laser.results.study import StudyResults


def _race_rules(plan: Plan) -> dict[str, Any]:
    return {"racing": {key: plan.study["racing"][key] for key in ("error", "blocks")}}


ARTEFACT = Artefact(
    name="search",
    kind="table",
    title="Gradient search and racing beside the exhaustive search",
    about="the cheap search and racing against the exhaustive search",
    reads=("test", "selection", "rows", "choices", "gradients", "base", "sweep"),
    cells=drawn_cells,
    texts=("model", "dataset", "protocol", "matrix", "gradient_matrix"),
    not_for_policies="gradients are taken for language models only",
    missing=lacks_candidates,
    settings=_race_rules,
)

Races = Mapping[tuple[str, str, str], tuple[Race, bool]]
"""Maps (model, dataset, protocol) to the race, and whether it ends in the exhaustive search's choice."""


def make(study: StudyResults) -> pd.DataFrame:
    """Compute the table from a study's files."""
    rules = Rules(**study.spec["racing"], seed=study.seed)
    races = {}
    for cell in study.cells:
        matrices = study.selections[cell]["spec"]["grid"]["matrices"]
        scores = swept_scores(study.base(cell), study.paths_of("sweep", cell), matrices)
        for protocol, swept in scores.items():
            races[*cell, protocol] = replay(swept, PROTOCOLS[protocol].base_is_candidate, rules)
    return search_table(
        study.compared,
        list(study.selections.values()),
        list(study.documents("gradients", "spec", "protocols").values()),
        study.labelled("choices", ("choice",)),
        races,
        study.seed,
        study.resamples,
    )


GRADIENT = "gradient"
BACKWARD = 3
"""Cost of a forward and backward pass, in forward passes: a backward pass costs two forward passes."""
PLACE = ("matrix", "layer", "rho", "kept_rank")
COUNTED = (
    *("candidates", "evaluations", "gradient_evaluations", "backward_examples", "racing_whole", "racing_evaluations"),
)
COLUMNS = (
    *("model", "dataset", "protocol", *PLACE, *(f"gradient_{key}" for key in PLACE), "same", "place_order", "places"),
    *("n", "base", "base_low", "base_high", "exhaustive", "exhaustive_low", "exhaustive_high", "gradient"),
    *("gradient_low", "gradient_high", "exhaustive_gain", "gradient_gain", "gradient_gain_low", "gradient_gain_high"),
    *("gradient_gain_p", "gain_kept", "difference", "difference_low", "difference_high", "p_value"),
    *("candidates", "whole_grid", "evaluations", "gradient_evaluations", "backward_examples", "saving"),
    *("racing_same", "racing_whole", "racing_evaluations", "racing_saving"),
)
"""Columns of the CSV. Accuracies on test rows in percent, gains in points over base; `difference` is gradient minus
exhaustive. `place_order` is the position of the exhaustive search's matrix and layer in the gradient's order.
`gain_kept` is the cheap search's gain in percent of the exhaustive one's, where the latter is positive. Evaluations are
forward passes of one validation row under one intervention; `saving` is the factor by which the cheap search needs
fewer, backward passes included. `racing_same` is whether the race ends in the exhaustive search's choice;
`racing_whole` counts the candidates that run to the end."""


def search_table(
    cells: Sequence[PairedCell],
    selections: Sequence[Mapping[str, Any]],
    gradients: Sequence[Mapping[str, Any]],
    choices: Sequence[Labelled],
    races: Races,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compare the choices, scores and costs of the searches.

    Args:
        cells: test results of base and the exhaustive search's choice.
        selections: selection files of the same cells.
        gradients: gradients/<model>/<dataset>.json of the cells that are compared.
        choices: test rows at given choices; `gradient` is the cheap search's choice, whose cost is in the files' specs.
        races: the race of every cell and protocol.
        seed: seed of the study.
        resamples: number of resamples of the bootstrap and the permutation test.

    Returns:
        A frame with the columns `COLUMNS`, a row per cell and protocol with gradients.

    Raises:
        UserError: a cell with gradients lacks its test rows, its selection or its choice.
    """
    tested = {cell.key: cell for cell in cells}
    chosen = {(selection["model"], selection["dataset"]): selection["protocols"] for selection in selections}
    given = by_cell(choices)
    rows = []
    for ranking in gradients:
        spec = ranking["spec"]
        model, dataset = spec["model"]["name"], spec["dataset"]["name"]
        for protocol, ranked in ranking["protocols"].items():
            key = (model, dataset, protocol)
            if key not in tested or key[:2] not in chosen or key not in given or not given[key].spec.get("search"):
                raise UserError(f"search: {model} on {dataset} lacks its test, selection or choices file. Give it.")
            row = _row(tested[key], chosen[key[:2]][protocol], ranked, given[key], seed, resamples)
            rows.append(row | _race_cost(*races[key]))
    whole = ("layer", "kept_rank", "gradient_layer", "gradient_kept_rank", "place_order", "places", "n")
    types = dict.fromkeys((*whole, *COUNTED), "Int64")
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(types | dict.fromkeys(("same", "whole_grid", "racing_same"), "boolean"))


def _row(
    cell: PairedCell,
    selected: Mapping[str, Any],
    ranked: Mapping[str, Any],
    given: Labelled,
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    cheap, best = choices_of(given).get(GRADIENT), selected["chosen"]
    rows = given.arm(choice=GRADIENT)
    laser = aligned(cell, rows, "The gradient's choice")["correct"].to_numpy(dtype=bool)
    groups, base = list(cell.rows["group"]), cell.rows["base_correct"]
    names = (*cell.key, "accuracy")
    settings: dict[str, Any] = {"truth": True, "seed": seed, "resamples": resamples}
    full = compare(base, cell.rows["laser_correct"], groups, names, **settings)
    quick = compare(base, laser, groups, (*names, GRADIENT), **settings)
    row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
    row |= dict(zip(("model", "dataset", "protocol"), names, strict=False)) | {"n": full["n"]}
    row |= intervention_labels(best)
    row |= {f"gradient_{key}": value for key, value in intervention_labels(cheap).items()}
    row["same"] = same_intervention(best, cheap)
    order = [(place["matrix"], place["layer"]) for place in ranked["places"]]
    row["places"] = len(order)
    row["place_order"] = None if best is None else 1 + order.index((best["matrix"], best["layer"]))
    for name, compared in (("exhaustive", full), ("gradient", quick)):
        row |= {f"{name}{end}": compared[f"laser{end}"] for end in ("", "_low", "_high")}
    row |= {f"base{end}": full[f"base{end}"] for end in ("", "_low", "_high")}
    row |= {"exhaustive_gain": full["difference"], "gradient_gain": quick["difference"]}
    row |= {f"gradient_gain_{end}": quick[f"difference_{end}"] for end in ("low", "high")}
    row["gradient_gain_p"] = quick["p_value"]
    if full["difference"] > 0:
        row["gain_kept"] = 100 * quick["difference"] / full["difference"]
    row |= difference(cell.rows["laser_correct"], laser, groups, (*names, "searches"), **settings)
    return row | _cost(given.spec["search"][cell.protocol], len(selected["candidates"]))


def _cost(search: Mapping[str, Any], candidates: int) -> dict[str, Any]:
    """Count the rows that each search scores, including those of base."""
    full = (search["exhaustive_evaluations"] + 1) * search["validation_examples"]
    quick = (search["evaluations"] + 1) * search["examples"]
    return {
        "candidates": candidates,
        # A study that searched by gradients has fewer candidates than its grid.
        "whole_grid": candidates == search["exhaustive_evaluations"],
        "evaluations": full,
        "gradient_evaluations": quick,
        "backward_examples": search["examples"],
        "saving": full / (quick + BACKWARD * search["examples"]),
    }


def _race_cost(race: Race, same: bool) -> dict[str, Any]:
    """Count the rows that a race scores, including those of base."""
    evaluations = int(race.seen.sum()) + race.rows
    return {
        "racing_same": same,
        "racing_whole": int(race.whole.sum()),
        "racing_evaluations": evaluations,
        "racing_saving": (len(race.seen) + 1) * race.rows / evaluations,
    }


def views(frame: pd.DataFrame) -> list[View]:
    """Return one rounded view per protocol."""
    columns = ["Dataset", "Model", "Exhaustive", "Gradient", "Its place in the order", "Base, %", "Exhaustive, %"]
    columns += ["Gradient, %", "Gradient − exhaustive, points", "p", "n", "Gain kept, %", "Row evaluations"]
    columns += ["with gradients", "Fewer by", "by racing", "Fewer by racing", "Race: same choice"]
    views = []
    for protocol, protocol_rows in frame.groupby("protocol", sort=False):
        lines = [
            [
                row["dataset"],
                row["model"],
                intervention(*(row[key] for key in PLACE)),
                intervention(*(row[f"gradient_{key}"] for key in PLACE)),
                f"{integer(row['place_order'])} of {integer(row['places'])}" if row["matrix"] else "",
                *(with_interval(row, 1, arm) for arm in ("base", "exhaustive", "gradient")),
                with_interval(row, 1, "difference", sign=True),
                p_value(row["p_value"]),
                integer(row["n"]),
                number(row["gain_kept"], 0),
                integer(row["evaluations"]),
                integer(row["gradient_evaluations"]),
                f"{number(row['saving'], 1)}×",
                integer(row["racing_evaluations"]),
                f"{number(row['racing_saving'], 1)}×",
                "yes" if row["racing_same"] else "no",
            ]
            for row in protocol_rows.to_dict("records")
        ]
        notes = [
            "Accuracies on held-out rows; brackets: 95 % interval over groups of dependent rows (docs/statistics.md).",
            "p: paired test of the two choices on the same rows, not adjusted.",
            f"Row evaluations: validation rows times interventions, base included. Fewer by: with {BACKWARD} more per "
            "example for the backward pass.",
            "Racing: candidates that cannot win any more on validation stop (docs/racing.md), replayed on the sweep.",
        ]
        if not protocol_rows["whole_grid"].all():
            notes.append(
                "Where the study itself searched by gradients, `exhaustive` is the choice among what survived."
            )
        title = f"Search by gradients and racing beside the exhaustive search, {protocol} protocol"
        views.append(View(f"search_{protocol}", title, columns, lines, notes=notes))
    return views
