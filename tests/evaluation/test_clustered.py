"""Clusters of rows: k-means, the reduced matrix, and an evaluation that is the plain model with that matrix in it."""

import pandas as pd
import pytest
import torch

from laser.evaluation.cell import answers_for, chosen_edit, result_rows
from laser.evaluation.row_clusters import decomposed, k_means, kept_parameters, reduced
from laser.io.files import read_json, read_parquet, read_spec, write_json
from laser.models.adapter import parameter_view
from laser.reduction.svd import exact_svd
from tests.evaluation.tiny_cell import TinyCell

CHOSEN = {"matrix": "u_out", "layer": 1, "rho": 0.5, "kept_rank": 16}
SPEC = {"clusters": [1, 3], "rhos": [0.5, 0.1]}


def blobs(sizes=(7, 4, 9), width=6, spread=0.01, seed=0):
    """Return rows around far centres, in a mixed order, and which blob each is of."""
    generator = torch.Generator().manual_seed(seed)
    belongs = torch.cat([torch.full((size,), number) for number, size in enumerate(sizes)])
    belongs = belongs[torch.randperm(len(belongs), generator=generator)]
    centres = 10 * torch.randn(len(sizes), width, generator=generator)
    return centres[belongs] + spread * torch.randn(len(belongs), width, generator=generator), belongs


@pytest.mark.parametrize("seed", range(5))
def test_k_means_finds_what_is_apart(seed):
    points, belongs = blobs()
    labels = k_means(points, 3, seed)
    pairs = set(zip(labels.tolist(), belongs.tolist(), strict=True))
    assert len(pairs) == 3 and torch.equal(labels, k_means(points, 3, seed))


@pytest.mark.parametrize(("points", "distinct"), [(torch.ones(5, 3), 1), (torch.eye(3)[[0, 1, 0, 1, 1]], 2)])
def test_no_more_clusters_than_distinct_rows(points, distinct):
    assert len(set(k_means(points, 4, 0).tolist())) == distinct
    clusters = decomposed(points, 4, 0)
    assert len(clusters) == distinct and torch.allclose(reduced(clusters, 1.0), points, atol=1e-6)


