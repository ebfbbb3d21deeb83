"""The study's descriptions of itself for other tools (RO-Crate, W3C PROV): that they name the same files and hashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from laser.audit.findings import Check
from laser.audit.manifest import MANIFEST, MANIFEST_RUN, SHA256, listed
from laser.audit.reading import Study
from laser.audit.records import records, start

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
    present = [path for path in DESCRIPTIONS if study.has(path)]
    if not present:
        check.skipped = "the study has neither"
        return
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


def _inner(study: Study, text: str) -> str:
    """Return a name below the study's folder, without a namespace before it."""
    text = text.removeprefix("./")
    for part in (text, text.partition(":")[2]):
        if part.startswith(start(study)):
            return part.removeprefix(start(study))
    return text
