"""What the documentation names in code exists: files, modules and their members."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("config/*.md"), *ROOT.glob("docs/**/*.md")])
NAME = re.compile(r"laser(_audit)?(\.\w+)*")
EXAMPLE = "lengths"
"""The artefact of the worked example, which is not in the repository."""

FOLDERS = ("config/", "docs/", "envs/", "profiles/", "rules/", "tests/", "workflow/")


def code_of(page):
    """Return the inline code of a page, without its blocks of code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S))


def resolves(name):
    """Return True if a dotted name is a module of the package, or a member of one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        try:
            if importlib.util.find_spec(module) is None:
                continue
        except ModuleNotFoundError:
            continue
        value = importlib.import_module(module) if length < len(parts) else None
        for part in parts[length:]:
            value = getattr(value, part, None)
        return length == len(parts) or value is not None
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page):
    code = code_of(page)
    names = {text for text in code if NAME.fullmatch(text)}
    assert not sorted(name for name in names if not resolves(name))
    paths = {text.partition("::")[0] for text in code if text.startswith(FOLDERS) and not re.search(r"[\s<>{}…]", text)}
    paths = {path for path in paths if Path(path).stem != EXAMPLE}
    assert not sorted(path for path in paths if not list(ROOT.glob(path.rstrip("/"))))


def test_the_layout_lists_every_part_of_the_package():
    table = (ROOT / "docs/architecture.md").read_text().split("| part | holds |")[1].split("\n\n")[0]
    parts = {
        name for row in table.splitlines() if row.count("|") > 2 for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    package = ROOT / "workflow/scripts/laser"
    assert parts == {path.name for path in package.iterdir() if (path / "__init__.py").exists()} | {"errors"}


@pytest.mark.parametrize(("checklist", "items"), [("REFORMS", 32), ("NeurIPS", 16)])
def test_every_item_of_a_checklist_is_answered_once(checklist, items):
    table = (ROOT / "docs/checklists.md").read_text().split(f"## {checklist}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"][2:]
    assert len({row[0] for row in rows}) == len(rows) == items
    assert all(len(row) == 3 and all(row) for row in rows)
