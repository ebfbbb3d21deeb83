"""Pages from templates: every text is escaped, and the policy of a page names the scripts that it has by their hash."""

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
    """Return the text of each script, and its hash as a policy writes it."""
    texts = [(TEMPLATES / name).read_text(encoding="utf-8") for name in names]
    return [{"text": text, "hash": base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()} for text in texts]


def render(
    template: str, scripts: Sequence[str] = ("page.js",), styles: Sequence[str] = ("style.css",), **values: Any
) -> str:
    """Return a page.

    Args:
        template: its name in templates/.
        scripts: names of the scripts that the page contains.
        styles: names of its style sheets.
        values: what the template shows.
    """
    style = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in styles)
    text = _environment().get_template(template).render(scripts=_scripts(tuple(scripts)), style=style, **values)
    # A lone surrogate, which JSON can hold and UTF-8 cannot, and control characters, which HTML may not hold.
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", "\ufffd", text)


def data_block(value: Any) -> str:
    """Return JSON for `<script type="application/json">`: no text of it can end the element."""
    written = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return written.replace("<", "\\u003c")
