import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import laser.report
from laser.analysis import dark, style
from laser.artefacts.fig3c import fig3c
from tests.artefacts.test_fig_frequency import cell, counted


def luminance(colour):
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def hexed(shade):
    from matplotlib.colors import to_hex

    return to_hex(shade)


def test_ground_and_text_are_those_of_the_report():
    css = (Path(laser.report.__file__).parent / "templates/style.css").read_text()
    assert css.count(f"--ground: {dark.GROUND}; --text: {dark.TEXT};") == 2
    assert (dark.dark_colour("#ffffff"), dark.dark_colour("#000000")) == (dark.GROUND, dark.TEXT)


@pytest.mark.parametrize("count", [1, 2, 9, 15])
def test_shades_stand_out_on_a_dark_ground_in_the_same_order(count):
    shades = [hexed(shade) for shade in style.shades(count)]
    turned = [dark.dark_colour(shade) for shade in shades]
    assert all(contrast(colour, dark.GROUND) > 3 for colour in turned)
    assert len(set(turned)) == count
    on_dark = [contrast(colour, dark.GROUND) for colour in turned]
    on_white = [contrast(colour, "#ffffff") for colour in shades]
    assert on_dark == sorted(on_dark) and on_white == sorted(on_white)


def test_a_colour_of_its_own_stays():
    assert dark.dark_colour("#e69f00") == "#e69f00"


def test_marks_on_a_picture_keep_their_colours():
    assert [dark.dark_colour(colour) for colour in (dark.BLACK, dark.WHITE)] == [dark.BLACK, dark.WHITE]
    assert contrast(dark.BLACK, dark.WHITE) > 20


def test_every_colour_of_a_figure_has_its_rule_hatches_too(tmp_path):
    frequency = counted({f"d-{number}": number for number in range(8)})
    fig3c(cell([1, 1, 0, 0, 1, 0, 1, 1], [1, 0, 1, 1, 1, 0, 1, 1]), frequency, tmp_path / "x", resamples=20)
    text = (tmp_path / "x.svg").read_text()
    ET.fromstring(text)
    light, rules = text.split("<style>@media (prefers-color-scheme:dark){")
    used = set(re.findall(r"(fill|stroke)(?:: |=\")(#[0-9a-f]{6})", light))
    assert len(used) > 5 and "<pattern" in light
    for what, colour in used:
        turned = dark.dark_colour(colour)
        assert turned == colour or f"{{{what}:{turned}!important}}" in rules
    assert dark.with_dark_colours(text) == text
