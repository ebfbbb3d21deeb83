"""Records: every result has exactly one, and they agree with the files, with each other and with the results."""

from __future__ import annotations

import html
from datetime import datetime, timedelta
from typing import Any

from laser_audit.findings import Check
from laser_audit.manifest import FOLDERS, MANIFEST, RUN_PAGE, listed
from laser_audit.reading import Study, remembered, text_of

ENDINGS = {"runs": ".json", "logs": ".log"}
CACHE_JOBS = ("fetch", "prepare", "corpus", "train", "text", "rooms", "episodes", "train_policy")
ADDED = (
    *("run", "rho", "chosen", "choices", "search", "race", "intervention", "niter", "repaired", "whole_matrix"),
    *("variants", "transferred", "ruled", "rule", "says", "baselines", "not_applicable"),
    *("places", "sizes"),
    *("window", "stride", "documents", "arms", "partial_rows"),
    *("device", "products", "tf32", "reduced_precision_sums", "attention_kernels"),
)
"""Keys that results may add to their job's spec: facts known only to the run itself."""

STUDY = "inputs/study.json"
CLOCKS = timedelta(minutes=10)
"""Largest accepted difference between the clocks of two machines."""


@remembered
def records(study: Study) -> dict[str, dict[str, Any]]:
    """Return every record of the study by path, including those of the cache's folders."""
    paths = [path for path in study.matching("records/", ".json") if path.split("/")[1] not in ("manifest", "export")]
    paths += study.matching("inputs/", "/record.json")
    return {path: study.json(path) for path in paths}


def start(study: Study) -> str:
    """Return the prefix that the study's own files have in its records."""
    return f"results/{text_of(study.json(MANIFEST)['study'])}/"


def job_of(path: str) -> str:
    """Return a path without its folder and ending: the part that a job's record, run and log share."""
    return path.partition("/")[2].rpartition(".")[0]


def check_records(check: Check, study: Study) -> None:
    """Compare records with the files that they name as inputs and outputs."""
    made: dict[str, list[str]] = {}
    known: dict[str, str] = {}
    cached: dict[str, str] = {}
    with check.guarded(MANIFEST):
        known = {path: text_of(file["sha256"]) for path, file in listed(study, MANIFEST).items()}
    for path, record in records(study).items():
        with check.guarded(path):
            _form(check, path, record)
            for file in record["outputs"]:
                made.setdefault(text_of(file["path"]), []).append(path)
                if path.startswith("inputs/"):  # made by a job of the cache
                    cached[file["path"]] = file["sha256"]
    for path, record in records(study).items():
        for kind in ("inputs", "outputs"):
            with check.guarded(path, kind):
                for file in record[kind]:
                    _file(check, study, path, kind, file, known, cached)
    with check.guarded(STUDY):
        declared = {entry["name"]: entry["writes"] for entry in study.settings["artefact_files"]}
        check.same(STUDY, "artefact_files, and artefacts", list(declared), study.settings["artefacts"])
        for name, writes in declared.items():
            path = f"records/{name}/{name}.json"
            with check.guarded(path):
                outputs = [text_of(file["path"]).removeprefix(start(study)) for file in study.json(path)["outputs"]]
                check.same(path, f"outputs, and those that {STUDY} declares", sorted(outputs), sorted(writes))
    with check.guarded(MANIFEST):
        for path, entry in listed(study, MANIFEST).items():
            makers: list[Any] = [None] if path.startswith("records/") else made.get(start(study) + path, [])
            check.holds(path, "records that made it", len(makers) == 1, makers, "exactly one")
            check.holds(
                MANIFEST, f"record of {path}", entry["record"] in makers, entry["record"], [*makers, "a record"][0]
            )


def _form(check: Check, path: str, record: dict[str, Any]) -> None:
    """Check the form of one record."""
    spec, parts = record["spec"], path.split("/")
    model = spec.get("model")
    expected = {"schema": 1, "code": spec["code"], "seeds": seeds(spec)}
    if isinstance(model, dict) and "dtype" in model:
        expected["dtype"] = model["dtype"]
    if "protocols" in spec:
        expected["protocols"] = spec["protocols"]
    if parts[0] == "records":
        expected["rule"] = parts[1]
    for key, value in expected.items():
        check.same(path, key, record.get(key), value)


def seeds(value: Any, before: str = "") -> dict[str, Any]:
    """Return every seed in a spec by its path of keys."""
    by_key: dict[str, Any] = {}
    for key, inner in value.items() if isinstance(value, dict) else ():
        if key in ("seed", "seeds") and not isinstance(inner, dict):
            by_key[before + key] = inner
        else:
            by_key |= seeds(inner, f"{before}{key}.")
    return by_key


