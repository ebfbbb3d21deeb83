"""The report's folder: exact copies of tables, figures and films, and pages that run only the report's own script."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from html.parser import HTMLParser

from laser_audit.findings import Check
from laser_audit.reading import Study, remembered

FOLDERS = ("tables", "figures", "media")
PAGE, RUN_PAGE, EXPLORER = "report/index.html", "report/run.html", "report/explorer.html"
DATA = "report/explorer/"
"""The folder of the pages that pass data to the explorer."""
CHOICES, ROWS = "report/choices/", "report/rows/"
"""The folders of the pages with each choice's candidates, and with the rows that it corrected or broke."""
ACTIVE = ("iframe", "object", "embed", "form", "base", "link", "frame", "applet", "portal")
"""Elements that load, send or redirect; the report has none of them."""


def check_report(check: Check, study: Study) -> None:
    """Compare every copy in report/ with its original, and check the pages for elements that could run or load."""
    originals = {}
    for path in [*study.matching("tables/", ""), *study.matching("figures/", "")]:
        folder, _, inner = path.partition("/")
        stem, _, ending = inner.rpartition(".")
        copied = "media" if folder == "figures" and study.has(f"{folder}/{stem}.gif") else folder
        originals[f"report/{copied}/{_slug(stem)}.{ending}"] = path
    hashes = {study.sha256(path) for path in originals.values() if study.has(path)}
    for path in study.files:
        if path.startswith(tuple(f"report/{folder}/" for folder in FOLDERS)):
            with check.guarded(path):
                original, sha256 = originals.get(path), study.sha256(path)
                # Long names are truncated and get a hash.
                alike = sha256 == study.sha256(original) if original is not None else sha256 in hashes
                check.holds(path, "", alike, "other bytes", f"those of {original or 'a table or figure'}")
    check.same(PAGE, "there", study.has(PAGE), True)
    if study.has(RUN_PAGE):
        text = html.unescape(study.text(RUN_PAGE))
        for path in study.matching("runs/", ".json"):
            with check.guarded(path):
                host = str(study.json(path)["host"])
                if host not in text:
                    check.fail(path, "host", host, f"one that {RUN_PAGE} names")
    listed = [path for folder in (CHOICES, ROWS) for path in study.matching(folder, ".html")]
    first: dict[bool, tuple[str, list[str]]] = {}
    for path in (PAGE, RUN_PAGE, EXPLORER, *listed, *study.matching(DATA, "")):
        if study.has(path):
            with check.guarded(path):
                page = read_page(study, path)
                check.same(path, "what could load, send or run", page.active[:3], [])
                check.same(path, "policies", len(page.policies), 1)
                allowed = re.findall(r"'sha256-([^']*)'", page.policies[0])
                check.same(path, "scripts, and those that its policy allows", page.hashes(), sorted(allowed))
                # Pages of one kind have the same scripts; the explorer has one more than the others.
                like, scripts = first.setdefault(path.startswith(DATA), (path, page.hashes()))
                others = [one for one in page.hashes() if one in scripts] if path == EXPLORER else page.hashes()
                check.same(path, f"scripts, and those of {like}", others, scripts)


@remembered
def read_page(study: Study, path: str) -> _Page:
    """Return the scripts, policies and active elements of a page."""
    return _Page(study.text(path))


def _slug(name: str) -> str:
    """Return a name as written in the report's file names."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")


class _Page(HTMLParser):
    """Collects the scripts of a page, its content security policies, and other elements that could run or load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.policies: list[str] = []
        self.active: list[str] = []
        self._inside = False
        self.feed(text)
        self.close()

    def hashes(self) -> list[str]:
        """Return the sha256 of each script as a policy writes it, sorted."""
        return sorted(base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in self.scripts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: (value or "").strip().lower() for name, value in attrs}
        if tag == "script" and values.get("type") != "application/json":  # a block of data, which never runs
            self.scripts.append("")
            self._inside = True
        if tag == "meta" and values.get("http-equiv") == "content-security-policy":
            self.policies.append(dict(attrs)["content"] or "")
        elif tag in ACTIVE or "http-equiv" in values:
            self.active.append(f"<{tag}>")
        for name, value in values.items():
            inert = not value.startswith(("javascript:", "data:text", "vbscript:"))
            loads = name == "src" and (tag == "script" or re.match(r"[a-z]+:|//", value))
            if name.startswith("on") or not inert or loads:
                self.active.append(f"<{tag} {name}>")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data
