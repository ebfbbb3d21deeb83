"""Builders on real rows: counts, raw against hub forms, and prompts against those of the released code.

The rows are not part of the repository: LASER_SHARED names their folder, by default `shared` beside the repository.
"""

import json
import os
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
import yaml

from laser.tasks.datasets import build, module
from laser.tasks.definitions import definition
from laser.tasks.prepare import prepare, without_bad_rows
from laser.tasks.sources import Downloads, read_dataset
from tests.index import Index, sdist, sha256

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("LASER_SHARED", ROOT.parent / "shared"))
HUB, RAW, GOLDEN = SHARED / "data" / "hub", SHARED / "data" / "raw", SHARED / "golden"
REASON = f"no real rows at {SHARED}: set LASER_SHARED to the folder that has data/ and golden/"

pytestmark = pytest.mark.skipif(not HUB.is_dir(), reason=REASON)
TOKENIZER = {"answer_tokenizer": {"kind": "local", "path": str(GOLDEN / "models" / "llama")}}
FILES = {
    "counterfact": {"train": "counterfact/counterfact_base_prompts.jsonl"},
    "fever": {"paper_dev": "fever/paper_dev.jsonl", "paper_test": "fever/paper_test_6612_of_6666.jsonl"},
    "truthfulqa": {"validation": "truthfulqa/validation.jsonl"},
    "web_of_lies": {"train": "big_bench_hard/web_of_lies/train.jsonl"},
    **{
        name: {split: f"bigbench/{name}/{split}.jsonl" for split in ("validation", "train")}
        for name in ("epistemic_reasoning", "qa_wikidata", "causal_judgment")
    },
}


def hub_source(name):
    return {"kind": "local", "files": {split: str(HUB / path) for split, path in FILES[name].items()}}


def built(name, source, options=None):
    builder = module(name)
    reading = read_dataset(name, [source], builder.SPLITS, builder.COLUMNS)
    examples, dropped = build(name, options or {}, reading.read)
    good, bad = without_bad_rows(examples)
    assert not any(one["count"] for one in bad.values()), bad
    return good, dropped


@cache
def of_hub(name):
    """Return examples and what was dropped, of rows in the hub's form."""
    return built(name, hub_source(name))


@pytest.mark.parametrize(
    ("name", "rows", "groups"),
    [
        ("counterfact", 21919, 21919),
        ("fever", 13035, 13035),
        ("truthfulqa", 5882, 817),
        ("epistemic_reasoning", 2000, 2000),
        ("causal_judgment", 190, 190),
        ("web_of_lies", 250, 250),
        ("qa_wikidata", 18812, 18812),
    ],
)
def test_counts(name, rows, groups):
    examples, _ = of_hub(name)
    assert len(examples) == rows
    assert len({one.group for one in examples}) == groups


def test_fever_dev_has_the_papers_count():
    examples, _ = of_hub("fever")
    assert sum(one.id.startswith("paper_dev") for one in examples) == 6510


def test_qa_wikidata_drops_rows_that_the_papers_count_holds():
    _, dropped = of_hub("qa_wikidata")
    assert dropped == {"more or less than one target": 20321 - 18812}


def test_truthfulqa_constant_answer(tmp_path):
    """Always "false" scores 56.23 % on the released test rows, as counted on the original file."""
    entry = {"name": "truthfulqa", "builder": "truthfulqa", "sources": [hub_source("truthfulqa")]}
    card = prepare(entry, tmp_path)
    assert card["difference_from_paper"] == 0
    constant = card["answers"]["constant_answer"]["published"]
    assert constant["answer"] == "false"
    assert round(constant["accuracy_percent"], 2) == 56.23


def test_hotpotqa_before_and_after_the_filter():
    """The validation rows stand in for train too. Their number is known before the filter on answer length only."""
    path = str(HUB / "hotpotqa/validation.jsonl")
    source = {"kind": "local", "files": {"train": path, "validation": path}}
    examples, dropped = built("hotpotqa", source, TOKENIZER)
    assert len(examples) + dropped["long answer"] == 2 * 7405
    assert dropped["train row past the cap"] == 0
    assert 0 < dropped["long answer"] < 2 * 740
    in_prompt = sum(one.answer.lower() in one.prompt.lower() for one in examples if one.id.startswith("validation"))
    assert 0.09 < in_prompt / 7405 < 0.1


