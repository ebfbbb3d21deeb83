"""An archive is the same from the same files, is refused where they are not, and unpacks to what it was."""

import io
import json
import os
import re
import tarfile

import pytest
import yaml
import zstandard

from laser.config.artefacts import declared
from laser.errors import UserError
from laser.io.files import read_json, sha256_file
from laser.provenance.archive import write_archive
from laser.provenance.codecheck import codecheck
from laser.provenance.manifest import MANIFEST, MANIFEST_RUN
from tests.provenance.small import study, write_manifests

CITATION = {
    "title": "A replication",
    "license": "MIT",
    "version": "1.0",
    "authors": [{"family-names": "Doe", "given-names": "Jo", "orcid": "https://orcid.org/0000"}, {"name": "Others"}],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = study(tmp_path / "made", monkeypatch)
    write_manifests(folder)
    return folder


def unpack(archive, target):
    with tarfile.open(fileobj=io.BytesIO(zstandard.ZstdDecompressor().stream_reader(archive.open("rb")).read())) as tar:
        tar.extractall(target, filter="data")


def test_the_same_bytes_twice_whatever_the_file_times(folder, tmp_path):
    write_archive(folder, CITATION, tmp_path / "one.tar.zst")
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    (folder / "tables/table1.csv").chmod(0o600)
    write_archive(folder, CITATION, tmp_path / "two.tar.zst")
    assert (tmp_path / "one.tar.zst").read_bytes() == (tmp_path / "two.tar.zst").read_bytes()


def test_unpacked_elsewhere_every_hash_holds(folder, tmp_path):
    (folder / "left-over.txt").write_text("in no manifest")
    write_archive(folder, CITATION, tmp_path / "small.tar.zst")
    unpack(tmp_path / "small.tar.zst", tmp_path / "there")
    there = tmp_path / "there/small"
    named = [one for name in (MANIFEST, MANIFEST_RUN) for one in read_json(there / name)["files"]]
    assert named and all(sha256_file(there / one["path"]) == one["sha256"] for one in named)
    found = {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()}
    assert found == {one["path"] for one in named} | {MANIFEST, MANIFEST_RUN}


def test_the_metadata_say_who_what_and_which_manifest(folder, tmp_path):
    write_archive(folder, CITATION, tmp_path / "small.tar.zst")
    unpack(tmp_path / "small.tar.zst", tmp_path / "there")
    found = json.loads((tmp_path / "there/.zenodo.json").read_text())
    assert found["creators"] == [{"name": "Doe, Jo", "orcid": "https://orcid.org/0000"}, {"name": "Others"}]
    assert found["license"] == "mit" and found["upload_type"] == "dataset" and found["keywords"]
    assert sha256_file(folder / MANIFEST) in found["description"] and "A small study" in found["title"]
    assert (tmp_path / "small.zenodo.json").read_text() == (tmp_path / "there/.zenodo.json").read_text()


def test_a_codecheck_names_tables_and_figures_that_are_there(folder, tmp_path):
    write_archive(folder, CITATION, tmp_path / "small.tar.zst")
    unpack(tmp_path / "small.tar.zst", tmp_path / "there")
    text = (tmp_path / "there/codecheck.yml").read_text()
    held = yaml.safe_load(text)
    assert text.startswith("---\n") and held["version"].endswith("/spec/config/2.0/")
    assert [entry["file"] for entry in held["manifest"]] == ["small/tables/table1.csv"]
    assert all((tmp_path / "there" / entry["file"]).is_file() for entry in held["manifest"])
    assert held["manifest"][0]["comment"].startswith(f"Table 1: {declared()['table1'].about}")
    assert held["paper"]["authors"] == [{"name": "Jo Doe", "ORCID": "0000"}, {"name": "Others"}]
    assert not re.search("FIXME|TODO|XXX", text)


def test_a_codecheck_describes_pictures_and_cites_the_replicated_paper():
    files = ["figures/fig2/m/d-corrected.svg", "records/fig2/fig2.json", "tables/unknown.md"]
    citation = CITATION | {"doi": "10.5281/zenodo.1", "references": [{"identifiers": [{"value": "arXiv:2312.13558"}]}]}
    held = yaml.safe_load(codecheck("s", files, citation))
    assert [entry["file"] for entry in held["manifest"]] == ["s/figures/fig2/m/d-corrected.svg", "s/tables/unknown.md"]
    assert held["manifest"][0]["comment"].endswith("(m/d-corrected), SVG")
    assert held["paper"]["reference"] == "https://doi.org/10.5281/zenodo.1"
    assert held["paper"]["reference-other"] == ["https://arxiv.org/abs/2312.13558"]
    assert "reference" not in yaml.safe_load(codecheck("s", files, CITATION))["paper"]


@pytest.mark.parametrize("field", ["title", "authors"])
def test_a_citation_that_lacks_what_the_archive_needs_is_refused(folder, tmp_path, field):
    with pytest.raises(UserError, match=f"CITATION.cff: lacks '{field}'"):
        write_archive(folder, {key: value for key, value in CITATION.items() if key != field}, tmp_path / "s.tar.zst")


@pytest.mark.parametrize(
    ("does", "named"),
    [
        (lambda folder: (folder / "tables/table1.csv").unlink(), "tables/table1.csv is missing"),
        (lambda folder: (folder / "tables/table1.csv").write_text("1"), "tables/table1.csv differs"),
        (lambda folder: (folder / "logs/test/m/d.log").write_text("1"), "logs/test/m/d.log differs"),
        (lambda folder: (folder / MANIFEST).unlink(), "manifest.json: is missing"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), "manifest.json: is not a manifest"),
    ],
)
def test_a_study_that_is_not_as_its_manifests_say_is_refused(folder, tmp_path, does, named):
    does(folder)
    with pytest.raises(UserError, match=named.replace(".", r"\.")):
        write_archive(folder, CITATION, tmp_path / "small.tar.zst")
    assert not (tmp_path / "small.tar.zst").exists()


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd"])
def test_a_manifest_that_names_files_outside_is_refused(folder, tmp_path, name):
    manifest = read_json(folder / MANIFEST)
    manifest["files"][0]["path"] = name
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="is not below"):
        write_archive(folder, CITATION, tmp_path / "small.tar.zst")


def test_a_link_is_refused(folder, tmp_path):
    path = folder / "tables/table1.csv"
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="is a link"):
        write_archive(folder, CITATION, tmp_path / "small.tar.zst")
