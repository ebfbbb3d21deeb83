import subprocess
import sys
from pathlib import Path

import pytest

from laser.config.paths import PATTERNS, DatasetFiles, Folders, ModelFiles, StudyFiles, names_in
from laser.errors import UserError

FILES = StudyFiles(
    (
        ModelFiles("gpt", "gpt-1234", [0, 1], [1]),
        ModelFiles("lab", "lab-5678", [3], corpus_key="corpus-9"),
    ),
    (DatasetFiles("facts", "facts-aa"), DatasetFiles("bios", "bios-bb")),
    (0.1, 0.005),
)


def test_rules_and_jobs_have_the_same_paths():
    again = StudyFiles.from_spec(FILES.spec(), "results/s", "cache")
    for kind in ("model", "rows", "base", "sweep", "landscape", "selection", "test", "facts", "reduction"):
        named = [path.replace("<results>", "results/s").replace("<cache>", "cache") for path in FILES.paths(kind)]
        assert again.paths(kind) == named


def test_files_of_some_cells():
    cells = [("lab", "bios"), ("gpt", "bios")]
    assert FILES.paths("rows", cells) == ["<cache>/data/bios-bb/rows.parquet"]
    assert FILES.paths("model", cells) == ["<cache>/models/lab-5678/card.json", "<cache>/models/gpt-1234/card.json"]
    assert FILES.paths("sweep", cells) == [
        "<results>/sweep/lab/bios/layer3/rho0.1.parquet",
        "<results>/sweep/lab/bios/layer3/rho0.005.parquet",
        "<results>/sweep/gpt/bios/layer0/rho0.1.parquet",
        "<results>/sweep/gpt/bios/layer0/rho0.005.parquet",
        "<results>/sweep/gpt/bios/layer1/rho0.1.parquet",
        "<results>/sweep/gpt/bios/layer1/rho0.005.parquet",
    ]
    assert FILES.paths("landscape", cells) == ["<results>/landscape/gpt/bios/layer1.parquet"]
    assert FILES.paths("facts", cells) == ["<cache>/corpora/corpus-9/facts.parquet"]
    assert FILES.paths("test", []) == []


def test_unknown_names():
    with pytest.raises(UserError, match="'gpt2' is not in the study"):
        FILES.paths("test", [("gpt2", "bios")])


def test_folders_with_braces_in_their_names():
    folders = Folders(Path("/folder/{model}"), "cache")
    assert folders.path("selection", model="a", dataset="b") == Path("/folder/{model}/selection/a/b.json")
    assert folders.text("sweep", model="a") == "/folder/{model}/sweep/a/{dataset}/layer{layer}/rho{rho}.parquet"


def test_no_two_kinds_share_a_pattern():
    assert len(set(PATTERNS.values())) == len(PATTERNS)
    assert names_in("rooms") == ("pool_key", "chunk", "chunks")


def test_paths_need_no_heavy_library():
    code = "import sys, laser.config.paths; print({'torch', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="workflow/scripts")
    assert done.stdout == "set()\n"
