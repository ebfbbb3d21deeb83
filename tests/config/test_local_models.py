"""What a study need not say about a local model."""

import json

import pytest

from laser.config.local_models import with_facts_of_folder
from laser.errors import UserError
from laser.io.files import digest
from tests import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.checkpoint(tmp_path_factory.mktemp("models") / "gptj", "gptj")


def item(path, **declared):
    return {"name": "mine", "source": {"kind": "local", "path": str(path)}, **declared}


def facts(given, cache=None):
    return with_facts_of_folder(given, cache, "study.yaml: models[0]")


def test_facts_are_read_from_the_folder(folder, tmp_path):
    expected = {"architecture": "gptj", "task": "causal", "layers": 2, "dtype": "fp32"}
    assert facts(item(folder)) == item(folder) | expected
    assert facts(item(folder, dtype="bf16"))["dtype"] == "bf16"
    assert facts(item(tiny.checkpoint(tmp_path / "roberta", "roberta")))["task"] == "masked"
    assert facts("catalogued") == "catalogued"
    assert facts({"name": "a", "source": {"kind": "hub"}}) == {"name": "a", "source": {"kind": "hub"}}


@pytest.mark.parametrize(
    ("config", "declared", "said"),
    [
        ({"model_type": "llama"}, {}, "does not say what the model's layers is"),
        ({"model_type": "llama", "num_hidden_layers": "2"}, {}, "number of layers is '2'"),
        ({"num_hidden_layers": 2}, {}, "holds no model_type"),
        ({"model_type": "llama", "num_hidden_layers": 2}, {"layers": 3}, "layers is 3, but .*config.json says 2"),
        ({"model_type": "llama", "num_hidden_layers": 2}, {"architecture": "gptj"}, "architecture is gptj, but"),
        ([], {}, "holds no model_type"),
    ],
)
def test_folders_that_do_not_fit(tmp_path, config, declared, said):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=said):
        facts(item(tmp_path, **declared))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"source.path is .*nowhere', which is not a folder"):
        facts(item(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"holds no config\.json"):
        facts(item(tmp_path))
    declared = item(tmp_path / "nowhere", architecture="llama", layers=2, dtype="fp32")
    assert facts(declared) == declared
    given = item(tmp_path / "nowhere")
    card = tmp_path / "models" / f"mine-{digest(given['source'], 8)}" / "card.json"
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"architecture": "llama", "task": "causal", "layers": 4, "dtype_stored": "bf16"}))
    assert facts(given, tmp_path) == given | {"architecture": "llama", "task": "causal", "layers": 4, "dtype": "bf16"}
