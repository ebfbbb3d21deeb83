"""The jobs of a study, planned again from its settings: spec, and code."""

from __future__ import annotations

import json
import re
from typing import Any

from laser.config.artefacts import artefact_spec, declared
from laser.config.jobs import SPECS, job_spec
from laser.config.plan import Plan

LAYER = re.compile(r"layer(?P<layer>\d+)(-rho(?P<rho>.+))?")


def planned(plan: Plan, record: str, rule: str) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the spec of a job (None for a job of the cache, or of no known rule) and the codes that it may have.

    Folders of the cache are shared: another study may have asked for them, with other settings beside their key. For
    a job about the whole study, only the keys that all such jobs have are planned.

    Args:
        plan: the study's plan.
        record: path of the job's record below the study's folder.
        rule: the job's rule.
    """
    artefacts = {name: declared()[name] for name in plan.study["artefacts"]}
    if rule in artefacts:
        spec = json.loads(artefact_spec(plan, artefacts[rule]))
    elif not (plan.scripts / f"{rule}.py").is_file():
        return None, []
    elif record.startswith("inputs/"):
        return None, [plan.code(rule), *(plan.code(rule, None, name) for name in plan.datasets)]
    elif rule in SPECS:
        spec = json.loads(job_spec(plan, rule, _wildcards(plan, record)))
    else:
        spec = json.loads(plan.study_spec(rule, files=plan.files.spec(), settings=plan.study))  # inputs, report
    return spec, [spec["code"]]


def _wildcards(plan: Plan, record: str) -> dict[str, str]:
    """Return the wildcards of a job, from the path of its record."""
    names: dict[str, str] = {}
    for part in record.removesuffix(".json").split("/")[2:]:
        if match := LAYER.fullmatch(part):
            names |= {key: value for key, value in match.groupdict().items() if value is not None}
        else:
            names["dataset" if part in plan.datasets and (names or part not in plan.models) else "model"] = part
    return names
