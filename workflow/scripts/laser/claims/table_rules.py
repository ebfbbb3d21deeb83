"""The rules of `laser.claims.claims` on tables: functions of a study's tables."""

from __future__ import annotations

from typing import Any

import pandas as pd

from laser.analysis.comparison import with_interval
from laser.analysis.tables import integer, intervention, number, p_value
from laser.analysis.verdicts import DIFFERS, NOT_COMPARED, REPLICATED, SIGNIFICANCE
from laser.artefacts.paraphrase import ALL, HELD_OUT
from laser.artefacts.topk import FIRST
from laser.claims.findings import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Artefacts,
    Comparison,
    Row,
    by_bounds,
    by_sign,
    by_test,
    cells,
    choice,
    records,
    where,
)
from laser.paper.text_numbers import PERPLEXITY_INPUT, PERPLEXITY_OUTPUT, read_text_numbers

SEVERE = 0.1
UNITS = {"accuracy": (1, "points"), "loss": (2, "nats"), "return": (2, "in reward")}
"""Decimal places and unit of a difference, by metric."""
TOLERANCE = 1.0


def accuracy(made: Artefacts) -> list[Comparison]:
    """Judge the gains in accuracy of Table 1."""
    return [_table1(row, made["table1"], 1) for row in _laser(made["table1"], "accuracy")]


def loss(made: Artefacts) -> list[Comparison]:
    """Judge the changes of the loss of Table 1; a fall supports."""
    return [_table1(row, made["table1"], -1) for row in _laser(made["table1"], "loss")]


def policy(made: Artefacts) -> list[Comparison]:
    """Judge the gains of Table 2: rooms solved, and return."""
    return [
        _table1(row, made["table2"], 1) for metric in ("accuracy", "return") for row in _laser(made["table2"], metric)
    ]


def numbers(made: Artefacts) -> list[Comparison]:
    """Judge each printed number that the study ran."""
    frame = made["verdicts"]
    words = {REPLICATED: SUPPORTED, DIFFERS: CONTRADICTED}
    comparisons = []
    for row in records(frame[(frame["run_model"] != "") & ~frame["verdict"].isin(NOT_COMPARED)]):
        places = 1 if row["metric"] == "accuracy" else 2
        ours = with_interval(row, places, "value", low="low", high="high")
        text = f"{row['metric']} of {row['arm']}: printed {number(row['published'], places)}, ours {ours}: "
        name = f"{row['run_model']} on {row['dataset']}, {row['protocol']}"
        comparisons.append(Comparison(name, text + row["verdict"], words.get(row["verdict"], UNDECIDED)))
    return comparisons


def late_layers(made: Artefacts) -> list[Comparison]:
    """Judge where the chosen layers lie among those searched."""
    comparisons = []
    for row in records(made["table3"]):
        middle = (row["first_layer"] + row["last_layer"]) / 2
        text = f"{choice(row)}; layers {integer(row['first_layer'])} to {integer(row['last_layer'])} searched"
        sign = 0.0 if not row["matrix"] else float(row["layer"] - middle)
        comparisons.append(Comparison(where(row), text, by_sign(sign)))
    return comparisons


def severe(made: Artefacts) -> list[Comparison]:
    """Judge how much of the rank the chosen reductions keep."""
    comparisons = []
    for row in records(made["table3"]):
        text = f"{choice(row)}, validation n = {integer(row['n'])}"
        verdict = (SUPPORTED if row["rho"] <= SEVERE else CONTRADICTED) if row["matrix"] else UNDECIDED
        comparisons.append(Comparison(where(row), text, verdict))
    return comparisons


def published_choice(made: Artefacts) -> list[Comparison]:
    """Judge the gain at the paper's own choice, where it was evaluated."""
    frame = made["table3"]
    if "paper_gain" not in frame:
        return []
    return [
        Comparison(
            where(row),
            f"{intervention(row['paper_matrix'], row['paper_layer'], row['paper_rho'])}: "
            f"{with_interval(row, 1, 'paper_gain', sign=True)} points over base, p {p_value(row['paper_gain_p'])}, "
            f"n = {integer(row['test_n'])}",
            by_test(row["paper_gain"], row["paper_gain_p"]),
        )
        for row in records(frame[frame["paper_gain"].notna()])
    ]


