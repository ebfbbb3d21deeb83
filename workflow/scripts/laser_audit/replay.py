"""Making every table and figure again from the study's own rows, with the study's own code, and comparing bytes.

Which script makes an artefact and what it is given stands here and not in the study: a command or a path out of a
folder that may have been tampered with is never run.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from laser_audit.findings import Check, Unreadable, checked
from laser_audit.orders import in_order, place_of
from laser_audit.reading import Study, digest, text_of
from laser_audit.records import inside, records, start
from laser_audit.replay_inputs import check_codes, check_inputs
from laser_audit.replay_report import RECORD, captions, write_again
from laser_audit.replay_report import SCRIPT as REPORT_SCRIPT
from laser_audit.run import Report

OTHER_CODE = "made by other code than that of this checkout; check out the commit that its run names"
REPLAYS = ("never", "auto", "always")
SECONDS = 1800
NEEDED = ("scipy", "statsmodels", "matplotlib", "cmcrameri")
DRAWING = ("matplotlib", "numpy", "pandas", "scipy")
PICTURES = (".svg", ".pdf", ".gif")

_CELL = ("test", "selection", "rows")
SCRIPTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "table1": ("make_table1", _CELL, ("output",)),
    "table2": ("make_table2", _CELL, ("output",)),
    "table3": ("make_table3", ("selection", "test", "rows", "choices"), ("output",)),
    "table4": ("make_table4", ("rows",), ("output",)),
    "table5": ("make_table5", (), ("output",)),
    "verdicts": ("make_verdicts", ("table1",), ("output",)),
    "paraphrase": ("make_paraphrase", _CELL, ("output",)),
    "topk": ("make_topk", (*_CELL, "base", "sweep"), ("output",)),
    "stability": ("make_stability", ("selection", "rows", "base", "sweep"), ("output",)),
    "compose": ("make_compose", (*_CELL, "search", "composed"), ("output",)),
    "perplexity": ("make_perplexity", ("perplexity",), ("output",)),
    "seeds": ("make_seeds", (*_CELL, "seeds"), ("output",)),
    "prompts": ("make_prompts", ("prompts", *_CELL), ("output",)),
    "search": ("make_search", (*_CELL, "choices", "gradients"), ("output",)),
    "size": ("make_size", ("selection", "records", "models"), ("output",)),
    "fig5c": ("make_fig5c", (*_CELL, "higher-order"), ("output",)),
    "fig2": ("make_fig2", ("base", "sweep", "landscape"), ("svg", "pdf", "csv")),
    "fig10": ("make_fig10", ("base", "landscape"), ("svg", "pdf", "csv")),
    "smallest": ("make_fig10", ("base", "landscape"), ("svg", "pdf", "csv")),
    "fig3b": ("make_fig3b", (*_CELL, "counts"), ("svg", "pdf", "csv")),
    "fig3c": ("make_fig3c", (*_CELL, "counts"), ("svg", "pdf", "csv")),
    "fig4": ("make_fig4", ("search", "composed", "rows"), ("svg", "pdf", "csv")),
    "fig5b": ("make_fig5b", ("higher-order", "rows"), ("svg", "pdf", "csv")),
    "fig6": ("make_fig6", ("rows",), ("svg", "pdf", "csv")),
    "fig7": ("make_fig7", ("reductions",), ("svg", "pdf", "csv")),
    "fig8": ("make_fig8", ("base", "sweep", "selection"), ("svg", "pdf", "csv")),
    "fig9": ("make_fig9", ("base", "sweep", "selection"), ("svg", "pdf", "csv")),
    "solved": ("make_solved", _CELL, ("svg", "pdf", "csv")),
    "film": ("make_film", _CELL, ("gif", "csv")),
    "noise": ("make_noise", _CELL, ("svg", "pdf", "csv")),
}
"""Rule to script, options that name what it reads, and options that name what it writes."""

OPTIONS: dict[str, tuple[str, str]] = {
    "test": ("test/", ".parquet"),
    "selection": ("selection/", ".json"),
    "rows": ("inputs/data/", "/rows.parquet"),
    "choices": ("choices/", ".parquet"),
    "table1": ("tables/table1", ".csv"),
    "base": ("sweep/", "/base.parquet"),
    "sweep": ("sweep/", ".parquet"),
    "landscape": ("landscape/", ".parquet"),
    "search": ("compose/", ".json"),
    "composed": ("compose/", ".parquet"),
    "perplexity": ("perplexity/", ".parquet"),
    "seeds": ("seeds/", ".parquet"),
    "prompts": ("prompts/", ".parquet"),
    "gradients": ("gradients/", ".json"),
    "higher-order": ("higher_order/", ".parquet"),
    "reductions": ("reductions/", ".json"),
    "records": ("reductions/", ".json"),
    "models": ("inputs/models/", "/card.json"),
    "counts": ("inputs/co", ""),
}
"""Option to how the paths of its files begin and end, below the study's folder."""