def test_more_clusters_than_rows_leaves_every_row_alone():
    points = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    assert sorted(k_means(points, 9, 0).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
@pytest.mark.parametrize("rho", [0.0, 0.25, 0.5, 1.0])
def test_one_cluster_is_the_truncated_svd(shape, rho):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, s, vt = torch.linalg.svd(weight, full_matrices=False)
    kept = int(rho * 12)
    clusters = decomposed(weight, 1, 0)
    assert torch.allclose(reduced(clusters, rho), (u[:, :kept] * s[:kept]) @ vt[:kept], atol=1e-5)
    assert kept_parameters(clusters, rho) == kept * sum(shape)


def test_every_cluster_is_reduced_on_its_own():
    points, belongs = blobs(width=6, spread=1.0)
    clusters = decomposed(points, 3, 0)
    matrix = reduced(clusters, 0.5)
    for blob, kept in ((0, 3), (1, 2), (2, 3)):
        rows = points[belongs == blob]
        factors = exact_svd(rows)
        assert torch.allclose(
            matrix[belongs == blob], (factors.u[:, :kept] * factors.s[:kept]) @ factors.vt[:kept], atol=1e-4
        )
    assert kept_parameters(clusters, 0.5) == 3 * 13 + 2 * 10 + 3 * 15


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    cell = TinyCell(tmp_path_factory.mktemp("clustered"), "llama", "worldfacts")
    chosen = {"published": None, "corrected": CHOSEN}
    candidates = [CHOSEN | {"matrix": "u_in"}] if "u_in" in cell.matrices else [CHOSEN | {"matrix": "u_gate"}]
    protocols = {name: {"chosen": choice, "candidates": candidates} for name, choice in chosen.items()}
    write_json(cell.folder / "selection.json", {"protocols": protocols})
    path = cell.run("evaluate_clustered", SPEC, "clustered.parquet", selection=cell.folder / "selection.json")
    return cell, read_parquet(path), read_spec(path), path


def test_rows_are_those_of_each_side(ran):
    cell, frame, spec, _ = ran
    data = read_parquet(cell.data)
    for (protocol, split, count, rho), rows in frame.groupby(["protocol", "split", "clusters", "rho"]):
        assert list(rows["id"]) == list(data.loc[data[f"split_{protocol}"] == split, "id"])
        best = spec["chosen"][protocol]
        assert split == "validation" or (count, rho) == (best["clusters"], best["rho"])
    parts = frame[frame["split"] == "validation"].groupby(["protocol", "clusters", "rho"]).ngroups
    assert parts == 2 * len(SPEC["clusters"]) * len(SPEC["rhos"])
    assert spec["places"]["corrected"] == {"matrix": "u_out", "layer": 1}
    assert spec["places"]["published"]["matrix"] != "u_out", "of the best candidate, where base was chosen"


def test_one_cluster_is_laser(ran):
    cell, frame, _, _ = ran
    for side in ("validation",):
        opened = cell.open(side)
        (answers,) = answers_for(opened, [chosen_edit(opened, "corrected", CHOSEN)], lambda done: None)
        expected = result_rows(opened, answers, "corrected").reset_index(drop=True)
        rows = frame[(frame["protocol"] == "corrected") & (frame["clusters"] == 1) & (frame["rho"] == 0.5)]
        rows = rows[rows["split"] == side].reset_index(drop=True)
        assert (rows["loss"] - expected["loss"]).abs().max() < 1e-4
        assert list(rows["correct"]) == list(expected["correct"])


def test_clusters_are_the_plain_model_with_the_matrix_in_it(ran):
    cell, frame, _, _ = ran
    opened = cell.open("validation")
    loaded = opened.loaded
    view = parameter_view(loaded.model, loaded.config, 1, "u_out", loaded.mapping)
    before = view.detach().clone()
    with torch.no_grad():
        view.copy_(reduced(decomposed(before, 3, 0), 0.1))
    assert not torch.allclose(view, before)
    (answers,) = answers_for(opened, [()], lambda done: None)
    expected = result_rows(opened, answers, "corrected").set_index("id")["loss"]
    rows = frame[(frame["protocol"] == "corrected") & (frame["clusters"] == 3) & (frame["rho"] == 0.1)]
    rows = rows[rows["split"] == "validation"].set_index("id")["loss"]
    assert (rows - expected).abs().max() < 1e-4 and len(rows) == len(expected)


def test_the_best_on_validation_is_tested(ran):
    _, frame, spec, _ = ran
    rows = frame[frame["split"] == "validation"]
    for protocol, best in spec["chosen"].items():
        means = rows[rows["protocol"] == protocol].groupby(["clusters", "rho"])[["correct", "loss"]].mean()
        top = means[means["correct"] == means["correct"].max()]
        assert (best["clusters"], best["rho"]) in set(top[top["loss"] == top["loss"].min()].index)


def test_two_runs_write_the_same_bytes_and_fewer_rows_are_the_first(ran):
    cell, frame, _, path = ran
    selection = cell.folder / "selection.json"
    again = cell.run("evaluate_clustered", SPEC, "again.parquet", selection=selection)
    assert again.read_bytes() == path.read_bytes()
    few = read_parquet(cell.run("evaluate_clustered", SPEC | {"rows": 3}, "few.parquet", selection=selection))
    part = few[few["split"] == "validation"].groupby(["protocol", "clusters", "rho"]).size()
    assert set(part) == {3}
    both = few[few["split"] == "validation"].merge(frame, on=["protocol", "split", "clusters", "rho", "id"])
    assert (both["loss_x"] - both["loss_y"]).abs().max() < 1e-4 and read_json(selection)
    assert isinstance(few, pd.DataFrame)
