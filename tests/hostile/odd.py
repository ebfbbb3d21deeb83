"""Hostile values, and how often each property tries them: a few in the ordinary run, many under LASER_FUZZ=nightly."""

from __future__ import annotations

import copy
import datetime
import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

NIGHTLY = os.environ.get("LASER_FUZZ") == "nightly"


def cases(ordinary: int, nightly: int) -> Any:
    """Return a property's settings: the same few cases in every ordinary run, new ones every night."""
    return settings(
        max_examples=int(os.environ.get("LASER_FUZZ_CASES", nightly)) if NIGHTLY else ordinary,
        derandomize=not NIGHTLY,
        deadline=None,
        database=None,
        # A night finds; the line that it prints gives the same case again, to be made smaller by whoever mends it.
        phases=[Phase.explicit, Phase.generate] + ([] if NIGHTLY else [Phase.shrink]),
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


SCRIPT = "<script>alert(1)</script>"
TEXTS = [
    *(
        "",
        " ",
        "\x00",
        "a\x00b",
        "\n",
        "x\n",
        "\u202egnp.exe",
        "\u2028",
        "\ufeff",
        "e\u0301",
        "\x1b[31m",
        "\x85",
        "\x7f",
    ),
    *(
        "../x",
        "../../../../etc/passwd",
        "/etc/passwd",
        "..\\x",
        "C:\\x",
        ".",
        "..",
        "~",
        "a/b",
        "-rf",
    ),
    *(
        SCRIPT,
        "\"'><img src=x onerror=alert(1)>",
        "{{ 7*7 }}",
        "{% raw %}",
        "%s%n",
        "{}",
        "{0.__class__}",
        "$(id)",
        "`id`",
    ),
    *("=1+1", "@SUM(A1)", "+1", "-1", "\t=1", "NaN", "null", "true", "1e999", "0x10", "🏳️‍🌈", "א" * 50, "x" * 300),
    "y" * 100_000,
]
SURROGATES = ["\ud800", "a\udfffb", "\ud83d"]
NUMBERS = [
    *(0, -1, 1, 5, 2**31, 2**53 + 1, -(2**63), 2**64, 10**400),
    *(0.0, -0.0, 1e308, -1e-308, float("nan"), float("inf"), float("-inf"), 0.5),
]
DATES = [datetime.date(2023, 12, 21), datetime.datetime(1, 1, 1), b"\x00\xff", {1, 2}, (1, 2)]


def plain(surrogates: bool = False) -> st.SearchStrategy[Any]:
    """Return single values that JSON can hold, the odder the better."""
    texts = TEXTS + (SURROGATES if surrogates else [])
    return st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(texts), st.text(max_size=20))


def odd(surrogates: bool = False) -> st.SearchStrategy[Any]:
    """Return JSON values of any shape."""
    keys = st.one_of(st.sampled_from(TEXTS[:-1]), st.sampled_from(["name", "kind", "model", "rho"]))

    def deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)

    nested = st.sampled_from([60, 300]).map(lambda depth: _nested(depth))
    return st.recursive(plain(surrogates), deeper, max_leaves=6) | nested


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@st.composite
def mutated(draw: Any, start: Any, values: st.SearchStrategy[Any], most: int = 3) -> Any:
    """Return a copy of a nested value in which one to `most` places were replaced, removed, doubled or added to."""
    value = copy.deepcopy(start)
    for _ in range(draw(st.integers(1, most))):
        parent, key = None, None
        current = value
        while isinstance(current, dict | list) and current and (parent is None or draw(st.integers(0, 3))):
            keys = list(current) if isinstance(current, dict) else list(range(len(current)))
            parent, key = current, draw(st.sampled_from(keys))
            current = current[key]
        action = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add", "double"]))
        if parent is None:
            value = draw(values) if action == "replace" else value
        elif action == "remove":
            del parent[key]
        elif action == "add" and isinstance(parent, dict):
            parent[draw(st.sampled_from([*TEXTS[:40], "name", "extra"]))] = draw(values)
        elif action in ("add", "double") and isinstance(parent, list):
            parent.append(draw(values) if action == "add" else copy.deepcopy(parent[key]))
        else:
            parent[key] = draw(values)
    return value