def test_fever_raw_file_gives_the_same_rows():
    test_rows = HUB / FILES["fever"]["paper_test"]
    raw = {"paper_dev": str(RAW / "fever/paper_dev.jsonl"), "paper_test": str(test_rows)}
    from_raw, dropped = built("fever", {"kind": "local", "files": raw, "format": "jsonl"})
    assert from_raw == of_hub("fever")[0]
    assert dropped["not enough information"] == 3333


@pytest.mark.parametrize(
    ("name", "path", "kind"),
    [
        ("truthfulqa", "truthfulqa/mc_task.json", "truthfulqa"),
        ("epistemic_reasoning", "bigbench/epistemic_reasoning/task.json", "bigbench"),
        ("qa_wikidata", "bigbench/qa_wikidata/task.json", "bigbench"),
    ],
)
def test_raw_file_of_a_task_gives_the_same_rows(name, path, kind):
    from_raw, dropped = built(name, {"kind": "local", "path": str(RAW / path), "format": kind})
    assert (from_raw, dropped) == of_hub(name)


def test_counterfact_json_array_gives_the_same_rows(tmp_path):
    with (HUB / FILES["counterfact"]["train"]).open(encoding="utf-8") as file:
        first = list(islice(file, 2000))
    texts = {"array.json": json.dumps([json.loads(line) for line in first], indent=2), "lines.jsonl": "".join(first)}
    made = []
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        made.append(built("counterfact", {"kind": "local", "path": str(tmp_path / name)}))
    assert made[0] == made[1] and len(made[0][0]) == 2000


def test_raw_files_are_those_that_the_catalogue_pins():
    """The checksums in the catalogue are those of the publishers' files that are at hand."""
    from laser.config.yaml_files import read_yaml
    from laser.io.files import sha256_file

    catalogue = read_yaml(Path(__file__).resolve().parents[2] / "config/datasets.yaml")
    pinned = {}
    for entry in catalogue.values():
        for source in entry.get("sources", []):
            if source["kind"] == "https":
                files = source["files"].values() if "files" in source else [source]
                pinned |= {one["sha256"]: (one["url"], one["bytes"]) for one in files}
    found = [path for path in RAW.rglob("*") if path.is_file()]
    assert len(found) >= 4
    for path in found:
        url, size = pinned[sha256_file(path)]
        assert url.endswith(path.name)
        assert size == path.stat().st_size


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


GOLDEN_SETS = {
    **{name: name for name in ("counterfact", "fever", "bios_gender", "bios_profession", "truthfulqa")},
    **{"hotpot": "hotpotqa", "epistemic_reasoning": "epistemic_reasoning", "qa_wikidata": "qa_wikidata"},
}


@cache
def golden_rows(dataset):
    rows = lines(GOLDEN / "data" / f"{dataset}.jsonl")
    # CounterFact's rows stand for a file without splits.
    return [row | {"split": "train"} for row in rows] if dataset == "counterfact" else rows


def golden_examples(dataset):
    """Yield (part, examples) for every part that the folder has."""
    rows = golden_rows(dataset)
    for part in sorted({row["part"] for row in rows}):
        own = [row for row in rows if row["part"] == part]
        options = TOKENIZER if dataset == "hotpot" else {}
        name = GOLDEN_SETS[dataset]
        yield part, build(name, options, lambda split, own=own: [row for row in own if row["split"] == split])[0]


def golden_outputs(family, dataset, part):
    return [row for row in lines(GOLDEN / family / dataset / "dont.jsonl") if row["part"] == part]


@pytest.mark.skipif(not GOLDEN.is_dir(), reason=REASON)
@pytest.mark.parametrize("dataset", sorted(GOLDEN_SETS))
@pytest.mark.parametrize("family", ["gptj", "llama"])
def test_prompts_and_answers_are_those_of_the_released_code(family, dataset):
    for part, examples in golden_examples(dataset):
        released = golden_outputs(family, dataset, part)
        assert released
        assert [one.prompt for one in examples] == [row["prompt"] for row in released]
        answers = [{1: "true", 0: "false"}.get(row["gold"], row["gold"]) for row in released]
        assert [one.answer for one in examples] == answers
        if definition(GOLDEN_SETS[dataset]).options:
            assert set(released[0]["options"]) == set(examples[0].options)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason=REASON)
@pytest.mark.parametrize("dataset", sorted(GOLDEN_SETS))
def test_masked_prompts_are_those_of_the_released_code(dataset):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(GOLDEN / "models" / "roberta")
    asked = definition(GOLDEN_SETS[dataset])
    for part, examples in golden_examples(dataset):
        released = golden_outputs("roberta", dataset, part)
        ours = [asked.masked_prompt(one.text, one.prompt, tokenizer) for one in examples]
        assert ours == [row["prompt"] for row in released]
        masks = {text.count(tokenizer.mask_token) for text in ours}
        assert masks == ({1} if asked.masked_style == "single" else {0})


