"""A study as a Provenance Run Crate 0.6, the profile of Workflow Run RO-Crate that describes every job.

https://www.researchobject.org/workflow-run-crate/profiles/provenance_run_crate/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from laser.errors import UserError
from laser.io.files import canonical_json
from laser.provenance.closure import Closure
from laser.provenance.jobs import FinishedJob

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

VERSION = "1.3"
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.6": ("Process Run Crate", "0.6"),
    "https://w3id.org/ro/wfrun/workflow/0.6": ("Workflow Run Crate", "0.6"),
    "https://w3id.org/ro/wfrun/provenance/0.6": ("Provenance Run Crate", "0.6"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.1": ("Workflow RO-Crate", "1.1"),
}
WORKFLOW = "inputs/workflow"
SNAKEFILE = f"{WORKFLOW}/Snakefile"
CITATION = f"{WORKFLOW}/CITATION.cff"
README = "README.md"
STUDY = "inputs/study.json"
SNAKEMAKE = "https://snakemake.github.io"
BIOSCHEMAS = "https://bioschemas.org/profiles"
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
DONE = "http://schema.org/CompletedActionStatus"


def crate(
    closure: Closure,
    ran: Sequence[FinishedJob],
    files: Iterable[Mapping[str, Any]],
    title: str,
    citation: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the RO-Crate metadata of a study.

    Args:
        closure: the study's files and records.
        ran: its jobs (`laser.provenance.jobs.jobs`), at least one.
        files: path, sha256 and bytes of every file of the crate.
        title: the study's title.
        citation: content of CITATION.cff, for authors and licence.

    Raises:
        UserError: CITATION.cff lacks authors or licence.
    """
    from rocrate.rocrate import ROCrate

    made = ROCrate(version=VERSION)
    made.metadata.extra_contexts.append(TERMS)
    listed = {file["path"]: file for file in files}
    for path, file in sorted(listed.items()):
        made.add_file(dest_path=path, properties=_file(path, file))
    results = [path for path in sorted(listed) if path.split("/")[0] in ("tables", "figures", "report")]
    _describe_study(made, closure, ran, title, citation)
    _describe_workflow(made, ran, listed, results)
    names = _names(closure, set(listed))
    for job in ran:
        _describe_job(made, job, names)
    _describe_run(made, closure, ran, results)
    metadata: dict[str, Any] = made.metadata.generate()
    # The library keeps the order in which entities are added, and the order of jobs differs from run to run.
    metadata["@graph"] = sorted(
        (_single(entity) for entity in metadata["@graph"]), key=lambda entity: str(entity["@id"])
    )
    return metadata


def _add(made: ROCrate, identifier: str, kind: str, /, **properties: Any) -> None:
    from rocrate.model.contextentity import ContextEntity

    made.add(ContextEntity(made, identifier, properties={"@type": kind, **properties}))


def _ref(name: str) -> dict[str, str]:
    return {"@id": name}


def _single(entity: Mapping[str, Any]) -> dict[str, Any]:
    """Replace lists of one value by that value, and leave out empty lists, as RO-Crate recommends."""
    kept = {key: value for key, value in entity.items() if value != []}
    return {key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in kept.items()}


def _file(path: str, file: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": PurePosixPath(path).name,
        "contentSize": str(file["bytes"]),
        "sha256": file["sha256"],
        "encodingFormat": FORMATS.get(PurePosixPath(path).suffix, "text/plain"),
    }


