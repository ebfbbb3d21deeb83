"""Rules for ρ beside the grid's best, and every matrix's edge, from made-up files whose answers are known."""

import pytest

from laser.artefacts import edges, rank_rules
from laser.io.files import read_json, read_parquet, read_spec, write_json
from tests.artefacts import synthetic, synthetic_more
from tests.artefacts.making import data_of, spec_of

MODEL, DATASET = "tiny-llama", "fever"
CELLS = [(MODEL, DATASET)]
OTHER = synthetic_more.OTHER


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """One cell in which the edge says another place, and the effective rank what the grid chose."""
    made = synthetic.build(tmp_path_factory.mktemp("study"), examples=60, models=(MODEL,), datasets=(DATASET,))
    path, own = made.selections[0], read_json(made.selections[0])
    for part in own["protocols"].values():
        part["candidates"].append(OTHER | {"accuracy": 55.0, "loss": 2.9, "n": 12})
    write_json(path, own)
    said = {
        protocol: {
            "edge": {"chosen": OTHER, "gain": 0.1, "candidates": 6},
            "effective_rank": {"chosen": own["protocols"][protocol]["chosen"], "gain": 0.3, "candidates": 6},
        }
        for protocol in synthetic.PROTOCOLS
    }
    at = {key: OTHER[key] for key in ("matrix", "layer", "rho")}
    synthetic_more.labelled(made, 0, "rank_rules", {tuple(at.values()): (0.7, 2.0)}, {"ruled": said, "names": list(at)})
    return made


@pytest.fixture(scope="module")
def table(study, tmp_path_factory):
    (frame,) = data_of(study.folder, spec_of("rank_rules", CELLS), tmp_path_factory.mktemp("made"))
    return frame.set_index(["protocol", "rule"])


@pytest.mark.parametrize("protocol", synthetic.PROTOCOLS)
def test_a_rules_rows_are_compared_with_base_and_with_the_grids_best(study, table, protocol):
    tested, moved = read_parquet(study.tests[0]), read_parquet(study.folder / f"rank_rules/{MODEL}/{DATASET}.parquet")
    base, laser = (
        100 * tested[(tested["protocol"] == protocol) & (tested["arm"] == arm)]["correct"].mean()
        for arm in ("base", "laser")
    )
    own = 100 * moved[moved["protocol"] == protocol]["correct"].mean()
    row = table.loc[(protocol, "edge")]
    assert row["difference"] == pytest.approx(own - base) and row["over_grid"] == pytest.approx(own - laser)
    assert (row["validation_accuracy"], row["candidates"], row["kept_rank"]) == (55.0, 6, OTHER["kept_rank"])
    grid = table.loc[(protocol, "grid")]
    assert grid["difference"] == pytest.approx(laser - base) and grid["candidates"] == 2
    assert grid[["over_grid", "p_holm"]].isna().all()


def test_a_rule_that_says_what_the_grid_chose_differs_by_nothing(table):
    same = table.xs("effective_rank", level="rule")
    assert (same["over_grid"] == 0).all() and (same["over_grid_p"] == 1).all()
    assert (same["difference"] == table.xs("grid", level="rule")["difference"]).all()


def test_the_view_has_a_line_for_each_rule(study, table):
    views = rank_rules.views(table.reset_index())
    assert [view.name for view in views] == [f"rank_rules_{protocol}" for protocol in synthetic.PROTOCOLS]
    assert all([row[2] for row in view.rows] == list(rank_rules.NAMES.values()) for view in views)
    assert "ruled" in read_spec(study.folder / f"rank_rules/{MODEL}/{DATASET}.parquet")


def test_edges_are_shares_of_the_variance_and_the_grids_nearest_rho():
    record = {"matrix": "u_in", "layer": 3, "shape": [64, 32], "median": 1.0, "noise": 0.1, "edge": 1.4, "above": 3}
    record |= {"share_above": 0.25, "effective_rank": 27.9}
    (line,) = edges.edges([{"model": "m", "matrices": [record]}], [0.9, 0.5, 0.1]).to_dict("records")
    assert (line["rows"], line["columns"], line["share_above"], line["above"]) == (64, 32, 25.0, 3)
    assert (line["rho_edge"], line["rho_effective_rank"]) == (0.1, 0.9)
    (view,) = edges.views(edges.edges([{"model": "m", "matrices": [record]}], [0.9, 0.5, 0.1]))
    assert view.rows[0][3] == "64 × 32" and len(view.rows[0]) == len(view.columns)
