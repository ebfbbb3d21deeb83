"""Links between the pages of the documentation: each leads to a file, and to a heading of it."""

import re

import pytest

from tests.workflow.runner import ROOT

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("config/*.md"))]
MADE_BY_A_STUDY = re.compile(r"^(\.\./)*results/[a-z]")


def anchors(text):
    """Return the anchors of a page's headings, as GitHub makes them, and those that it names itself."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"(?<!\\)\]\(([^)\s]+)\)", text):
        link, _, anchor = target.partition("#")
        if "://" in link or (MADE_BY_A_STUDY.match(link) and not link.endswith("results/README.md")):
            continue
        path = (page.parent / link).resolve() if link else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), target
