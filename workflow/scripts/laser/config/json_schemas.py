"""JSON schemas of studies and of config/config.yaml, written from their models: for editors and Snakemake's catalogue.

`make schemas` writes them; a test holds them against the models.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from laser.config.fields import ABSENT
from laser.config.settings import Configuration, Study

ROOT = Path(__file__).resolve().parents[4]
FOLDER = ROOT / "config/schemas"


class _Schema(GenerateJsonSchema):
    """The dialect of JSON schema that editors read; a key without a default has none."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        if schema.get("default", ABSENT) is ABSENT:
            return dict(self.generate_inner(schema["schema"]))
        return dict(super().default_schema(schema))

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> dict[str, Any]:
        """Return a choice of kinds, each once: oneOf means exactly one of them."""
        made = dict(super().tagged_union_schema(schema))
        kinds = [kind for index, kind in enumerate(made["oneOf"]) if kind not in made["oneOf"][:index]]
        return made | {"oneOf": kinds}


def study_schema() -> str:
    """Return the schema of a study as JSON."""
    schema = Study.model_json_schema(schema_generator=_Schema)
    return (
        json.dumps({"$schema": GenerateJsonSchema.schema_dialect} | _plain(schema), indent=1, ensure_ascii=False) + "\n"
    )


def configuration_schema() -> str:
    """Return the schema of config/config.yaml as YAML, without references: the catalogue's table follows none."""
    schema = Configuration.model_json_schema(schema_generator=_Schema)
    written = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    # Every key may be left out of a configuration: config/config.yaml has it.
    del schema["required"]
    for key, value in written.items():
        schema["properties"][key]["default"] = value
    inlined = _inlined({key: value for key, value in schema.items() if key != "$defs"}, schema.get("$defs", {}))
    text = yaml.safe_dump(
        {"$schema": GenerateJsonSchema.schema_dialect} | _plain(inlined), sort_keys=False, allow_unicode=True, width=100
    )
    return (
        f"# Written by `make schemas` from laser/config/settings.py; defaults are those of config/config.yaml.\n{text}"
    )


def _plain(value: Any) -> Any:
    """Return a schema without the titles that only repeat keys."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _plain(item) for key, item in value.items() if not (key == "title" and isinstance(item, str))}


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_inlined(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return _inlined(
            {**definitions[name], **{key: item for key, item in value.items() if key != "$ref"}}, definitions
        )
    return {key: _inlined(item, definitions) for key, item in value.items()}


SCHEMAS = {"study.schema.json": study_schema, "config.schema.yaml": configuration_schema}
"""File below config/schemas/ to what writes it."""


def main() -> None:
    """Write all schemas."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in SCHEMAS.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
