"""The paper's study, cut to 8 examples per dataset and tiny random checkpoints of its three families, to Table 1.

Snakemake plans it; its commands then run in one process, since a hundred starts of torch would take five minutes.
"""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from laser.config.plan import Plan
from laser.evaluation import spotcheck
from laser.io.files import read_json, read_parquet, read_spec, write_parquet
from laser.replay.choices import Results, compared
from laser.replay.plan import planned
from laser_audit.findings import Check
from laser_audit.pages import terminal
from laser_audit.reading import Study
from laser_audit.run import audit
from laser_audit.table1 import check_table1
from tests import made_up, tiny
from tests.workflow.one_process import build
from tests.workflow.runner import LONGEST_WORD, ROOT, counted, longest_command, run

FAMILIES = {"roberta-base": "roberta", "gpt-j-6b": "gptj", "llama2-7b": "llama"}


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    study = yaml.safe_load((ROOT / "config/studies/paper.yaml").read_text())
    assert study["models"] == list(FAMILIES)
    models = {name: tiny.checkpoint(folder / kind, kind) for name, kind in FAMILIES.items()}
    study["models"] = [tiny.entry(name, models[name], kind) for name, kind in FAMILIES.items()]
    tokenizer = {"answer_tokenizer": {"kind": "local", "path": str(models["llama2-7b"])}}
    study["datasets"] = [
        {
            "name": name,
            "sources": made_up.sources(folder, name),
            "limit": 8,
            "options": tokenizer if name == "hotpot" else {},
        }
        for name in study["datasets"]
    ]
    study["grid"] |= {"layers": [1], "rhos": [0.5, 0.1]}
    artefacts = ["table1", "table3", "table4", "verdicts", "transfer", "efficacy"]
    artefacts += ["clustered", "fig2_clusters", "rank_rules", "edges"]
    study |= {"resamples": 1280, "artefacts": artefacts, "efficacy": {}}
    for evaluation in ("transfer", "rank_rules"):  # GPT-J has both in the study that the audit's tests look at
        study[evaluation] = {"models": ["roberta-base"]}
    study["clustered"] = {"clusters": [1, 2], "datasets": ["fever"]}
    study["landscape"] = {"kinds": ["clustered"], "models": ["llama2-7b"], "datasets": ["fever"], "layers": [1]}
    study["landscape"] |= {"matrices": ["q", "u_gate"], "reductions": [50, 90]}
    path = folder / "paper.yaml"
    path.write_text(yaml.safe_dump(study))
    return build(folder, path)


def test_table1_has_every_cell_under_both_protocols(paper):
    table = pd.read_csv(paper / "tables/table1.csv")
    assert len(table) == 3 * 8 * 2 * 2 * 2
    assert table["value"].notna().all()
    assert set(table["protocol"]) == {"published", "corrected"}


def test_table1_has_the_efficacy_of_false_targets_and_the_audit_its_other_columns(paper):
    table = pd.read_csv(paper / "tables/table1.csv")
    shown = table[table["efficacy"].notna()]
    assert set(shown["dataset"]) == {"counterfact"} and set(shown["metric"]) == {"accuracy"}
    assert len(shown) == 3 * 2 * 2 and (shown["efficacy_n"] == shown["n"]).all()
    efficacy = pd.read_csv(paper / "tables/efficacy.csv").set_index(["model", "dataset", "protocol"])
    for row in shown.to_dict("records"):
        there = efficacy.loc[(row["model"], row["dataset"], row["protocol"])]
        assert row["efficacy"] == pytest.approx(there[row["arm"]])
        if row["arm"] == "laser" and pd.notna(row["matrix"]):
            assert row["false_rises"] == pytest.approx(there["false_rises"])
    check = Check("table1", "", "recomputed")
    check_table1(check, Study(paper))
    assert check.findings == [] and check.count > 100


def test_cut_datasets_are_never_compared_with_the_paper(paper):
    table = pd.read_csv(paper / "tables/table1.csv")
    assert set(table["verdict"]) <= {"not run"}
    assert table["published"].notna().all()


