"""What a study found, in plain sentences, computed from Table 1."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
"""Percent of a gain: a single template that supplies more of it is named."""


@dataclass(frozen=True)
class Summary:
    """The findings under one protocol.

    Attributes:
        protocol: `published` or `corrected`.
        headline: one sentence over all cells.
        findings: a sentence per model and dataset.
        cautions: what limits the numbers.
        keys: the main figures, as (what, how many).
    """

    protocol: str
    headline: str
    findings: list[str]
    cautions: list[str]
    keys: list[tuple[str, str]] = field(default_factory=list)


def summarise(
    frame: pandas.DataFrame, quantised: Mapping[str, str] | None = None, parts: pandas.DataFrame | None = None
) -> list[Summary]:
    """Summarise the long form of Table 1, one `Summary` per protocol in its order.

    Args:
        frame: the table.
        quantised: models whose weights were quantised before they came here, each with how.
        parts: the table of gains by relation and template, where the study has it.
    """
    summaries = []
    for name in dict.fromkeys(frame["protocol"]):
        summary = _summary(frame[frame["protocol"] == name], name, quantised or {})
        if parts is not None:
            summary.cautions.extend(_one_template(parts[parts["protocol"] == name]))
        summaries.append(summary)
    return summaries


def _summary(frame: pandas.DataFrame, protocol: str, quantised: Mapping[str, str]) -> Summary:
    rows = {(row["model"], row["dataset"], row["metric"], row["arm"]): row for row in frame.to_dict("records")}
    cells = list(dict.fromkeys((model, dataset) for model, dataset, *_ in rows))
    counts = {"raised": 0, "lowered": 0, "kept": 0, "unclear": 0}
    findings = []
    cautions = [
        f"{model}: its weights were quantised before they came here ({quantised[model]}), so that they differ from the "
        "published ones."
        for model in dict.fromkeys(model for model, _ in cells)
        if model in quantised
    ]
    for model, dataset in cells:
        base, laser = (rows[model, dataset, "accuracy", arm] for arm in ("base", "laser"))
        loss = rows[model, dataset, "loss", "laser"]
        outcome = _outcome(laser)
        counts[outcome] += 1
        findings.append(_finding(base, laser, loss, outcome))
        cautions += _cautions(base, laser)
    keys = [
        ("Accuracy rose significantly", f"{counts['raised']} of {len(cells)}"),
        ("Accuracy fell significantly", f"{counts['lowered']} of {len(cells)}"),
    ]
    return Summary(protocol, _headline(counts, len(cells), protocol), findings, cautions, keys)


@dataclass(frozen=True)
class Replication:
    """How the published Table 1 fared under one protocol.

    Attributes:
        protocol: `published` or `corrected`.
        sentence: the counts in words.
        keys: the main figures, as (what, how many).
    """

    protocol: str
    sentence: str
    keys: list[tuple[str, str]]


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
            by_protocol[protocol] = Replication(protocol, text, [("Published numbers compared", f"0 of {printed}")])
            continue
        counts = judged["verdict"].value_counts()
        said = [
            f"{counts[name]} {texts[int(counts[name] > 1)]}" for name, texts in _IN_WORDS.items() if counts.get(name, 0)
        ]
        several = "" if len(judged) == len(judged.drop_duplicates(cell)) else ", some by several models"
        text = (
            f"Of {of}, this study ran {len(judged.drop_duplicates(cell))} under the {protocol} protocol{several}. "
            f"Of {len(judged)} comparison{'' if len(judged) == 1 else 's'}, {_joined(said)}."
        )
        shows = judged["shows"].value_counts()
        weak = [f"{shows[name]} {words}" for name, words in _SHOWN_IN_WORDS.items() if shows.get(name, 0)]
        text += f" By themselves, the printed numbers show: {_joined(weak)}." if weak else ""
        keys = [("Published numbers replicated", f"{counts.get(REPLICATED, 0)} of {len(judged)}")]
        by_protocol[protocol] = Replication(protocol, text, keys)
    return by_protocol


# Of one number, and of several.
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


def _outcome(laser: Mapping[Any, Any]) -> str:
    if not laser["matrix"]:
        return "kept"
    if laser["p_holm"] < SIGNIFICANCE:
        return "raised" if laser["difference"] > 0 else "lowered"
    return "unclear"


def _headline(counts: Mapping[str, int], cells: int, protocol: str) -> str:
    of = f"of {cells} model and dataset pair{'' if cells == 1 else 's'}"
    verdicts = {
        "raised": "helped: held-out accuracy rose significantly in",
        "lowered": "hurt: it fell significantly in",
        "unclear": "made no significant difference in",
        "kept": "was not chosen, because no intervention beat the base model on validation, in",
    }
    parts = [f"it {text} {counts[key]}" for key, text in verdicts.items() if counts[key]]
    return f"Under the {protocol} protocol, {'; '.join(parts).replace('it', 'LASER', 1)} {of}."


def _finding(base: Mapping[Any, Any], laser: Mapping[Any, Any], loss: Mapping[Any, Any], outcome: str) -> str:
    where = f"{laser['model']} on {laser['dataset']}: "
    if outcome == "kept":
        return where + f"selection kept the base model, {number(base['value'], 1)} % on {integer(base['n'])} test rows."
    verb = {"raised": "rose", "lowered": "fell", "unclear": "did not change significantly:"}[outcome]
    bounds = f"{number(laser['difference_low'], 1, True)} to {number(laser['difference_high'], 1, True)}"
    direction = "fell" if loss["difference"] < 0 else "rose"
    certain = "" if loss["p_holm"] < SIGNIFICANCE else ", not significantly"
    return (
        f"{where}accuracy {verb} from {number(base['value'], 1)} % to {number(laser['value'], 1)} % "
        f"({number(laser['difference'], 1, True)} points, 95 % interval {bounds}, adjusted p "
        f"{_compared(laser['p_holm'])}, {integer(laser['n'])} test rows) with "
        f"{intervention(laser['matrix'], laser['layer'], laser['rho'], laser.get('kept_rank'))}. "
        f"The loss {direction} from "
        f"{number(loss['value'] - loss['difference'], 2)} to {number(loss['value'], 2)} nats{certain}."
    )


def _compared(value: float) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def _cautions(base: Mapping[Any, Any], laser: Mapping[Any, Any]) -> list[str]:
    where = f"{base['model']} on {base['dataset']}"
    cautions = []
    for name, row in (("base", base), ("LASER", laser)):
        if row["value"] <= row["constant"] + rules().constant:
            top = next(iter(json.loads(row["prediction_shares"] or "{}").items()), None)
            often = f"; its most frequent prediction, '{top[0]}', makes up {number(100 * top[1], 0)} %" if top else ""
            cautions.append(
                f"{where}: {name} scores {number(row['value'], 1)} %, no more than one constant answer "
                f"({number(row['constant'], 1)} %){often}."
            )
    if base["answer_in_prompt"] >= LEAKAGE:
        cautions.append(f"{where}: {number(base['answer_in_prompt'], 1)} % of the prompts already contain the answer.")
    return cautions


def _one_template(parts: pandas.DataFrame) -> list[str]:
    """Return a sentence per cell whose gain comes from one template for the most part."""
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