def in_archive(monkeypatch, httpserver, name, content):
    """Serve a publisher's file, or a part of it, in an archive on a loopback index; return the source."""
    archive = sdist({f"bigbench/benchmark_tasks/{name}/task.json": content}, "bigbench-1.0.0")
    monkeypatch.setenv("PIP_INDEX_URL", Index(httpserver, {"bigbench-1.0.0.tar.gz": archive}).url)
    (catalogued,) = [source for source in catalogue()[name]["sources"] if source["kind"] == "package"]
    assert catalogued["member_sha256"] == sha256((RAW / f"bigbench/{name}/task.json").read_bytes())
    return catalogued | {"sha256": sha256(archive), "bytes": len(archive), "member_sha256": sha256(content)}


@pytest.mark.parametrize("name", ["qa_wikidata", "epistemic_reasoning"])
def test_rows_of_the_package_are_those_of_its_file(name, httpserver, tmp_path, monkeypatch):
    task = json.loads((RAW / f"bigbench/{name}/task.json").read_text(encoding="utf-8"))
    alone = tmp_path / "task.json"
    alone.write_text(json.dumps(task | {"examples": task["examples"][:300]}), encoding="utf-8")
    of_file = {"kind": "local", "path": str(alone), "format": "bigbench"}
    of_package = in_archive(monkeypatch, httpserver, name, alone.read_bytes())
    splits, columns = module(name).SPLITS, module(name).COLUMNS
    first, second = (
        build(name, {}, read_dataset(name, [source], splits, columns, Downloads(tmp_path)).read)
        for source in (of_package, of_file)
    )
    assert first == second and first[0]


def read_dataset_of_hub(name):
    return read_dataset(name, [hub_source(name)], module(name).SPLITS, module(name).COLUMNS)


def catalogue():
    return yaml.safe_load((ROOT / "config/datasets.yaml").read_text(encoding="utf-8"))


def of_the_real_archive(name):
    """Read a dataset from the archive itself, where a study that needs it has been run here."""
    (source,) = [source for source in catalogue()[name]["sources"] if source["kind"] == "package"]
    caches = [Path(folder) for folder in (os.environ.get("LASER_CACHE"), ROOT / "cache") if folder]
    kept = [cache / "data/downloads" for cache in caches if (cache / "data/downloads" / source["archive"]).is_file()]
    if not kept:
        pytest.skip(f"{source['archive']} is not in data/downloads of {' or '.join(map(str, caches))} (LASER_CACHE)")
    splits, columns = module(name).SPLITS, module(name).COLUMNS
    return read_dataset(name, [source], splits, columns, Downloads(kept[0]), "allowed")


@pytest.mark.parametrize("name", ["qa_wikidata", "epistemic_reasoning", "causal_judgment"])
def test_the_real_archive_gives_the_rows_of_the_hub(name):
    assert build(name, {}, of_the_real_archive(name).read) == build(name, {}, read_dataset_of_hub(name).read)


def test_the_real_archive_has_a_half_of_fever():
    reading = of_the_real_archive("fever")
    rows = [json.loads(line) for line in (HUB / FILES["fever"]["paper_test"]).read_text(encoding="utf-8").splitlines()]
    assert reading.rows == {"paper_dev": [], "paper_test": rows}
    assert "paper_dev is missing" in reading.partial
    hub = [example for example in of_hub("fever")[0] if example.id.startswith("paper_test")]
    examples, dropped = build("fever", {}, reading.read)
    assert examples == hub
    assert len(examples) == 6525 == len(rows) - dropped["repeated claim"] - dropped["claim with two labels"]


def test_the_real_archive_has_a_part_of_truthfulqa():
    reading = of_the_real_archive("truthfulqa")
    questions = {row["question"]: row["mc2_targets"] for row in read_dataset_of_hub("truthfulqa").read("validation")}
    rows = reading.read("validation")
    known = [row for row in rows if row["question"] in questions]
    assert (len(rows), len(known)) == (299, 268)
    labels = [(dict(zip(*questions[row["question"]].values(), strict=True)), row["mc2_targets"]) for row in known]
    agree = [all(hub.get(*pair[:1]) == pair[1] for pair in zip(*part.values(), strict=True)) for hub, part in labels]
    assert sum(agree) == 260
    assert all(sum(row["mc2_targets"]["labels"]) == 1 for row in rows)