def test_published_uses_the_randomised_and_corrected_the_exact_step(paper):
    for family, niter in (("gpt-j-6b", 2), ("roberta-base", 20)):
        path = paper / f"sweep/{family}/fever/layer1/rho0.1.parquet"
        rows = read_parquet(path)
        assert set(rows["protocol"]) == {"published", "corrected"}
        kinds = read_spec(path)["run"]["interventions"]
        assert kinds["published"] == {"kind": "randomised", "niter": niter, "seed": 0}
        assert kinds["corrected"] == {"kind": "svd"}


def test_llama_is_reduced_in_its_gate_projection(paper):
    matrices = {
        name: set(read_parquet(paper / f"sweep/{name}/fever/layer1/rho0.5.parquet")["matrix"]) for name in FAMILIES
    }
    assert matrices["llama2-7b"] == {"u_gate", "u_out"}
    assert matrices["roberta-base"] == matrices["gpt-j-6b"] == {"u_in", "u_out"}


def test_efficacy_is_about_the_one_dataset_with_false_targets(paper):
    table = pd.read_csv(paper / "tables/efficacy.csv")
    assert set(table["dataset"]) == {"counterfact"} and len(table) == 3 * 2
    false = read_parquet(paper / "false_targets/counterfact.parquet")
    assert set(false["answer"]) == {" French", " Thai"} and len(false) == 8
    tested = pd.read_csv(paper / "tables/table1.csv")
    tested = tested[(tested["dataset"] == "counterfact") & (tested["metric"] == "accuracy")]
    assert set(zip(table["model"], table["protocol"], table["n"], strict=True)) == set(
        zip(tested["model"], tested["protocol"], tested["n"], strict=True)
    )


def test_every_choice_is_applied_to_every_dataset_in_the_studys_order(paper):
    study = yaml.safe_load((ROOT / "config/studies/paper.yaml").read_text())
    table = pd.read_csv(paper / "tables/transfer.csv", keep_default_na=False)
    assert len(table) == 2 * (8 * 8 + 8)
    for _, part in table.groupby(["model", "protocol"]):
        lines = list(dict.fromkeys(zip(part["choice"], part["chosen_on"], strict=True)))
        assert lines == [*(("dataset", name) for name in study["datasets"]), ("generic", "")]
        assert part["applied_to"].tolist() == study["datasets"] * 9
        own = part[part["own"].astype(str) == "True"]
        assert own["applied_to"].tolist() == own["chosen_on"].tolist() == study["datasets"]


def test_each_dataset_has_rows_at_the_distinct_choices_of_the_others(paper):
    table = pd.read_csv(paper / "tables/transfer.csv", keep_default_na=False)
    place = ["matrix", "layer", "rho"]
    for (model, dataset), part in table.groupby(["model", "applied_to"]):
        rows = read_parquet(paper / f"transfer/{model}/{dataset}.parquet")
        for protocol, of_protocol in part.groupby("protocol"):
            own = of_protocol[of_protocol["own"].astype(str) == "True"].iloc[0][place]
            moved = of_protocol[(of_protocol["matrix"] != "") & (of_protocol[place] != own).any(axis=1)][place]
            evaluated = rows[rows["protocol"] == protocol][place].drop_duplicates()
            assert {tuple(map(str, each)) for each in evaluated.values} == {
                tuple(map(str, each)) for each in moved.values
            }


def test_rows_are_clustered_in_every_family(paper):
    table = pd.read_csv(paper / "tables/clustered.csv")
    assert len(table) == 3 * 2 and set(table["clusters"]) <= {1, 2} and set(table["rho"]) <= {0.5, 0.1}
    assert table[["base", "laser", "clustered", "constant"]].notna().all(axis=None)


