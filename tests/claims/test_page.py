"""The replication page and the pages of evidence, from made-up results of small studies."""

import json
import os
import re

import pandas as pd
import pytest

from laser.analysis.tables import to_csv
from laser.claims.claims import CLAIMS, QUESTIONS
from laser.claims.evidence import evidence_page
from laser.claims.judged import judge, read_study
from laser.claims.page import DEPENDENT, NOT_RUN_HERE, OTHER_DATA, PAPER_DATA, replication_page, write_pages
from laser.errors import UserError
from laser.io.files import sha256_file
from laser_audit.reading import Study
from laser_audit.run import cited
from tests.claims.made_up import landscape, table1
from tests.workflow.runner import FORKS, ROOT, tool


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results/small"
    (folder / "tables").mkdir(parents=True)
    (folder / "tables/table1.csv").write_text(to_csv(pd.concat([table1(3.0, 0.01), table1(0.3, 0.01, "loss")])))
    for model in ("a", "b"):
        path = folder / f"figures/fig2/{model}/d-corrected.csv"
        path.parent.mkdir(parents=True)
        path.write_text(to_csv(landscape([3.0, 1.0, 0.1, -0.2]).assign(model=model)))
    return tmp_path


def written(folder, name, *frames):
    path = folder / f"results/{name}/tables/table1.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_csv(pd.concat(frames)))


def judged(folder, *names):
    return [judge(read_study(folder / f"results/{name}")) for name in names]


def page_of(folder, *names, absent=()):
    return replication_page(judged(folder, *names), absent, folder / "docs", folder / "docs/replication")


def evidence_of(folder, name):
    (study,) = judged(folder, name)
    return evidence_page(study, folder / "docs/replication.md", folder / "docs/replication")


def section(page, title):
    return page.split(f"## {title}\n")[1].split("\n## ")[0]


def all_pages(folder, *names):
    write_pages(judged(folder, *names), [], folder / "docs/replication.md")
    return folder / "docs"


def test_every_link_leads_somewhere_and_every_verdict_has_its_evidence(results):
    docs = all_pages(results, "small")
    for name in ("cost.md", "cluster.md", "statistics.md"):
        (docs / name).touch()
    for path in docs.rglob("*.md"):
        for link, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", path.read_text()):
            target = path.parent / link
            assert target.exists(), (path, link)
            assert not anchor or f'<a id="{anchor}">' in target.read_text()
    page = (docs / "replication.md").read_text()
    judgeable = {claim.name for claim in CLAIMS if {*claim.evidence} <= {"table1", "fig2"}}
    assert set(re.findall(r"small\.md#([^)]+)\)", page)) == judgeable
    assert page.count("not run here |") == len(CLAIMS) + len(QUESTIONS) - len(judgeable)


def test_the_page_holds_conclusions_and_the_evidence_their_numbers(results):
    page, evidence = page_of(results, "small"), evidence_of(results, "small")
    assert "* supported: [early layers](replication/small.md#early-layers) (2/2)" in page
    assert "* supported by one source: [accuracy](replication/small.md#accuracy) (1/1)" in page
    # The interval of the loss reaches from −0.7 to 1.3.
    assert "* not supported: [loss](replication/small.md#loss) (0/1)" in page
    assert "[supported by one source (1/1), +3.0 [+2.0, +4.0] points](replication/small.md#accuracy) |" in page
    assert "[supported (2/2)](replication/small.md#early-layers) |" in page
    assert "20.0 → 23.0, +3.0 [+2.0, +4.0] points, adjusted p 0.010, n = 50, [u_in, 5, 0.1] | supported |" in evidence
    assert "20.0 → 23.0" not in page
    assert "**supported by one source (1/1), +3.0 [+2.0, +4.0] points** ([table1.csv](../../results/" in evidence
    assert "**supported (2/2)** ([fig2, 2 files](../../results/small/figures/fig2))" in evidence
    assert "| [figures/fig2/a/d-corrected.csv](../../results/small/figures/fig2/a/d-corrected.csv) | `" in evidence
    assert "late-layers" not in evidence
    assert page == page_of(results, "small") and evidence == evidence_of(results, "small")


