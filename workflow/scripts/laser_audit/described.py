"""The study's descriptions of itself for other tools (RO-Crate, W3C PROV): that they name the same files and hashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from laser.io.files import canonical_json
from laser_audit.findings import Check
from laser_audit.manifest import MANIFEST, MANIFEST_RUN, SHA256, listed
from laser_audit.reading import Study
from laser_audit.records import records, start

DESCRIPTIONS = ("ro-crate-metadata.json", "prov.json")


def hashes(value: Any, name: str = "") -> Iterator[tuple[list[str], str]]:
    """Yield every sha256 in nested JSON with the texts that may name its file: its object's key, and texts in it."""
    if isinstance(value, list):
        for inner in value:
            yield from hashes(inner, name)
    elif isinstance(value, dict):
        texts = [name, *(one for one in value.values() if isinstance(one, str))]
        for key, inner in value.items():
            if "sha256" in key.lower() and isinstance(inner, str):
                yield texts, inner
            elif isinstance(inner, dict | list):
                yield from hashes(inner, key)


def check_described(check: Check, study: Study) -> None:
    """Compare every hash in the descriptions with the manifests and the records."""
    for path in DESCRIPTIONS:
        check.same(path, "there", study.has(path), True)
    present = [path for path in DESCRIPTIONS if study.has(path)]
    known = {path: one["sha256"] for name in (MANIFEST, MANIFEST_RUN) for path, one in listed(study, name).items()}
    known |= {name: study.sha256(name) for name in (MANIFEST, MANIFEST_RUN)}
    elsewhere = {
        one["sha256"] for record in records(study).values() for kind in ("inputs", "outputs") for one in record[kind]
    }
    for path in present:
        with check.guarded(path):
            for texts, sha256 in hashes(study.json(path)):
                check.count += 1
                named = next((one for text in texts if (one := _inner(study, text)) in known), None)
                if not SHA256.fullmatch(sha256):
                    check.fail(path, f"sha256 of {texts[0]}", sha256, "64 hex digits")
                elif named is not None and known[named] != sha256:
                    check.fail(path, f"sha256 of {named}", sha256, known[named])
                elif named is None and sha256 not in elsewhere and sha256 not in known.values():
                    check.fail(path, f"sha256 of {texts[0]}", sha256, "one of a record or of a manifest")
    if len(present) == len(DESCRIPTIONS):
        with check.guarded("prov.json", "jobs"):
            check_jobs_told(check, study)


def told(study: Study) -> Iterator[tuple[str, str, str, Any, Any]]:
    """Yield what PROV says of each job: file, place, the job's run or record, what is said, and what is true."""
    for path, record in records(study).items():
        run = path.replace("records/", "runs/", 1) if path.startswith("records/") else f"{path[:-11]}run.json"
        if not study.has(run):
            continue
        started = study.json(run)["started"]
        activity = study.json("prov.json")["activity"].get(f"laser:{path}", {})
        yield "prov.json", f"activity of {path}, start", run, activity.get("prov:startTime"), started
        yield "prov.json", f"activity of {path}, code", path, activity.get("laser:code"), str(record["code"])
        yield "prov.json", f"activity of {path}, host", run, activity.get("laser:host"), str(study.json(run)["host"])


def check_jobs_told(check: Check, study: Study) -> None:
    """Compare start, host and code of every job in PROV, and specs in the crate, with runs and records."""
    for path, where, of, found, expected in told(study):
        check.same(path, f"{where} (and {of})", found, expected)
    specs = {
        unquote(one["@id"]).removeprefix("#spec/"): one["value"]
        for one in study.json("ro-crate-metadata.json")["@graph"]
        if str(one.get("@id")).startswith("#spec/")
    }
    for path, record in records(study).items():
        text = canonical_json(record["spec"])
        check.same("ro-crate-metadata.json", f"spec of {path}", specs.get(path), text)


def _inner(study: Study, text: str) -> str:
    """Return a name below the study's folder, without a namespace before it."""
    text = unquote(text).removeprefix("./")
    for part in (text, text.partition(":")[2]):
        if part.startswith(start(study)):
            return part.removeprefix(start(study))
    return text
