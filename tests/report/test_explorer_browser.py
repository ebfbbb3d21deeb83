"""The explorer in a real browser: by mouse, by keyboard, by a link; what is looked at is in the address."""

import json
import shutil

import pytest

from laser.io.files import read_parquet, read_spec, write_parquet
from laser.report.explorer import SweepFiles, write_explorer
from tests.artefacts import synthetic
from tests.report import study
from tests.report.browser import Visit, browser, grave_faults, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

ATTACK = '<script>alert(1)</script><img src=x onerror="alert(2)">'
WIDE, NARROW = {"width": 1400, "height": 1000}, {"width": 390, "height": 844}
CELL = "gpt-j-6b-fever-corrected"
CHOSEN = "u_in/5/0.01"
OPEN = f"#cell={CELL}&at=u_in%2F5%2F0.01"


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer")
    built = synthetic.build(folder / "study")
    for path in built.sweeps["gpt-j-6b", "fever"]:  # whatever a model generates is text
        frame = read_parquet(path)
        write_parquet(path, frame.assign(prediction=frame["prediction"] + ATTACK), read_spec(path))
    sweeps = [SweepFiles(base, swept) for base, swept in zip(built.bases, built.sweeps.values(), strict=True)]
    report = folder / "a report & more"
    write_explorer(report, study.SETTINGS, sweeps, built.selections, built.rows, built.tests)
    return report


@pytest.fixture
def visit(chromium, folder):
    opened = []

    def go(fragment="", folder=folder, **settings):
        settings = {"viewport": WIDE, "color_scheme": "light"} | settings
        one = Visit(chromium, folder / "explorer.html", fragment, **settings)
        opened.append(one)
        ready(one.page)
        return one

    yield go
    for one in opened:
        one.close()


def ready(page):
    page.wait_for_selector("body[data-ready]")


