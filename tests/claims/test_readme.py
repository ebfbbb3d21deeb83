"""README's section on real data."""

import pandas as pd
import pytest

from laser.analysis.tables import to_csv
from laser.claims.judged import read_study
from laser.claims.readme import BEGIN, END, write_readme
from laser.errors import UserError
from tests.claims.made_up import table1
from tests.workflow.runner import ROOT

TEXT = f"# Title\n\n{BEGIN}\n\nOld.\n\n{END}\n\n## More\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "README.md").write_text(TEXT)
    return tmp_path


def study(folder, name, *frames, pictures=()):
    path = folder / f"results/{name}/tables/table1.csv"
    path.parent.mkdir(parents=True)
    path.write_text(to_csv(pd.concat(frames)))
    for protocol in pictures:
        stem = folder / f"results/{name}/figures/forest/{protocol}"
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".csv").write_text("dataset\nfever\n")
        stem.with_suffix(".svg").write_text(f"<svg>{protocol}</svg>")
    return read_study(folder / f"results/{name}")


def section(folder, *studies):
    write_readme(folder / "README.md", studies)
    before, rest = (folder / "README.md").read_text().split(BEGIN)
    written, after = rest.split(END)
    assert (before, after) == ("# Title\n\n", "\n\n## More\n")
    return written.strip()


def cell(difference, p_value, **changes):
    frames = [table1(difference, p_value, **changes), table1(-0.1, 0.01, "loss", **changes)]
    return pd.concat(frames)


def test_two_sentences_count_what_rose_and_fell(folder):
    cells = [
        cell(3.0, 0.01, dataset="fever", model="a"),
        cell(-9.0, 0.01, dataset="fever", model="b", value=11.0),
        cell(4.0, 0.2, dataset="qa_wikidata", model="a"),
        cell(50.0, 0.01, dataset="worldfacts", model="a"),
    ]
    text = section(folder, study(folder, "pocket", *cells))
    assert "Study `pocket` asks a and b questions of the paper's datasets fever and qa_wikidata: with" in text
    assert "in 1 of 3 pairs of model and dataset (in 1 of them above the best constant answer), falls in 1, and" in text
    assert "b on fever: 20.0 → 11.0 % (the best constant answer: 15.0 %), −9.0 [−10.0, −8.0] points, adjusted p" in text
    assert "worldfacts" not in text and "![" not in text and "Old." not in text


def test_the_picture_is_that_of_the_protocol_that_we_stand_behind(folder):
    cells = [cell(3.0, 0.01, dataset="fever", protocol=name) for name in ("published", "corrected")]
    made = study(folder, "pocket", *cells, pictures=("corrected", "published"))
    text = section(folder, made)
    assert "1 of 1 pair of model and dataset" in text and "(protocol `corrected`)" in text
    assert text.endswith("](docs/images/forest-pocket.svg)")
    assert (folder / "docs/images/forest-pocket.svg").read_text() == "<svg>corrected</svg>"
    assert section(folder, made) == text


def test_a_study_of_the_published_protocol_alone_speaks_of_it(folder):
    made = study(folder, "pocket", cell(3.0, 0.01, dataset="fever", protocol="published"), pictures=("published",))
    assert "(protocol `published`)" in section(folder, made) and "forest-pocket.svg" in section(folder, made)


def test_parts_of_datasets_are_said(folder):
    made = study(folder, "pocket", cell(3.0, 0.01, dataset="fever"), cell(3.0, 0.01, dataset="qa_wikidata"))
    made.frames["across"] = pd.DataFrame({"dataset": ["fever", "qa_wikidata"], "rows": ["half of the rows", ""]})
    assert "datasets fever (half of the rows) and qa_wikidata:" in section(folder, made)


def test_studies_of_other_questions_leave_readme_as_it_is(folder):
    made = study(folder, "other", cell(3.0, 0.01, dataset="worldfacts"))
    assert section(folder, made) == "Old." and section(folder) == "Old."


@pytest.mark.parametrize("text", ["# Title\n", f"{BEGIN}\n", f"{END}\n{BEGIN}\n"])
def test_a_readme_without_the_marks_is_refused_and_left_alone(folder, text):
    (folder / "README.md").write_text(text)
    with pytest.raises(UserError, match=r"README\.md: lacks the line"):
        write_readme(folder / "README.md", [study(folder, "pocket", cell(3.0, 0.01, dataset="fever"))])
    assert (folder / "README.md").read_text() == text


def test_our_readme_has_the_marks():
    text = (ROOT / "README.md").read_text()
    assert 0 < text.index(BEGIN) < text.index(END)
