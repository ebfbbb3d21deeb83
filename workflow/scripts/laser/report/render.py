"""Pages from templates: every text is escaped, and a page's content security policy lists its scripts by hash."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from laser.report.shown import unbroken

TEMPLATES = Path(__file__).resolve().parent / "templates"


@cache
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = unbroken
    return environment


@cache
def _scripts(names: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the text of each script, and its hash in the form that the policy uses."""
    texts = [(TEMPLATES / name).read_text(encoding="utf-8") for name in names]
    return [{"text": text, "hash": base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()} for text in texts]


def render(
    template: str, scripts: Sequence[str] = ("page.js",), styles: Sequence[str] = ("style.css",), **values: Any
) -> str:
    """Return a page.

    Args:
        template: name of the template in templates/.
        scripts: names of the scripts that the page contains.
        styles: names of the page's style sheets.
        values: values that the template shows.
    """
    style = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in styles)
    text = _environment().get_template(template).render(scripts=_scripts(tuple(scripts)), style=style, **values)
    # Replace lone surrogates, which JSON allows and UTF-8 does not, and control characters, which HTML does not allow.
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", "\ufffd", text)


def data_block(value: Any) -> str:
    """Return JSON for `<script type="application/json">`, in which no text can end the element."""
    written = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return written.replace("<", "\\u003c")