def _describe_study(
    made: ROCrate, closure: Closure, ran: Sequence[FinishedJob], title: str, citation: Mapping[str, Any]
) -> None:
    """Fill the root: title, authors, licence, profiles, README."""
    try:
        authors, licence = list(citation["authors"]), str(citation["license"])
        names = [author.get("name") or f"{author['given-names']} {author['family-names']}" for author in authors]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"CITATION.cff: lacks {error}, which the crate needs. Add it.") from error
    for number, (author, name) in enumerate(zip(authors, names, strict=True)):
        _add(made, _author(author, number), "Person" if "family-names" in author else "Organization", name=name)
    licence_url = f"https://spdx.org/licenses/{licence}"
    _add(made, licence_url, "CreativeWork", name=licence, identifier=licence_url)
    for profile, (name, version) in PROFILES.items():
        _add(made, profile, "CreativeWork", name=name, version=version)
    root = made.root_dataset
    root["name"] = title
    root["description"] = (
        f"The study '{closure.folder.name}' of a replication of LASER (arXiv 2312.13558): per-example results, tables, "
        "figures, and what made each of them."
    )
    root["datePublished"] = max(job.ended for job in ran)
    root["license"] = _ref(licence_url)
    root["author"] = [_ref(_author(author, number)) for number, author in enumerate(authors)]
    root["conformsTo"] = [_ref(profile) for profile in PROFILES]
    root["mainEntity"] = _ref(SNAKEFILE)
    readme = made.dereference(README)
    if readme is not None:
        readme["about"] = _ref("./")


def _author(author: Mapping[str, Any], number: int) -> str:
    return str(author.get("orcid") or f"#author/{number}")


def _describe_workflow(
    made: ROCrate, ran: Sequence[FinishedJob], listed: Mapping[str, Mapping[str, Any]], results: Sequence[str]
) -> None:
    """Describe the workflow, its rules and scripts, and its inputs and outputs."""
    tools = {_tool(job): job.record for job in ran}
    for tool, record in tools.items():
        name = str(record["script"])
        copy = f"{WORKFLOW}/{name}"
        address = {"url": _ref(quote(copy))} if copy in listed else {}
        _add(made, tool, "SoftwareApplication", name=name, softwareVersion=str(record["code"]), **address)
    rules = sorted({job.record["rule"] for job in ran})
    for position, rule in enumerate(rules, 1):
        used = [_ref(tool) for tool, record in sorted(tools.items()) if record["rule"] == rule]
        _add(made, f"#step/{rule}", "HowToStep", name=rule, position=str(position), workExample=used)
    _add_parameter(made, "study", "The resolved study: models, datasets, grid, protocols, artefacts", [STUDY])
    _add_parameter(made, "results", "Tables, figures and report", results)
    _add(made, SNAKEMAKE, "WebSite", name="Snakemake")
    _add(
        made,
        "#snakemake-language",
        "ComputerLanguage",
        name="Snakemake",
        alternateName="Snakemake",
        identifier=_ref(SNAKEMAKE),
        url=_ref(SNAKEMAKE),
    )
    made.add_file(
        dest_path=SNAKEFILE,
        properties={
            **_file(SNAKEFILE, listed[SNAKEFILE]),
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": "LASER, replicated: the Snakemake workflow",
            "version": "; ".join(sorted({_commit(job) for job in ran})),
            "programmingLanguage": _ref("#snakemake-language"),
            "conformsTo": _ref(f"{BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE"),
            "input": [_ref("#parameter/study")],
            "output": [_ref("#parameter/results")],
            "hasPart": [_ref(tool) for tool in sorted(tools)],
            "step": [_ref(f"#step/{rule}") for rule in rules],
        },
    )


def _tool(job: FinishedJob) -> str:
    """Return the id of a job's tool: the rule's script, with the hash of the code that the job used."""
    return f"#tool/{quote(job.record['rule'])}/{quote(job.record['script'])}/{job.record['code']}"


def _commit(job: FinishedJob) -> str:
    git = job.run.get("git") or {"commit": "unknown", "dirty": False}
    return f"{git['commit']}{', with changes' if git['dirty'] else ''}"


def _add_parameter(made: ROCrate, name: str, description: str, examples: Sequence[str]) -> None:
    _add(
        made,
        f"#parameter/{name}",
        "FormalParameter",
        additionalType="File",
        conformsTo=_ref(f"{BIOSCHEMAS}/FormalParameter/1.0-RELEASE"),
        name=name,
        description=description,
        valueRequired="True",
        multipleValues=str(len(examples) > 1),
    )
    for path in examples:
        made.dereference(quote(path))["exampleOfWork"] = _ref(f"#parameter/{name}")


