"""Checks that every requested artefact has the files that it declares, and that there are no others."""

from __future__ import annotations

from laser_audit.findings import Check
from laser_audit.reading import Study

STARTS = {"svg": b"<?xml", "pdf": b"%PDF-", "gif": b"GIF8"}


def check_artefacts(check: Check, study: Study) -> None:
    """Check that each artefact's declared files exist, pictures have the right header, and there is no other file."""
    declared = study.settings["artefact_files"]
    names = [entry["name"] for entry in declared]
    check.same("inputs/study.json", "artefact_files, and artefacts", names, study.settings["artefacts"])
    written = [path for entry in declared for path in entry["writes"]]
    for path in written:
        with check.guarded(path):
            start = STARTS.get(path.rpartition(".")[2], b"")
            with study.locate(path).open("rb") as handle:
                begin = handle.read(len(start) or 1)
            check.holds(path, "first bytes", bool(begin) and begin.startswith(start), begin, start or "a header")
    there = [*study.matching("tables/", ""), *study.matching("figures/", "")]
    for path in sorted(set(there) - set(written)):
        check.fail(path, "", "a file", "none: no artefact of the study declares it")
