"""Pools of rooms and policies in a study: names written out, and one message for what does not fit."""

import copy
from pathlib import Path

import pytest
import yaml

from laser.config.artefacts import declared
from laser.config.jobs import job_spec
from laser.config.plan import Plan
from laser.config.pools import pool_key
from laser.config.protocols import interventions_kind
from laser.config.study import resolve
from laser.cost.requests import request, training_memory_mb
from laser.errors import UserError
from tests.config.test_study import ROOT
from tests.config.test_study import study as of_language
from tests.sokoban.small_study import POOL, entry, settings

PATH = Path("config/studies/mine.yaml")
DATASET = {"name": "sokoban", "options": {"pool": "few"}}


def made(**changes):
    return resolve(settings(**changes), PATH, ROOT)


def test_a_pool_stands_where_it_is_named_and_chunks_shape_no_result():
    study = made()
    own, other = study["models"][0]["source"]["pool"], study["datasets"][0]["options"]["pool"]
    assert own == other == {"name": "few"} | {key: value for key, value in POOL.items() if key != "chunks"}
    assert study["pools"] == {"few": POOL}
    again = made(pools={"few": POOL | {"chunks": 7}})
    assert again["models"] == study["models"] and again["pools"]["few"]["chunks"] == 7
    more = made(pools={"few": POOL | {"count": 241}})
    assert pool_key(more["models"][0]["source"]["pool"]) != pool_key(own)


def test_what_is_played_does_not_change_the_checkpoint():
    def plan(**play):
        one = entry() | {"play": play}
        study = made(models=[one]) | {"name": "mine"}
        config = {"cache": "cache", "results": "results", "device": "cpu", "threads": 1}
        return Plan(study, config, ROOT / "workflow/scripts")

    first, second = plan(step_limit=20), plan(step_limit=30)
    assert first.model_key("tiny-policy") == second.model_key("tiny-policy")
    trained = {"model_key": first.model_key("tiny-policy")}
    assert job_spec(first, "train_policy", trained) == job_spec(second, "train_policy", trained)
    layer, cell = {"model": "tiny-policy", "layer": "0"}, {"model": "tiny-policy", "dataset": "sokoban"}
    assert job_spec(first, "reduce", layer) == job_spec(second, "reduce", layer)
    assert job_spec(first, "base", cell) != job_spec(second, "base", cell)
    assert first.model("tiny-policy")["play"] == {"target_return": 10.0, "step_limit": 20}
    assert first.is_policy("tiny-policy") and not first.is_trained("tiny-policy") and first.model_facts() == {}
    for stage in ("reduce", "base", "sweep", "test_intervention"):
        asked = request(first, stage, {"model": "tiny-policy", "dataset": "sokoban", "layer": "0", "rho": "0.5"})
        assert 1500 < asked.mem_mb < 4000
    assert 3000 <= training_memory_mb(first, "tiny-policy") < 4000


def test_the_catalogues_studies_fit():
    for name in ("sokoban", "sokoban-paper"):
        study = yaml.safe_load((ROOT / f"config/studies/{name}.yaml").read_text())
        resolved = resolve(study, Path(name), ROOT)
        assert all(pool["evaluation_share"] < 0.5 for pool in resolved["pools"].values())
    assert resolved["models"][0]["layers"] == 6 and resolved["pools"]["rooms-paper"]["count"] == 10**6


def test_artefacts_by_default_are_those_of_policies():
    plain = settings()
    del plain["artefacts"]
    assert resolve(plain, PATH, ROOT)["artefacts"] == ["table2", "table3", "fig2"]


def test_seeds_and_depths_can_be_varied_and_noise_cannot():
    study = made(models=[entry() | {"vary": {"seed": [0, 1], "layers": [1, 2]}}], resamples=1000)
    assert [one["name"] for one in study["models"]] == [
        f"tiny-policy-layers{layers}-seed{seed}" for layers in (1, 2) for seed in (0, 1)
    ]
    assert [one["source"]["training"]["seed"] for one in study["models"]] == [0, 1, 0, 1]
    with pytest.raises(UserError, match=r"vary.noise is given for 'tiny-policy', which is trained on no corpus"):
        made(models=[entry() | {"vary": {"noise": [0.5]}}])


def test_a_policys_randomised_step_has_the_iterations_of_the_careful_one():
    assert interventions_kind("published", "policy") == {"kind": "randomised", "niter": 20}
    assert interventions_kind("corrected", "policy") == {"kind": "svd"}


WITHOUT_SEED = {key: value for key, value in POOL.items() if key != "seed"}
WRONG = [
    ({"datasets": [DATASET | {"options": {"pool": "fwe"}}]},
     r"options.pool of the dataset 'sokoban' is 'fwe' \(did you mean 'few'"),
    ({"models": [entry(pool="rooms-smal")]},
     r"source.pool of the model 'tiny-policy' is 'rooms-smal' \(did you mean 'rooms-small'"),
    ({"models": [entry(pool="rooms-small")]}, "trained on rooms of 7 x 7 .*has rooms of 6 x 6"),
    ({"models": [entry(heads=3)]}, "source.hidden is 16 and source.heads 3"),
    ({"models": [entry(encoding="text")]}, r"models\[0\].source.encoding is \"text\".*Allowed: grid, pixels"),
    ({"datasets": ["worldfacts"]}, "the model 'tiny-policy' plays Sokoban and cannot answer the dataset 'worldfacts'"),
    ({"models": [entry(), "smollm2-135m"], "grid": {"matrices": ["q"], "layers": "all", "rhos": [0.5]}},
     "holds Sokoban rooms, which the model 'smollm2-135m' cannot play"),
    ({"datasets": [DATASET | {"options": {"pool": "few", "boxes": 1}}]},
     "needs exactly one option, pool.*options hold 'boxes'"),
    ({"pools": {"few": POOL | {"source": "boxoban"}}}, r"pools.few lacks the key 'path'"),
    ({"pools": {"few": WITHOUT_SEED}}, "pools.few lacks the key 'seed'"),
    ({"pools": {"few": POOL | {"evaluation_share": 1.5}}}, "pools.few.evaluation_share is 1.5"),
    ({"search": "gradient"}, "search is 'gradient', which ranks matrices of language models only"),
    ({"search": "gradient-racing"}, "search is 'gradient-racing', which ranks matrices of language models only"),
    ({"prompts": {}}, "the key 'prompts' asks for what policies do not have"),
    *(
        ({"artefacts": [name]}, f"artefacts holds '{name}', which is not for policies")
        for name, artefact in declared().items()
        if artefact.not_for_policies
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_what_does_not_fit_is_one_message(changes, message):
    with pytest.raises(UserError, match=message) as caught:
        made(**copy.deepcopy(changes))
    assert str(PATH) in str(caught.value) and "\n" not in str(caught.value)


def test_rooms_of_one_policys_training_are_not_anothers_test():
    pools = {"few": dict(POOL), "larger": POOL | {"evaluation_share": 0.5}}
    with pytest.raises(UserError, match=r"takes evaluation_share 0.5 .*leaves out only 0.25"):
        made(pools=pools, datasets=[DATASET | {"options": {"pool": "larger"}}])
    made(pools=pools, models=[entry(pool="larger")])  # it leaves out more than it is tested on


def test_a_study_without_policies_has_no_room_to_film():
    with pytest.raises(UserError, match="artefacts holds 'film', which is about policies"):
        resolve(of_language(artefacts=["film"]), PATH, ROOT)