def test_studies_on_the_papers_data_come_first_wherever_they_stand(results):
    written(results, "zeta", table1(3.0, 0.01, dataset="fever"))
    written(results, "mixed", table1(3.0, 0.01), table1(3.0, 0.01, dataset="qa_wikidata"))
    page = page_of(results, "small", "mixed", "zeta", absent=["paper"])
    titles = re.findall(r"^## (.*)$", page, re.M)
    assert titles[:3] == [PAPER_DATA, OTHER_DATA, NOT_RUN_HERE]
    assert re.findall(r"^\*\*\[(\w+)\]", section(page, PAPER_DATA), re.M) == ["mixed", "zeta"]
    assert re.findall(r"^\*\*\[(\w+)\]", section(page, OTHER_DATA), re.M) == ["small"]
    assert "| Claim | mixed | zeta | small |" in page
    assert "`paper`" in section(page, NOT_RUN_HERE)
    assert "No such study was run here." in section(page_of(results, "small"), PAPER_DATA)


def test_what_no_study_judges_is_listed_as_not_run(results):
    page = section(page_of(results, "small"), NOT_RUN_HERE)
    listed = {claim.name for claim in CLAIMS if f"* {claim.text}\n" in page}
    assert listed == {claim.name for claim in CLAIMS if not {*claim.evidence} <= {"table1", "fig2"}} | {"attention"}
    assert "RoBERTa, GPT-J and Llama2-7B" in page


def test_the_page_says_what_each_study_covers(results):
    written(results, "small", table1(3.0, 0.01), table1(1.0, 0.2, model="other", n=70))
    assert "m and other on d; protocol corrected; 50 to 70 test rows." in page_of(results, "small")
    table2 = results / "results/small/tables/table2.csv"
    (results / "results/small/tables/table1.csv").unlink()
    table2.write_text(to_csv(pd.concat([table1(3.0, 0.01, model="policy"), table1(3.0, 0.01, protocol="published")])))
    assert "policy and m on d; protocols corrected and published; 50 test rows." in page_of(results, "small")
    table2.unlink()
    (results / "results/small/tables/size.csv").write_text("model\n")
    assert "no table of base and LASER." in page_of(results, "small")
    written(results, "small", *(table1(3.0, 0.01, model=f"m{place}") for place in range(9)))
    assert "9 models on d;" in page_of(results, "small")


def test_other_results_give_another_page(results):
    before = page_of(results, "small")
    written(results, "small", table1(-3.0, 0.01))
    assert "[supported by one source (1/1), +3.0 [+2.0, +4.0] points](replication/small.md#accuracy)" in before
    after = page_of(results, "small")
    assert "[contradicted by one source (0/1), −3.0 [−4.0, −2.0] points](replication/small.md#accuracy)" in after


def test_without_any_study_the_page_says_so(tmp_path):
    page = page_of(tmp_path, absent=["paper"])
    assert page.count("No such study was run here.") == 2
    assert all(claim.text in section(page, NOT_RUN_HERE) for claim in CLAIMS) and "ρ = 0.4 in 5 of 24 cells" in page


def test_long_evidence_is_cut_and_counted(results):
    written(results, "small", *(table1(3.0, 0.01, model=f"m{place}") for place in range(15)))
    evidence = evidence_of(results, "small")
    assert "And 3 more in the file: 3 supported." in evidence and "m11 on d" in evidence and "m12 on d" not in evidence


def test_a_folder_without_tables_and_a_table_without_a_needed_column_are_named(tmp_path):
    with pytest.raises(UserError, match=r"small: holds no tables/\*\.csv"):
        read_study(tmp_path / "small")
    written(tmp_path, "small", table1(1.0, 0.01).drop(columns="p_holm"))
    with pytest.raises(UserError, match=r"table1.csv: lacks the column 'p_holm'"):
        judged(tmp_path, "small")


def test_an_artefact_without_rows_is_nothing_to_judge(results):
    written(results, "small", table1(1.0, 0.01).iloc[:0])
    assert "[nothing to judge](replication/small.md#accuracy)" in page_of(results, "small")
    assert "**nothing to judge** ([table1.csv]" in evidence_of(results, "small")


def test_generated_pages_of_studies_that_are_gone_are_removed_and_no_others(results):
    written(results, "gone", table1(1.0, 0.01))
    docs = all_pages(results, "small", "gone")
    assert {path.name for path in (docs / "replication").iterdir()} == {"small.md", "gone.md"}
    (docs / "replication/notes.md").write_text("# Notes\n\nWritten by hand.\n")
    all_pages(results, "small")
    assert {path.name for path in (docs / "replication").iterdir()} == {"small.md", "notes.md"}
    assert "gone" not in (docs / "replication.md").read_text()


def test_the_tool_finds_studies_and_lists_those_of_the_configuration_without_results(results):
    done = tool("replication", "--results", results / "results", "--output", results / "docs/page.md")
    assert done.returncode == 0, done.stderr
    page = (results / "docs/page.md").read_text()
    assert "`paper`" in section(page, NOT_RUN_HERE) and "](page/small.md)" in page
    assert (results / "docs/page/small.md").is_file()


