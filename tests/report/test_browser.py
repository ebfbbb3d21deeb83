"""The report in a real browser: opened from its file, used by mouse and keyboard, printed, checked by axe."""

import io
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

from tests.report import study
from tests.report.browser import Visit, browser, grave_faults, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

WIDE, NARROW = {"width": 1400, "height": 1000}, {"width": 390, "height": 844}
CHOICE = "choices/gpt-j-6b-fever.html"
PAGES = ("index.html", "run.html", CHOICE)
LAPTOP = {"width": 1366, "height": 900}
COLUMN = "#table1-published tbody tr td:nth-child(4)"
METRIC = "#table1-published tbody tr td:nth-child(3)"
SORT = "#table1-published thead th:nth-child(4) button"


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def folder(made):
    return made.parent


@pytest.fixture
def visit(chromium, folder):
    opened = []

    def go(name="index.html", folder=folder, **settings):
        opened.append(Visit(chromium, folder / name, **{"viewport": WIDE, "color_scheme": "light"} | settings))
        return opened[-1]

    yield go
    for one in opened:
        one.close()


def by_metric(page):
    """Return metric and number of every row, as they stand."""
    metrics, texts = (page.locator(cells).all_text_contents() for cells in (METRIC, COLUMN))
    return [(metric, float(re.match(r"[\d.]+", text)[0])) for metric, text in zip(metrics, texts, strict=True)]


def ordered(rows, sign=1):
    """Return rows by metric, in the order of the table, and within it by number."""
    metrics = list(dict.fromkeys(metric for metric, _ in rows))
    return sorted(rows, key=lambda row: (metrics.index(row[0]), sign * row[1]))


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_said_in_the_console_and_no_request_leaves(visit, name):
    one = visit(name)
    one.page.wait_for_load_state("networkidle")
    one.page.locator("button:visible").evaluate_all("all => all.forEach((button) => button.click())")
    assert one.said == []
    assert one.asked and all(url.startswith("file://") for url in one.asked)
    broken = "Array.from(document.images).filter((image) => !image.complete || !image.naturalWidth).length"
    assert one.page.evaluate(broken) == 0


