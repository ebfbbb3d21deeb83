"""Checks the base rows of every comparison: equal rows have equal scores, whichever job ran the unmodified model."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from laser_audit.findings import Check
from laser_audit.reading import Study, text_of
from laser_audit.rows import SCORES, Key, base_path, parts, test_path
from laser_audit.selection import base_average, compare_scores, selection_path

RERUN = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 5e-2}
"""Precision to the largest accepted difference in log-probability between two runs, nats per answer token."""


def check_base(check: Check, study: Study) -> None:
    """Compare the base rows of every comparison with each other, and LASER's rows with base where base was chosen."""
    for model, dataset in study.cells():
        path = test_path(model, dataset)
        with check.guarded(path):
            tested = parts(study, path)
            for protocol, chosen in study.spec(path)["chosen"].items():
                if chosen is None:
                    base, laser = tested[protocol, "base"], tested[protocol, "laser"]
                    _equal(check, path, f"{protocol}: laser where base was chosen", laser, base)
            compose = f"compose/{model}/{dataset}.parquet"
            if study.has(compose):
                composed = parts(study, compose)
                dtype = text_of(study.spec(compose)["model"]["dtype"])
                for protocol in study.protocols:
                    _equal(
                        check, compose, f"{protocol}: step 0", composed[protocol, 0], tested[protocol, "base"], dtype
                    )
        with check.guarded(selection_path(model, dataset)):
            _candidate(check, study, model, dataset)
        for shared, ends in ((base_path(model, dataset), ()), (path, ("base",))):
            with check.guarded(shared):
                _shared(check, shared, parts(study, shared), ends)


def _candidate(check: Check, study: Study, model: str, dataset: str) -> None:
    """Compare base's scores in the selection file with those of its rows; this works under a single protocol too."""
    path = selection_path(model, dataset)
    for protocol in study.protocols:
        scores, where = study.json(path)["protocols"][protocol]["validation"]["base"], f"protocols.{protocol}"
        compare_scores(check, path, f"{where}.validation.base", scores, base_average(study, model, dataset, protocol))


def _equal(check: Check, path: str, where: str, found: pd.DataFrame, expected: pd.DataFrame, dtype: str = "") -> None:
    """Compare the scores of two parts row by row: exactly or, given a `dtype`, within its tolerance in `RERUN`.

    A different order of summation changes a log-probability slightly and, below fp32, sometimes an answer.
    """
    allowed = RERUN.get(dtype, 0.0)
    for name in SCORES if dtype in ("", "fp32") else ("id", "loss", "logprob"):
        if name in ("loss", "logprob"):
            scale = expected["answer_tokens"].to_numpy() if name == "logprob" else 1.0
            same = np.abs(found[name].to_numpy() - expected[name].to_numpy()) <= allowed * scale
            same |= ~np.isfinite(found[name].to_numpy()) & ~np.isfinite(expected[name].to_numpy())
        elif name == "answer_rank" and dtype:
            continue
        else:
            # A rank is missing where the model overflowed.
            same = ((found[name] == expected[name]) | (found[name].isna() & expected[name].isna())).to_numpy()
        check.count += len(found)
        for row in np.flatnonzero(~same)[:3]:
            of = f"{where}: {name} of {expected['id'].iloc[row]}"
            check.fail(path, of, found[name].iloc[row], expected[name].iloc[row])


def _shared(check: Check, path: str, by_key: dict[Key, pd.DataFrame], ends: tuple[str, ...]) -> None:
    """Check that base rows shared by protocols have equal log-probabilities: the model ran only once."""
    names = list(dict.fromkeys(key[0] for key in by_key))
    before = _logprobs(by_key[(names[0], *ends)])
    for protocol in names[1:]:
        after = _logprobs(by_key[(protocol, *ends)])
        for name in before.keys() & after.keys():
            check.same(path, f"logprob of {name}, base, {protocol}", after[name], before[name])


def _logprobs(part: pd.DataFrame) -> dict[str, float | None]:
    """Map each id to its log-probability, or None where the model overflowed."""
    pairs = zip(part["id"].tolist(), part["logprob"].tolist(), strict=True)
    return {name: value if math.isfinite(value) else None for name, value in pairs}