def until(page, expression):
    """Wait until a JavaScript expression is true; playwright's own waiting would need `eval`, which the policy bars."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def square(at, matrix="u_in"):
    return f"#maps table[aria-labelledby=map-{matrix}] td[data-at='{at}']"


def scores(folder, key=CELL):
    text = (folder / f"explorer/{key}.html").read_text(encoding="utf-8")
    return json.loads(text.partition('id="data">')[2].partition("</script>")[0])


def place(folder, at=CHOSEN):
    return next(one for one in scores(folder)["places"] if "/".join(map(str, one["at"])) == at)


def test_every_intervention_has_a_square_and_the_choice_is_marked(visit, folder):
    page = visit(f"#cell={CELL}").page
    tried = scores(folder)["places"]
    assert page.locator("#maps td[data-at]:not([data-at=base])").count() == len(tried)
    assert page.locator("#maps td[data-at=base]").count() == 2
    assert page.locator("#maps td.marked").get_attribute("data-at") == CHOSEN
    assert page.locator("#maps td.marked").inner_text().startswith("L ")
    assert "the paper's choice" in page.locator("#legend").inner_text()
    assert "is not among them" in page.locator("#legend").inner_text()


def test_base_is_marked_where_it_was_chosen(visit):
    page = visit("#cell=tiny-llama-worldfacts-corrected").page
    assert set(page.locator("#maps td.marked").evaluate_all("all => all.map((one) => one.dataset.at)")) == {"base"}
    assert "LASER's choice: the base model" in page.locator("#legend").inner_text()
    assert "paper" not in page.locator("#legend").inner_text()


def test_hover_and_focus_tell_the_same(visit, folder):
    page = visit(f"#cell={CELL}").page
    tip = page.locator("#tip")
    assert not tip.is_visible()
    page.hover(square(CHOSEN))
    tip.wait_for(state="visible")
    hovered = tip.inner_text()
    one = place(folder)
    for said in (f"+{one['gain'][0]:.1f} points [", "Accuracy, base", "Change of loss", "n: 24", "LASER's choice"):
        assert said in hovered
    assert f"uncorrected: one of {len(scores(folder)['places'])} cells" in hovered
    page.mouse.move(5, 5)
    tip.wait_for(state="hidden")
    page.focus(square(CHOSEN))
    tip.wait_for(state="visible")
    assert tip.inner_text() == hovered
    assert page.locator(square(CHOSEN)).get_attribute("aria-describedby") == "tip"
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_a_click_opens_the_rows_that_changed(visit, folder):
    page = visit(f"#cell={CELL}").page
    page.click(square(CHOSEN))
    page.wait_for_selector("#rows tbody tr")
    one = place(folder)
    assert page.locator("#rows tbody tr").count() == one["right"] + one["spoilt"] > 0
    assert page.locator("#rows thead th").count() == 5
    assert page.locator(square(CHOSEN)).get_attribute("aria-selected") == "true"
    assert f"+{one['gain'][0]:.1f} points" in page.locator("#detail").inner_text()
    assert "uncorrected" in page.locator("#detail").inner_text()
    page.select_option("#show", "right")
    until(page, f"document.querySelectorAll('#rows tbody tr').length === {one['right']}")
    first = page.locator("#rows tbody tr td:nth-child(2)").first.inner_text()
    page.fill("#find", first)
    until(page, "document.querySelectorAll('#rows tbody tr').length === 1")
    page.fill("#find", "nothing like this")
    until(page, "document.querySelectorAll('#rows tbody tr').length === 0")
    assert "0 rows shown" in page.locator("#counted").inner_text()


def test_the_choice_has_test_rows_too(visit):
    page = visit(OPEN).page
    page.select_option("#side", "test")
    until(page, "document.querySelector('#counted').textContent.includes('test rows')")
    assert page.locator("#rows tbody tr").count() > 0
    page.click(square("u_in/5/0.1"))
    until(page, "document.querySelector('#counted').textContent.includes('validation rows')")
    assert page.locator("#side option[value=test]").is_disabled()


def test_the_keyboard_is_enough(visit):
    page = visit(f"#cell={CELL}").page
    page.focus("#protocol")
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.at || ''"):
            break
    focused = "document.activeElement.dataset.at"
    assert page.evaluate(focused) == "base"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "u_in/0/0.9"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "u_in/2/0.1"
    page.keyboard.press("End")
    assert page.evaluate(focused) == "u_in/5/0.1"
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == CHOSEN
    page.keyboard.press("Enter")
    page.wait_for_selector("#rows tbody tr")
    assert "at=u_in%2F5%2F0.01" in page.url
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Tab")  # one stop per map
    assert page.evaluate("document.activeElement.closest('table').getAttribute('aria-labelledby')") == "map-u_out"


def test_accuracy_and_loss_are_linked(visit, folder):
    page = visit(OPEN).page
    shown = page.locator(square(CHOSEN))
    gain, loss = place(folder)["gain"][0], place(folder)["loss"][0]
    assert f"+{gain:.1f}" in shown.inner_text() and "better" in shown.get_attribute("class")
    page.check("input[value=loss]")
    until(page, "document.querySelector('#legend').textContent.includes('nats')")
    assert f"−{-loss:.3f}" in shown.inner_text() and "better" in shown.get_attribute("class")
    assert shown.get_attribute("aria-selected") == "true" and "by=loss" in page.url


def test_a_link_leads_to_what_was_looked_at(visit, chromium, folder):
    page = visit(f"#cell={CELL}").page
    page.check("input[value=loss]")
    page.click(square(CHOSEN))
    page.wait_for_selector("#rows tbody tr")
    page.select_option("#show", "right")
    page.fill("#find", "claim 1")
    until(page, "location.hash.includes('find=claim+1')")
    rows = page.locator("#rows").inner_text()
    again = visit("#" + page.url.partition("#")[2])
    again.page.wait_for_selector("#rows tbody tr")
    assert again.page.locator("#rows").inner_text() == rows
    assert again.page.is_checked("input[value=loss]") and again.page.input_value("#show") == "right"
    assert again.page.locator(square(CHOSEN)).get_attribute("aria-selected") == "true"
    assert again.said == []


@pytest.mark.parametrize(
    "fragment, told",
    [
        ("#cell=no-such-model", 'no "no-such-model"'),
        (f"#cell={CELL}&at=u_in/99/0.5%3Cimg%20src=x%3E", '"u_in/99/0.5<img src=x>" is not among'),
        (f"#cell={CELL}&by=colour&show=none&side=x", ""),
        (f"#cell={CELL}&at=u_in/5/0.01&with=nothing", '"nothing", which the link compares with'),
        (f"#cell={CELL}&with={CELL}:u_in/9/0.1", "which the link compares with"),
        ("#%E0%A4%A", ""),
    ],
)
def test_a_link_to_what_there_is_not_says_so(visit, fragment, told):
    one = visit(fragment)
    assert one.page.locator("#maps td[data-at]").count() > 0
    assert told in one.page.locator("#trouble").inner_text()
    assert one.said == []


def test_two_interventions_are_compared_across_models(visit):
    page = visit(OPEN).page
    page.click("#keep")
    page.click(square("u_in/5/0.1"))
    until(page, "document.querySelectorAll('#detail tbody tr').length === 2")
    assert "by both" in page.locator("#detail").inner_text()
    page.select_option("#model", "tiny-llama")
    until(page, "location.hash.includes('cell=tiny-llama-fever-corrected')")
    page.click(square("u_out/0/0.9", "u_out"))
    until(page, "document.querySelector('#detail').textContent.includes('Open: U_out')")
    text = page.locator("#detail").inner_text()
    assert "Kept: U_in of layer 5" in text and "gpt-j-6b on fever" in text and "tiny-llama on fever" in text
    again = visit("#" + page.url.partition("#")[2]).page
    until(again, "document.querySelectorAll('#detail tbody tr').length === 2")
    page.click("#drop")
    until(page, "document.querySelectorAll('#detail tbody tr').length === 1")
    assert "with=" not in page.url


def test_only_files_of_the_folder_are_asked_for_and_only_when_needed(visit, folder):
    one = visit(f"#cell={CELL}")
    assert one.said == []
    names = [url.partition("#")[0].rpartition("/")[2] for url in one.asked]
    assert set(names) == {"explorer.html", f"{CELL}.html"}
    one.page.click(square(CHOSEN))
    one.page.wait_for_selector("#rows tbody tr")
    names = {url.partition("#")[0].rpartition("/")[2] for url in one.asked}
    assert names == {"explorer.html", *(f"{CELL}{end}.html" for end in ("", "-rows", "-layer5"))}
    assert all(url.startswith(folder.as_uri()) for url in one.asked) and one.said == []


def test_what_a_model_generates_shows_as_text(visit):
    one = visit(OPEN)
    one.page.wait_for_selector("#rows tbody tr")
    assert ATTACK in one.page.locator("#rows tbody tr td:last-child").first.inner_text()
    assert one.page.locator("#rows script, #rows img").count() == 0 and one.said == []


def test_missing_data_are_named(visit, folder, tmp_path, chromium):
    alone = tmp_path / "report"
    shutil.copytree(folder, alone)
    (alone / f"explorer/{CELL}-layer5.html").unlink()
    page = Visit(chromium, alone / "explorer.html", viewport=WIDE).page
    page.clock.install()
    page.goto((alone / "explorer.html").as_uri() + OPEN)
    page.reload()
    page.wait_for_selector("#maps td[data-at]")
    for _ in range(50):
        page.clock.run_for(1000)
        if page.locator("#trouble").is_visible():
            break
    assert f"explorer/{CELL}-layer5.html could not be read" in page.locator("#trouble").inner_text()
    page.context.close()


@pytest.mark.parametrize(
    "settings", [{}, {"color_scheme": "dark"}, {"viewport": NARROW}], ids=["light", "dark", "narrow"]
)
def test_the_page_does_not_scroll_sideways_and_axe_finds_no_serious_fault(visit, settings):
    page = visit(OPEN, **settings).page
    page.wait_for_selector("#rows tbody tr")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert grave_faults(page, of_colours_only="color_scheme" in settings) == []
