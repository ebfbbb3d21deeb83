"""The rules of `laser.claims.claims` for tables: functions of a study's tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from laser.analysis.comparison import adjust, with_interval
from laser.analysis.tables import integer, intervention, number, p_value
from laser.analysis.verdicts import DIFFERS, NOT_COMPARED, REPLICATED
from laser.artefacts.paraphrase import ALL, CONSISTENT, HELD_OUT
from laser.artefacts.topk import FIRST
from laser.claims.findings import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Artefacts,
    Comparison,
    Row,
    by_bounds,
    by_margin,
    by_sign,
    by_test,
    cells,
    choice,
    effect,
    records,
    verdict_of,
    where,
)
from laser.claims.nulls import count_tails
from laser.config.protocols import SIGNIFICANCE
from laser.config.rules import rules
from laser.paper.text_numbers import PERPLEXITY_INPUT, PERPLEXITY_OUTPUT, read_text_numbers

SIMPLER = ("zeroed_matrix", "scaled_matrix", "removed_mlp")
"""Baselines that need no decomposition, which LASER has to beat."""

UNITS = {"accuracy": (1, "points"), "loss": (2, "nats"), "return": (2, "in reward")}
"""Decimal places and unit of a difference, by metric."""


def accuracy(made: Artefacts) -> list[Comparison]:
    """Judge the gains in accuracy in Table 1."""
    return [_table1(row, made["table1"], 1) for row in _laser(made["table1"], "accuracy")]


def loss(made: Artefacts) -> list[Comparison]:
    """Judge the changes of the loss in Table 1; a fall supports the claim."""
    return [_table1(row, made["table1"], -1) for row in _laser(made["table1"], "loss")]


def policy(made: Artefacts) -> list[Comparison]:
    """Judge the gains in Table 2: rooms solved, and return."""
    return [
        _table1(row, made["table2"], 1) for metric in ("accuracy", "return") for row in _laser(made["table2"], metric)
    ]


def numbers(made: Artefacts) -> Iterator[Comparison]:
    """Judge each printed number whose cell the study ran."""
    frame = made["verdicts"]
    words = {REPLICATED: SUPPORTED, DIFFERS: CONTRADICTED}
    for row in records(frame[(frame["run_model"] != "") & ~frame["verdict"].isin(NOT_COMPARED)]):
        places = 1 if row["metric"] == "accuracy" else 2
        ours = with_interval(row, places, "value", low="low", high="high")
        text = f"{row['metric']} of {row['arm']}: printed {number(row['published'], places)}, ours {ours}: "
        name = f"{row['run_model']} on {row['dataset']}, {row['protocol']}"
        yield Comparison(name, text + row["verdict"], words.get(row["verdict"], UNDECIDED))


def late_layers(made: Artefacts) -> Iterator[Comparison]:
    """Judge how often the chosen layer is beyond the middle, among choices that raised accuracy."""
    gained = _with_a_gain(made)
    late = gained["layer"].astype("float64") > (gained["first_layer"] + gained["last_layer"]) / 2
    return _by_chance(gained, late, "late_candidates", "beyond the middle layer")


def severe(made: Artefacts) -> Iterator[Comparison]:
    """Judge how often the chosen reduction keeps a tenth of the rank or less, among choices that raised accuracy."""
    gained = _with_a_gain(made)
    limit = rules().severe
    return _by_chance(gained, gained["rho"] <= limit, "severe_candidates", f"with ρ of at most {limit:g}")


def _with_a_gain(made: Artefacts) -> pd.DataFrame:
    """Return the rows of Table 3 whose choice raised held-out accuracy by the rule of `accuracy`."""
    keys = ["model", "dataset", "protocol"]
    first = made["table1"][(made["table1"]["metric"] == "accuracy") & (made["table1"]["arm"] == "laser")]
    raised = (first["p_holm"] < SIGNIFICANCE) & (first["difference"] >= rules().margins.accuracy)
    return made["table3"].merge(first.loc[raised, keys], on=keys)


def _by_chance(gained: pd.DataFrame, hits: pd.Series, chances: str, what: str) -> Iterator[Comparison]:
    """Judge, per dataset and protocol, whether more choices have a property than candidates drawn at random would.

    Args:
        gained: rows of Table 3, one per model.
        hits: which of these rows have the property.
        chances: name of the column with the share of candidates that have it.
        what: name of the property.
    """
    for (dataset, protocol), rows in gained.assign(hit=hits.astype(bool)).groupby(["dataset", "protocol"], sort=False):
        count = int(rows["hit"].sum())
        more, fewer = count_tails(list(rows[chances]), count)
        expected = float(rows[chances].sum())
        named = ", ".join(f"{row['model']} {choice(row)}" for row in records(rows))
        text = (
            f"{count} of {len(rows)} models with a gain chose {what}; of candidates at random {number(expected, 1)} "
            f"would, p {p_value(min(more, fewer))}: {named}"
        )
        most, least = count > len(rows) / 2, count < len(rows) / 2
        verdict = verdict_of(most and more < SIGNIFICANCE, least and fewer < SIGNIFICANCE)
        yield Comparison(f"{dataset}, {protocol}", text, verdict)


def published_choice(made: Artefacts) -> list[Comparison]:
    """Judge the gain at the paper's own choice, if it was evaluated."""
    frame = made["table3"]
    if "paper_gain" not in frame:
        return []
    evaluated = records(frame[frame["paper_gain"].notna()])
    adjust(evaluated, "paper_gain_p", "p_holm")
    return [
        Comparison(
            where(row),
            f"{intervention(row['paper_matrix'], row['paper_layer'], row['paper_rho'])}: "
            f"{with_interval(row, 1, 'paper_gain', sign=True)} points over base, adjusted p {p_value(row['p_holm'])}, "
            f"n = {integer(row['test_n'])}",
            by_test(row["paper_gain"], row["p_holm"], rules().margins.accuracy),
            effect(row, "paper_gain", "points", least=rules().margins.accuracy),
        )
        for row in evaluated
    ]


