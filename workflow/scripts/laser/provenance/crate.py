"""A study as a Provenance Run Crate 0.5, the profile of Workflow Run RO-Crate that describes every job.

https://www.researchobject.org/workflow-run-crate/profiles/provenance_run_crate/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from laser.io.files import canonical_json
from laser.provenance.closure import Closure
from laser.provenance.jobs import Ran

CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
SNAKEFILE = "inputs/workflow/Snakefile"
STUDY = "inputs/study.json"
SNAKEMAKE = "https://snakemake.github.io"
LICENCE = "https://spdx.org/licenses/MIT"
BIOSCHEMAS = "https://bioschemas.org/profiles"
AUTHORS = "#authors"
FORMATS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".svg": "image/svg+xml",
    ".tex": "application/x-tex",
}


def crate(found: Closure, ran: Sequence[Ran], files: Iterable[Mapping[str, Any]], title: str) -> dict[str, Any]:
    """Return the RO-Crate metadata of a study.

    Args:
        found: the study's files and records.
        ran: its jobs (`laser.provenance.jobs.jobs`), at least one.
        files: path, sha256 and bytes of every file of the crate.
        title: the study's.
    """
    listed = list(files)
    graph = [_file(one) for one in listed]
    names = _names(found, {one["path"] for one in listed})
    rules = list(dict.fromkeys(job.record["rule"] for job in ran))
    scripts = {job.record["script"]: str(job.record["code"]) for job in ran}
    script_of = {job.record["rule"]: job.record["script"] for job in ran}
    outside: dict[str, dict[str, Any]] = {}
    for job in ran:
        graph += _job(job, names, outside)
    graph += outside.values()
    actions = [_ref(f"#job/{quote(job.name)}") for job in ran]
    start, end = min(job.started for job in ran), max(job.ended for job in ran)
    snakemake = ran[-1].record["packages"].get("snakemake", "")
    results = [one["path"] for one in listed if one["path"].split("/")[0] in ("tables", "figures", "report")]
    tools = [_ref(f"#tool/{quote(name)}") for name in sorted(scripts)]
    steps = [_ref(f"#step/{rule}") for rule in rules]
    graph += [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "conformsTo": [_ref("https://w3id.org/ro/crate/1.1"), _ref(list(PROFILES)[-1])],
            "about": _ref("./"),
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": title,
            "description": f"The study '{found.folder.name}' of a replication of LASER (arXiv 2312.13558): per-example "
            "results, tables, figures, and what made each of them.",
            "datePublished": end,
            "license": _ref(LICENCE),
            "author": _ref(AUTHORS),
            "conformsTo": [_ref(profile) for profile in PROFILES],
            "mainEntity": _ref(SNAKEFILE),
            "hasPart": [_ref(quote(one["path"])) for one in listed],
            "mentions": [_ref("#run"), *actions],
        },
        {"@id": AUTHORS, "@type": "Organization", "name": "The LASER replication authors"},
        {"@id": LICENCE, "@type": "CreativeWork", "name": "MIT", "identifier": LICENCE},
        *(
            {"@id": profile, "@type": "CreativeWork", "name": name, "version": version}
            for profile, (name, version) in PROFILES.items()
        ),
        {
            "@id": "#snakemake-language",
            "@type": "ComputerLanguage",
            "name": "Snakemake",
            "alternateName": "Snakemake",
            "identifier": _ref(SNAKEMAKE),
            "url": _ref(SNAKEMAKE),
        },
        {"@id": SNAKEMAKE, "@type": "WebSite", "name": "Snakemake"},
        _parameter("study", "The resolved study: models, datasets, grid, protocols, artefacts"),
        _parameter("results", "Tables, figures and report", several=True),
        *(
            {"@id": f"#tool/{quote(name)}", "@type": "SoftwareApplication", "name": name, "softwareVersion": code}
            for name, code in sorted(scripts.items())
        ),
        *(
            {
                "@id": f"#step/{rule}",
                "@type": "HowToStep",
                "name": rule,
                "position": str(place),
                "workExample": _ref(f"#tool/{quote(script_of[rule])}"),
            }
            for place, rule in enumerate(rules, 1)
        ),
        {"@id": "#snakemake", "@type": "SoftwareApplication", "name": "Snakemake", "url": _ref(SNAKEMAKE)}
        | {"softwareVersion": snakemake},
        {
            "@id": "#run",
            "@type": "CreateAction",
            "name": f"Run of the study {found.folder.name}",
            "description": f"{len(ran):,} jobs",
            "instrument": _ref(SNAKEFILE),
            "object": [_ref(STUDY)],
            "result": [_ref(quote(path)) for path in results],
            "startTime": start,
            "endTime": end,
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
        {
            "@id": "#engine",
            "@type": "OrganizeAction",
            "name": "Snakemake runs the workflow",
            "description": "It starts each job when its inputs are there",
            "instrument": _ref("#snakemake"),
            "object": [_ref(f"#control/{quote(job.name)}") for job in ran],
            "result": _ref("#run"),
            "startTime": start,
            "endTime": end,
        },
    ]
    workflow = {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "LASER, replicated: the Snakemake workflow",
        "version": "; ".join(sorted({_commit(job) for job in ran})),
        "programmingLanguage": _ref("#snakemake-language"),
        "conformsTo": _ref(f"{BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE"),
        "input": [_ref("#parameter/study")],
        "output": [_ref("#parameter/results")],
        "hasPart": tools,
        "step": steps,
    }
    for one in graph:
        if one["@id"] == SNAKEFILE:
            one |= workflow
        elif one["@id"] == STUDY:
            one["exampleOfWork"] = _ref("#parameter/study")
        elif one["@id"] in {quote(path) for path in results}:
            one["exampleOfWork"] = _ref("#parameter/results")
    return {"@context": CONTEXT, "@graph": [_single(one) for one in sorted(graph, key=lambda one: one["@id"])]}


def _single(entity: dict[str, Any]) -> dict[str, Any]:
    """Write lists of one value as that value, and leave out empty ones, as RO-Crate wants it."""
    kept = {key: value for key, value in entity.items() if value != []}
    return {key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in kept.items()}


def _commit(job: Ran) -> str:
    git = job.run.get("git") or {"commit": "unknown", "dirty": False}
    return f"{git['commit']}{', with changes' if git['dirty'] else ''}"


def _ref(name: str) -> dict[str, str]:
    return {"@id": name}


def _parameter(name: str, description: str, several: bool = False) -> dict[str, Any]:
    return {
        "@id": f"#parameter/{name}",
        "@type": "FormalParameter",
        "additionalType": "File",
        "conformsTo": _ref(f"{BIOSCHEMAS}/FormalParameter/1.0-RELEASE"),
        "name": name,
        "description": description,
        "valueRequired": "True",
        "multipleValues": str(several),
    }


def _file(one: Mapping[str, Any]) -> dict[str, Any]:
    path = PurePosixPath(one["path"])
    return {
        "@id": quote(one["path"]),
        "@type": "File",
        "name": path.name,
        "contentSize": str(one["bytes"]),
        "sha256": one["sha256"],
        "encodingFormat": FORMATS.get(path.suffix, "text/plain"),
    }


def _names(found: Closure, listed: set[str]) -> dict[tuple[str, str], str]:
    """Return which file of the crate a file of a record is, by its path there and its sha256.

    Files of the cache are their copies in inputs/.
    """
    start = f"results/{found.folder.name}/"
    names = {(start + name, one["sha256"]): name for name, one in found.made.items() if name in listed}
    for record in found.records.values():
        if record["rule"] == "inputs":
            copied = {one["sha256"]: one["path"].removeprefix(start) for one in record["outputs"]}
            names |= {
                (one["path"], one["sha256"]): copied[one["sha256"]]
                for one in record["inputs"]
                if one["sha256"] in copied
            }
    return names


def _job(job: Ran, names: Mapping[tuple[str, str], str], outside: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entities of one job; files that are not in the crate are added to `outside`."""

    def refer(one: Mapping[str, Any]) -> dict[str, str]:
        if (one["path"], one["sha256"]) in names:
            return _ref(quote(names[one["path"], one["sha256"]]))
        name = f"#outside/{quote(one['path'])}"
        outside[name] = {"@id": name, "@type": "CreativeWork", "name": one["path"], "sha256": one["sha256"]}
        return _ref(name)

    name = quote(job.name)
    versions = ", ".join(f"{package} {version}" for package, version in sorted(job.record["packages"].items()))
    return [
        {
            "@id": f"#job/{name}",
            "@type": "CreateAction",
            "name": f"{job.record['rule']}: {job.name}",
            "description": f"Python {job.record['python']}; {versions}",
            "instrument": _ref(f"#tool/{quote(job.record['script'])}"),
            "object": [*(refer(one) for one in job.record["inputs"]), _ref(f"#spec/{name}")],
            "result": [refer(one) for one in job.record["outputs"]],
            "startTime": job.started,
            "endTime": job.ended,
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
        {
            "@id": f"#spec/{name}",
            "@type": "PropertyValue",
            "name": "spec",
            "value": canonical_json(job.record["spec"]),
        },
        {
            "@id": f"#control/{name}",
            "@type": "ControlAction",
            "name": f"orchestrate {job.record['rule']}",
            "description": f"Snakemake starts {job.name}",
            "instrument": _ref(f"#step/{job.record['rule']}"),
            "object": _ref(f"#job/{name}"),
        },
    ]