def _file(
    check: Check,
    study: Study,
    path: str,
    kind: str,
    entry: dict[str, Any],
    known: dict[str, str],
    cached: dict[str, str],
) -> None:
    """Compare one input or output of a record with the file, or its copy, or the record of the job that made it."""
    name, sha256, size = text_of(entry["path"]), text_of(entry["sha256"]), entry["bytes"]
    where = f"{kind}, {name}"
    check.count += 1
    if name.startswith(start(study)):
        inner = name.removeprefix(start(study))
        if inner not in known:
            check.fail(path, where, "not in manifest.json", "every file that a record names")
            return
        check.same(path, f"{where}, sha256", sha256, known[inner])
        if study.has(inner):
            check.same(path, f"{where}, bytes", size, study.bytes_of(inner))
    elif name in cached:
        check.same(path, f"{where}, sha256", sha256, cached[name])
    elif kind == "inputs" and not path.startswith("inputs/") and sha256 not in known.values():
        # Jobs of the cache, whose records are below inputs/, read files outside the study.
        check.fail(path, f"{where}, sha256", sha256, "that of one of the study's copies in inputs/")
    copy = _copy_of(study, name)
    if copy is not None:
        check.same(path, f"{where}, sha256, and that of {copy}", sha256, known.get(copy, ""))
        check.same(path, f"{where}, bytes, and those of {copy}", size, study.bytes_of(copy))


def inside(study: Study, name: str) -> str | None:
    """Return where a recorded file lies below the study's folder; for a file of the cache, where its copy belongs."""
    if name.startswith(start(study)):
        return name.removeprefix(start(study))
    parts = name.split("/")
    if len(parts) != 4 or parts[0] != "cache" or parts[1] not in ("models", "data", "corpora", "texts", "rooms"):
        return None
    folder = parts[2] if parts[1] in ("corpora", "texts", "rooms") else parts[2].rpartition("-")[0]
    return f"inputs/{parts[1]}/{folder}/{parts[3]}"


def _copy_of(study: Study, name: str) -> str | None:
    """Return the study's copy of a file of the cache, or None."""
    path = inside(study, name) if name.startswith("cache/") else None
    return path if path is not None and study.has(path) else None


def check_specs(check: Check, study: Study) -> None:
    """Compare the spec of each result with that of its record."""
    for path, record in records(study).items():
        with check.guarded(path):
            for output in record["outputs"]:
                inner = output["path"].removeprefix(start(study))
                if output["path"].startswith(start(study)) and inner.endswith((".parquet", ".json")):
                    _embedded(check, study, inner, record["spec"], path)
                copy = _copy_of(study, output["path"])
                if copy is not None and copy.endswith((".parquet", "/card.json")):
                    _embedded(check, study, copy, record["spec"], path)


def _embedded(check: Check, study: Study, path: str, spec: dict[str, Any], record: str) -> None:
    if path.startswith("inputs/") and record.startswith("records/"):
        return
    with check.guarded(path):
        carried = study.spec(path) if path.endswith(".parquet") else study.json(path).get("spec")
        if carried is None:
            return
        if "together" in spec:  # one job for several datasets; each file's spec has its own
            spec = spec | {"dataset": next(each for each in spec["together"] if each["name"] == path.split("/")[2])}
        for key in sorted(set(carried) | set(spec)):
            if key in spec or key not in ADDED:
                check.same(path, f"spec.{key} (and that of {record})", carried.get(key), spec.get(key))


def check_jobs(check: Check, study: Study) -> None:
    """Check that every record has its run and log and vice versa, and compare report/run.html with them.

    No replay writes this page again: it must name the runs' hosts, and allow no script but those of the report's page.
    """
    jobs = {folder: {job_of(path): path for path in study.files if path.startswith(f"{folder}/")} for folder in FOLDERS}
    settled = [job for job in jobs["records"] if job.split("/")[0] not in ("export", "manifest")]
    for folder, ending in ENDINGS.items():
        for job in settled:
            path = jobs["records"][job]
            check.holds(path, f"its file in {folder}/", job in jobs[folder], "none", f"{folder}/{job}{ending}")
        for job, path in jobs[folder].items():
            known = job in settled or job.split("/")[0] in (*CACHE_JOBS, "export", "manifest")
            check.holds(path, "its record", known, "none", f"records/{job}.json")
    page, run_page = (study.text(path) if study.has(path) else "" for path in ("report/index.html", RUN_PAGE))
    shown = html.unescape(run_page)
    for job, path in jobs["runs"].items():
        if job.split("/")[0] not in ("export", "manifest"):
            with check.guarded(path):
                run = study.json(path)
                check.same(path, "record", run["record"], f"{start(study)}records/{job}.json")
                check.holds(path, "host", run["host"] in shown, run["host"], f"one that {RUN_PAGE} names")
    # The policy forbids all but the report's own scripts; only a redirection would need none.
    declared = run_page.lower().count("http-equiv")
    check.holds(RUN_PAGE, "elements with http-equiv", declared <= 1, declared, "one, the policy")
    heads = (text.partition("<title>")[0] for text in (run_page, page))
    check.same(RUN_PAGE, "policy and what else precedes the title, and those of report/index.html", *heads)


def start_of(run: dict[str, Any]) -> datetime:
    """Return when a job started."""
    return datetime.fromisoformat(text_of(run["started"]).replace("Z", "+00:00"))


def before_their_inputs(study: Study) -> list[str]:
    """Return the records of jobs that started before another job of the study had started to make their input.

    This happens if an input was deleted and made again with the same bytes, which is not a fault.
    """
    made: dict[str, datetime] = {}
    started: dict[str, datetime] = {}
    for path, record in records(study).items():
        run = path.replace("records/", "runs/", 1)
        if path.startswith("records/") and study.has(run):
            started[path] = start_of(study.json(run))
            made |= {output["path"]: started[path] for output in record["outputs"]}
    return [
        path
        for path, time in started.items()
        if any(made.get(file["path"], time) > time + CLOCKS for file in records(study)[path]["inputs"])
    ]
