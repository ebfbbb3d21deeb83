"""Remakes a study's inputs: rows of datasets, facts of corpora, and which rows a model cannot be asked.

Each is a short program that calls the study's own code in a separate process. Rows come from the source that the study
read, if it is at hand (an installed package, the cache, a publisher's file); nothing is fetched from a hub.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from laser_audit.findings import Check, Unreadable
from laser_audit.reading import Study, digest
from laser_audit.rows import SOME_ROWS, labels_of, left_out_of, limit_of, result_files
from laser_audit.run import Report
from laser_audit.splits import columns_of, data_path, prepared
from laser_audit.study_code import SECONDS, run_code

Say = Callable[[str], None]

PREPARE = """
import json, sys
from pathlib import Path
from laser.tasks.prepare import prepare
entry = json.loads(sys.argv[1])
prepare(entry, Path(sys.argv[2]), {"dataset": entry}, downloads=Path(sys.argv[3]))
"""
CORPUS = """
import json, sys
from pathlib import Path
from laser.config.specs import CorpusSpec, read_spec
from laser.training.corpus import make_corpus
make_corpus(read_spec(CorpusSpec, json.loads(sys.argv[1]), "the corpus's record"), Path(sys.argv[2]))
"""


def check_inputs(check: Check, report: Report, scripts: Path, cache: Path, folder: Path, say: Say) -> None:
    """Prepare every dataset and corpus again, and ask every tokenizer which rows it cannot take."""
    study = report.study
    for dataset in study.datasets:
        with check.guarded(data_path(dataset)):
            say(f"  preparing {dataset} again")
            prepare_again(check, report, dataset, scripts, cache, folder / "data" / dataset)
    for path in study.matching("inputs/corpora/", "/record.json"):
        with check.guarded(path):
            say(f"  making {path.split('/')[2]} again")
            _corpus(check, report, path, scripts, folder / "corpora")
    check_left_out_again(check, report, study.cells(), scripts, cache)


def prepare_again(check: Check, report: Report, dataset: str, scripts: Path, cache: Path, folder: Path) -> None:
    """Prepare a dataset again and compare its rows."""
    study = report.study
    entry = next(entry for entry in study.settings["datasets"] if entry["name"] == dataset)
    if "pool" in entry["options"]:
        episodes = _episodes(study, entry["options"]["pool"], cache)
        if episodes is None:
            report.not_compared.append((f"rows of {dataset}", f"its rooms are not in {cache}"))
            return
        entry = entry | {"sources": [{"kind": "local", "path": str(episodes)}]}
    elif read := _sources_read(study, dataset, entry):
        entry = entry | {"sources": read}
    into = folder / f"inputs/data/{dataset}"
    _, reason = run_code("-c", PREPARE, json.dumps(entry), str(into), str(cache / "data/downloads"), scripts=scripts)
    if reason:
        report.not_compared.append((f"rows of {dataset}", reason))
        return
    again, stored = prepared(Study(folder), dataset), prepared(study, dataset)
    path = data_path(dataset)
    check.same(path, "ids of the rows", list(stored.rows), list(again.rows))
    for name, row in stored.rows.items():
        for column in columns_of(stored.entry):
            if name in again.rows:
                check.same(path, f"{column} of {name}", row[column], again.rows[name][column])


def _sources_read(study: Study, dataset: str, entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the source that the study read, by its card: another may hold other rows, or only some."""
    card = study.json(f"inputs/data/{dataset}/card.json")["source"]
    return [source for source in entry["sources"] if source.items() <= card.items()]


def _episodes(study: Study, pool: dict[str, Any], cache: Path) -> Path | None:
    """Return the path of a pool's episodes in the cache, or None if the study used others."""
    for card_path in study.matching("inputs/rooms/", "/card.json"):
        card = study.json(card_path)
        path = (cache / "rooms" / card_path.split("/")[2] / "episodes.parquet").resolve()
        if card["spec"]["pool"] != pool or not path.is_file():
            continue
        if Study(path.parent).sha256(path.name) == card["files"]["episodes.parquet"]:
            return path
    return None