REFUSING = """
import runpy, sys
from pathlib import Path
sys.path[:0] = ["workflow/scripts", "workflow/scripts/tools"]
from laser.config import rules
rules.read_rules.__defaults__ = (Path(sys.argv.pop(1)),)
runpy.run_path("workflow/scripts/tools/replication.py", run_name="__main__")
"""


def test_a_refused_threshold_is_one_message(results):
    text = (ROOT / "config/claims.yaml").read_text(encoding="utf-8")
    (results / "claims.yaml").write_text(text.replace("constant: 0.5", "constant: -1"), encoding="utf-8")
    words = [str(results / "claims.yaml"), "--results", f"{results}/results", "--output", f"{results}/docs/page.md"]
    done = FORKS.run(REFUSING, words, os.environ)
    assert done.returncode == 1
    assert done.stderr == f"ERROR: {results}/claims.yaml: constant is -1: allowed: more than 0.\n"


def with_manifest(folder, name="small"):
    study = folder / f"results/{name}"
    files = [path for path in sorted(study.rglob("*.csv"))]
    entries = [{"path": str(path.relative_to(study)), "sha256": sha256_file(path)} for path in files]
    (study / "manifest.json").write_text(json.dumps({"files": entries}))
    return study


def test_an_audit_finds_its_manifest_on_the_page(results):
    study = with_manifest(results)
    checkout = Study(study, checkout=results)
    (results / "docs").mkdir()
    (results / "docs/replication.md").write_text("# Which claims replicate\n")
    assert "is not cited in docs/replication.md" in cited(checkout)
    all_pages(results, "small")
    assert "is cited in docs/replication.md" in cited(checkout)
    (study / "manifest.json").write_text((study / "manifest.json").read_text() + "\n")
    assert "is not cited in docs/replication.md" in cited(Study(study, checkout=results))


def test_a_study_without_a_manifest_is_cited_by_none(results):
    assert "| small | none |" in section(page_of(results, "small"), "Manifests")


def test_a_table_that_the_manifest_does_not_list_is_refused(results):
    study = with_manifest(results)
    table = study / "tables/table1.csv"
    table.write_text(table.read_text().replace("20.0", "21.0"))
    with pytest.raises(UserError, match=r"table1\.csv: is not the file that .*manifest\.json lists"):
        read_study(study)


def card(folder, name, model, weights, corpus=None):
    """Write the card of a model into a study's inputs."""
    path = folder / f"results/{name}/inputs/models/{model}/card.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    source = {"kind": "hub"} if corpus is None else {"kind": "trained", "corpus": corpus}
    files = {"model.safetensors": weights, "config.json": "c"}
    path.write_text(json.dumps({"name": model, "files": files, "source": source}))


def test_models_of_one_corpus_are_one_source_and_shared_checkpoints_are_named(results):
    gains = [table1(3.0, 0.01, model=name) for name in ("a", "b", "m")]
    written(results, "small", *gains)
    written(results, "other", table1(3.0, 0.01, model="renamed"), table1(3.0, 0.01, model="c", dataset="e"))
    for name, model, weights, corpus in (
        ("small", "a", "1", {"seed": 0, "noise": {"level": 0.0}}),
        ("small", "b", "2", {"seed": 0, "noise": {"level": 0.75}}),
        ("small", "m", "3", None),
        ("other", "renamed", "3", None),
        ("other", "c", "4", {"seed": 0, "noise": {"level": 0.5}}),
        ("other", "d", "5", {"seed": 1, "noise": {"level": 0.5}}),
    ):
        card(results, name, model, weights, corpus)
    page = page_of(results, "small", "other")
    dependent = section(page, DEPENDENT)
    assert "* small and other have the same checkpoints: m.\n" in dependent
    assert "* small and other have models of the same corpora: a and b.\n" in dependent
    assert "* small and other have questions of the same datasets: d.\n" in dependent
    assert "* small: one source are a and b." in dependent and "* other: one source" not in dependent
    assert "3 models of 2 sources, standard deviation" in evidence_of(results, "small")
    assert f"## {DEPENDENT}" not in page_of(results, "other")


def test_a_study_without_cards_is_said_to_have_none(results):
    assert "* small: its inputs hold no cards of models; each model counts as a source." in page_of(results, "small")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"name": "a", "files": 3, "source": {}}', '{"name": "a"}'])
def test_a_card_that_is_none_is_one_message(results, text):
    card(results, "small", "a", "1")
    (results / "results/small/inputs/models/a/card.json").write_text(text)
    with pytest.raises(UserError, match=r"card\.json: "):
        judged(results, "small")
