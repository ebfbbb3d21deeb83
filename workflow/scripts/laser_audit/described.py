"""The study's RO-Crate: it must name the same files, hashes and jobs as manifests, records and runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from laser_audit.findings import Check
from laser_audit.manifest import MANIFEST, MANIFEST_RUN, SHA256, listed
from laser_audit.reading import Study, canonical_json, text_of
from laser_audit.records import records, start

CRATE = "ro-crate-metadata.json"
CITATION = "inputs/workflow/CITATION.cff"


def hashes(value: Any, name: str = "") -> Iterator[tuple[list[str], str]]:
    """Yield every sha256 in nested JSON with the texts that may name its file: its object's key, and texts in it."""
    if isinstance(value, list):
        for inner in value:
            yield from hashes(inner, name)
    elif isinstance(value, dict):
        texts = [name, *(text for text in value.values() if isinstance(text, str))]
        for key, inner in value.items():
            if "sha256" in key.lower() and isinstance(inner, str):
                yield texts, inner
            elif isinstance(inner, dict | list):
                yield from hashes(inner, key)


def check_described(check: Check, study: Study) -> None:
    """Compare every hash in the crate with the manifests and the records, and every job with its record and run."""
    check.same(CRATE, "there", study.has(CRATE), True)
    if not study.has(CRATE):
        return
    with check.guarded(CRATE, "hashes"):
        check_hashes(check, study)
    with check.guarded(CRATE, "jobs"):
        check_jobs(check, study)
    if study.has(CITATION):
        with check.guarded(CRATE, "authors and licence"):
            check_authors(check, study)


def check_authors(check: Check, study: Study) -> None:
    """Compare authors and licence of the crate with the study's copy of CITATION.cff."""
    entities = {str(entity.get("@id")): entity for entity in study.json(CRATE)["@graph"]}
    text, root = study.text(CITATION), entities["./"]
    block = re.search(r"^authors:\n((?:[ -].*\n)*)", text, re.MULTILINE)
    names = []
    for entry in re.split(r"^ *- ", block[1] if block else "", flags=re.MULTILINE)[1:]:
        fields = dict(re.findall(r"([a-z-]*names?): *[\"']?([^\"',}\n]+)", entry))
        names.append(fields.get("name") or f"{fields['given-names']} {fields['family-names']}")
    authors = root["author"] if isinstance(root["author"], list) else [root["author"]]
    check.same(CRATE, f"authors (and {CITATION})", [entities[author["@id"]]["name"] for author in authors], names)
    licence = re.search(r"^license: *[\"']?([\w.+-]+)", text, re.MULTILINE)
    named = text_of(root["license"]["@id"]).rpartition("/")[2]
    check.same(CRATE, f"licence (and {CITATION})", named, licence[1] if licence else None)


def check_hashes(check: Check, study: Study) -> None:
    """Compare every hash in the crate with the manifests and the records."""
    known = {path: file["sha256"] for name in (MANIFEST, MANIFEST_RUN) for path, file in listed(study, name).items()}
    known |= {name: study.sha256(name) for name in (MANIFEST, MANIFEST_RUN)}
    elsewhere = {
        file["sha256"] for record in records(study).values() for kind in ("inputs", "outputs") for file in record[kind]
    }
    for texts, sha256 in hashes(study.json(CRATE)):
        check.count += 1
        named = next((inner for text in texts if (inner := _inner(study, text)) in known), None)
        if not SHA256.fullmatch(sha256):
            check.fail(CRATE, f"sha256 of {texts[0]}", sha256, "64 hex digits")
        elif named is not None and known[named] != sha256:
            check.fail(CRATE, f"sha256 of {named}", sha256, known[named])
        elif named is None and sha256 not in elsewhere and sha256 not in known.values():
            check.fail(CRATE, f"sha256 of {texts[0]}", sha256, "one of a record or of a manifest")


def check_jobs(check: Check, study: Study) -> None:
    """Compare start, code and spec of every job in the crate with its record and run."""
    entities = {unquote(str(entity.get("@id"))): entity for entity in study.json(CRATE)["@graph"]}
    codes: dict[str, set[str]] = {}
    for record in records(study).values():
        codes.setdefault(text_of(record["script"]), set()).add(text_of(record["code"]))
    for path, record in records(study).items():
        job = entities.get(f"#job/{path}", {})
        run = path.replace("records/", "runs/", 1) if path.startswith("records/") else f"{path[:-11]}run.json"
        if study.has(run):
            check.same(CRATE, f"job {path}, start (and {run})", job.get("startTime"), study.json(run)["started"])
        tool = entities.get(unquote(str(job.get("instrument", {}).get("@id"))), {})
        if tool.get("softwareVersion") not in codes[record["script"]]:
            check.fail(CRATE, f"job {path}, code", tool.get("softwareVersion"), record["code"])
        spec = entities.get(f"#spec/{path}", {}).get("value")
        check.same(CRATE, f"job {path}, spec", spec, canonical_json(record["spec"]))


def _inner(study: Study, text: str) -> str:
    """Return a name below the study's folder, without a leading namespace."""
    text = unquote(text).removeprefix("./")
    for part in (text, text.partition(":")[2]):
        if part.startswith(start(study)):
            return part.removeprefix(start(study))
    return text
