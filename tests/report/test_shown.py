"""Columns of a table that a page shows, and where its lines may break."""

import pytest

from laser.analysis.tables import View
from laser.report.shown import unbroken, view_values

ROWS = [["d", "m", "accuracy, %", "1 [0, 2]", "", "8"], ["d", "m", "loss, nats", "2", "", "8"]]
COLUMNS = ["Dataset", "Model", "Metric", "Base", "Paper", "n"]


def test_columns_that_say_nothing_leave_the_grid():
    trimmed = view_values(View("v", "t", COLUMNS, ROWS, bold={(0, 1), (1, 3)}))
    assert trimmed["view"].columns == ["Metric", "Base"]
    assert trimmed["view"].rows == [["accuracy, %", "1 [0, 2]"], ["loss, nats", "2"]]
    assert trimmed["view"].bold == {(1, 1)}
    assert trimmed["constants"] == [("Dataset", "d"), ("Model", "m"), ("n", "8")]
    assert trimmed["metrics"] == ["accuracy, %", "loss, nats"]


@pytest.mark.parametrize("rows", [ROWS[:1], [ROWS[0], ROWS[0]]], ids=["one row", "equal rows"])
def test_rows_that_nothing_tells_apart_keep_what_they_say(rows):
    trimmed = view_values(View("v", "t", COLUMNS, rows))
    assert trimmed["view"].columns == ["Dataset", "Model", "Metric", "Base", "n"]
    assert trimmed["constants"] == []


def test_a_view_without_rows_or_words_keeps_its_columns():
    assert view_values(View("v", "t", COLUMNS, []))["view"].columns == COLUMNS
    assert view_values(View("v", "t", ["A"], [[""], [""]]))["view"].rows == [[""], [""]]


@pytest.mark.parametrize(
    "cell, parts",
    [
        ("33.6 [29.3, 38.1]", ["33.6 ", "[29.3, 38.1]", ""]),
        ("[u_in, 3, 0.1]", ["", "[u_in, 3, 0.1]", ""]),
        ("a[b]c", ["a[b]c"]),
        ("", [""]),
    ],
)
def test_brackets_of_their_own_stay_whole(cell, parts):
    assert unbroken(cell) == parts and "".join(unbroken(cell)) == cell
