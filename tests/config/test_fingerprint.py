"""The fingerprint of code: which edits of a module leave it, and which jobs each edit of the package runs again."""

import ast
import shutil
from pathlib import Path

import pytest

from laser.config import fingerprint
from laser.config.artefacts import artefact_code
from laser.config.fingerprint import NO_RESULT, UNUSED_BY_TASK, code_fingerprint, modules_behind, unused_modules
from laser.config.jobs import job_spec
from laser.config.plan import Plan
from laser.config.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "workflow/scripts"

MODULE = '''"""A module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from laser.tasks.judging import normalise

LIMIT = 10
"""The most of them."""


@dataclass(frozen=True)
class Row:
    """A row."""

    text: str
    count: int = 0


class Pair(NamedTuple):
    first: int


def judged(rows: Sequence[Row], limit: int = LIMIT) -> list[str]:
    """Return the normalised texts."""
    made: list[str] = []
    for row in rows[:limit]:
        # An empty text is none.
        if row.text:
            made.append(normalise(row.text))
    return made
'''
SAME = {
    "comment": ("# An empty text is none.", "# Nothing is said of it."),
    "comment removed": ("        # An empty text is none.\n", ""),
    "docstring of the module": ('"""A module."""', '"""Another text."""'),
    "docstring of a function": ("Return the normalised texts.", "Return them."),
    "docstring removed": ('    """A row."""\n\n', ""),
    "text below a constant": ("The most of them.", "How many."),
    "annotation of an argument": ("rows: Sequence[Row]", "rows: list[Row]"),
    "annotation removed": ("limit: int = LIMIT", "limit=LIMIT"),
    "annotation of the result": (" -> list[str]", ""),
    "annotation of a variable": ("made: list[str] = []", "made = []"),
    "type of a field": ("count: int = 0", "count: float = 0"),
    "import for annotations": ("import Sequence", "import Sequence, Iterator"),
    "import for type checkers": ("LIMIT =",
                                 "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os\nLIMIT ="),
    "order of imports": ("from dataclasses import dataclass\nfrom typing import NamedTuple\n",
                         "from typing import NamedTuple\nfrom dataclasses import dataclass\n"),
    "layout": ("normalise(row.text)", "normalise(\n                row.text,\n            )"),
    "quotes and parentheses": ("if row.text:", "if (row.text):"),
}  # fmt: skip
OTHER = {
    "constant": ("LIMIT = 10", "LIMIT = 11"),
    "type of a constant": ("LIMIT = 10", "LIMIT = 10.0"),
    "default": ("limit: int = LIMIT", "limit: int = 5"),
    "name of an argument": ("limit: int = LIMIT", "most: int = LIMIT"),
    "operator": ("if row.text:", "if not row.text:"),
    "statement": ("    return made", "    made.sort()\n    return made"),
    "field": ("    text: str\n", "    text: str\n    more: str\n"),
    "order of fields": ("    text: str\n    count: int = 0", "    count: int = 0\n    text: str"),
    "annotation that makes a field": ("count: int = 0", "count = 0"),
    "annotation that unmakes a field": ("count: int = 0", "count: ClassVar[int] = 0"),
    "annotation that a base class reads": ("first: int", "first: float"),
    "decorator": ("@dataclass(frozen=True)", "@dataclass"),
    "import of the package": ("import normalise", "import contains as normalise"),
    "import that is used": ("from dataclasses import dataclass", "from attrs import define as dataclass"),
    "text that is used": ("if row.text:", "if row.text == 'x':"),
}  # fmt: skip


def digest(folder, text):
    path = folder / "module.py"
    path.write_text(text)
    fingerprint.read_module.cache_clear()
    return fingerprint.read_module(path).digest


@pytest.mark.parametrize("name", SAME)
def test_what_has_no_meaning_leaves_the_fingerprint(tmp_path, name):
    before, after = SAME[name]
    assert before in MODULE
    assert digest(tmp_path, MODULE.replace(before, after)) == digest(tmp_path, MODULE)


@pytest.mark.parametrize("name", OTHER)
def test_what_has_a_meaning_changes_it(tmp_path, name):
    before, after = OTHER[name]
    assert before in MODULE
    assert digest(tmp_path, MODULE.replace(before, after)) != digest(tmp_path, MODULE)