def paraphrase(made: Artefacts) -> list[Comparison]:
    """Judge the gain in facts that are right in all phrasings; the lack of a relevant gain contradicts the claim."""
    frame = made["paraphrase"]
    return _gains(frame, frame["measure"] == ALL, contradicts=rules().margins.accuracy)


def consistency(made: Artefacts) -> Iterator[Comparison]:
    """Judge whether facts that are right in any phrasing are right in all more often than before."""
    frame, margin = made["paraphrase"], rules().margins.accuracy
    for row in records(frame[(frame["measure"] == CONSISTENT) & frame["difference"].notna()]):
        text = (
            f"{number(row['base'], 1)} → {number(row['laser'], 1)} %, {with_interval(row, 1, 'difference', sign=True)} "
            f"points, n = {integer(row['n'])} facts, {choice(row)}"
        )
        verdict = SUPPORTED if row["difference_low"] > 0 and row["difference"] >= margin else UNDECIDED
        verdict = CONTRADICTED if row["difference_high"] < margin else verdict
        change = effect(row, "difference", "points", contradicts=margin, least=margin)
        yield Comparison(where(row), text, verdict, change)


def baselines(made: Artefacts) -> Iterator[Comparison]:
    """Judge LASER against deleting or scaling the chosen matrix and removing its layer's MLP: it has to beat all."""
    frame = made["baselines"]
    tested = frame[(frame["metric"] == "accuracy") & frame["baseline"].isin(SIMPLER) & frame["p_holm"].notna()]
    for name, cell in cells(tested):
        # The best of the simpler edits is the one over which LASER gains least, or to which it loses most.
        best = min(records(cell), key=lambda row: float(row["difference"]))
        against = "; ".join(
            f"{row['says']} {number(row['value'], 1)} %: {with_interval(row, 1, 'difference', sign=True)} points, "
            f"adjusted p {p_value(row['p_holm'])}"
            for row in records(cell)
        )
        text = f"LASER {choice(best)} {number(best['laser'], 1)} %, n = {integer(best['n'])}; against {against}"
        margin = rules().margins.accuracy
        by_baseline = [by_test(row["difference"], row["p_holm"], margin) for row in records(cell)]
        verdict = verdict_of(set(by_baseline) == {SUPPORTED}, best["difference_high"] < margin)
        change = effect(best, "difference", "points", contradicts=margin, least=margin)
        yield Comparison(name, text, verdict, change)


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
            by_test(row["over_laser"], row["over_laser_p_holm"], rules().margins.accuracy),
            effect(row, "over_laser", "points", least=rules().margins.accuracy),
        )
        for row in records(composed)
    ]


