"""JSON schemas of studies and of config/config.yaml, for editors and Snakemake's catalogue, and tables of keys.

`make schemas` writes all of them from the models of settings; a test compares them with the models.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from laser.config.artefacts import declared
from laser.config.fields import ABSENT, Hint, Settings
from laser.config.settings import EVALUATIONS, Cells, Configuration, Study

ROOT = Path(__file__).resolve().parents[4]
FOLDER = ROOT / "config/schemas"


class _Schema(GenerateJsonSchema):
    """The dialect of JSON schema that editors read; keys without a default get none."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        if schema.get("default", ABSENT) is ABSENT:
            return dict(self.generate_inner(schema["schema"]))
        return dict(super().default_schema(schema))

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> dict[str, Any]:
        """Return a choice of kinds, each listed once, because oneOf means exactly one of them."""
        made = dict(super().tagged_union_schema(schema))
        kinds = [kind for index, kind in enumerate(made["oneOf"]) if kind not in made["oneOf"][:index]]
        return made | {"oneOf": kinds}


def study_schema() -> str:
    """Return the schema of a study as JSON."""
    schema = Study.model_json_schema(schema_generator=_Schema)
    schema["properties"]["artefacts"]["items"]["enum"] = list(declared())
    return (
        json.dumps({"$schema": GenerateJsonSchema.schema_dialect} | _plain(schema), indent=1, ensure_ascii=False) + "\n"
    )


def configuration_schema() -> str:
    """Return the schema of config/config.yaml as YAML, without references, which the catalogue does not follow."""
    schema = Configuration.model_json_schema(schema_generator=_Schema)
    # Every key may be left out of a configuration: config/config.yaml has it.
    del schema["required"]
    for key, value in _written_configuration().items():
        schema["properties"][key]["default"] = value
    inlined = _inlined({key: value for key, value in schema.items() if key != "$defs"}, schema.get("$defs", {}))
    text = yaml.safe_dump(
        {"$schema": GenerateJsonSchema.schema_dialect} | _plain(inlined), sort_keys=False, allow_unicode=True, width=100
    )
    return (
        f"# Written by `make schemas` from laser/config/settings.py; defaults are those of config/config.yaml.\n{text}"
    )


def _written_configuration() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8")))


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


def key_rows(model: type[Settings], prefix: str = "", defaults: Mapping[str, Any] = MappingProxyType({})) -> list[str]:
    """Return rows of a Markdown table: key, default, description. The keys within a needed key follow it."""
    rows = []
    for name, field in model.model_fields.items():
        default = "needed" if field.is_required() else "" if field.default is ABSENT else _code(field.default)
        default = _code(defaults[name]) if name in defaults else default
        hints = [item.text for item in field.metadata if isinstance(item, Hint)]
        rows.append(f"| `{prefix}{name}` | {default} | {field.description or ' '.join(hints)} |")
        if field.is_required() and isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            rows += key_rows(field.annotation, f"{prefix}{name}.")
    return rows


def _code(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def key_table(rows: list[str]) -> str:
    """Return rows with the table's header."""
    return "\n".join(["| key | default | what |", "|---|---|---|", *rows])


def evaluation_rows() -> list[str]:
    """Return the keys of all evaluations besides the sweep, except those that choose the cells."""
    rows = []
    for name, model in EVALUATIONS.items():
        rows.append(f"| `{name}` | | {' '.join(str(model.__doc__).split())} |")
        settings = [
            row for row in key_rows(model, f"{name}.") if row.split("`")[1].partition(".")[2] not in Cells.model_fields
        ]
        rows += settings
    return rows


def page(path: Path) -> str:
    """Return a page of the documentation with its tables of keys regenerated, each after the line that names it."""
    text = path.read_text(encoding="utf-8")
    for name, rows in PAGES[path].items():
        start, end = f"<!-- keys of {name}, written by `make schemas` -->\n", "<!-- end -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        if not after:
            raise ValueError(f"{path} lacks the lines '{start.strip()}' and '{end}'")
        text = f"{before}{start}\n{key_table(rows())}\n\n{end}{after}"
    return text


PAGES: Mapping[Path, Mapping[str, Callable[[], list[str]]]] = {
    ROOT / "config/README.md": {"config.yaml": lambda: key_rows(Configuration, defaults=_written_configuration())},
    ROOT / "config/study.md": {"a study": lambda: key_rows(Study), "evaluations": evaluation_rows},
}
"""Page to its tables of keys: name to the function that returns the rows."""

SCHEMAS = {"study.schema.json": study_schema, "config.schema.yaml": configuration_schema}
"""File below config/schemas/ to the function that returns its text."""


def main() -> None:
    """Write all schemas."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in SCHEMAS.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")
    for path in PAGES:
        path.write_text(page(path), encoding="utf-8")


if __name__ == "__main__":
    main()
