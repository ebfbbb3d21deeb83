"""The JSON schemas under config/schemas/ are those of the models, and accept what the workflow accepts."""

import json
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml

from laser.config import json_schemas
from laser.config.json_schemas import FOLDER, SCHEMAS
from laser.config.settings import Configuration, Study

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted((ROOT / "config/studies").glob("*.yaml"))


@cache
def study_schema():
    """Return what checks a study against its schema, which is checked itself."""
    schema = json.loads((FOLDER / "study.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@cache
def quickstart():
    return yaml.safe_load((ROOT / "config/studies/quickstart.yaml").read_text())


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_files_are_current(name):
    assert (FOLDER / name).read_text() == SCHEMAS[name](), "run `make schemas`"


@pytest.mark.parametrize("path", json_schemas.PAGES, ids=lambda path: path.name)
def test_the_tables_of_keys_are_current(path):
    assert path.read_text() == json_schemas.page(path), "run `make schemas`"


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_each_study_names_its_schema_and_fits_it(path):
    first = path.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schemas/study.schema.json"
    study_schema().validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"seed": -1},
        {"artefacts": ["tabel1"]},
        {"protocols": ["corected"]},
        {"models": [{"name": "../up"}]},
        {"models": [{"name": "x", "source": {"kind": "local", "path": "x", "repo": "y"}}]},
        {"grid": {"matrices": ["u_in"], "layers": "some", "rhos": [0.5]}},
        {"grid": {"matrices": ["u_in"], "layers": "all", "rhos": [0.5, 0.5]}},
    ],
    ids=str,
)
def test_an_editor_marks_what_the_workflow_refuses(changes):
    with pytest.raises(jsonschema.ValidationError):
        study_schema().validate(quickstart() | changes)


def test_every_key_is_described():
    # What an editor shows, and the catalogue's table.
    for model in (Study, Configuration):
        schema = model.model_json_schema(schema_generator=json_schemas._Schema)
        for name, key in schema["properties"].items():
            assert key.get("description"), name
    definitions = Study.model_json_schema(schema_generator=json_schemas._Schema)["$defs"]
    assert all(definition.get("description") for definition in definitions.values())


def test_the_configuration_has_every_key_and_its_schema_every_default():
    written = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    schema = yaml.safe_load((FOLDER / "config.schema.yaml").read_text())
    jsonschema.validate(written, schema)
    assert {name: key["default"] for name, key in schema["properties"].items()} == written
    assert "$ref" not in json.dumps(schema)  # the catalogue's table follows none
