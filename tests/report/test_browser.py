"""The report in a real browser: opened from its file, used by mouse and keyboard, printed, checked by axe."""

import json
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.report import study
from tests.report.browser import Visit, browser, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

ATTACK = "<script>alert(1)</script>"
WIDE, NARROW = {"width": 1400, "height": 1000}, {"width": 390, "height": 844}
PAGES = ("index.html", "run.html")
COLUMN = "#table1-published tbody tr td:nth-child(4)"
SORT = "#table1-published thead th:nth-child(4) button"


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    def change(frame):
        shares = json.dumps({ATTACK: 0.75, "<b>bold</b>": 0.25})
        return frame.assign(prediction_shares=[shares if one == "accuracy" else "" for one in frame["metric"]])

    return study.report(tmp_path_factory.mktemp("report"), change=change).parent


@pytest.fixture
def visit(chromium, folder):
    opened = []

    def go(name="index.html", folder=folder, **settings):
        opened.append(Visit(chromium, folder / name, **{"viewport": WIDE, "color_scheme": "light"} | settings))
        return opened[-1]

    yield go
    for one in opened:
        one.close()


def numbers(page):
    return [float(re.match(r"[\d.]+", text)[0]) for text in page.locator(COLUMN).all_inner_texts()]


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_said_in_the_console_and_no_request_leaves(visit, name):
    one = visit(name)
    one.page.wait_for_load_state("networkidle")
    for button in one.page.locator("button:visible").all():
        button.click()
    assert one.said == []
    assert one.asked and all(url.startswith("file://") for url in one.asked)
    broken = "Array.from(document.images).filter((image) => !image.complete || !image.naturalWidth).length"
    assert one.page.evaluate(broken) == 0


def addresses(page):
    found = "Array.from(document.querySelectorAll('[href], [src]')).map((one) => one.href || one.src)"
    return [urlsplit(url) for url in page.evaluate(found)]


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file_or_a_place_that_there_is(visit, folder, name):
    page = visit(name).page
    links = addresses(page)
    paths = [Path(unquote(one.path)) for one in links]
    assert {one.scheme for one in links} == {"file"}
    assert [path for path in paths if not path.is_file()] == []
    assert all(path.is_relative_to(folder.parent) for path in paths)
    for one in links:
        assert not one.fragment or page.locator(f"[id='{one.fragment}']").count() == 1
    if name == "index.html":
        below = {path.relative_to(folder.parent).parts[0] for path in paths}
        assert {"report", "records", "selection"} <= below


def test_the_folder_alone_keeps_its_own_links(visit, folder, tmp_path):
    alone = tmp_path / "with a space & more"
    shutil.copytree(folder, alone)
    links = [Path(unquote(one.path)) for one in addresses(visit(folder=alone).page)]
    inside = [path for path in links if path.is_relative_to(alone)]
    assert all(path.is_file() for path in inside)
    assert {"tables", "figures", "rows", "questions"} <= {path.relative_to(alone).parts[0] for path in inside}


def test_a_click_sorts_and_a_second_one_turns_the_order(visit):
    page = visit().page
    before = numbers(page)
    page.click(SORT)
    assert numbers(page) == sorted(before) != before
    assert page.locator("#table1-published [aria-sort=ascending]").count() == 1
    page.click(SORT)
    assert numbers(page) == sorted(before, reverse=True)
    assert page.locator("#table1-published [aria-sort=descending]").count() == 1
    assert "descending" in page.locator("#sorted").inner_text()


def test_the_keyboard_is_enough(visit):
    page = visit().page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    sort = page.locator(SORT)
    for _ in range(200):
        page.keyboard.press("Tab")
        if sort.evaluate("(one) => one === document.activeElement"):
            break
    outline = (
        "getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth"
    )
    assert page.evaluate(outline) == "solid3px"
    page.keyboard.press("Enter")
    assert numbers(page) == sorted(numbers(page))
    page.keyboard.press("Space")
    assert numbers(page) == sorted(numbers(page), reverse=True)
    assert sort.evaluate("(one) => one === document.activeElement")


def brightness(page):
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_dark_follows_the_system_and_the_button_overrules_it(visit):
    light, dark = visit().page, visit(color_scheme="dark").page
    assert brightness(light) > 200 and brightness(dark) < 60
    light.click("#theme")
    assert brightness(light) < 60
    for _ in range(20):  # the browser may write down what is stored only after the page has gone
        light.reload()
        if brightness(light) < 60:
            break
    assert brightness(light) < 60
    dark.click("#theme")
    assert brightness(dark) > 200


def test_paper_is_white_and_carries_no_buttons(visit):
    page = visit(color_scheme="dark").page
    page.click("#theme")
    page.click("#theme")
    page.emulate_media(media="print")
    assert brightness(page) == 255
    for hidden in ("nav", "#theme", ".skip"):
        assert not page.locator(hidden).is_visible()
    assert page.locator("#table1-published").is_visible()
    printed = page.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF") and len(printed) > 20_000


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_page_itself_never_scrolls_sideways(visit, viewport):
    page = visit(viewport=viewport).page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    "settings", [{}, {"color_scheme": "dark"}, {"viewport": NARROW}], ids=["light", "dark", "narrow"]
)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_serious_fault(visit, name, settings):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(visit(name, **settings).page).response["violations"]
    grave = [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")
    ]
    assert grave == []


def test_what_a_model_generates_shows_as_text(visit):
    one = visit()
    assert one.page.get_by_text(ATTACK).first.is_visible()
    assert one.page.locator("script").count() == 1 and one.page.locator("td b").count() == 0
    assert one.said == []
