"""What a person sees of it: Snakemake and the rules' scripts end with one message, and without a traceback."""

from __future__ import annotations

import json
import os

import pytest

from tests.artefacts import synthetic
from tests.artefacts.making import spec_of
from tests.hostile.test_study import MARKER
from tests.workflow.runner import FORKS, ROOT, run

STUDIES = {
    "code": f'title: !!python/object/apply:os.system ["touch {MARKER}"]\n',
    "outside": "title: x\nprotocols: [corrected]\nmodels: [../../etc]\ndatasets: [fever]\n"
    "grid: {matrices: [u_out], layers: all, rhos: [0.5]}\n",
}


@pytest.mark.parametrize("kind", STUDIES)
def test_snakemake_refuses_a_hostile_study_in_one_message(tmp_path, kind):
    path = tmp_path / f"{kind}.yaml"
    path.write_text(STUDIES[kind], encoding="utf-8")
    done = run(tmp_path, path, "all", flags=("--dry-run",))
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in said and said.count(str(path)) >= 1, said
    assert len(said.splitlines()) < 12
    assert not (tmp_path / MARKER).exists() and not (tmp_path / "results").exists()


def test_a_script_names_the_damaged_file_in_one_line(tmp_path):
    made = synthetic.build(tmp_path, examples=15, models=("m",), datasets=("fever",), layers=(0,), rhos=(0.5,))
    damaged = made.tests[0]
    damaged.write_bytes(damaged.read_bytes()[:-20])
    spec = spec_of("table1", [("m", "fever")])
    words = ["--results", tmp_path, "--cache", tmp_path / "cache", "--log", tmp_path / "log.txt"]
    script = str(ROOT / "workflow/scripts/make_artefact.py")
    done = FORKS.run(script, ["--spec", json.dumps(spec), *map(str, words)], os.environ)
    assert done.returncode == 1 and done.stdout == ""
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"[make_artefact] ERROR: {damaged}: cannot be read as Parquet")
    assert (tmp_path / "log.txt").read_text().endswith(f"\n{done.stderr}")
    assert not (tmp_path / "tables").exists()