def paraphrase(made: Artefacts) -> list[Comparison]:
    """Judge the gain in facts that are right in all phrasings."""
    return _gains(made["paraphrase"], made["paraphrase"]["measure"] == ALL)


def held_out(made: Artefacts) -> list[Comparison]:
    """Judge the gain on phrasings that the model was not trained on."""
    return _gains(made["paraphrase"], made["paraphrase"]["measure"] == HELD_OUT)


def top_ten(made: Artefacts) -> list[Comparison]:
    """Judge the gain in top-10 accuracy on test rows."""
    frame = made["topk"]
    return _gains(frame, (frame["split"] == "test") & (frame["k"] == 10) & (frame["measure"] == FIRST))


def composition(made: Artefacts) -> list[Comparison]:
    """Judge the composition against the best single intervention."""
    frame = made["compose"]
    composed = frame[(frame["arm"] == "composed") & (frame["metric"] == "accuracy")]
    return [
        Comparison(
            where(row),
            f"{with_interval(row, 1, 'value', low='low', high='high')} %, "
            f"{with_interval(row, 1, 'over_laser', sign=True)} points over the best single one, adjusted p "
            f"{p_value(row['over_laser_p_holm'])}, {integer(row['edits'])} edits, n = {integer(row['n'])}",
            by_test(row["over_laser"], row["over_laser_p_holm"]),
        )
        for row in records(composed)
    ]


def perplexity(made: Artefacts) -> list[Comparison]:
    """Judge the rise of the perplexity against the largest one that the paper prints."""
    bound = largest_published_ratio()
    comparisons = []
    for row in records(made["perplexity"]):
        if row["arm"] == "base":
            continue
        text = (
            f"{row['arm']} {intervention(row['matrix'], row['layer'], row['rho'])} on {row['text']}: "
            f"{with_interval(row, 2, 'perplexity')}, {with_interval(row, 3, 'ratio')} times base's (bound "
            f"{number(bound, 3)}), {integer(row['tokens'])} tokens"
        )
        comparisons.append(Comparison(where(row), text, by_bounds(bound - row["ratio_high"], bound - row["ratio_low"])))
    return comparisons


def largest_published_ratio() -> float:
    """Return the largest perplexity over base's that the paper's rounded numbers allow."""
    printed = read_text_numbers()
    ratios = []
    for name in (PERPLEXITY_INPUT, PERPLEXITY_OUTPUT):
        base, value = printed[name].base, printed[name].value
        if base is not None and value is not None:
            ratios.append((value.value + value.half_unit) / (base.value - base.half_unit))
    return max(ratios)


def selection(made: Artefacts) -> list[Comparison]:
    """Judge the gain with selection counted in."""
    frame = made["stability"]
    return [
        Comparison(
            where(row),
            f"{choice(row)}: {number(row['gain'], 1, True)} points where it was chosen, "
            f"{with_interval(row, 1, 'gain_out_of_bag', sign=True)} out of bag; chosen again in "
            f"{number(row['share'], 0)} % of {integer(row['resamples'])} resamples, n = {integer(row['n'])}",
            by_bounds(row["gain_out_of_bag_low"], row["gain_out_of_bag_high"]),
        )
        for row in records(frame[frame["selected"]])
    ]


def seeds(made: Artefacts) -> list[Comparison]:
    """Judge whether printed numbers lie within the spread over seeds."""
    frame = made["seeds"]
    comparisons = []
    for row in records(frame[frame["published_within_two_sd"].notna()]):
        places = 2 if row["metric"] == "accuracy" else 3
        text = (
            f"{row['metric']}: printed {number(row['published'], places)}, mean {number(row['mean'], places)}, sd "
            f"{number(row['sd'], places)} over {integer(row['seeds'])} seeds, n = {integer(row['n'])}"
        )
        # Read back from a CSV, a column of truth values with gaps holds texts.
        within = str(row["published_within_two_sd"]) == "True"
        comparisons.append(Comparison(where(row), text, SUPPORTED if within else CONTRADICTED))
    return comparisons