def _names(closure: Closure, listed: set[str]) -> dict[tuple[str, str], str]:
    """Return the crate's name of each file of a record, by its path in the record and its sha256.

    Files of the cache are represented by their copies in inputs/.
    """
    start = f"results/{closure.folder.name}/"
    names = {(start + name, file["sha256"]): name for name, file in closure.made.items() if name in listed}
    for record in closure.records.values():
        if record["rule"] == "inputs":
            copied = {file["sha256"]: file["path"].removeprefix(start) for file in record["outputs"]}
            names |= {
                (file["path"], file["sha256"]): copied[file["sha256"]]
                for file in record["inputs"]
                if file["sha256"] in copied
            }
    return names


def _describe_job(made: ROCrate, job: FinishedJob, names: Mapping[tuple[str, str], str]) -> None:
    """Describe one job, and the files that it read that are not in the crate."""

    def refer(file: Mapping[str, Any]) -> dict[str, str]:
        if (file["path"], file["sha256"]) in names:
            return _ref(quote(names[file["path"], file["sha256"]]))
        outside = f"#outside/{quote(file['path'])}"
        _add(made, outside, "CreativeWork", name=file["path"], sha256=file["sha256"])
        return _ref(outside)

    name, rule = quote(job.name), job.record["rule"]
    versions = ", ".join(f"{package} {version}" for package, version in sorted(job.record["packages"].items()))
    _add(
        made,
        f"#job/{name}",
        "CreateAction",
        name=f"{rule}: {job.name}",
        description=f"Python {job.record['python']}; {versions}",
        agent=_ref(OPERATOR),
        instrument=_ref(_tool(job)),
        object=[*(refer(file) for file in job.record["inputs"]), _ref(f"#spec/{name}")],
        result=[refer(file) for file in job.record["outputs"]],
        startTime=job.started,
        endTime=job.ended,
        actionStatus=DONE,
    )
    _add(made, f"#spec/{name}", "PropertyValue", name="spec", value=canonical_json(job.record["spec"]))
    _add(
        made,
        f"#control/{name}",
        "ControlAction",
        name=f"orchestrate {rule}",
        description=f"Snakemake starts {job.name}",
        instrument=_ref(f"#step/{rule}"),
        object=_ref(f"#job/{name}"),
    )


OPERATOR = "#operator"


def _describe_run(made: ROCrate, closure: Closure, ran: Sequence[FinishedJob], results: Sequence[str]) -> None:
    """Describe the run as a whole, and Snakemake's part in it."""
    start, end = min(job.started for job in ran), max(job.ended for job in ran)
    version = ran[-1].record["packages"].get("snakemake", "")
    names = [quote(job.name) for job in ran]
    who = "Whoever ran this study: the workflow records no user"
    _add(made, OPERATOR, "Person", name=who)
    _add(
        made,
        "#snakemake",
        "SoftwareApplication",
        name="Snakemake",
        url=_ref(SNAKEMAKE),
        softwareVersion=version,
    )
    _add(
        made,
        "#run",
        "CreateAction",
        name=f"Run of the study {closure.folder.name}",
        description=f"{len(ran):,} jobs",
        agent=_ref(OPERATOR),
        instrument=_ref(SNAKEFILE),
        object=[_ref(STUDY)],
        result=[_ref(quote(path)) for path in results],
        startTime=start,
        endTime=end,
        actionStatus=DONE,
    )
    _add(
        made,
        "#engine",
        "OrganizeAction",
        name="Snakemake runs the workflow",
        description="It starts each job when its inputs are there",
        agent=_ref(OPERATOR),
        instrument=_ref("#snakemake"),
        object=[_ref(f"#control/{name}") for name in names],
        result=_ref("#run"),
        startTime=start,
        endTime=end,
    )
    made.root_dataset["mentions"] = [_ref("#run"), *(_ref(f"#job/{name}") for name in names)]