def test_versions_of_python_agree_on_an_f_string():
    # Python 3.12.1 writes an empty text between two values of some f-strings, other versions none.
    plain = ast.parse("x = f'{a}{b:>{width}}'")
    padded = ast.parse("x = f'{a}{b:>{width}}'")
    for node in list(ast.walk(padded)):
        if isinstance(node, ast.JoinedStr):
            node.values.append(ast.Constant(""))
    assert fingerprint._Meaning(plain).digest() == fingerprint._Meaning(padded).digest()


def test_imports_inside_functions_count_and_those_for_type_checkers_do_not(tmp_path):
    package = tmp_path / "laser"
    package.mkdir()
    texts = {
        "__init__": "",
        "a": "def f():\n    from laser.b import g\n    return g()\n",
        "b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from laser import c\ndef g():\n    return 1\n",
        "c": "",
    }
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text)
    script = tmp_path / "make.py"
    script.write_text("import laser.a\nlaser.a.f()\n")
    assert modules_behind(script, scripts=tmp_path) == ["laser.a", "laser.b"]
    assert modules_behind("laser.a", scripts=tmp_path) == ["laser.a", "laser.b"]
    assert code_fingerprint(script, scripts=tmp_path) != code_fingerprint("laser.a", scripts=tmp_path)


def test_what_is_left_out_exists_and_says_why():
    for name, reason in NO_RESULT.items():
        assert modules_exist(name) and len(reason) > 10
    for names in UNUSED_BY_TASK.values():
        assert all(map(modules_exist, names))


def modules_exist(name):
    path = SCRIPTS.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def test_a_dataset_rests_on_its_own_module_and_what_that_imports():
    script = SCRIPTS / "prepare.py"
    behind = {
        name for name in modules_behind(script, unused=unused_modules(builder="bios_gender")) if ".datasets." in name
    }
    assert {name.rpartition(".")[2] for name in behind} == {"_bios", "_rows", "bios_gender"}


# A list of edits, and exactly the jobs of two studies that each of them runs again.

LANGUAGE = {"base", "sweep", "test", "gradients", "landscape", "compose", "seeds", "prompts", "higher_order", "choices"}
LANGUAGE |= {"transfer"}
LANGUAGE |= {"baselines"}
LANGUAGE |= {"rank_rules"}
JUDGED = LANGUAGE | {"prepare", "perplexity"}
SOKOBAN = {"rooms", "episodes", "train_policy", "play", "sweep_policy", "fig6"}
EDITS = {
    "a docstring of the host's facts": ("laser/io/machine.py", "DOC", set()),
    "the host's facts": ("laser/io/machine.py", "CODE", set()),
    "progress and log": ("laser/provenance/job.py", "CODE", set()),
    "the wording of messages": ("laser/errors.py", "CODE", set()),
    "a copy on the node's disk": ("laser/cluster/local_copy.py", "CODE", set()),
    "a comment about rooms": ("laser/sokoban/observations.py", "COMMENT", set()),
    "what a policy sees": ("laser/sokoban/observations.py", "CODE", SOKOBAN),
    "how a policy plays": ("laser/policies/engine.py", "CODE", {"play", "sweep_policy"}),
    "how a room is solved": ("laser/sokoban/solver.py", "CODE", {"rooms", "episodes", "train_policy"}),
    "the engine of language models": ("laser/engine/fast.py", "CODE", LANGUAGE | {"perplexity"}),
    "how answers are judged": ("laser/tasks/judging.py", "CODE", JUDGED),
    "how a dataset is built": ("laser/tasks/datasets/fever.py", "CODE", set()),
    "how the study's dataset is built": ("laser/tasks/datasets/worldfacts.py", "CODE", {"prepare", "corpus"}),
    "how a corpus is written": ("laser/training/corpus.py", "CODE", {"corpus"}),
    "the choice": ("laser/evaluation/select.py", "CODE", {"select", "gradients", "choices", "compose", "seeds"}),
    "what is known of an architecture": ("laser/config/architectures.py", "CODE",
        LANGUAGE | {"perplexity", "reduce", "play", "sweep_policy"}),
    "a figure": ("laser/artefacts/fig6.py", "CODE", {"fig6"}),
    "a table": ("laser/artefacts/table1.py", "CODE", {"table1"}),
    "the script of a sweep": ("sweep.py", "CODE", {"sweep", "sweep_policy"}),
}  # fmt: skip
CHANGES = {
    "DOC": lambda text: text.replace('"""', '"""In two words. ', 1),
    "COMMENT": lambda text: text.replace("\n\n", "\n\n# A word on it.\n", 1),
    "CODE": lambda text: f"{text}\nCHANGED = True\n",
}


