"""A study's provenance as W3C PROV-JSON: files are entities, jobs are activities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laser.provenance.jobs import Ran

NAMESPACE = "https://arxiv.org/abs/2312.13558/replication#"
WORKFLOW = "laser:workflow"


def prov(ran: Sequence[Ran]) -> dict[str, Any]:
    """Return the PROV-JSON document of some jobs. Files are called as in records, jobs as their records are."""
    entities: dict[str, Any] = {}
    activities: dict[str, Any] = {}
    used: dict[str, Any] = {}
    generated: dict[str, Any] = {}
    associated: dict[str, Any] = {}
    for job in ran:
        activity = f"laser:{job.name}"
        git = job.run.get("git") or {}
        activities[activity] = {
            "prov:startTime": job.started,
            "prov:endTime": job.ended,
            "laser:rule": job.record["rule"],
            "laser:script": job.record["script"],
            "laser:code": str(job.record["code"]),
            "laser:host": str(job.run.get("host")),
            "laser:commit": str(git.get("commit")),
        }
        associated[f"_:a{len(associated)}"] = {"prov:activity": activity, "prov:agent": WORKFLOW}
        for one in job.record["inputs"]:
            entities.setdefault(f"laser:{one['path']}", _entity(one))
            used[f"_:u{len(used)}"] = {"prov:activity": activity, "prov:entity": f"laser:{one['path']}"}
        for one in job.record["outputs"]:
            entities.setdefault(f"laser:{one['path']}", _entity(one))
            generated[f"_:g{len(generated)}"] = {
                "prov:activity": activity,
                "prov:entity": f"laser:{one['path']}",
                "prov:time": job.ended,
            }
    return {
        "prefix": {"laser": NAMESPACE},
        "agent": {WORKFLOW: {"prov:type": {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"}}},
        "entity": entities,
        "activity": activities,
        "used": used,
        "wasGeneratedBy": generated,
        "wasAssociatedWith": associated,
    }


def _entity(one: dict[str, Any]) -> dict[str, Any]:
    return {"laser:sha256": one["sha256"], "laser:bytes": one["bytes"]}
