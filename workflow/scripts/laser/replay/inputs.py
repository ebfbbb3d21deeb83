"""A study's inputs made again: rows of datasets, facts of corpora, and which rows a model cannot be asked.

Rows come from the source that the study read, if it is at hand (an installed package, the cache, a publisher's file);
nothing is fetched from a hub.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from laser.config.specs import CorpusSpec, read_spec
from laser.errors import UserError
from laser.evaluation.cell import examples
from laser.io.files import read_json, read_parquet
from laser.models.kinds import task_of
from laser.models.positions import max_positions
from laser.models.tokenizer import load_tokenizer
from laser.tasks.definitions import definition
from laser.tasks.prepare import prepare
from laser.tasks.questions import ask
from laser.training.corpus import make_corpus
from laser_audit.findings import Check, Unreadable
from laser_audit.reading import Study, digest
from laser_audit.rows import SOME_ROWS, labels_of, left_out_of, limit_of, result_files
from laser_audit.run import Report
from laser_audit.splits import columns_of, data_path, prepared

OF_SOURCE = {"source", "sources_failed", "spec"}
"""Keys of a dataset's card that say where its rows were read, which may be elsewhere when they are made again."""


def check_inputs(check: Check, report: Report, cache: Path, folder: Path) -> None:
    """Prepare every dataset and corpus again, and ask every tokenizer which rows it cannot take."""
    study = report.study
    for dataset in study.datasets:
        with check.guarded(data_path(dataset)):
            say(f"preparing {dataset} again")
            prepare_again(check, report, dataset, cache, folder / "data" / dataset)
    for path in study.matching("inputs/corpora/", "/record.json"):
        with check.guarded(path):
            say(f"making {path.split('/')[2]} again")
            _corpus(check, report, path, folder / "corpora")
    check_left_out_again(check, report, study.cells(), cache)


def say(text: str) -> None:
    """Tell the user what is being made."""
    print(f"  {text}", flush=True)


def reason_of(error: Exception) -> str:
    """Return in one line why something could not be made again."""
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return text.strip().splitlines()[-1]


def prepare_again(check: Check, report: Report, dataset: str, cache: Path, folder: Path) -> None:
    """Prepare a dataset again and compare its rows and its card."""
    study, path, card_path = report.study, data_path(dataset), f"inputs/data/{dataset}/card.json"
    entry = next(entry for entry in study.settings["datasets"] if entry["name"] == dataset)
    if "pool" in entry["options"]:
        episodes = _episodes(study, entry["options"]["pool"], cache)
        if episodes is None:
            report.not_compared.append((f"rows of {dataset}", f"its rooms are not in {cache}"))
            return
        entry = entry | {"sources": [{"kind": "local", "path": str(episodes)}]}
    elif read := _sources_read(study, dataset, entry):
        entry = entry | {"sources": read}
    try:
        prepare(entry, (folder / path).parent, {"dataset": entry}, downloads=cache / "data/downloads")
    except Exception as error:  # a source that is not at hand, or whatever the study's settings bring about
        report.not_compared.append((f"rows of {dataset}", reason_of(error)))
        return
    again, stored = prepared(Study(folder), dataset), prepared(study, dataset)
    card, stored_card = Study(folder).json(card_path), study.json(card_path)
    for key in card.keys() - OF_SOURCE:
        check.same(card_path, f"{key} (made again)", stored_card.get(key), card[key])
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


def _corpus(check: Check, report: Report, record: str, folder: Path) -> None:
    study = report.study
    target = record.removesuffix("record.json")
    spec = study.json(record)["spec"]
    wanted = [entry["source"]["corpus"] for entry in study.settings["models"] if "corpus" in entry["source"]]
    check.same(record, "spec.corpus is one of the study's", spec["corpus"] in wanted, True)
    try:
        make_corpus(read_spec(CorpusSpec, spec, "the corpus's record"), folder / target)
    except Exception as error:  # as for a dataset
        report.not_compared.append((target, reason_of(error)))
        return
    facts = f"{target}facts.parquet"
    columns = study.columns(facts)
    again = Study(folder).frame(facts, columns)
    stored = study.frame(facts, columns)
    for column in columns:
        check.same(facts, f"column {column}", stored[column].tolist(), again[column].tolist())


def check_left_out_again(check: Check, report: Report, cells: Iterable[tuple[str, str]], cache: Path) -> None:
    """Ask models' tokenizers which rows of datasets they cannot take, and compare with what the runs left out."""
    study = report.study
    for model, dataset in cells:
        with check.guarded(f"test/{model}/{dataset}.parquet"):
            folder = _tokenizer(report, model, dataset, cache)
            if folder is None:
                continue
            entry = next(entry for entry in study.settings["datasets"] if entry["name"] == dataset)
            try:
                unasked = left_out(folder, study.locate(data_path(dataset)), entry["builder"], entry["options"])
            except Exception as error:  # a fault of one cell is no other's
                report.not_compared.append((f"rows of {dataset} that {model} left out", reason_of(error)))
                continue
            _compare_left_out(check, study, model, dataset, unasked)


def left_out(folder: Path, rows: Path, builder: str, options: dict[str, Any]) -> dict[str, str]:
    """Return the ids of the rows that the model in `folder` cannot be asked, with the reason for each."""
    config = read_json(folder / "config.json")
    items, tokenizer = examples(read_parquet(rows)), load_tokenizer(folder)
    asked = ask(
        definition(builder, options), items, tokenizer, task_of(config), config["model_type"], max_positions(config)
    )
    return asked.left_out


def _tokenizer(report: Report, model: str, dataset: str, cache: Path) -> Path | None:
    """Return the folder of a model's tokenizer; None if it is not at hand or has no say."""
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
    return folder


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
