"""A study's archive as a CODECHECK bundle: which of its files are the outputs that a codechecker makes again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from laser.config.artefacts import declared
from laser.errors import UserError

CODECHECK = "codecheck.yml"
SPECIFICATION = "https://codecheck.org.uk/spec/config/2.0/"
OUTPUTS = ("tables", "figures")
HEADER = """---
# Written with the archive. The nodes certificate, codechecker, report and summary are added by who checks it.
"""


def codecheck(study: str, files: Iterable[str], citation: Mapping[str, Any]) -> str:
    """Return the text of codecheck.yml (specification 2.0) at the root of an archive.

    Args:
        study: the folder of the study in the archive.
        files: the files of the study's manifest, relative to that folder.
        citation: content of CITATION.cff.

    Raises:
        UserError: CITATION.cff lacks title or authors.
    """
    import yaml

    try:
        paper: dict[str, Any] = {"title": str(citation["title"])}
        paper["authors"] = [_author(author) for author in citation["authors"]]
    except (KeyError, TypeError) as error:
        raise UserError(f"CITATION.cff: lacks {error}, which {CODECHECK} needs. Add it.") from error
    if reference := _reference(citation):
        paper["reference"] = reference
    if others := [address for entry in citation.get("references", []) if (address := _reference(entry))]:
        paper["reference-other"] = others
    outputs = [name for name in sorted(files) if PurePosixPath(name).parts[0] in OUTPUTS]
    described = {
        "version": SPECIFICATION,
        "paper": paper,
        "manifest": [{"file": f"{study}/{name}", "comment": _comment(name)} for name in outputs],
    }
    return HEADER + str(yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=120))


def _author(author: Mapping[str, Any]) -> dict[str, str]:
    names = [str(author[key]) for key in ("given-names", "family-names") if key in author]
    entry = {"name": str(author.get("name") or " ".join(names))}
    if "orcid" in author:
        entry["ORCID"] = str(author["orcid"]).rsplit("/", 1)[-1]
    return entry


def _reference(entry: Mapping[str, Any]) -> str:
    """Return the address of a work in CITATION.cff; an empty text where it names none."""
    if "doi" in entry:
        return f"https://doi.org/{entry['doi']}"
    for identifier in entry.get("identifiers", []):
        if str(identifier.get("value", "")).startswith("arXiv:"):
            return f"https://arxiv.org/abs/{str(identifier['value']).removeprefix('arXiv:')}"
    return str(entry.get("url") or entry.get("repository-code") or "")


def _comment(name: str) -> str:
    """Describe an output by its artefact's title; in a figure's folder also by what the picture shows."""
    path = PurePosixPath(name)
    artefact = declared().get(path.parts[1].partition(".")[0])
    title = f"{artefact.title}: {artefact.about}" if artefact else path.parts[1]
    picture = "/".join(path.parts[2:]).removesuffix(path.suffix)
    return f"{title}{f' ({picture})' if picture else ''}, {path.suffix.removeprefix('.').upper()}"
