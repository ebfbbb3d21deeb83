"""Base and LASER under other wordings of the prompt, computed anew from test rows."""

from __future__ import annotations

import math

from laser_audit.cells import COMPARED, Tested, adjusted, compared, tested
from laser_audit.comparing import Row, compare_table
from laser_audit.findings import Check
from laser_audit.numbers import constants, mean
from laser_audit.paper import LEVEL, paper, verdict
from laser_audit.reading import Study, asked
from laser_audit.rows import parts

PROMPTS = (
    *("model", "dataset", "protocol", "variant", *COMPARED, "matrix", "layer", "rho", "outcome", "verdict"),
    *("published_base", "published_laser", "variants", "same_sign", "gain_mean", "gain_min", "gain_max"),
    "wording",
)
ORIGINAL = "original"


@asked("prompts")
def check_prompts(check: Check, study: Study) -> None:
    """Compare every cell of the table of prompts."""
    path = "tables/prompts.csv"
    with check.guarded(path):
        found: list[tuple[Row, Tested, list[str]]] = []
        for model, dataset in study.settings["prompts"]["cells"]:
            for protocol in study.protocols:
                cell = tested(study, model, dataset, protocol)
                rows, asked = _variants(study, cell)
                found += [(row, cell, asked) for row in rows]
        rows = [row for row, _, _ in found]
        adjusted(rows)
        for row, cell, asked in found:
            row |= {"outcome": _outcome(row), "verdict": _verdict(study, row, cell, asked)}
        compare_table(check, study, path, rows, ("model", "dataset", "protocol", "variant"), PROMPTS)


def _variants(study: Study, cell: Tested) -> tuple[list[Row], list[str]]:
    """Return a cell's lines, before anything that rests on the tests of other cells; and the ids that were asked."""
    path = f"prompts/{cell.model}/{cell.dataset}.parquet"
    own = {key[1:]: part for key, part in parts(study, path, ("variant", "arm")).items() if key[0] == cell.protocol}
    wordings = study.spec(path).get("variants", {})
    group_of = dict(zip(cell.ids, cell.groups, strict=True))
    rows: list[Row] = []
    for variant in dict.fromkeys(name for name, _ in own):
        base = own[variant, "base"]
        # Where base was chosen, it stands for LASER too.
        laser = own.get((variant, "laser"), base) if cell.chosen is None else own[variant, "laser"]
        ids = base["id"].tolist()
        after = dict(zip(laser["id"], laser["correct"], strict=True))
        both = [float(one) for one in base["correct"]], [float(after[name]) for name in ids]
        row: Row = dict(zip(PROMPTS, (*cell.name, variant), strict=False))
        row |= compared(*both, [group_of[name] for name in ids], (*cell.name, "prompt", variant), True, *study.sampling)
        rows.append(row | cell.place | {"wording": str(wordings.get(variant, ""))})
    gains = [row["difference"] for row in rows]
    first = next(row["difference"] for row in rows if row["variant"] == ORIGINAL)
    common: Row = {"variants": len(rows), "same_sign": sum(1 for gain in gains if _sign(gain) == _sign(first))}
    common |= {"gain_mean": mean(gains), "gain_min": min(gains), "gain_max": max(gains)}
    for arm in ("base", "laser"):
        text = paper(study).text(cell.model, cell.dataset, "accuracy", arm)
        common[f"published_{arm}"] = float(text) if text is not None else math.nan
    return [row | common for row in rows], own[ORIGINAL, "base"]["id"].tolist()


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _outcome(row: Row) -> str:
    if not row["matrix"]:
        return "base chosen"
    if row["p_holm"] >= LEVEL:
        return "not significant"
    return "raised" if row["difference"] > 0 else "lowered"


def _verdict(study: Study, row: Row, cell: Tested, asked: list[str]) -> str:
    """Judge the printed LASER accuracy as if this variant were the prompt."""
    found = paper(study)
    own = [cell.data.rows[name] for name in asked]
    scores = constants([one["answer"] for one in own], any(one["options"] for one in own))
    sizes = found.sizes.get(found.cell(cell.model, cell.dataset)[1])
    judged = row | {"metric": "accuracy", "arm": "laser", "low": row["laser_low"], "high": row["laser_high"]}
    # The first rows alone are no sample of the rows behind the published number.
    whole = not cell.data.limited and len(asked) == len(cell.ids)
    return verdict(found, judged, scores, whole, cell.chosen is None, sizes["test"] if sizes else None)