def _corpus(check: Check, report: Report, record: str, scripts: Path, folder: Path) -> None:
    study = report.study
    target = record.removesuffix("record.json")
    spec = study.json(record)["spec"]
    wanted = [entry["source"]["corpus"] for entry in study.settings["models"] if "corpus" in entry["source"]]
    check.same(record, "spec.corpus is one of the study's", spec["corpus"] in wanted, True)
    _, reason = run_code("-c", CORPUS, json.dumps(spec), str(folder / target), scripts=scripts)
    if reason:
        report.not_compared.append((target, reason))
        return
    facts = f"{target}facts.parquet"
    columns = study.columns(facts)
    again = Study(folder).frame(facts, columns)
    stored = study.frame(facts, columns)
    for column in columns:
        check.same(facts, f"column {column}", stored[column].tolist(), again[column].tolist())


def check_left_out_again(
    check: Check, report: Report, cells: Iterable[tuple[str, str]], scripts: Path, cache: Path
) -> None:
    """Ask models' tokenizers which rows of datasets they cannot take, and compare with what the runs left out."""
    study = report.study
    questions = {}
    for model, dataset in cells:
        with check.guarded(f"test/{model}/{dataset}.parquet"):
            if question := _question(report, model, dataset, cache):
                questions[model, dataset] = question
    if not questions:
        return
    words, seconds = ("-m", "laser.replay.left_out"), SECONDS * len(questions)
    printed, reason = run_code(*words, scripts=scripts, given=json.dumps(list(questions.values())), seconds=seconds)
    answers = [{"reason": reason} for _ in questions] if reason else json.loads(printed)
    for (model, dataset), answer in zip(questions, answers, strict=True):
        if "reason" in answer:
            report.not_compared.append((f"rows of {dataset} that {model} left out", answer["reason"]))
            continue
        with check.guarded(f"test/{model}/{dataset}.parquet"):
            _compare_left_out(check, study, model, dataset, answer["left_out"])


def _question(report: Report, model: str, dataset: str, cache: Path) -> dict[str, Any] | None:
    """Return what `laser.replay.left_out` needs for a cell; None if its tokenizer is not at hand or has no say."""
    study = report.study
    entry = next(entry for entry in study.settings["models"] if entry["name"] == model)
    if "play" in entry:
        return None  # whether a room can be played depends on its size, not on a tokenizer, and all rooms have one size
    folder = cache / "models" / f"{model}-{digest(entry['source'], 8)}"
    card = study.json(f"inputs/models/{model}/card.json")
    if not all((folder / name).is_file() for name in card["files"] if not name.endswith(".safetensors")):
        report.not_compared.append((f"rows of {dataset} that {model} left out", f"its tokenizer is not in {cache}"))
        return None
    for name, sha256 in card["files"].items():
        if not name.endswith(".safetensors") and Study(folder).sha256(name) != sha256:
            raise Unreadable(f"inputs/models/{model}/card.json", f"has another hash of {name} than {folder / name}")
    asked = next(entry for entry in study.settings["datasets"] if entry["name"] == dataset)
    rows = str(study.locate(data_path(dataset)))
    return {"folder": str(folder), "rows": rows, "builder": asked["builder"], "options": asked["options"]}


def _compare_left_out(check: Check, study: Study, model: str, dataset: str, unasked: dict[str, str]) -> None:
    """Compare the rows that each result file of a cell names as left out with those that the model cannot be asked."""
    data = prepared(study, dataset)
    for path in result_files(study):
        spec, (labels, side) = study.spec(path), labels_of(path)
        same_cell = (spec["model"]["name"], spec["dataset"]["name"]) == (model, dataset)
        if not same_cell or "run" not in spec or path.startswith("higher_order/"):
            continue
        sides = {name for protocol in study.protocols for name in data.side(protocol, side)}
        expected = {name: reason for name, reason in unasked.items() if name in sides}
        named = left_out_of(spec, dict.fromkeys(labels, "original"))
        if path.startswith(SOME_ROWS) or limit_of(study, path) is not None:
            expected = {name: reason for name, reason in expected.items() if name in named}
        check.same(path, f"rows left out that {model} cannot be asked", named, expected)
