"""The shape of a model: the sizes on which its operations, its memory and its files depend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from laser.config.architectures import ARCHITECTURES
from laser.config.evaluations import is_masked
from laser.errors import UserError
from laser.models.stored import BYTES

ATTENTION = ("q", "k", "v", "o")
LARGEST = "u_in"
"""The largest matrix of a model, or one of them, apart from the embeddings."""
NEEDED = ("hidden", "intermediate", "heads", "vocabulary", "parameters")
GUESSED_PARAMETERS, GUESSED_VOCABULARY = 200_000_000, 50_000
"""Assumed if an entry gives neither its parameters nor its hidden size, and if it gives no vocabulary."""


@dataclass(frozen=True)
class Shape:
    """What a model's cost depends on.

    `bytes` is the size of the checkpoint's files, `width` the bytes of a weight; `split` is True if an fp32 model's
    weights are exact in fp16, so that a GPU multiplies by split products (`laser.engine.products`).
    """

    name: str
    hidden: int
    intermediate: int
    heads: int
    key_value_heads: int
    head_size: int
    layers: int
    vocabulary: int
    parameters: int
    gated: bool
    masked: bool
    width: int
    bytes: int
    split: bool = False

    def matrix(self, name: str) -> tuple[int, int]:
        """Return (outputs, inputs) of a logical matrix."""
        if name in ATTENTION:
            width = self.head_size * (self.key_value_heads if name in ("k", "v") else self.heads)
            return (self.hidden, width) if name == "o" else (width, self.hidden)
        return (self.hidden, self.intermediate) if name == "u_out" else (self.intermediate, self.hidden)

    def product(self, *names: str) -> float:
        """Return the operations of one token through some matrices."""
        return product(1, *self.matrix(names[0])) + (self.product(*names[1:]) if len(names) > 1 else 0)

    @property
    def mlp(self) -> float:
        """Operations of one token through a layer's MLP."""
        return self.product("u_in", "u_out", *(["u_gate"] if self.gated else []))

    @property
    def block(self) -> float:
        """Operations of one token through a layer."""
        return self.product(*ATTENTION) + self.mlp

    @property
    def head(self) -> float:
        """Operations of one position through the output head; masked models have a dense layer before it."""
        return product(1, self.vocabulary, self.hidden) + (product(1, self.hidden, self.hidden) if self.masked else 0)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights in the model's dtype."""
        return self.parameters * self.width

    @property
    def key_value_bytes(self) -> int:
        """Bytes of the keys and values of one token in one layer."""
        return 2 * self.matrix("k")[0] * self.width

    def factor_bytes(self, name: str) -> int:
        """Return the bytes of a matrix's factors u, s and vt in fp32."""
        outputs, inputs = self.matrix(name)
        return 4 * min(outputs, inputs) * (outputs + inputs + 1)


def product(rows: float, outputs: int, inputs: int) -> float:
    """Return the operations of (rows, inputs) times the transpose of (outputs, inputs)."""
    return 2.0 * rows * outputs * inputs


def shape_of(entry: dict[str, Any], stored: int | None = None, in_half: bool = False) -> Shape:
    """Return the shape of a model from its entry or card.

    Args:
        entry: a model's entry in the study (config/models.yaml), or its card.json with the entry's dtype.
        stored: bytes of its files if they are known; otherwise fp32 is assumed, the largest case.
        in_half: True if its files are known to be fp16, for files of unknown size.

    Raises:
        UserError: the entry lacks a size.
    """
    missing = [key for key in NEEDED if key not in entry]
    if missing:
        raise UserError(
            f"model '{entry['name']}': its entry lacks '{missing[0]}', without which its cost is unknown. Give "
            f"{', '.join(NEEDED)} in the study or in config/models.yaml, or fetch the model first."
        )
    return Shape(
        **{key: entry[key] for key in ("name", "layers", *NEEDED)},
        key_value_heads=entry.get("key_value_heads", entry["heads"]),
        head_size=entry.get("head_size", entry["hidden"] // entry["heads"]),
        gated=_is_gated(entry),
        masked=is_masked(entry),
        width=BYTES[entry["dtype"]],
        bytes=stored or (2 if in_half else 4) * entry["parameters"],
        split=entry["dtype"] == "fp32" and (in_half if stored is None else stored < 3 * entry["parameters"]),
    )


def _is_gated(entry: dict[str, Any]) -> bool:
    layout = ARCHITECTURES.get(entry["architecture"])
    return "u_gate" in (entry.get("mapping") or (layout.matrices if layout else ()))


def guessed_shape(entry: dict[str, Any]) -> Shape:
    """Return the shape of a model's entry; sizes that it does not declare are guessed from the others."""
    trained = entry["source"] if entry["source"]["kind"] == "trained" else {}
    layers, vocabulary = entry["layers"], entry.get("vocabulary", GUESSED_VOCABULARY)
    hidden, parameters = entry.get("hidden") or trained.get("hidden"), entry.get("parameters")
    if parameters is None:
        parameters = GUESSED_PARAMETERS if hidden is None else 12 * layers * hidden**2 + 2 * vocabulary * hidden
    if hidden is None:
        hidden = int((parameters / (12 * layers)) ** 0.5) + 1
    return shape_of(
        entry
        | {
            "parameters": parameters,
            "hidden": hidden,
            "intermediate": entry.get("intermediate") or trained.get("intermediate") or 4 * hidden,
            "heads": entry.get("heads") or 1,
            "vocabulary": vocabulary,
        }
    )
