"""Models with terms of use: refused while nobody accepts them, left out where they are optional."""

from pathlib import Path

import pytest

from laser.config.study import load_config, resolve
from laser.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PATH = Path("study.yaml")
TERMS = "Gemma Terms of Use, https://ai.google.dev/gemma/terms"
OWN = {
    "name": "mine",
    "source": {"kind": "local", "path": "here"},
    "dtype": "fp32",
    "architecture": "llama",
    "layers": 2,
}


def study(*models, **changes):
    base = {
        "title": "A study",
        "protocols": ["corrected"],
        "models": list(models),
        "datasets": [{"name": "worldfacts"}],
        "grid": {"matrices": ["u_out"], "layers": [0, 1], "rhos": [0.5]},
    }
    return base | changes


def names(given, accepted=()):
    return [model["name"] for model in resolve(given, PATH, ROOT, accepted=accepted)["models"]]


def test_a_model_is_refused_while_its_terms_are_not_accepted():
    with pytest.raises(UserError) as caught:
        names(study("smollm2-135m", "gemma3-270m"))
    for part in (
        "study.yaml",
        "'gemma3-270m'",
        TERMS,
        "accept_terms=gemma3-270m",
        "--accept-terms gemma3-270m",
        "terms_accepted: true",
    ):
        assert part in str(caught.value)
    with pytest.raises(UserError, match="terms of use"):
        names(study({"name": "gemma3-270m", "terms_accepted": False}))
    with pytest.raises(UserError, match="terms of use"):
        names(study(OWN | {"terms": "Mine, in a drawer"}))


def test_the_study_or_the_command_line_accepts_them():
    by_study = resolve(study({"name": "gemma3-270m", "terms_accepted": True}), PATH, ROOT)
    by_command = resolve(study("gemma3-270m"), PATH, ROOT, accepted=["gemma3-270m"])
    assert by_study["models"] == by_command["models"], "how they were accepted shapes no job"
    assert by_study["models"][0]["terms"] == TERMS
    assert names(study(OWN | {"terms": "Mine, in a drawer"}), ["mine"]) == ["mine"]
    assert names(study(OWN), ["gemma3-270m"]) == ["mine"], "config.yaml may accept them for other studies"


def test_terms_of_another_checkpoint_do_not_hold():
    assert names(study(OWN | {"name": "gemma3-270m"})) == ["gemma3-270m"]


def test_an_optional_model_is_left_out_until_they_are_accepted():
    optional = {"name": "gemma3-270m", "optional": True}
    grid = study()["grid"] | {"models": {"gemma3-270m": {"layers": [17]}}}
    given = study("smollm2-135m", optional, grid=grid, seeds={"models": ["smollm2-135m", "gemma3-270m"]})
    without = resolve(given, PATH, ROOT)
    assert list(without["grid"]) == ["smollm2-135m"]
    assert without["seeds"]["cells"] == [["smollm2-135m", "worldfacts"]]
    assert without == resolve(study("smollm2-135m", seeds={}), PATH, ROOT)
    taken = resolve(given, PATH, ROOT, accepted=["gemma3-270m"])
    assert taken["grid"]["gemma3-270m"]["layers"] == [17]
    assert len(taken["seeds"]["cells"]) == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (study({"name": "gemma3-270m", "optional": True}), ["no model is left", TERMS]),
        (
            study("smollm2-135m", {"name": "gemma3-270m", "optional": True}, seeds={"models": ["gemma3-270m"]}),
            ["seeds.models", "accept_terms=gemma3-270m"],
        ),
        (study({"name": "smollm2-135m", "optional": True}), ["'smollm2-135m'", "'optional'"]),
        (study(OWN | {"terms_accepted": True}), ["'mine'", "'terms_accepted'"]),
        (study({"name": "gemma3-270m", "terms_accepted": "yes"}), ["terms_accepted", "boolean"]),
    ],
)
def test_what_makes_no_sense_is_refused(given, words):
    with pytest.raises(UserError) as caught:
        names(given)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("given", ["gemma3-270m", "gemma3-270m, other", ["gemma3-270m"], "", []])
def test_names_from_the_command_line(given):
    wanted = [name for name in ("gemma3-270m", "other") if name in given]
    assert load_config({"accept_terms": given}, ROOT)["accept_terms"] == wanted


def test_a_slip_in_a_name_is_told():
    with pytest.raises(UserError, match=r"'gemma', which is no model with terms of use.*did you mean 'gemma3-270m'"):
        names(study("smollm2-135m"), ["gemma"])
    with pytest.raises(UserError, match="'mine', which is no model with terms"):
        names(study(OWN), ["mine"])
    assert names(study("smollm2-135m"), ["another-studys-own"]) == ["smollm2-135m"]
    with pytest.raises(UserError, match="'smollm2-135m', which is no model with terms"):
        names(study("smollm2-135m"), ["smollm2-135m"])
