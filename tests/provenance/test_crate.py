"""The RO-Crate: whole, consistent with the records, and of the shape that its profiles ask for."""

import pytest

from laser.errors import UserError
from laser.io.files import canonical_json, read_json, sha256_file
from laser.provenance.crate import PROFILES, SNAKEFILE, TERMS, crate
from laser.provenance.manifest import MANIFEST
from tests.provenance.small import closed, study, write_manifests

CITATION = {"license": "MIT", "authors": [{"family-names": "Doe", "given-names": "Jo"}, {"name": "Others"}]}


@pytest.fixture
def made(tmp_path, monkeypatch):
    folder = study(tmp_path, monkeypatch)
    found, ran = write_manifests(folder)
    files = read_json(folder / MANIFEST)["files"]
    return folder, ran, files, crate(found, ran, files, "A small study", CITATION)


def test_authors_and_licence_are_those_of_the_citation(made):
    by_name = {one["@id"]: one for one in made[3]["@graph"]}
    root = by_name["./"]
    authors = [by_name[one["@id"]] for one in root["author"]]
    assert [(one["@type"], one["name"]) for one in authors] == [("Person", "Jo Doe"), ("Organization", "Others")]
    assert root["license"] == {"@id": "https://spdx.org/licenses/MIT"}


def test_a_citation_without_authors_is_a_message(made, tmp_path):
    folder, ran, files, _ = made
    with pytest.raises(UserError, match=r"CITATION\.cff: lacks 'authors'"):
        crate(closed(folder), ran, files, "A small study", {"license": "MIT"})


def test_it_has_a_readme_agents_and_the_scripts_own_files(made):
    by_name = {one["@id"]: one for one in made[3]["@graph"]}
    assert by_name["README.md"]["about"] == {"@id": "./"}
    tools = [one for one in by_name.values() if one["@type"] == "SoftwareApplication" and one["@id"] != "#snakemake"]
    assert len(tools) == 3 and all(one["url"]["@id"] in by_name for one in tools)
    actions = [one for one in by_name.values() if one["@type"] in ("CreateAction", "OrganizeAction")]
    assert len(actions) == 5 and all(by_name[one["agent"]["@id"]]["@type"] == "Person" for one in actions)


def test_the_same_study_gives_the_same_crate(made):
    folder, ran, files, first = made
    assert canonical_json(crate(closed(folder), ran, files, "A small study", CITATION)) == canonical_json(first)
    assert [one["@id"] for one in first["@graph"]] == sorted(one["@id"] for one in first["@graph"])


def test_it_is_of_ro_crate_1_3(made):
    assert made[3]["@context"] == ["https://w3id.org/ro/crate/1.3/context", TERMS]
    by_name = {one["@id"]: one for one in made[3]["@graph"]}
    assert by_name["ro-crate-metadata.json"]["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.3"}


def values(entity, key):
    value = entity.get(key, [])
    return value if isinstance(value, list) else [value]


def references(value):
    if isinstance(value, dict):
        yield from [value["@id"]] if set(value) == {"@id"} else []
    for inner in value if isinstance(value, list) else value.values() if isinstance(value, dict) else []:
        yield from references(inner)


def test_every_entity_is_there_once_and_every_reference_leads_to_one(made):
    graph = made[3]["@graph"]
    names = [one["@id"] for one in graph]
    assert len(names) == len(set(names))
    outside = {name for one in graph for key in one for name in references(one[key]) if name not in names}
    assert outside <= {
        "https://w3id.org/ro/crate/1.3",
        *(
            f"https://bioschemas.org/profiles/{name}/1.0-RELEASE"
            for name in ("FormalParameter", "ComputationalWorkflow")
        ),
    }


def test_files_carry_their_hash_and_size_and_are_parts(made):
    folder, _, files, found = made
    by_name = {one["@id"]: one for one in found["@graph"]}
    parts = {one["@id"] for one in by_name["./"]["hasPart"]}
    for one in files:
        entity = by_name[one["path"]]
        assert "File" in values(entity, "@type") and one["path"] in parts
        assert entity["sha256"] == sha256_file(folder / one["path"])


def test_it_has_what_the_provenance_run_crate_asks_for(made):
    _, ran, _, found = made
    by_name = {one["@id"]: one for one in found["@graph"]}
    root, workflow = by_name["./"], by_name[SNAKEFILE]
    assert {one["@id"] for one in root["conformsTo"]} == set(PROFILES)
    assert root["mainEntity"]["@id"] == SNAKEFILE and {"name", "description", "license", "datePublished"} <= set(root)
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"} == set(workflow["@type"])
    kinds = {kind: [one for one in found["@graph"] if kind in values(one, "@type")] for kind in KINDS}
    jobs = [one for one in kinds["CreateAction"] if one["@id"] != "#run"]
    assert len(jobs) == len(kinds["ControlAction"]) == len(ran) == 3
    steps, tools = {one["@id"] for one in values(workflow, "step")}, {one["@id"] for one in values(workflow, "hasPart")}
    assert {one["@id"] for one in kinds["HowToStep"]} == steps
    assert all(one["workExample"]["@id"] in tools for one in kinds["HowToStep"])
    assert all(
        one["instrument"]["@id"] in tools and one["result"] and one["startTime"] <= one["endTime"] for one in jobs
    )
    assert all(one["instrument"]["@id"] in steps for one in kinds["ControlAction"])
    (engine,) = kinds["OrganizeAction"]
    assert engine["result"] == {"@id": "#run"} and len(engine["object"]) == 3
    assert by_name["#run"]["object"] == {"@id": "inputs/study.json"}


KINDS = ("CreateAction", "ControlAction", "OrganizeAction", "HowToStep")