def replay(
    report: Report, scripts: Path, cache: Path, when: str = "always", say: Callable[[str], None] = print
) -> None:
    """Make rows, tables, figures and report again and compare; `auto` does so where the packages are installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        why = f"the packages {', '.join(missing)} are not installed here"
        where = report.left if when == "auto" else report.not_compared
        where.append(("tables, figures, report and data, made again (--replay)", why))
        return
    with tempfile.TemporaryDirectory(prefix="laser-replay-") as folder:
        for name, about, unit, examine in (
            ("code", "Every job ran the code of this checkout.", "jobs", partial(check_codes, scripts=scripts)),
            (
                "inputs",
                "Rows of datasets and facts of corpora, made again; what a tokenizer cannot take.",
                "values",
                partial(check_inputs, scripts=scripts, cache=cache, folder=Path(folder) / "inputs", say=say),
            ),
            (
                "replay",
                "Every table, figure and page, made again from the rows, has the same bytes.",
                "files",
                partial(check_artefacts, scripts=scripts, folder=Path(folder), say=say),
            ),
        ):
            check = checked(name, about, unit, partial(examine, report=report), report.not_compared)
            report.checks.append(check)


def check_artefacts(check: Check, report: Report, scripts: Path, folder: Path, say: Callable[[str], None]) -> None:
    """Make every table and figure again, and the report, and compare bytes."""
    study, codes = report.study, fingerprints(scripts)
    for path, record in records(study).items():
        rule = record.get("rule")
        if path.split("/")[0] == "records" and isinstance(rule, str) and rule in SCRIPTS:
            with check.guarded(path):
                say(f"  making {rule} again")
                _again(check, study, report, path, record, scripts, folder / rule, codes)
    if RECORD in records(study):
        with check.guarded(RECORD):
            _report_again(check, study, report, scripts, folder / "report", codes, say)


def _again(
    check: Check,
    study: Study,
    report: Report,
    path: str,
    record: Mapping[str, Any],
    scripts: Path,
    folder: Path,
    codes: Mapping[str, str],
) -> None:
    """Run one job again into `folder` and compare what it makes."""
    script, reads, writes = SCRIPTS[record["rule"]]
    if codes.get(script) != record["code"]:
        report.not_compared.append((record["rule"], OTHER_CODE))
        return
    words = [sys.executable, str(scripts / f"{script}.py"), "--spec", json.dumps(record["spec"])]
    for option in reads:
        files = _inputs(study, record, option)
        if files or option in ("choices", "sweep", "landscape", "counts"):
            words += [f"--{option}", *files]
    outputs = [one["path"].removeprefix(start(study)) for one in record["outputs"]]
    for one in outputs:
        if ".." in one.split("/") or one.startswith("/") or not one.startswith(("tables/", "figures/")):
            raise Unreadable(path, f"names the output {one}, which is no table or figure")
    for option in writes:
        own = outputs if option == "output" else [one for one in outputs if one.endswith(f".{option}")]
        words += [f"--{option}", *(str(folder / one) for one in in_order(study, record["spec"], own))]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LASER_")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, env=environment)
    if done.returncode != 0:
        check.fail(path, "made again", (done.stderr.strip().splitlines() or ["no message"])[-1], "exit status 0")
        return
    drawn_alike = all(record["packages"].get(name) == _version(name) for name in DRAWING)
    for one in outputs:
        if one.endswith(PICTURES) and not drawn_alike:
            continue
        check.count += 1
        made = folder / one
        if not made.is_file() or made.read_bytes() != study.locate(one).read_bytes():
            check.fail(one, "", "other bytes", f"those that {script}.py makes of the study's rows")
    if not drawn_alike:
        report.not_compared.append(
            (f"pictures of {record['rule']}", "made with other versions of the drawing packages")
        )


def _report_again(
    check: Check,
    study: Study,
    report: Report,
    scripts: Path,
    folder: Path,
    codes: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    record = records(study)[RECORD]
    if codes.get(REPORT_SCRIPT) != record["code"]:
        report.not_compared.append(("report", OTHER_CODE))
        return
    if captions(scripts) != record["spec"]["texts"]:
        report.not_compared.append(("report", "made with other captions or templates than those here"))
        return
    say("  writing the report again")
    write_again(check, study, record, scripts, folder)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _inputs(study: Study, record: Mapping[str, Any], option: str) -> list[str]:
    """Return the files of one option, in the order in which the workflow gives them."""
    begin, end = OPTIONS[option]
    found = []
    for one in record["inputs"]:
        inner = inside(study, text_of(one["path"]))
        if inner is None or not inner.startswith(begin) or not inner.endswith(end):
            continue
        if option == "sweep" and inner.endswith("/base.parquet"):
            continue
        found.append(inner)
    if option == "counts":
        return _counts(study, found)
    return [str(study.locate(one).resolve()) for one in sorted(found, key=lambda one: place_of(study, one))]


def _counts(study: Study, found: Iterable[str]) -> list[str]:
    """Return <model>=<facts of its corpus> and <dataset>=<the user's counts>."""
    words = []
    for entry in study.settings["models"]:
        if "corpus" in entry["source"]:
            path = f"inputs/corpora/corpus-{digest(entry['source']['corpus'], 8)}/facts.parquet"
            if path in found:
                words.append(f"{entry['name']}={study.locate(path).resolve()}")
    for dataset in study.settings.get("counts", {}):
        for path in study.matching(f"inputs/counts/{dataset}.", ""):
            words.append(f"{dataset}={study.locate(path).resolve()}")
    return words


def fingerprints(scripts: Path) -> dict[str, str]:
    """Return the code fingerprint of every script that can be run again, as the workflow computes it here."""
    names = sorted({script for script, _, _ in SCRIPTS.values()} | {REPORT_SCRIPT})
    code = (
        "import json, sys; from pathlib import Path; from laser.config.fingerprint import code_fingerprint; "
        "print(json.dumps({name: code_fingerprint(Path(sys.argv[1]) / f'{name}.py') for name in sys.argv[2:]}))"
    )
    environment = dict(os.environ) | {"PYTHONPATH": str(scripts)}
    words = [sys.executable, "-c", code, str(scripts), *names]
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, env=environment)
    if done.returncode != 0:
        raise Unreadable("", f"the code of this repository cannot be read ({done.stderr.strip()[-200:]})")
    return dict(json.loads(done.stdout))