def test_figures_are_dark_where_the_page_is_and_light_in_print(visit):
    page = visit().page
    picture = page.locator("figure img").first

    def ground():
        shown = Image.open(io.BytesIO(picture.screenshot())).convert("RGB")
        return shown.getpixel((shown.width // 2, 14))

    assert min(ground()) > 240
    page.click("#theme")
    assert max(ground()) < 40
    page.emulate_media(media="print")
    assert min(ground()) > 240


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
        assert {"report", "records"} <= below
    if name == CHOICE:
        assert "selection" in {path.relative_to(folder.parent).parts[0] for path in paths}


def test_the_folder_alone_keeps_its_own_links(visit, folder, tmp_path):
    alone = tmp_path / "with a space & more"
    shutil.copytree(folder, alone)
    links = [Path(unquote(one.path)) for one in addresses(visit(folder=alone).page)]
    inside = [path for path in links if path.is_relative_to(alone)]
    assert all(path.is_file() for path in inside)
    assert {"tables", "figures", "rows", "questions", "choices"} <= {
        path.relative_to(alone).parts[0] for path in inside
    }


def test_clicks_sort_within_a_metric_turn_the_order_and_restore_it(visit):
    page = visit().page
    before = by_metric(page)
    assert len({metric for metric, _ in before}) == 2
    page.click(SORT)
    assert by_metric(page) == ordered(before) != before
    assert page.locator("#table1-published [aria-sort=ascending]").count() == 1
    page.click(SORT)
    assert by_metric(page) == ordered(before, -1)
    assert page.locator("#table1-published [aria-sort=descending]").count() == 1
    assert "descending, within each measure" in page.locator("#sorted").inner_text()
    page.click(SORT)
    assert by_metric(page) == before
    assert page.locator("#table1-published [aria-sort]").count() == 0
    assert "first order" in page.locator("#sorted").inner_text()


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
    assert by_metric(page) == ordered(by_metric(page))
    page.keyboard.press("Space")
    assert by_metric(page) == ordered(by_metric(page), -1)
    assert sort.evaluate("(one) => one === document.activeElement")


def brightness(page):
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_dark_follows_the_system_and_the_button_overrules_it(visit):
    light, dark = visit("run.html").page, visit("run.html", color_scheme="dark").page
    assert brightness(light) > 200 and brightness(dark) < 60
    light.click("#theme")
    assert brightness(light) < 60
    light.reload()
    assert brightness(light) < 60
    dark.click("#theme")
    assert brightness(dark) > 200


@pytest.mark.parametrize("failure", ["getItem", "setItem"])
def test_the_theme_outlives_a_reload_where_storage_is_blocked(visit, failure):
    opened = visit("run.html")
    blocked = f"Storage.prototype.{failure} = () => {{ throw new DOMException('blocked', 'SecurityError'); }}"
    opened.page.add_init_script(blocked)
    opened.page.reload()
    opened.page.click("#theme")
    assert brightness(opened.page) < 60
    opened.page.reload()
    assert brightness(opened.page) < 60
    opened.page.click("#theme")
    opened.page.reload()
    assert brightness(opened.page) > 200
    assert opened.said == []


@pytest.mark.parametrize("name", PAGES)
def test_tables_fit_a_laptop_and_say_so_where_they_do_not(visit, name):
    page = visit(name, viewport=LAPTOP).page
    assert page.locator(".scroll").count() and page.locator(".wider:visible").count() == 0
    page.set_viewport_size({"width": 600, "height": 900})
    page.wait_for_timeout(100)
    scrolls = "(table) => table.offsetWidth > table.parentElement.clientWidth"
    for region in page.locator(".scroll").all():
        assert region.locator(".wider").is_visible() == region.locator("table").evaluate(scrolls)
    assert name != "index.html" or page.locator(".wider:visible").count()


def test_the_first_screen_holds_finding_picture_and_cautions(visit):
    page = visit(viewport=LAPTOP).page
    for part in ("section > .lead", "#dumbbells-published", ".cautions h3"):
        assert page.locator(part).first.bounding_box()["y"] < LAPTOP["height"]
    marks = page.locator("#dumbbells-published tbody tr").all()
    assert len(marks) == 4
    for row in marks:
        base, laser = (float(text) for text in row.locator("td:nth-child(3)").inner_text().split(" → "))
        at = [row.locator(f"circle.{arm}").bounding_box()["x"] for arm in ("base", "laser")]
        assert (at[1] - at[0]) * (laser - base) >= 0
        for arm in ("base", "laser"):
            line, dot = (row.locator(f"{shape}.{arm}").bounding_box() for shape in ("line", "circle"))
            assert line["x"] <= dot["x"] + dot["width"] / 2 <= line["x"] + line["width"]


def test_a_phone_gets_closed_contents_and_a_card_per_row(visit):
    page = visit(viewport=NARROW).page
    assert not page.locator("nav a").first.is_visible()
    page.click("nav summary")
    assert page.locator("nav a").first.is_visible()
    cell = page.locator("#table1-published tbody tr").first.locator("td").nth(2)
    assert "Base" in cell.evaluate("(one) => getComputedStyle(one, '::before').content")
    box = page.locator("#table1-published tbody tr").first.bounding_box()
    assert box["width"] <= NARROW["width"]
    assert page.get_by_role("table", name="Table 1.").first.get_by_role("rowheader").count()
    assert visit().page.locator("nav a").first.is_visible()


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


@pytest.mark.parametrize(
    "settings", [{}, {"color_scheme": "dark"}, {"viewport": NARROW}], ids=["light", "dark", "narrow"]
)
@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways_and_axe_finds_no_serious_fault(visit, name, settings):
    page = visit(name, **settings).page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert grave_faults(page, of_colours_only="color_scheme" in settings) == []


def test_what_a_model_generates_shows_as_text(visit):
    one = visit()
    assert one.page.get_by_text(study.SCRIPT).first.is_visible()
    assert one.page.locator("script").count() == 1 and one.page.locator("td b").count() == 0
    assert one.said == []
