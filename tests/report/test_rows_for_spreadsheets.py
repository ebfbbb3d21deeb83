"""Texts of models in CSV files: read back as they were, and never run as a formula."""

import csv
import io

import pandas as pd
import pytest

from laser.analysis.tables import to_csv
from laser.report.rows import spreadsheet_text

TEXTS = ["\r", "a\rb", "a\r\nb", "a\nb", '"', 'a"\r\n"b', ",", "", " ", "\r=1+1,x", "é", "''", "\x85", "\u2028"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_back_as_it_was(text):
    frame = pd.DataFrame({"id": ["first", "last"], "prediction": [text, text], "loss": [0.1, float("nan")]})
    written = to_csv(frame)
    read = list(csv.reader(io.StringIO(written, newline=""), strict=True))
    assert read == [["id", "prediction", "loss"], ["first", text, "0.1"], ["last", text, ""]]
    assert (
        list(pd.read_csv(io.StringIO(written, newline=""), dtype=str, keep_default_na=False)["prediction"])
        == [text] * 2
    )


def test_lines_end_alike():
    assert to_csv(pd.DataFrame({"a": [1, 2], "b": ["x", 'y"']})) == 'a,b\n1,x\n2,"y"""\n'


@pytest.mark.parametrize(
    "sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "﹢", "\u200b=", "\ufeff=", "\u3000=", "\t", "\r="]
)
def test_formulas_are_guarded(sign):
    assert spreadsheet_text(f"{sign}1+1") == f"'{sign}1+1"


@pytest.mark.parametrize("text", ["a=b", "1+1", "Ａ", "é", ""])
def test_other_texts_are_left_alone(text):
    assert spreadsheet_text(text) == text