def perplexity(made: Artefacts) -> Iterator[Comparison]:
    """Judge the rise of the perplexity against the largest rise that the paper prints."""
    bound = largest_published_ratio()
    for row in records(made["perplexity"]):
        if row["arm"] == "base":
            continue
        text = (
            f"{row['arm']} {choice(row)} on {row['text']}: {with_interval(row, 2, 'perplexity')}, "
            f"{with_interval(row, 3, 'ratio')} times base's (bound {number(bound, 3)}), {integer(row['tokens'])} tokens"
        )
        verdict = by_bounds(bound - row["ratio_high"], bound - row["ratio_low"])
        ratio = effect(row, "ratio", "times base's", places=3, rises=False, supports=bound, contradicts=bound)
        yield Comparison(where(row), text, verdict, ratio)


def largest_published_ratio() -> float:
    """Return the largest ratio of a perplexity to base's that the paper's rounded numbers allow."""
    printed = read_text_numbers()
    ratios = []
    for name in (PERPLEXITY_INPUT, PERPLEXITY_OUTPUT):
        base, value = printed[name].base, printed[name].value
        if base is not None and value is not None:
            ratios.append((value.value + value.half_unit) / (base.value - base.half_unit))
    return max(ratios)


def selection(made: Artefacts) -> list[Comparison]:
    """Judge the gain including the effect of selection."""
    frame = made["stability"]
    return [
        Comparison(
            where(row),
            f"{choice(row)}: {number(row['gain'], 1, True)} points where it was chosen, "
            f"{with_interval(row, 1, 'gain_out_of_bag', sign=True)} out of bag; chosen again in "
            f"{number(row['share'], 0)} % of {integer(row['resamples'])} resamples, n = {integer(row['n'])}",
            by_bounds(row["gain_out_of_bag_low"], row["gain_out_of_bag_high"]),
            effect(row, "gain_out_of_bag", "points"),
        )
        for row in records(frame[frame["selected"]])
    ]


def seeds(made: Artefacts) -> Iterator[Comparison]:
    """Judge whether printed numbers lie in the prediction interval of a further seed."""
    from scipy.stats import t

    frame = made["seeds"]
    for row in records(frame[frame["published_within_two_sd"].notna()]):
        places = 2 if row["metric"] == "accuracy" else 3
        text = (
            f"{row['metric']}: printed {number(row['published'], places)}, mean {number(row['mean'], places)}, sd "
            f"{number(row['sd'], places)} over {integer(row['seeds'])} seeds, n = {integer(row['n'])}"
        )
        verdict = UNDECIDED
        if row["seeds"] > 1:
            # The 95 % prediction interval of a further seed: a genuine draw lies outside it in 5 % of cases.
            spread = float(t.ppf(0.975, row["seeds"] - 1)) * row["sd"] * math.sqrt(1 + 1 / row["seeds"])
            unit = 10.0 ** -(1 if row["metric"] == "accuracy" else 2) / 2
            distance = abs(row["published"] - row["mean"])
            if distance > spread + unit:
                verdict = CONTRADICTED
            elif distance + spread <= rules().margin(row["metric"]) + unit:
                verdict = SUPPORTED
        yield Comparison(where(row), text, verdict)


def prompts(made: Artefacts) -> Iterator[Comparison]:
    """Judge whether the gain, if there is one, is the same under every variant of the prompt."""
    for name, cell in cells(made["prompts"]):
        gains, original, others = cell["difference"], cell.iloc[0], cell.iloc[1:]
        changes = ", ".join(with_interval(row, 1, "gain_change", sign=True) for row in records(others))
        text = (
            f"{choice(original)}: gains of {number(gains.min(), 1, True)} to {number(gains.max(), 1, True)} points "
            f"over {len(cell)} variants; against the original's: {changes}; standard deviation between true gains "
            f"{with_interval(original, 1, 'gain_spread')}; n = {integer(original['n'])}"
        )
        raised = original["matrix"] and original["p_holm"] < SIGNIFICANCE and original["difference"] > 0
        verdict = UNDECIDED
        if raised and len(others):
            verdict = by_margin(others["gain_change_low"], others["gain_change_high"], rules().wording)
        yield Comparison(name, text, verdict)


