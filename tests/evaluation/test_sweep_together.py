"""Sweeps of several datasets in one job: the same rows as separate sweeps, with shared prompts run once."""

import pandas as pd
import pytest

from laser.config.specs import EvaluationSpec, read_spec
from laser.cost.inputs import asked_from
from laser.evaluation.cell import cell_of
from laser.evaluation.sweep import joined, separated
from laser.io.files import read_parquet, write_parquet
from laser.io.files import read_spec as spec_of
from laser.tasks.passes import Answers
from tests.evaluation.tiny_cell import LAYERS, TinyCell, rows

RHOS = [0.5, 0.1]
OPTIONS, GENERATED = "fever", "qa_wikidata"
"""One dataset that is scored by its options and one whose answers are generated, about the same prompts."""


def dataset_of(builder):
    return {"name": builder, "key": f"{builder}-k", "builder": builder}


def both(folder, family):
    """Return a cell on one dataset, in whose cache the other one's rows are too."""
    cell = TinyCell(folder, family, OPTIONS)
    other = rows(OPTIONS).assign(id=lambda frame: "qa-" + frame["id"], answer="Cairo", options=[[]] * 30)
    write_parquet(cell.folders.path("rows", data_key=f"{GENERATED}-k"), other, {})
    return cell


def swept(cell, script, spec):
    cell.script(script, spec)
    return {
        (builder, rho): cell.folders.path("sweep", **cell.cell | {"dataset": builder}, layer=spec["layer"], rho=rho)
        for builder in (OPTIONS, GENERATED)
        for rho in RHOS
    }


@pytest.mark.parametrize(("family", "engine"), [("llama", "fast"), ("roberta", "fast"), ("llama", "naive")])
def test_the_rows_are_those_of_separate_sweeps(tmp_path, family, engine):
    cell = both(tmp_path, family)
    spec = {"layer": LAYERS - 2, "rhos": RHOS, "matrices": cell.matrices[-2:], "engine": engine}
    datasets = [dataset_of(OPTIONS), dataset_of(GENERATED)]
    files = swept(cell, "sweep_together", spec | {"together": datasets})
    together = {key: (read_parquet(path), spec_of(path)) for key, path in files.items()}
    for dataset in datasets:
        swept(cell, "sweep", spec | {"dataset": dataset})
    for (builder, rho), path in files.items():
        frame, metadata = together[builder, rho]
        alone = read_parquet(path)
        assert len(alone) > 10
        numbers = ["loss", "logprob"]
        assert (frame[numbers] - alone[numbers]).abs().max(axis=None) < 1e-4
        pd.testing.assert_frame_equal(frame.drop(columns=numbers), alone.drop(columns=numbers))
        assert metadata.pop("together") == datasets and metadata == spec_of(path)


def test_prompts_of_both_are_run_once_and_answers_go_back_to_their_dataset(tmp_path):
    first = both(tmp_path, "llama").open()
    other = read_spec(
        EvaluationSpec, TinyCell(tmp_path, "llama", OPTIONS).spec | {"dataset": dataset_of(GENERATED)}, ""
    )
    path = tmp_path / f"cache/data/{GENERATED}-k/rows.parquet"
    second = cell_of(other, first.loaded, path, first.store, "validation")
    whole = joined([first, second])
    counted = [asked_from(cell.questions.requests, 1, causal=True).nodes for cell in (first, second, whole)]
    assert counted[2] < 0.8 * (counted[0] + counted[1])
    requests = whole.questions.requests
    parts = list(separated([first, second], Answers(list(requests.passes), list(requests.generations))))
    for cell, part in zip((first, second), parts, strict=True):
        assert tuple(part.passes) == cell.questions.requests.passes
        assert tuple(part.generations) == cell.questions.requests.generations
    assert not first.questions.requests.generations and second.questions.requests.generations
