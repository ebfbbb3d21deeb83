"""A target that a study cannot make is refused with what the study has."""

from pathlib import Path

import pytest

from laser.config.artefacts import possible_artefacts
from laser.config.plan import Plan
from laser.config.targets import check_targets
from laser.config.yaml_files import read_yaml
from laser.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
RESULTS = "results/quickstart"
CELL = "smollm2-135m/worldfacts"


@pytest.fixture(scope="module")
def plan():
    return Plan.load(read_yaml(ROOT / "config/config.yaml") | {"study": "quickstart"}, ROOT)


def rules(plan):
    return ["all", "models", "data", "reductions", "sweep", *(artefact.name for artefact in possible_artefacts(plan))]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("table2", "the study 'quickstart' does not have table2: it is about policies"),
        ("fig10", "does not have fig10: it needs the key 'landscape'"),
        ("seeds", "does not have seeds: it needs the key 'seeds'"),
        (f"./{RESULTS}/tables/table2.csv", "does not have table2"),
        (f"{RESULTS}/figures/fig10/{CELL}-corrected.svg", "does not have fig10"),
        (f"{RESULTS}/sweep/{CELL}/layer20/rho0.3.parquet", r"does not have the rho 0\.3.*It has: 0\.9, .*grid\.rhos"),
        (f"{RESULTS}/reductions/smollm2-135m/layer20/rho0.10.json", r"the rho 0\.10"),
        (f"{RESULTS}/reductions/smollm2-135m/layer5/rho0.1.json", r"the layer 5.*It has: 0, 10, .*grid\.layers"),
        (f"{RESULTS}/reductions/lab-gptj/layer20/rho0.1.json", "the layer 20"),
        (f"{RESULTS}/test/smollm2-135x/worldfacts.parquet", "the model smollm2-135x .did you mean 'smollm2-135m'"),
        (f"{RESULTS}/test/smollm2-135m/worldfact.parquet", "the dataset worldfact .did you mean"),
        (f"{RESULTS}/export/{CELL}-corrected-dens/README.md", "the form dens"),
        (f"{RESULTS}/export/{CELL}-published-dense/README.md", "the protocol published"),
    ],
)
def test_what_the_study_lacks_is_named(plan, target, expected):
    with pytest.raises(UserError, match=expected) as error:
        check_targets(plan, ["all", target], rules(plan))
    assert target in str(error.value)


@pytest.mark.parametrize(
    "target",
    [
        "all",
        "--config",
        "study=table2",
        "tabel1",
        "sweep",
        "table1",
        f"{RESULTS}/tables/table1.csv",
        f"{RESULTS}/sweep/{CELL}/base.parquet",
        f"{RESULTS}/sweep/{CELL}/layer20/rho0.1.parquet",
        f"{RESULTS}/reductions/smollm2-135m/layer20/rho0.005.json",
        f"{RESULTS}/figures/fig2/{CELL}-corrected.svg",
        f"{RESULTS}/export/{CELL}-corrected-factored/README.md",
        f"{RESULTS}/records/sweep/{CELL}/layer20.json",
        f"{RESULTS}/manifest.json",
        "cache/models/some/card.json",
        "elsewhere/file.csv",
        "file.csv",
    ],
)
def test_what_it_has_or_what_is_no_file_of_results_is_left_to_snakemake(plan, target):
    check_targets(plan, [target], rules(plan))


def test_a_target_that_policies_do_not_have():
    sokoban = Plan.load(read_yaml(ROOT / "config/config.yaml") | {"study": "sokoban"}, ROOT)
    with pytest.raises(UserError, match="does not have table1: it is not for policies: a policy's Table 1 is table2"):
        check_targets(sokoban, ["table1"], rules(sokoban))


@pytest.mark.parametrize("target", ["table1", f"{RESULTS}/tables/table1.csv", f"{RESULTS}/figures/fig2/{CELL}.svg"])
def test_rules_may_have_other_names_in_a_workflow_that_uses_this_one(plan, target):
    check_targets(plan, [target], [f"laser_{name}" for name in rules(plan)])