def cheap_search(made: Artefacts) -> Iterator[Comparison]:
    """Judge the cheap search's choice against that of the exhaustive search."""
    searches = records(made["search"])
    adjust(searches)
    for row in searches:
        cheap = choice({key: row.get(f"gradient_{key}") for key in ("matrix", "layer", "rho", "kept_rank")})
        text = (
            f"{cheap} against {choice(row)}: {with_interval(row, 1, 'difference', sign=True)} points, adjusted p "
            f"{p_value(row['p_holm'])}, {number(row['saving'], 1)} times fewer evaluations, n = {integer(row['n'])}"
        )
        margin = rules().margins.accuracy
        verdict = SUPPORTED if row["difference_low"] > -margin else UNDECIDED
        if row["difference"] <= -margin and row["p_holm"] < SIGNIFICANCE:
            verdict = CONTRADICTED
        change = effect(row, "difference", "points", supports=-margin, contradicts=-margin)
        yield Comparison(where(row), text, verdict, change)


def saving(made: Artefacts) -> Iterator[Comparison]:
    """Judge whether the factors are smaller than the matrix."""
    for row in records(made["size"]):
        if not row["matrix"]:
            yield Comparison(where(row), "base", UNDECIDED)
            continue
        text = (
            f"{choice(row)}: {number(row['saved_of_matrix'], 1)} % of the matrix saved, "
            f"{number(row['saved_of_model'], 2)} % of the model (kept rank {integer(row['kept_rank'])}, break-even "
            f"{number(row['break_even_rank'], 0)})"
        )
        yield Comparison(where(row), text, by_sign(row["parameters_saved"]))


def _table1(row: Row, frame: pd.DataFrame, sign: int) -> Comparison:
    same = (frame["model"] == row["model"]) & (frame["dataset"] == row["dataset"]) & (frame["arm"] == "base")
    same &= (frame["protocol"] == row["protocol"]) & (frame["metric"] == row["metric"])
    places, unit = UNITS[row["metric"]]
    base = frame[same].iloc[0]["value"]
    written = with_interval(row, places, "difference", sign=True)
    text = (
        f"{row['metric']}: {number(base, places)} → {number(row['value'], places)}, {written} {unit}, adjusted p "
        f"{p_value(row['p_holm'])}, n = {integer(row['n'])}, {choice(row)}"
    )
    least = rules().margin(row["metric"])
    change = effect(row, "difference", unit, places=places, rises=sign > 0, least=least)
    return Comparison(where(row), text, by_test(sign * row["difference"], row["p_holm"], least), change)


def _gains(frame: pd.DataFrame, keep: pd.Series, contradicts: float | None = None) -> list[Comparison]:
    """Judge gains in percent.

    Args:
        frame: rows with base, LASER and their difference.
        keep: which rows to judge.
        contradicts: a gain whose whole interval lies below this limit contradicts the claim; by default, a loss does.
    """
    return [
        Comparison(
            where(row),
            f"{number(row['base'], 1)} → {number(row['laser'], 1)} %, {with_interval(row, 1, 'difference', sign=True)} "
            f"points, adjusted p {p_value(row['p_holm'])}, n = {integer(row['n'])}, {choice(row)}",
            CONTRADICTED
            if contradicts is not None and row["difference_high"] < contradicts
            else by_test(row["difference"], row["p_holm"], rules().margins.accuracy),
            effect(row, "difference", "points", contradicts=contradicts, least=rules().margins.accuracy),
        )
        for row in records(frame[keep])
    ]


def _laser(frame: pd.DataFrame, metric: str) -> list[dict[Any, Any]]:
    return records(frame[(frame["metric"] == metric) & (frame["arm"] == "laser")])
