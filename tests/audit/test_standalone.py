"""The audit runs where nothing but Python, numpy, pandas and pyarrow is: blocked imports, an unpacked folder."""

import subprocess
import sys

from laser_audit.run import audit
from tests.workflow.runner import ROOT, tool

SCRIPT = ROOT / "workflow/scripts/tools/audit.py"
BLOCKED = (
    *("torch", "scipy", "matplotlib", "snakemake", "transformers", "safetensors", "jinja2", "yaml"),
    *("laser", "jsonschema", "datasets", "cmcrameri", "huggingface_hub"),
)
WITHOUT = f"""
import runpy, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"blocked: {{name}}")

sys.meta_path.insert(0, Blocked())
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(folder, *arguments):
    words = [sys.executable, "-c", WITHOUT, str(SCRIPT), str(folder), *arguments]
    return subprocess.run(words, capture_output=True, text=True, cwd=folder.parent, timeout=300)


def test_it_needs_no_torch_and_no_cache(study):
    done = run(study)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED" in done.stdout
    assert [path.name for path in (study / "audit").iterdir()] == ["index.html"]
    assert audit(study).passed, "its own pages are not held against a study"


def test_a_failure_is_an_exit_status_and_a_line(study):
    (study / "tables/table1.csv").write_text("nothing\n")
    done = tool("audit", study)
    assert done.returncode == 1
    assert "FAILED" in done.stdout and "tables/table1.csv" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_folder_that_is_none_is_one_message(tmp_path):
    done = tool("audit", tmp_path / "nowhere")
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR:") and "Traceback" not in done.stderr


def test_nothing_is_written_through_a_link(study, tmp_path):
    (tmp_path / "outside").mkdir()
    (study / "audit").symlink_to(tmp_path / "outside")
    done = tool("audit", study)
    assert done.returncode == 1
    assert not list((tmp_path / "outside").iterdir())
