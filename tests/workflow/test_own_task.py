"""The example of a task of one's own, with a tiny local model, through Snakemake to Table 1; and its preview."""

import json
import runpy

import pandas as pd
import pytest
import yaml
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from laser.cost.time import Device
from laser.io.files import read_json, read_parquet
from tests import tiny
from tests.workflow.runner import ROOT, planned, run, tool

ROWS = ROOT / "config/examples/everyday.csv"
TOOLS = ROOT / "workflow/scripts/tools"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the example's rows and a tiny model."""
    folder = tmp_path_factory.mktemp("own")
    tiny.checkpoint(folder / "model")
    (folder / "rows.csv").write_bytes(ROWS.read_bytes())
    return folder


def study(folder, name="own", **changes):
    """Write the example with the tiny model in place of its own, which declares nothing but its folder."""
    settings = yaml.safe_load((ROOT / "config/studies/example-task.yaml").read_text())
    settings |= {"models": [{"name": "tiny", "source": {"kind": "local", "path": str(folder / "model")}}]}
    settings["grid"] = {"matrices": ["u_gate"], "layers": [1], "rhos": [0.5]}
    settings |= {"protocols": ["corrected", "published"], "artefacts": ["table1"]} | changes
    for entry in settings["datasets"]:
        entry["source"]["files"] = str(folder / "rows.csv")
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_the_example_reaches_table_1_and_edited_rows_are_read_again(folder):
    path = study(folder)
    done = run(folder, path, "all")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(folder / "results/own/tables/table1.csv")
    assert set(table["dataset"]) == {"everyday-open", "everyday-choice"} and set(table["n"]) == {32}
    choice = table[(table["dataset"] == "everyday-choice") & (table["metric"] == "accuracy")]
    assert {letter for shares in choice["prediction_shares"] for letter in json.loads(shares)} <= set("ABCD")
    assert set((choice["value"] * 0.32).round(6) % 1) == {0}
    cards = [read_json(card) for card in (folder / "results/own/inputs/data").glob("*/card.json")]
    assert {(card["rows"], card["groups"], card["alike"]["count"]) for card in cards} == {(40, 20, 0)}
    for rows in folder.glob("cache/data/*/rows.parquet"):
        sides = read_parquet(rows).groupby("group")["split_corrected"].nunique()
        assert set(sides) == {1}

    assert planned(folder, path, "all") == {}
    edited = (folder / "rows.csv").read_text().replace("Frozen water is called", "Frozen water has the name")
    (folder / "rows.csv").write_text(edited)
    again = planned(folder, path, "all")
    assert again["prepare"] == 2 and again["sweep"] == 2 and "reduce" not in again
    audited = tool("audit", folder / "results/own")
    assert audited.returncode == 0, audited.stdout


@pytest.fixture
def preview(monkeypatch, capsys):
    """The tool, as a user runs it in a folder, but in this process, which has imported what it needs."""

    def shown(folder, *words):
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(TOOLS)
        monkeypatch.setattr("sys.argv", ["preview.py", *map(str, words)])
        runpy.run_path(str(TOOLS / "preview.py"), run_name="__main__")
        return capsys.readouterr().out

    return shown


def test_preview_shows_rows_and_time_before_anything_is_evaluated(folder, preview):
    more = "more-1,more,A cat says,,a,b,c,d\nmore-2,other,June is followed by,July,July,b,c,d\n"
    (folder / "rows.csv").write_text(ROWS.read_text() + more)
    path = study(folder, "preview")
    text = preview(folder, "--study", path, "--jobs", "1")
    for said in (
        "Model tiny: llama, causal, 2 layers, fp32",
        "hidden 32, intermediate 48",
        "rows: 42 read, 41 used; dropped: 1 (no answer); groups: 21",
        "8 validation and 33 test rows",
        "right on tiny: the generated text contains an answer, 5 new tokens",
        "right on tiny: the option with the highest log-probability",
        "1. 'The month after June is'",
        "options: 'May', 'March', 'July', 'August'",
        "note: 2 rows ask what a row of another group asks (ids after-june-2, more-2)",
        "Time: about",
    ):
        assert said in text, text
    assert not (folder / "results/preview").exists()


def test_preview_names_rows_that_a_model_is_not_asked_and_answers_it_cannot_write(tmp_path, preview, monkeypatch):
    tiny.checkpoint(tmp_path / "model")
    words = Tokenizer(WordLevel({"[UNK]": 0, "what": 1, "one": 2, "two": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(tmp_path / "words")
    rows = [("what", "one", "two"), ("what " * 600, "two", "one"), *(("what", "three", "one") for _ in range(8))]
    lines = ["question,answer,other", *(",".join(row) for row in rows)]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    study(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "model" / name).write_bytes((tmp_path / "words" / name).read_bytes())
    settings = yaml.safe_load((tmp_path / "own.yaml").read_text())
    source = {"kind": "local", "files": str(tmp_path / "rows.csv")}
    mine = {"name": "mine", "builder": "generic", "source": source}
    settings["datasets"] = [mine, mine | {"name": "choice", "columns": {"options": ["answer", "other"]}}]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(settings))
    # The test above measures this machine.
    device = Device("CPU", 1e10, 1e10, None, 0.7, 0.7, 7e9)
    monkeypatch.setattr("laser.cost.time.measured_device", lambda threads, jobs: device)
    for dataset in preview(tmp_path, "--study", tmp_path / "own.yaml").split("Dataset ")[1:]:
        assert "note: tiny is not asked 1 of 10 rows (ids 2): longer than the 512 tokens that it takes" in dataset
        unknown = "takes a word of an answer or option for unknown in 8 of 10 rows (ids 3, 4, 5, …)"
        assert f"note: the tokenizer of tiny {unknown}" in dataset


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": {"kind": "local", "files": "none.csv"}}, "dataset 'everyday-open': there is no file none.csv"),
        ({"columns": {"question": "qestion"}}, "columns.question is 'qestion' (did you mean 'question'?)"),
        ({"prompt": "{qestion}"}, "prompt holds '{qestion}' (did you mean 'question'?)"),
        ({"options": {"prompts": "x"}}, "options hold 'prompts' (did you mean 'prompt'?)"),
    ],
)
def test_faults_are_told_before_any_job(folder, change, said):
    settings = yaml.safe_load(study(folder, "faulty").read_text())
    settings["datasets"][0] |= change
    (folder / "faulty.yaml").write_text(yaml.safe_dump(settings))
    done = run(folder, folder / "faulty.yaml", "all", flags=("--dry-run",))
    assert done.returncode != 0 and said in done.stderr + done.stdout, done.stderr
    assert "Traceback" not in done.stderr and "network" not in done.stderr