def test_clusters_have_a_landscape_and_their_rows_are_the_same_when_evaluated_again(paper, monkeypatch):
    drawn = pd.read_csv(paper / "figures/fig2_clusters/llama2-7b/fever-corrected.csv")
    assert set(drawn["matrix"]) == {"q", "u_gate"} and set(drawn["rho"]) == {0.5, 0.1}
    monkeypatch.setattr(spotcheck, "OTHERS", ("clustered", "landscape"))
    said = []
    assert spotcheck.spot_check(paper, 24, 0, paper.parents[1] / "cache", "cpu", said.append) == []
    assert sum(line.startswith("same    clustered/") for line in said) == 6
    assert sum(line.startswith("same    landscape/") for line in said) == 6


def test_rules_for_rho_stand_beside_the_grids_best_in_every_cell(paper):
    table = pd.read_csv(paper / "tables/rank_rules.csv", keep_default_na=False)
    assert table.groupby(["model", "dataset", "protocol"])["rule"].agg(list).map(tuple).value_counts().to_dict() == {
        ("grid", "edge", "effective_rank"): 8 * 2
    }
    edges = pd.read_csv(paper / "tables/edges.csv")
    assert set(zip(edges["model"], edges["layer"], strict=True)) == {("roberta-base", 1)}
    assert edges["edge"].gt(0).all() and edges["rho_effective_rank"].isin([0.5, 0.1]).all()


def test_both_bios_datasets_are_swept_in_one_job_which_the_audit_and_a_new_plan_confirm(paper):
    assert not (paper / "records/sweep/gpt-j-6b/bios_gender").exists()
    record = read_json(paper / "records/sweep_together/gpt-j-6b/layer1.json")
    made = {Path(file["path"]).parts[-3] for file in record["outputs"]}
    assert made == {"bios_gender", "bios_profession"} == {each["name"] for each in record["spec"]["together"]}
    report = audit(paper, ROOT)
    assert report.passed, terminal(report)
    plan = Plan(read_json(paper / "inputs/study.json"), {"device": "auto", "threads": 1}, ROOT / "workflow/scripts")
    spec, codes = planned(plan, "records/sweep_together/gpt-j-6b/layer1.json", "sweep_together")
    assert spec == record["spec"] | {"compute": spec["compute"]} and codes == [record["code"]]


def findings_of_choices(folder):
    """Return path and place of every finding of an audit of clusters and false targets, and how much was compared."""
    made = [each for each in compared(Results(folder)) if each[0].startswith(("clustered/", "efficacy/"))]
    return [(path, where) for path, where, value, expected in made if value != expected], len(made)


def test_an_audit_notices_another_best_clustering_and_a_missing_false_target(paper, tmp_path):
    findings, count = findings_of_choices(paper)
    assert findings == [] and count > 50
    copy = tmp_path / "results" / paper.name
    shutil.copytree(paper, copy)
    path = copy / "clustered/gpt-j-6b/fever.parquet"
    spec = read_spec(path)
    best = spec["chosen"]["corrected"]
    spec["chosen"]["corrected"] = best | {"rho": 0.1 if best["rho"] == 0.5 else 0.5}
    write_parquet(path, read_parquet(path), spec)
    other = copy / "efficacy/gpt-j-6b/counterfact.parquet"
    write_parquet(other, read_parquet(other).iloc[1:], read_spec(other))
    findings, _ = findings_of_choices(copy)
    assert ("clustered/gpt-j-6b/fever.parquet", "corrected: what is scored and what is tested") in findings
    assert any(name == "efficacy/gpt-j-6b/counterfact.parquet" and "false target" in where for name, where in findings)


def test_the_whole_paper_is_planned_without_a_network_in_commands_that_the_system_takes(tmp_path):
    done = run(tmp_path, "paper", "all", flags=("--dry-run", "--printshellcmds"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert longest_command(done) < LONGEST_WORD / 2
    jobs = counted(done)
    assert (jobs["fetch"], jobs["prepare"], jobs["reduce"]) == (3, 8, 12 + 28 + 32)
    assert (jobs["sweep"], jobs["sweep_together"]) == (6 * (12 + 28 + 32), 12 + 28 + 32)
    assert jobs["base"] == jobs["select_intervention"] == jobs["test_intervention"] == 24
    assert jobs["total"] < 5000
