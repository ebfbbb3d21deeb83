"""Every table compiles: what people, models and datasets write included."""

import shutil
import subprocess

import pytest

from laser.analysis import tables
from laser.analysis.tables import View
from tests.analysis.test_tables import HOSTILE
from tests.artefacts.test_make_tables import NAMES, files, made  # noqa: F401

DOCUMENT = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}%s\end{document}"
EVERY = View(
    "characters",
    "京 Ħ « ≤ ∞ − “quoted” – ρ",
    ["é", "ſ\u200b\u202e\ud83d", "😀"],
    [[chr(code) for code in (0, 9, 0x7F)], ["\\\\ [1]", "[", "]"]] + [[chr(code)] * 3 for code in range(0x21, 0x400)],
)

needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")


def compiled(folder, text):
    """Set a document; return what pdflatex says and whether it found a fault."""
    (folder / "all.tex").write_text(DOCUMENT % text, encoding="utf-8")
    line = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    ended = subprocess.run(line, cwd=folder, capture_output=True, check=False)
    return ended.returncode == 0, ended.stdout.decode(errors="replace")[-2000:]


@needs_latex
@pytest.mark.parametrize("name", NAMES)
def test_tables_compile(files, name, tmp_path):  # noqa: F811
    text = made(files, name, tmp_path)[2].decode()
    good, said = compiled(tmp_path, text)
    assert good, said


@needs_latex
def test_any_character_compiles(tmp_path):
    good, said = compiled(tmp_path, tables.to_latex(HOSTILE) + tables.to_latex(EVERY))
    assert good, said


@needs_latex
@pytest.mark.parametrize("columns", [2, 40])
@pytest.mark.parametrize("rows", [1, tables.LATEX_ROWS, 2 * tables.LATEX_ROWS + 1])
def test_any_length_and_width_fits_the_page(rows, columns, tmp_path):
    names = [f"column {j}" for j in range(columns)]
    view = View("large", "Large", names, [["a few words"] * columns] * rows, notes=["A note of some words."] * 20)
    good, said = compiled(tmp_path, tables.to_latex(view))
    assert good and "too large" not in said and "Overfull" not in said, said


@needs_latex
def test_a_fault_is_noticed(tmp_path):
    good, said = compiled(tmp_path, "京")
    assert not good and "Unicode" in said


def test_what_latex_cannot_set_is_named():
    assert tables.latex_escape("a京ħ\ud83d") == "aU+4EACU+0127U+D83D"
    assert tables.latex_escape("é ≤ ∞") == r"é $\leq$ $\infty$"