@pytest.fixture(scope="module")
def plans():
    """The laboratory and the Sokoban study."""
    config = read_yaml(ROOT / "config/config.yaml")
    return [Plan.load(config | {"study": name}, ROOT) for name in ("laboratory", "sokoban")]


def codes(plans, scripts):
    """The fingerprint of every kind of job, with the package in `scripts`."""
    laboratory, sokoban = (Plan(plan.study, plan.config, scripts) for plan in plans)
    model, data = laboratory.models[0], laboratory.datasets[0]
    player, rooms = sokoban.models[0], sokoban.datasets[0]
    scripts_of_cells = {
        "base": "base",
        "sweep": "sweep",
        "test": "test_intervention",
        "gradients": "gradients",
        "landscape": "landscape",
        "compose": "compose_layers",
        "seeds": "evaluate_seeds",
        "prompts": "evaluate_prompts",
        "higher_order": "evaluate_higher_order",
        "perplexity": "evaluate_perplexity",
        "baselines": "evaluate_baselines",
        "choices": "evaluate_choices",
        "transfer": "evaluate_transfer",
        "rank_rules": "evaluate_rank_rules",
    }
    return {name: laboratory.code(script, model, data) for name, script in scripts_of_cells.items()} | {
        "fetch": laboratory.code("fetch"),
        "corpus": laboratory.code("corpus"),
        "train": laboratory.code("train"),
        "prepare": laboratory.code("prepare", dataset=data),
        "reduce": laboratory.code("reduce", model),
        "select": laboratory.code("select_intervention"),
        "table1": artefact_code("table1", scripts),
        "rooms": sokoban.code("rooms"),
        "episodes": sokoban.code("episodes"),
        "train_policy": sokoban.code("train_policy"),
        "play": sokoban.code("base", player, rooms),
        "sweep_policy": sokoban.code("sweep", player, rooms),
        "fig6": artefact_code("fig6", scripts),
    }


@pytest.fixture(scope="module")
def edited(tmp_path_factory, plans):
    """A copy of the scripts, and the fingerprints before any edit."""
    scripts = tmp_path_factory.mktemp("edited") / "scripts"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    return scripts, codes(plans, scripts)


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_runs_exactly_the_jobs_again_that_it_can_change(edited, plans, name, monkeypatch):
    scripts, before = edited
    file, change, expected = EDITS[name]
    path = scripts / file
    text = path.read_text()
    unedited = fingerprint.read_module
    monkeypatch.setattr(fingerprint, "read_module", lambda of: unedited.__wrapped__(of) if of == path else unedited(of))
    fingerprint._fingerprint.cache_clear()
    try:
        path.write_text(CHANGES[change](text))
        assert path.read_text() != text
        after = codes(plans, scripts)
    finally:
        path.write_text(text)
        fingerprint._fingerprint.cache_clear()
    assert {job for job in before if before[job] != after[job]} == expected


def test_a_plan_passes_its_fingerprints_on_to_the_specs(plans):
    laboratory, sokoban = plans
    model, data = laboratory.cells()[0]
    player, rooms = sokoban.cells()[0]
    cell, game = {"model": model, "dataset": data}, {"model": player, "dataset": rooms}
    assert laboratory.code("sweep", model, data) in job_spec(laboratory, "sweep", cell | {"layer": "0"})
    assert laboratory.code("base", model, data) in job_spec(laboratory, "base", cell)
    assert sokoban.code("sweep", player, rooms) in job_spec(sokoban, "sweep", game | {"layer": "0"})
    assert sokoban.code("sweep", player, rooms) != laboratory.code("sweep", model, data)