def prompts(made: Artefacts) -> list[Comparison]:
    """Judge whether the gain holds under every variant of the prompt."""
    comparisons = []
    for name, cell in cells(made["prompts"]):
        gains = cell["difference"]
        original, positive = cell.iloc[0], int((gains > 0).sum())
        text = (
            f"{choice(original)}: gain in {positive} of {len(cell)} variants, {number(gains.min(), 1, True)} to "
            f"{number(gains.max(), 1, True)} points, n = {integer(original['n'])}"
        )
        verdict = UNDECIDED
        if original["matrix"] and positive == len(cell):
            verdict = SUPPORTED
        elif original["matrix"] and original["difference"] > 0 and positive <= len(cell) / 2:
            verdict = CONTRADICTED
        comparisons.append(Comparison(name, text, verdict))
    return comparisons


def cheap_search(made: Artefacts) -> list[Comparison]:
    """Judge the cheap search's choice against the exhaustive one's."""
    comparisons = []
    for row in records(made["search"]):
        cheap = intervention(row["gradient_matrix"], row["gradient_layer"], row["gradient_rho"])
        text = (
            f"{cheap} against {choice(row)}: {with_interval(row, 1, 'difference', sign=True)} points, p "
            f"{p_value(row['p_value'])}, {number(row['saving'], 1)} times fewer evaluations, n = {integer(row['n'])}"
        )
        verdict = SUPPORTED if row["difference_low"] > -TOLERANCE else UNDECIDED
        if row["difference"] < 0 and row["p_value"] < SIGNIFICANCE:
            verdict = CONTRADICTED
        comparisons.append(Comparison(where(row), text, verdict))
    return comparisons


def saving(made: Artefacts) -> list[Comparison]:
    """Judge whether the factors are smaller than the matrix."""
    comparisons = []
    for row in records(made["size"]):
        if not row["matrix"]:
            comparisons.append(Comparison(where(row), "base", UNDECIDED))
            continue
        text = (
            f"{choice(row)}: {number(row['saved_of_matrix'], 1)} % of the matrix saved, "
            f"{number(row['saved_of_model'], 2)} % of the model (kept rank {integer(row['kept_rank'])}, break-even "
            f"{number(row['break_even_rank'], 0)})"
        )
        comparisons.append(Comparison(where(row), text, by_sign(row["parameters_saved"])))
    return comparisons


def _table1(row: Row, frame: pd.DataFrame, sign: int) -> Comparison:
    same = (frame["model"] == row["model"]) & (frame["dataset"] == row["dataset"]) & (frame["arm"] == "base")
    same &= (frame["protocol"] == row["protocol"]) & (frame["metric"] == row["metric"])
    places, unit = UNITS[row["metric"]]
    base = frame[same].iloc[0]["value"]
    change = with_interval(row, places, "difference", sign=True)
    text = (
        f"{row['metric']}: {number(base, places)} → {number(row['value'], places)}, {change} {unit}, adjusted p "
        f"{p_value(row['p_holm'])}, n = {integer(row['n'])}, {choice(row)}"
    )
    return Comparison(where(row), text, by_test(sign * row["difference"], row["p_holm"]))


def _gains(frame: pd.DataFrame, keep: pd.Series) -> list[Comparison]:
    return [
        Comparison(
            where(row),
            f"{number(row['base'], 1)} → {number(row['laser'], 1)} %, {with_interval(row, 1, 'difference', sign=True)} "
            f"points, adjusted p {p_value(row['p_holm'])}, n = {integer(row['n'])}, {choice(row)}",
            by_test(row["difference"], row["p_holm"]),
        )
        for row in records(frame[keep])
    ]


def _laser(frame: pd.DataFrame, metric: str) -> list[dict[Any, Any]]:
    return records(frame[(frame["metric"] == metric) & (frame["arm"] == "laser")])
