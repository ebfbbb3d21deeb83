"""Checks the base rows of every comparison: equal rows have equal scores, whichever job ran the unmodified model."""

from __future__ import annotations

import numpy as np
import pandas as pd

from laser_audit.findings import Check
from laser_audit.reading import Study, text_of
from laser_audit.rows import SCORES, Key, base_path, parts, test_path

RERUN = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 5e-2}
"""Precision to the largest accepted difference in loss between two runs of the base model, nats per answer token."""


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
            composed = f"compose/{model}/{dataset}.parquet"
            for protocol in study.protocols if study.has(composed) else ():
                allowed = RERUN[text_of(study.spec(composed)["model"]["dtype"])]
                step = parts(study, composed)[protocol, 0]
                _near(check, composed, f"{protocol}: step 0", step, tested[protocol, "base"], allowed)
        for shared, ends in ((base_path(model, dataset), ()), (path, ("base",))):
            with check.guarded(shared):
                _shared(check, shared, parts(study, shared), ends)
    if check.passed and not check.count and len(study.protocols) == 1:
        check.skipped = "the study has one protocol, and chose an intervention everywhere"


def _equal(check: Check, path: str, where: str, found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare the scores of two parts row by row; a loss or rank is missing where the model overflowed."""
    for name in SCORES:
        same = (found[name] == expected[name]) | (found[name].isna() & expected[name].isna())
        _fail(check, path, f"{where}: {name}", found[name], expected[name], expected["id"], ~same)


def _near(check: Check, path: str, where: str, found: pd.DataFrame, expected: pd.DataFrame, allowed: float) -> None:
    """Compare the losses of two parts, whose products were summed in another order, row by row."""
    losses, others = found["loss"], expected["loss"]
    differ = ((losses - others).abs() > allowed) | (losses.isna() != others.isna())
    _fail(check, path, f"{where}: loss", losses, others, expected["id"], differ)


def _fail(
    check: Check, path: str, what: str, found: pd.Series, expected: pd.Series, ids: pd.Series, differ: pd.Series
) -> None:
    """Count compared rows, and add a finding for the first of those that differ."""
    check.count += len(found)
    for row in differ.index[differ][:3]:
        check.fail(path, f"{what} of {ids[row]}", found[row], expected[row])


def _shared(check: Check, path: str, by_key: dict[Key, pd.DataFrame], ends: tuple[str, ...]) -> None:
    """Check that base rows shared by protocols have equal log-probabilities: the model ran only once."""
    names = list(dict.fromkeys(key[0] for key in by_key))
    before, *others = (by_key[protocol, *ends].set_index("id")["logprob"].rename(protocol) for protocol in names)
    for after in others:
        both = pd.concat([before, after], axis=1, join="inner")
        differ = (both[names[0]] != both[after.name]) & np.isfinite(both).any(axis=1)
        check.count += len(both)
        for name, (expected, found) in both[differ].head(3).iterrows():
            check.fail(path, f"logprob of {name}, base, {after.name}", found, expected)
