"""The landscape: every kind, matrix and rho of a layer on validation rows, both engines alike."""

import itertools

import pytest

from laser.errors import UserError
from laser.evaluation.cell import first_rows, of_protocol
from laser.evaluation.landscape import landscape_intervention
from laser.io.files import read_parquet, read_spec
from laser.reduction.interventions import Intervention
from tests.evaluation.tiny_cell import TinyCell, by_family, rows

KINDS = ["svd", "pruning", "smallest", "clustered"]
ONE_EDIT = KINDS[:3]
RHOS = [0.9, 0.4, 0.025]
LABELS = ["protocol", "kind", "matrix", "layer", "rho"]
BUILDERS = {"llama": "worldfacts", "gptj": "fever", "roberta": "qa_wikidata"}


@pytest.fixture(scope="module")
def cell_of(tmp_path_factory):
    return by_family(tmp_path_factory, lambda folder, family: TinyCell(folder, family, BUILDERS[family]))


def settings(cell, layer=1, **changes):
    return {"layer": layer, "kinds": KINDS, "matrices": cell.matrices, "rhos": RHOS, "clusters": 3} | changes


@pytest.fixture(scope="module")
def every_row(cell_of):
    """The landscape of a layer, from all validation rows."""
    cell = cell_of("llama")
    return read_parquet(cell.run("landscape", settings(cell, rows=None), "all.parquet"))


def test_engines_agree_on_every_example(cell_of):
    cell = cell_of("gptj")
    fast, naive = (
        read_parquet(cell.run("landscape", settings(cell, engine=engine, rhos=[0.4]), f"{engine}.parquet"))
        for engine in ("fast", "naive")
    )
    fast, naive = (frame.set_index([*LABELS, "id"]) for frame in (fast, naive))
    assert fast.index.equals(naive.index)
    for column in ("loss", "logprob"):
        assert (fast[column] - naive[column]).abs().max() < 1e-4
    for column in ("correct", "prediction", "answer_tokens"):
        assert (fast[column] == naive[column]).all(), column
    assert (fast["answer_rank"] != naive["answer_rank"]).mean() < 0.01


def test_every_combination_once_on_validation_rows_alone(cell_of, every_row):
    cell = cell_of("llama")
    data = read_parquet(cell.data)
    combinations = set(itertools.product(cell.spec["protocols"], KINDS, cell.matrices, [1], RHOS))
    assert set(map(tuple, every_row[LABELS].drop_duplicates().to_numpy())) == combinations
    for key, part in every_row.groupby(LABELS):
        expected = data.loc[data[f"split_{key[0]}"] == "validation", "id"].tolist()
        assert part["id"].tolist() == expected


def test_the_first_rows_are_those_of_the_whole(cell_of, every_row):
    cell = cell_of("llama")
    few = read_parquet(cell.run("landscape", settings(cell, rows=4, matrices=["u_in"], rhos=[0.4]), "few.parquet"))
    assert (few.groupby(LABELS).size() == 4).all()
    first = (
        every_row[(every_row["matrix"] == "u_in") & (every_row["rho"] == 0.4)]
        .groupby(LABELS)
        .head(4)
        .set_index([*LABELS, "id"])
    )
    few = few.set_index([*LABELS, "id"])
    assert first.index.equals(few.index)
    assert (first["loss"] - few["loss"]).abs().max() < 1e-5
    assert (first["prediction"] == few["prediction"]).all()


def test_same_bytes_twice_and_the_spec_in_the_file(cell_of):
    cell = cell_of("gptj")
    one, other = (
        cell.run("landscape", settings(cell, rhos=[0.1], matrices=["u_in"]), name)
        for name in ("a.parquet", "b.parquet")
    )
    assert one.read_bytes() == other.read_bytes()
    spec = read_spec(one)
    assert spec["kinds"] == KINDS
    assert spec["layer"] == 1
    assert spec["run"]["interventions"]["published"]["kind"] == "randomised"


def test_kinds_are_the_protocols_own_step_and_two_controls(cell_of):
    opened = cell_of("roberta").open()
    made = {
        (protocol, kind): landscape_intervention(opened, protocol, kind, "u_in", 1, 0.1)
        for protocol in ("published", "corrected")
        for kind in ONE_EDIT
    }
    assert made["published", "svd"] == Intervention("u_in", 1, 0.1, "randomised", niter=20, seed=0)
    assert made["corrected", "svd"] == Intervention("u_in", 1, 0.1, "svd")
    assert made["published", "pruning"] == made["corrected", "pruning"] == Intervention("u_in", 1, 0.1, "pruning")
    assert made["published", "smallest"] == Intervention("u_in", 1, 0.1, "smallest")
    with pytest.raises(UserError, match=r"prunning.*pruning"):
        landscape_intervention(opened, "corrected", "prunning", "u_in", 1, 0.1)


def test_kinds_change_the_numbers_in_ways_of_their_own(every_row):
    frame = every_row[(every_row["protocol"] == "corrected") & (every_row["rho"] > 0.025)]  # there none is left
    means = frame.pivot_table("loss", ["matrix", "rho"], "kind")
    for one, other in itertools.combinations(KINDS, 2):
        assert ((means[one] - means[other]).abs() > 1e-6).all()


def test_subsets_keep_their_own_requests(cell_of):
    whole = cell_of("roberta").open()
    few = first_rows(whole, 3)
    assert {name: len(ids) for name, ids in few.sides.items()} == {"published": 3, "corrected": 3}
    by_id = {one.example.id: one for one in whole.questions.items}
    assert len(few.questions.requests.passes) == sum(len(one.passes) for one in few.questions.items)
    for one in few.questions.items:
        original = by_id[one.example.id]
        assert [few.questions.requests.passes[index] for index in one.passes] == [
            whole.questions.requests.passes[index] for index in original.passes
        ]
    own = of_protocol(whole, "corrected")
    assert [one.example.id for one in own.questions.items] == [
        one.example.id for one in whole.questions.items if one.example.id in whole.sides["corrected"]
    ]
    assert set(own.sides) == {"corrected"}
    assert first_rows(whole, None) is whole


def test_generations_of_a_subset_are_those_of_its_examples(cell_of):
    whole = cell_of("llama").open()
    own = of_protocol(whole, "corrected")
    assert 0 < len(own.questions.requests.generations) < len(whole.questions.requests.generations)
    for one in own.questions.items:
        assert own.questions.requests.generations[one.generation].ids == one.prompt_ids


def test_test_rows_play_no_part(cell_of, tmp_path):
    cell = TinyCell(tmp_path)
    one_matrix = settings(cell, rhos=[0.4], matrices=["u_in"])
    before = cell.run("landscape", one_matrix, "a.parquet").read_bytes()
    changed, other = rows("worldfacts"), rows("worldfacts", seed=5)
    test = (changed["split_published"] == "test") & (changed["split_corrected"] == "test")
    changed.loc[test, ["text", "prompt", "answer"]] = other.loc[test, ["text", "prompt", "answer"]]
    assert not changed.equals(rows("worldfacts"))
    cell.write_rows(changed)
    assert cell.run("landscape", one_matrix, "b.parquet").read_bytes() == before
