"""The kinds of values that settings are made of, and the base class of all models of settings.

The models only describe and check. The workflow uses the checked value itself, a plain dict: values are never
converted, and the text "1" is not a number.
"""

from __future__ import annotations

import copy
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from laser.errors import nearest

ABSENT: Any = None
"""The default of a key that may be left out. Where the key is given it needs a value: `key: null` is refused."""

MOST_LAYERS = 1000
"""Largest number of layers of a model. A study plans jobs for each, so a typo must not ask for billions."""
LARGEST_SEED = 2**63 - 1
"""Largest seed that the random number generators take."""


class Settings(BaseModel):
    """Keys with values. The error about an unknown or missing key also names the keys that exist."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, value: Any) -> Any:
        if isinstance(value, dict):
            needed = [name for name, field in cls.model_fields.items() if field.is_required()]
            missing = [key for key in needed if key not in value]
            unknown = [key for key in value if key not in cls.model_fields]
            # A typo in a needed key makes an unknown key: report that one.
            context: dict[str, Any]
            misspelt = [key for key in unknown if nearest(str(key)[:80], missing)]
            if misspelt or (unknown and not missing):
                key = next(iter(misspelt or unknown))
                context = {"key": key, "allowed": sorted(cls.model_fields)}
                raise PydanticCustomError("unknown_key", "unknown", context)
            if missing:
                context = {"key": missing[0], "needed": needed}
                raise PydanticCustomError("missing_key", "missing", context)
        return value


def with_defaults(model: type[Settings], given: dict[str, Any]) -> dict[str, Any]:
    """Return settings with the model's defaults for the keys that are not given."""
    filled = dict(given)
    for name, field in model.model_fields.items():
        if name not in filled and not field.is_required() and field.default is not ABSENT:
            filled[name] = copy.deepcopy(field.default)
    return filled


class Hint:
    """Annotation of a single value: its description, which every error about the value repeats."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of the annotated type, with the description in its errors."""
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def _check(self, value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise PydanticCustomError(first["type"], "refused", {**first.get("ctx", {}), "hint": self.text}) from None

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the JSON schema of the annotated type with the description."""
        return {**handler(schema), "description": self.text}


class ToldBy:
    """Annotation of a mapping in which the value of one key determines the model.

    Pydantic's path to an error has this value in parentheses; `laser.config.validation` leaves it out.
    """

    def __init__(self, key: str, **models: Any) -> None:
        self.key, self.models = key, models

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of a tagged union."""
        return core_schema.tagged_union_schema(
            {f"({name})": handler.generate_schema(model) for name, model in self.models.items()},
            discriminator=self._tag,
            custom_error_type="unknown_kind",
            custom_error_message="unknown kind",
            custom_error_context={"key": self.key, "allowed": ", ".join(self.models)},
        )

    def _tag(self, mapping: Any) -> str | None:
        value = mapping.get(self.key) if isinstance(mapping, dict) else None
        return f"({value})" if isinstance(value, str) and value in self.models else None


def _no_item_twice(items: list[Any]) -> list[Any]:
    if len(set(items)) < len(items):
        raise PydanticCustomError("item_twice", "an item occurs twice")
    return items


def _whole(value: Any) -> Any:
    """Accept 1.0 as 1, as JSON does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Distinct = (Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(_no_item_twice))
"""Annotations of a list that is not empty and holds nothing twice."""

Text = Annotated[str, Field(min_length=1)]
Whole = BeforeValidator(_whole)
"""Annotation of an integer, to be placed after its bounds."""
Positive = Annotated[int, Field(ge=1), Whole]
Natural = Annotated[int, Field(ge=0), Whole]
Layers = Annotated[int, Field(ge=1, le=MOST_LAYERS), Whole]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED), Whole]
Share = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), Hint("64 hex digits.")]
Name = Annotated[
    str,
    Field(max_length=80, pattern=r"^[a-z0-9]([a-z0-9_.-]*[a-z0-9_-])?$"),
    Hint(
        "A name becomes a file's: at most 80 lower-case letters, digits, . _ - and no slash; it starts with a letter "
        "or digit, and does not end with a dot."
    ),
]
Names = Annotated[list[Name], *Distinct]
Matrix = Literal["q", "k", "v", "o", "u_in", "u_gate", "u_out"]
Matrices = Annotated[list[Matrix], *Distinct]
Rho = Annotated[float, Field(gt=0, le=1), Hint("ρ is the fraction of the maximum rank that is kept.")]
Rhos = Annotated[list[Rho], *Distinct]


def _word_or_list(value: Any) -> str:
    return "(word)" if isinstance(value, str) else "(list)"


ChosenLayers = Annotated[
    Annotated[Literal["all"], Tag("(word)")] | Annotated[list[Natural], *Distinct, Tag("(list)")],
    Discriminator(_word_or_list),
]
"""`all`, or a list of layers counted from 0."""
