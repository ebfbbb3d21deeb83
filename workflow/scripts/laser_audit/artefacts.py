"""Every artefact that the study asks for is there, in all its forms, and no other."""

from __future__ import annotations

from laser_audit.findings import Check
from laser_audit.reading import Study

TABLE = ("csv", "md", "tex")
FIGURE, FILM = ("svg", "pdf", "csv"), ("gif", "csv")
STARTS = {"svg": b"<?xml", "pdf": b"%PDF-", "gif": b"GIF8"}


def check_artefacts(check: Check, study: Study) -> None:
    """Look for the files of every artefact, and at how pictures begin; nothing else lies in tables/ and figures/."""
    wanted = [str(name) for name in study.settings["artefacts"]]
    for name in wanted:
        stems = sorted({path.rpartition(".")[0] for path in study.matching(f"figures/{name}/", "")})
        for stem in stems:
            for ending in FILM if study.has(f"{stem}.gif") else FIGURE:
                _begins(check, study, f"{stem}.{ending}")
        for ending in TABLE if not stems else ():
            check.same(f"tables/{name}.{ending}", "there", study.has(f"tables/{name}.{ending}"), True)
    for path in [*study.matching("tables/", ""), *study.matching("figures/", "")]:
        name = path.split("/")[1].partition(".")[0]
        check.count += 1
        if name not in wanted:
            check.fail(path, "", f"a file of {name}", "an artefact that the study asks for")


def _begins(check: Check, study: Study, path: str) -> None:
    with check.guarded(path):
        check.count += 1
        start = STARTS.get(path.rpartition(".")[2], b"")
        with study.locate(path).open("rb") as handle:
            begin = handle.read(len(start) or 1)
        if not begin or not begin.startswith(start):
            check.fail(path, "first bytes", begin, start or "a header")
