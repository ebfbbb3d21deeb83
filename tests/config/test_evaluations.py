"""What a study evaluates beside its sweep: defaults, cells, and one message for what cannot be."""

import copy
from pathlib import Path

import pytest

from laser.config import variants
from laser.config.evaluations import RUNS
from laser.config.searches import GRADIENT, RACING, searches_by
from laser.config.settings import EVALUATIONS, Clustered
from laser.config.study import resolve
from laser.config.validation import check
from laser.errors import UserError
from tests.config.test_study import PATH, ROOT, study

TRAINED = {
    "name": "lab",
    "dtype": "fp32",
    "architecture": "gptj",
    "task": "causal",
    "layers": 4,
    "parameters": 1,
    "source": {
        "kind": "trained",
        "family": "gptj",
        "layers": 4,
        "hidden": 32,
        "intermediate": 64,
        "heads": 2,
        "vocabulary": 500,
        "positions": 64,
        "corpus": {
            "zipf": {"exponent": 1, "least": 1, "most": 9},
            "noise": {"level": 0.75, "frequent_share": 0.2},
            "seed": 0,
        },
        "training": {"steps": 10, "batch": 4, "learning_rate": 0.001, "seed": 0},
    },
}
MASKED = {
    "name": "mask",
    "dtype": "fp32",
    "architecture": "roberta",
    "layers": 2,
    "source": {"kind": "local", "path": "x"},
}


def made(**changes):
    return resolve(study(**changes), PATH, ROOT)


def test_a_run_covers_every_cell_unless_it_names_some():
    models = [*study()["models"], MASKED]
    found = made(models=models, compose={"models": ["mask"]}, seeds={})
    assert found["compose"]["cells"] == [["mask", "worldfacts"]]
    assert found["seeds"] == {"count": 5, "cells": [["tiny", "worldfacts"], ["mask", "worldfacts"]]}
    assert found["compose"]["rhos"] == found["rhos"]


def test_landscape_has_the_papers_reductions_on_every_matrix_of_the_architecture():
    grid = made(landscape={})["landscape"]
    assert grid["grid"]["tiny"] == {"matrices": ["q", "k", "v", "o", "u_in", "u_gate", "u_out"], "layers": [0, 1]}
    assert len(grid["rhos"]) == 15 and grid["rhos"][0] == 0.9 and grid["rhos"][-1] == 0.0025


def test_perplexity_leaves_out_masked_models_and_those_without_a_corpus():
    found = made(models=[*study()["models"], MASKED, TRAINED], perplexity={})
    assert found["perplexity"]["cells"] == [["lab", "worldfacts"]]


def test_clusters_take_the_values_of_the_grid_and_numbers_in_order():
    found = made(clustered={"clusters": [8, 1], "models": ["tiny"]})
    cells = [["tiny", "worldfacts"]]
    assert found["clustered"] == {"clusters": [1, 8], "rhos": found["rhos"], "cells": cells}
    assert made(clustered={"rhos": [0.1, 0.2], "rows": 5})["clustered"]["rhos"] == [0.2, 0.1]


@pytest.mark.parametrize("clusters", [[0], [], [2, 2], [1.5], "all"])
def test_numbers_of_clusters_are_checked(clusters):
    with pytest.raises(UserError, match=r"study\.yaml: clusters"):
        check({"clusters": clusters}, Clustered, Path("study.yaml"))


def own_rows_with(**columns):
    source = {"kind": "local", "files": "rows.csv"}
    return {
        "name": "own",
        "builder": "generic",
        "source": source,
        "columns": {"question": "q", "answer": "a"} | columns,
    }


def test_efficacy_covers_the_datasets_that_have_false_targets():
    found = made(datasets=["worldfacts", "counterfact", own_rows_with(false_answer="wrong")], efficacy={})
    assert found["efficacy"]["cells"] == [["tiny", "counterfact"], ["tiny", "own"]]


@pytest.mark.parametrize("dataset", ["worldfacts", own_rows_with()])
def test_efficacy_without_false_targets_is_refused(dataset):
    with pytest.raises(UserError, match=r"false_answer.*none among its datasets"):
        made(datasets=[dataset], efficacy={})


def test_variants_are_models_of_their_own():
    varied = copy.deepcopy(TRAINED) | {"vary": {"noise": [0, 0.5], "seed": [3]}}
    deeper = copy.deepcopy(TRAINED) | {"vary": {"layers": [6]}}
    found = made(models=[varied, deeper], grid={"matrices": ["u_out"], "layers": "all", "rhos": [0.5]})
    assert [one["name"] for one in found["models"]] == ["lab-noise0-seed3", "lab-noise0.5-seed3", "lab-layers6"]
    assert found["models"][0]["source"]["corpus"]["noise"]["level"] == 0
    assert found["models"][1]["source"]["training"]["seed"] == found["models"][1]["source"]["corpus"]["seed"] == 3
    assert found["grid"]["lab-layers6"]["layers"] == list(range(6)) and "parameters" not in found["models"][2]
    assert found["models"][2]["source"]["corpus"]["noise"]["level"] == 0.75


def test_seeds_of_training_and_corpus_vary_together_or_apart():
    apart = copy.deepcopy(TRAINED) | {"vary": {"training": [1, 2], "corpus": [7, 8]}}
    half = copy.deepcopy(TRAINED) | {"vary": {"corpus": [9]}}
    models = made(models=[apart, half], grid={"matrices": ["u_out"], "layers": "all", "rhos": [0.5]})["models"]
    sources = [model["source"] for model in models]
    assert [(source["training"]["seed"], source["corpus"]["seed"]) for source in sources] == [
        *[(1, 7), (1, 8), (2, 7), (2, 8)],
        (TRAINED["source"]["training"]["seed"], 9),
    ]
    assert [model["name"] for model in models[:2]] == ["lab-training1-corpus7", "lab-training1-corpus8"]
    assert [variants.facts(model)["corpus_seed"] for model in models] == [7, 8, 7, 8, 9]


