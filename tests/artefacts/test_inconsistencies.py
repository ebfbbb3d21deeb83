import dataclasses

import pytest

from laser.analysis.inconsistencies import search_space_notes, size_notes, table1_notes
from laser.errors import UserError
from laser.paper.published import Published, printed, read_published
from laser.paper.text_numbers import COMPOSED, TOP1, TextNumber, read_text_numbers


def published(base="20.0", laser="30.0", test=1000, rhos=(0.9, 0.4, 0.4)):
    table1 = {("GPT-J", "CounterFact", metric, arm): printed(value) for metric, arm, value in _numbers(base, laser)}
    return Published(
        table1=table1,
        table3={("GPT-J", str(place)): {"rho": rho} for place, rho in enumerate(rhos)},
        table4={"CounterFact": {"size": test + 100, "validation": 100, "test": test}},
        table5={"rho": "0.9 0.1"},
    )


def _numbers(base, laser):
    return [("accuracy", "base", base), ("accuracy", "laser", laser), ("loss", "base", "2.0"), ("loss", "laser", "2.1")]


def texts(base="20.0", laser="30.0", composed="35.0"):
    number = TextNumber(printed(base), printed(laser), "5.1")
    return {TOP1: number, COMPOSED: TextNumber(None, printed(composed), "5.1")}


def test_ranks_that_one_table_has_and_the_other_has_not():
    first, second = search_space_notes(published())
    assert "ρ = 0.4 in 2 of 3 cells" in first and second.endswith("all but 0.1.")
    assert search_space_notes(published(rhos=(0.9, 0.1))) == [] == search_space_notes(Published())


def test_gains_that_the_papers_own_rows_cannot_show_are_listed():
    (note,) = size_notes(published("50.0", "50.2", test=100))
    assert "1 of the 1 pairs" in note and note.endswith("GPT-J on CounterFact.")
    assert "0 of the 1 pairs" in size_notes(published("20.0", "40.0"))[0]
    whole = published()
    whole.table4["CounterFact"]["size"] += 1
    assert "do not add up to the size in: CounterFact." in size_notes(whole)[1]


def test_text_and_table_are_compared(tmp_path):
    (tmp_path / "table1_website_differences.csv").write_text(
        "model,dataset,metric,column,paper_text_dump,website_leaderboard\nA,B,loss,laser,1.0,1.1\n"
    )
    same = table1_notes(published(), texts(), tmp_path)
    assert not any("the text has" in note for note in same)
    assert any("the text has 21.0 and 30.0 %" in note for note in table1_notes(published(), texts("21.0"), tmp_path))
    assert "35.0 % in the text, 5.0 points over" in same[0] and "A on B, loss of laser: 1.0" in same[1]
    assert any("In 1 of 1 cells of Table 1 accuracy rises and the loss rises" in note for note in same)
    fallen = table1_notes(published("30.0", "30.0"), texts(), tmp_path)
    assert fallen[-1] == "In 1 of 1 cells accuracy does not rise: GPT-J on CounterFact."


def test_the_shipped_numbers_hold_what_the_workflow_compares():
    found = read_text_numbers()
    assert found[TOP1].base is not None and found[COMPOSED].value is not None
    assert table1_notes(read_published(), found) and size_notes(read_published())


def test_a_missing_quantity_is_named(tmp_path):
    (tmp_path / "text_numbers.csv").write_text("quantity,base,laser_or_value,where_in_paper\nx,1,2,3\n")
    with pytest.raises(UserError, match="lacks the quantity"):
        read_text_numbers(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        read_text_numbers(tmp_path / "none")


def test_a_text_that_is_no_single_number_is_none():
    values = [one for one in read_text_numbers().values() if one.value is None]
    assert values and all(dataclasses.is_dataclass(one) for one in values)
