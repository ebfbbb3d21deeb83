"""Tasks of lm-evaluation-harness as datasets, from YAML files and data of our own; skipped where it is absent."""

import importlib.util
import json
from pathlib import Path

import pytest
import yaml

from laser.config.entries import StudyDataset
from laser.config.own_rows import file_hashes, own_rows
from laser.config.validation import check
from laser.errors import UserError
from laser.tasks.datasets.lm_eval import check_task
from laser.tasks.prepare import build_rows

INSTALLED = importlib.util.find_spec("lm_eval") is not None
needs_package = pytest.mark.skipif(not INSTALLED, reason="lm_eval is not installed (pip install lm-eval)")
DOCUMENTS = [
    {"q": f"What is {number} + 1?", "options": ["none", str(number + 1)], "right": 1, "answer": str(number + 1)}
    for number in range(8)
]
CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{q}}\nAnswer:",
    "doc_to_choice": "{{options}}",
    "doc_to_target": "{{right}}",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}
OPEN = {
    "output_type": "generate_until",
    "doc_to_text": "{{q}}",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\n"]},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def task_file(folder, settings, text=""):
    """Write a task's YAML file and its documents; return the file."""
    documents = folder / "documents.jsonl"
    documents.write_text("\n".join(map(json.dumps, DOCUMENTS)))
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(documents)}}, "test_split": "test"}
    path = folder / "task.yaml"
    path.write_text(yaml.safe_dump({"task": "ours", **data, **settings}) + text)
    return path


def entry(path, **keys):
    given = {"name": "theirs", "builder": "lm_eval", "task": str(path)} | keys
    check(given, StudyDataset, Path("study.yaml"))
    return {"options": {}, "limit": None} | own_rows(given, "study.yaml: datasets[0]")


@needs_package
def test_choices(tmp_path):
    path = task_file(tmp_path, CHOICE | {"description": "Sums.\n"})
    made = build_rows(entry(path))
    assert [row["prompt"] for row in made.rows] == [f"Sums.\n{row['q']}\nAnswer:" for row in DOCUMENTS]
    assert [row["options"] for row in made.rows] == [row["options"] for row in DOCUMENTS]
    assert [row["answer"] for row in made.rows] == [row["answer"] for row in DOCUMENTS]
    assert made.card["source"]["output_type"] == "multiple_choice"
    assert made.card["splits"]["corrected"] == {"validation": 1, "test": 7}


@needs_package
def test_open_answers_and_several_targets(tmp_path):
    made = build_rows(entry(task_file(tmp_path, OPEN), new_tokens=4))
    assert [(row["prompt"], row["answer"], row["options"]) for row in made.rows] == [
        (row["q"], row["answer"], []) for row in DOCUMENTS
    ]
    listed = OPEN | {"doc_to_target": "{{[answer, 'or so']}}"}
    assert build_rows(entry(task_file(tmp_path, listed))).rows[0]["other_answers"] == ["or so"]


@needs_package
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"output_type": "loglikelihood"}, r"output_type: loglikelihood \(allowed: multiple_choice, generate_until\)"),
        ({"target_delimiter": ""}, "target_delimiter: ''"),
        ({"repeats": 3}, "repeats: 3"),
        ({"filter_list": [{"name": "f", "filter": [{"function": "regex"}]}]}, "filter_list: regex"),
        ({"metric_list": [{"metric": "bleu", "aggregation": "bleu", "higher_is_better": True}]}, "metric_list: bleu"),
        ({"doc_to_text": "{{nothing.at.all}}"}, "theirs"),
    ],
)
def test_what_cannot_be_carried_over_is_refused_by_name(tmp_path, change, said):
    with pytest.raises(UserError, match=said):
        build_rows(entry(task_file(tmp_path, OPEN | change)))


@needs_package
def test_a_prompt_that_is_the_same_for_all_documents_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"all 8 documents have the same prompt, 'qq'.*correct the field's name"):
        build_rows(entry(task_file(tmp_path, CHOICE | {"doc_to_text": "qq"})))


@needs_package
def test_names_of_tasks(tmp_path):
    with pytest.raises(UserError, match=r"task is 'arc_esy' .did you mean 'arc_easy'"):
        build_rows(entry("arc_esy"))
    with pytest.raises(UserError, match=r"is no single task of lm_eval.*It is a group"):
        build_rows(entry("mmlu"))


def test_a_file_may_bring_no_code(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    for text in ("process_docs: !function utils.run\n", "x: !!python/name:os.system\n"):
        with pytest.raises(UserError, match=r"task\.yaml"):
            check_task({"task": str(task_file(tmp_path, OPEN, text))})
    for text in ("include: 3\n", "include: [more.yaml, 3]\n"):
        with pytest.raises(UserError, match=r"include is .*It must name a file"):
            check_task({"task": str(task_file(tmp_path, OPEN, text))})
    path = task_file(tmp_path, OPEN, "include: more.yaml\n")
    with pytest.raises(UserError, match=r"there is no file .*more\.yaml"):
        check_task({"task": str(path)})
    (tmp_path / "more.yaml").write_text("process_results: !function utils.run\n")
    with pytest.raises(UserError, match=r"more\.yaml, line 1: holds !function, which would run code"):
        check_task({"task": str(path)})


def test_a_missing_package_or_task_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"package lm_eval, which is not installed.*pip install lm-eval"):
        check_task({"task": "arc_easy"})
    with pytest.raises(UserError, match="needs 'task'"):
        check_task({})


def test_an_edited_task_is_read_again(tmp_path):
    path = task_file(tmp_path, OPEN)
    before = file_hashes(entry(path), {})
    path.write_text(path.read_text() + "description: more\n")
    assert set(before) == {str(path)} and file_hashes(entry(path), {}) != before