def test_kinds_of_noise_are_models_of_their_own_and_named_with_their_family():
    varied = copy.deepcopy(TRAINED) | {"vary": {"kind": ["generic", "wrong", "filler"], "noise": [0.5]}}
    models = made(models=[varied], grid={"matrices": ["u_out"], "layers": "all", "rhos": [0.5]})["models"]
    assert [model["name"] for model in models] == [f"lab-{kind}-noise0.5" for kind in ("generic", "wrong", "filler")]
    noise = [model["source"]["corpus"]["noise"] for model in models]
    assert [one["kind"] for one in noise] == ["generic", "wrong", "filler"] and {one["level"] for one in noise} == {0.5}
    family = TRAINED["source"]["family"]
    assert [variants.facts(model)["family"] for model in models] == [
        family,
        f"{family}, false answers",
        f"{family}, filler",
    ]
    assert variants.facts(TRAINED)["family"] == family


def test_noise_that_does_not_fall_with_frequency_is_a_family_of_its_own():
    varied = copy.deepcopy(TRAINED) | {"vary": {"frequent_share": [0.2, 1]}}
    models = made(models=[varied], grid={"matrices": ["u_out"], "layers": "all", "rhos": [0.5]})["models"]
    assert [model["source"]["corpus"]["noise"]["frequent_share"] for model in models] == [0.2, 1]
    family = TRAINED["source"]["family"]
    assert [variants.facts(model)["family"] for model in models] == [
        family,
        f"{family}, the same noise at every frequency",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"models": [TRAINED | {"vary": {"seed": [1], "corpus": [1]}}]}, "either 'seed'"),
        ({"models": [TRAINED | {"vary": {"kind": ["random"]}}]}, "kind"),
        ({"artefacts": ["fig4"]}, "needs the key 'compose'"),
        ({"artefacts": ["fig10"], "landscape": {"kinds": ["svd"]}}, "needs 'pruning' among landscape.kinds"),
        ({"artefacts": ["noise"]}, "needs models that the pipeline trains"),
        ({"compose": {"models": ["tinny"]}}, "compose.models holds 'tinny'"),
        ({"perplexity": {}}, "at least one causal model that the pipeline trains"),
        ({"perplexity": {"corpus": "pille"}}, "perplexity.corpus is 'pille'"),
        ({"artefacts": ["transfer"]}, "needs the key 'transfer'"),
        ({"artefacts": ["edges"]}, "needs the key 'rank_rules'"),
        ({"transfer": {}}, "transfer applies what is chosen on one dataset to another, and has 1 (worldfacts)"),
        ({"landscape": {"matrices": ["v"], "layers": [2]}}, "landscape.layers holds 2"),
        (
            {"models": [*study()["models"], MASKED], "compose": {"matrices": ["u_out", "u_gate"]}},
            "compose.matrices holds 'u_gate', which cannot be edited in the model 'mask' (roberta)",
        ),
        ({"counts": {"worldfact": "x"}}, "counts holds 'worldfact'"),
        ({"counts": {"worldfacts": "nowhere.csv"}}, "counts.worldfacts is 'nowhere.csv', which is no file"),
        ({"models": [study()["models"][0] | {"vary": {"seed": [1]}}]}, "Only models that the pipeline trains"),
        ({"models": [TRAINED | {"vary": {"seed": [1]}}, TRAINED | {"vary": {"seed": [1]}}]}, "makes 'lab-seed1' twice"),
        ({"search": "random"}, 'search is "random"'),
        ({"search": "racing-gradient"}, 'search is "racing-gradient"'),
        ({"search": "racing", "racing": {"error": 0}}, "racing.error is 0"),
        ({"search": "racing", "racing": {"error": 1}}, "racing.error is 1"),
        ({"search": "racing", "racing": {"blocks": 1}}, "racing.blocks is 1"),
        ({"search": "racing", "racing": {"block": 5}}, "racing"),
        ({"search": "racing", "artefacts": ["stability"]}, "holds 'stability', which needs every candidate's score"),
        ({"search": "gradient-racing", "artefacts": ["power"]}, "but `search: gradient-racing` stops those"),
        ({"search": "racing", "gradient": {}, "artefacts": ["search"]}, "Set search to exhaustive"),
        ({"search": "racing", "rank_rules": {}}, "rank_rules needs every candidate's score"),
        (
            {"search": "racing", "transfer": {}, "datasets": ["worldfacts", "fever"]},
            "under `search: racing` each dataset has other ones",
        ),
    ],
)
def test_one_message_says_what_cannot_be(changes, expected):
    with pytest.raises(UserError) as raised:
        made(**changes)
    assert expected in str(raised.value) and "\n" not in str(raised.value)


def test_every_evaluation_of_settings_has_files_in_the_plan():
    assert set(RUNS) == set(EVALUATIONS) - {"figures", "gradient", "racing"}


@pytest.mark.parametrize("search", ["exhaustive", "gradient", "racing", "gradient-racing"])
def test_a_search_has_its_settings(search):
    found = made(search=search)
    assert found["racing"] | {"error": 0.05, "blocks": 10} == found["racing"]
    assert searches_by(found, GRADIENT) == ("gradient" in search)
    assert searches_by(found, RACING) == ("racing" in search)
