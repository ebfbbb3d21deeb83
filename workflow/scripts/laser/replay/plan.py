"""Plan a study again from its settings: the spec of every job, each artefact's declaration, the code of every job.

python -m laser.replay.plan SCRIPTS < {"settings": inputs/study.json, "title": ..., "jobs": {record: rule}}
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from laser.config.artefacts import artefact_spec, declared, described
from laser.config.jobs import SPECS, job_spec
from laser.config.plan import Plan
from laser.config.yaml_files import read_yaml
from laser.errors import UserError

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


def main() -> None:
    """Read the settings and print what is planned for them, as JSON."""
    scripts, asked = Path(sys.argv[1]), json.load(sys.stdin)
    config = {"results": "results", "cache": "cache", "device": "auto", "threads": 1}
    plan = Plan(asked["settings"], config, scripts)
    jobs: dict[str, Any] = {}
    for record, rule in asked["jobs"].items():
        try:
            spec, codes = planned(plan, record, rule)
            jobs[record] = {"spec": spec, "codes": codes, "reason": ""}
        except (UserError, OSError) as error:  # a user's file that is not on this machine
            jobs[record] = {"spec": None, "codes": [], "reason": str(error)}
    manifest = plan.study_spec("manifest", files=plan.files.spec(), title=asked["title"], evaluations=plan.evaluated())
    models = read_yaml(scripts.parents[1] / "config/models.yaml")
    answer = {
        "artefacts": {name: json.loads(artefact_spec(plan, declared()[name])) for name in plan.study["artefacts"]},
        "described": described(plan),
        "jobs": jobs,
        "manifest": json.loads(manifest),
        "texts": plan.texts(),
        "sources": {name: entry["source"] for name, entry in models.items()},
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
