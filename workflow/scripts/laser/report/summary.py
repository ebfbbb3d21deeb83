"""The findings of a study in plain sentences, computed from Table 1."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from laser.analysis.comparison import with_interval
from laser.analysis.tables import integer, intervention, number, p_value
from laser.analysis.verdicts import (
    CONSTANT,
    DIFFERS,
    NO_DIFFERENCE,
    NOT_COMPARED,
    OPEN,
    REPLICATED,
    SIGNIFICANCE,
    UNDECIDED,
)
from laser.artefacts.by_relation import ALL, TEMPLATE, largest_part, named_part
from laser.config.rules import rules

if TYPE_CHECKING:
    import pandas

LEAKAGE = 5.0
MOST = 50.0
"""Percentage of a gain above which a single template that contributes it is named."""
MOST_PLACES = 6
"""Largest number of decimals shown; numbers that are equal to this precision count as equal."""

RAISED, LOWERED, UNCLEAR, KEPT = "raised", "lowered", "unclear", "kept"


@dataclass(frozen=True)
class Pair:
    """One model on one dataset under one protocol, as rows of Table 1 in its long form.

    Attributes:
        base, laser: accuracy rows of the two arms.
        loss: loss row of the LASER arm.
    """

    base: Mapping[Any, Any]
    laser: Mapping[Any, Any]
    loss: Mapping[Any, Any]

    @property
    def outcome(self) -> str:
        """The change of accuracy: `RAISED`, `LOWERED`, `UNCLEAR`, or `KEPT` if selection kept the base model."""
        if not self.laser["matrix"]:
            return KEPT
        if self.laser["p_holm"] < SIGNIFICANCE:
            return RAISED if self.laser["difference"] > 0 else LOWERED
        return UNCLEAR

    @property
    def title(self) -> str:
        """Model and dataset in words."""
        return f"{self.laser['model']} on {self.laser['dataset']}"


@dataclass(frozen=True)
class Summary:
    """The findings under one protocol.

    Attributes:
        protocol: `published` or `corrected`.
        findings: one sentence per pair.
        cautions: limitations of the numbers of single pairs.
        pairs: the pairs, in the table's order.
    """

    protocol: str
    findings: list[str]
    cautions: list[str]
    pairs: list[Pair]


def summarise(
    frame: pandas.DataFrame,
    selections: Sequence[Mapping[str, Any]] = (),
    parts: pandas.DataFrame | None = None,
) -> list[Summary]:
    """Summarise the long form of Table 1, one `Summary` per protocol in its order.

    Args:
        frame: the table.
        selections: selection files (`laser.results.loading.load_selections`), which give the kept rank.
        parts: the table of gains by relation and template, if the study has it.
    """
    chosen = {
        (selection["model"], selection["dataset"], protocol): selected["chosen"] or {}
        for selection in selections
        for protocol, selected in selection["protocols"].items()
    }
    summaries = []
    for protocol in dict.fromkeys(frame["protocol"]):
        pairs = _pairs(frame[frame["protocol"] == protocol])
        cautions = [
            caution
            for pair in pairs
            for caution in _cautions(pair, chosen.get((pair.laser["model"], pair.laser["dataset"], protocol), {}))
        ]
        if parts is not None:
            cautions += _one_template(parts[parts["protocol"] == protocol])
        summaries.append(Summary(protocol, [_finding(pair) for pair in pairs], cautions, pairs))
    return summaries


def in_one_sentence(summaries: Sequence[Summary]) -> str:
    """Return the findings under all protocols as one sentence."""
    parts = [
        f"under the {summary.protocol} protocol, {_outcomes(summary.pairs, of_what='' if index else _PAIRS)}"
        for index, summary in enumerate(summaries)
    ]
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


_BY_GRADIENTS = (
    "Only the matrices that gradients point to were swept (`search: gradient`). What the tables table3, stability and "
    "power say of the search is said of these candidates alone."
)


def general_cautions(
    frame: pandas.DataFrame, quantised: Mapping[str, str], partial: Mapping[str, str], by_gradients: bool = False
) -> list[str]:
    """Return the limitations of all numbers of a study, a model or a dataset.

    Args:
        frame: Table 1 in its long form.
        quantised: models whose weights had been quantised before they were obtained, each with how.
        partial: datasets for which only part of the paper's rows was available, each with which part.
        by_gradients: True if the sweep had only candidates that the gradients point to.
    """
    models, datasets = dict.fromkeys(frame["model"]), dict.fromkeys(frame["dataset"])
    return [
        *(
            f"{model}: its weights were quantised to {quantised[model]} before this study read them. The numbers are "
            "those of the quantised weights, which differ from the published ones."
            for model in models
            if model in quantised
        ),
        *(
            f"{dataset}: only a part of the paper's rows was read: {partial[dataset]}."
            for dataset in datasets
            if dataset in partial
        ),
        *([_BY_GRADIENTS] if by_gradients else []),
    ]


def _pairs(frame: pandas.DataFrame) -> list[Pair]:
    rows = {(row["model"], row["dataset"], row["metric"], row["arm"]): row for row in frame.to_dict("records")}
    names = dict.fromkeys((model, dataset) for model, dataset, *_ in rows)
    return [
        Pair(rows[*name, "accuracy", "base"], rows[*name, "accuracy", "laser"], rows[*name, "loss", "laser"])
        for name in names
    ]


@dataclass(frozen=True)
class Replication:
    """How the published Table 1 fared under one protocol.

    Attributes:
        sentence: the counts in words.
        compared: number of published numbers compared.
    """

    sentence: str
    compared: int


def replications(verdicts: pandas.DataFrame, protocols: Iterable[str]) -> dict[str, Replication]:
    """Count the verdicts on published numbers (`laser.artefacts.verdicts.verdict_table`), per protocol."""
    cell = ["model", "dataset", "metric", "arm"]
    printed = len(verdicts.drop_duplicates(cell))
    by_protocol = {}
    for protocol in protocols:
        judged = verdicts[(verdicts["protocol"] == protocol) & ~verdicts["verdict"].isin(NOT_COMPARED)]
        of = f"the {printed} numbers of the paper's Table 1"
        if judged.empty:
            text = (
                f"This study ran none of {of} under the {protocol} protocol, so it cannot say whether they replicate."
            )
            by_protocol[protocol] = Replication(text, 0)
            continue
        counts = judged["verdict"].value_counts()
        verdicts_in_words = [
            f"{counts[name]} {texts[int(counts[name] > 1)]}" for name, texts in _IN_WORDS.items() if counts.get(name, 0)
        ]
        several = "" if len(judged) == len(judged.drop_duplicates(cell)) else ", some by several models"
        text = (
            f"Of {of}, this study ran {len(judged.drop_duplicates(cell))} under the {protocol} protocol{several}. "
            f"Of {len(judged)} comparison{'' if len(judged) == 1 else 's'}, {_joined(verdicts_in_words)}."
        )
        shows = judged["shows"].value_counts()
        weak = [f"{shows[name]} {words}" for name, words in _SHOWN_IN_WORDS.items() if shows.get(name, 0)]
        text += f" By themselves, the printed numbers show: {_joined(weak)}." if weak else ""
        by_protocol[protocol] = Replication(text, len(judged))
    return by_protocol


# Wording for one number, and for several.
_IN_WORDS = {
    REPLICATED: ("replicates", "replicate"),
    DIFFERS: ("differs", "differ"),
    UNDECIDED: ("cannot be decided", "cannot be decided"),
}
_SHOWN_IN_WORDS = {
    CONSTANT: "at most what one constant answer scores",
    NO_DIFFERENCE: "no significant change in the paper's own number of rows",
    OPEN: "a change whose significance depends on outcomes that are not printed",
}


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


_OUTCOMES_IN_WORDS = {
    RAISED: "raised {} significantly",
    LOWERED: "lowered {} significantly",
    UNCLEAR: "made no significant difference to {}",
    KEPT: "was not chosen (no intervention beat the base model on validation rows)",
}


_PAIRS = " pairs of model and dataset"


def _outcomes(pairs: Sequence[Pair], of_what: str = _PAIRS) -> str:
    """Return how LASER changed held-out accuracy, counted over pairs of model and dataset."""
    outcomes = [pair.outcome for pair in pairs]
    counted = [(words, outcomes.count(outcome)) for outcome, words in _OUTCOMES_IN_WORDS.items()]
    (words, count), *others = [(words, count) for words, count in counted if count]
    first = f"LASER {words.format('held-out accuracy')}"
    if len(pairs) == 1:
        return f"{first} for {pairs[0].title}"
    if not others:
        return f"{first} in all {count}{of_what}"
    return _joined([f"{first} in {count} of {len(pairs)}{of_what}", *(f"{w.format('it')} in {n}" for w, n in others)])


def apart(first: float, second: float, places: int, sign: bool = False) -> tuple[str, str]:
    """Format two numbers with enough decimals to distinguish them: at least `places`, at most `MOST_PLACES`."""
    for more in range(places, MOST_PLACES + 1):
        texts = number(first, more, sign), number(second, more, sign)
        if texts[0] != texts[1]:
            return texts
    return number(first, places, sign), number(second, places, sign)


def _finding(pair: Pair) -> str:
    base, laser, loss = pair.base, pair.laser, pair.loss
    rows = f"{integer(laser['n'])} test row{'' if laser['n'] == 1 else 's'}"
    if pair.outcome == KEPT:
        return f"{pair.title}: selection kept the base model, {number(base['value'], 1)} % on {rows}."
    before, after = apart(base["value"], laser["value"], 1)
    changed = {
        RAISED: f"rose from {before} % to {after} %",
        LOWERED: f"fell from {before} % to {after} %",
        UNCLEAR: f"did not change significantly: from {before} % to {after} %",
    }
    change = changed[pair.outcome] if before != after else f"stayed at {after} %"
    low, high = apart(laser["difference_low"], laser["difference_high"], 1, True)
    # A nonzero difference must not be shown as 0.
    difference = number(0.0, 1) if before == after else apart(laser["difference"], 0.0, 1, True)[0]
    return (
        f"{pair.title}: accuracy {change} ({difference} point{'' if difference in _ONE else 's'}, 95 % interval {low} "
        f"to {high}, adjusted p {_compared(laser['p_holm'])}, {rows}) with "
        f"{intervention(laser['matrix'], laser['layer'], laser['rho'], laser.get('kept_rank'))}.{_of_loss(loss)}"
    )


_ONE = ("+1.0", "−1.0")


def _of_loss(loss: Mapping[Any, Any]) -> str:
    """Return a sentence on the loss; empty if no row has a loss."""
    if loss["value"] != loss["value"] or loss["difference"] != loss["difference"]:
        return ""
    before, after = apart(loss["value"] - loss["difference"], loss["value"], 2)
    if before == after:
        return f" The loss stayed at {after} nats."
    certain = "" if loss["p_holm"] < SIGNIFICANCE else ", not significantly"
    return f" The loss {'fell' if loss['difference'] < 0 else 'rose'} from {before} to {after} nats{certain}."


def _compared(value: float) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def _cautions(pair: Pair, chosen: Mapping[str, Any]) -> list[str]:
    cautions = []
    if chosen.get("kept_rank") == 0:
        cautions.append(
            f"{pair.title}: rank 0 was chosen (ρ = {chosen['rho']:g}): the whole matrix {chosen['matrix']} of layer "
            f"{chosen['layer']} is removed, not approximated."
        )
    unskilled = [
        (name, row)
        for name, row in (("base", pair.base), ("LASER", pair.laser))
        if row["value"] <= row["constant"] + rules().constant and not (name == "LASER" and pair.outcome == KEPT)
    ]
    if unskilled:
        scores = _joined([f"{name} ({number(row['value'], 1)} %{_most_frequent(row)})" for name, row in unskilled])
        cautions.append(
            f"{pair.title}: {scores} {'scores' if len(unskilled) == 1 else 'score'} at most {rules().constant:g} "
            f"points more than one constant answer ({number(pair.base['constant'], 1)} %)."
        )
    if pair.base["answer_in_prompt"] >= LEAKAGE:
        cautions.append(
            f"{pair.title}: {number(pair.base['answer_in_prompt'], 1)} % of the prompts already contain the answer."
        )
    return cautions


def _most_frequent(row: Mapping[Any, Any]) -> str:
    """Return a clause with an arm's most frequent prediction; empty if none is known."""
    top = next(iter(json.loads(row["prediction_shares"] or "{}").items()), None)
    return f"; predicts '{top[0]}' in {number(100 * top[1], 0)} % of rows" if top else ""


def _one_template(parts: pandas.DataFrame) -> list[str]:
    """Return a sentence for each cell whose gain comes mostly from one template."""
    cautions = []
    for row in parts[parts["part"] == ALL].to_dict("records"):
        largest = largest_part(parts, row, TEMPLATE)
        if largest and largest["share_of_net"] > MOST:
            cautions.append(
                f"{row['model']} on {row['dataset']}: one template, '{named_part(largest)}', supplies "
                f"{integer(largest['net_rows'])} of the {integer(row['net_rows'])} rows that were won on balance; "
                f"without it the gain is {with_interval(largest, 1, 'gain_without', sign=True)} points."
            )
    return cautions
