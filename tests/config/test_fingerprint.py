"""The fingerprint follows imports: an edit changes it exactly where the edited module is used."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow/scripts"
PROGRAM = """
import sys
from pathlib import Path
from laser.config.fingerprint import code_fingerprint
for name in sys.argv[1:]:
    print(code_fingerprint(Path(name)))
"""


def fingerprints(scripts, *names):
    command = [sys.executable, "-c", PROGRAM, *(str(scripts / name) for name in names)]
    done = subprocess.run(command, env={"PYTHONPATH": str(scripts)}, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.fixture
def scripts(tmp_path):
    return Path(shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__")))


def test_touching_a_file_changes_nothing(scripts):
    before = fingerprints(scripts, "sweep_layer.py")
    (scripts / "laser/engine/naive.py").touch()
    assert fingerprints(scripts, "sweep_layer.py") == before


def test_an_edit_reaches_exactly_the_scripts_that_import_it(scripts):
    names = ("sweep_layer.py", "select_intervention.py", "make_table1.py")
    before = fingerprints(scripts, *names)
    judging = scripts / "laser/tasks/judging.py"
    judging.write_text(judging.read_text() + "\n# edited\n")
    after = fingerprints(scripts, *names)
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, False, False]


def test_an_edit_of_the_script_itself(scripts):
    before = fingerprints(scripts, "make_table1.py", "make_table3.py")
    script = scripts / "make_table1.py"
    script.write_text(script.read_text() + "\n")
    after = fingerprints(scripts, "make_table1.py", "make_table3.py")
    assert before[0] != after[0]
    assert before[1] == after[1]
