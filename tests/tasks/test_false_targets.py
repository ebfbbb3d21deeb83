"""False targets of CounterFact's records and of rows of one's own: written as the true answers are, by the same ids."""

import json

import pytest

from laser.errors import UserError
from laser.tasks.false_targets import false_targets
from laser.tasks.prepare import build_rows
from tests.tasks.test_generic import entry


def records(count=5, **changes):
    return [
        {
            "case_id": case,
            "requested_rewrite": {
                **{"prompt": "The mother tongue of {} is", "subject": f"Ana{case}", "relation_id": "P103"},
                **{"target_true": {"str": "French"}, "target_new": {"str": f"English{case}"}},
            }
            | changes,
            "paraphrase_prompts": [f"Ana{case}, a native"],
        }
        for case in range(count)
    ]


def counterfact(tmp_path, rows):
    (tmp_path / "counterfact.json").write_text(json.dumps(rows))
    source = {"kind": "local", "path": str(tmp_path / "counterfact.json")}
    return {"name": "counterfact", "builder": "counterfact", "sources": [source], "options": {}, "limit": 7}


def own(tmp_path, text, **keys):
    (tmp_path / "rows.csv").write_text(text)
    return entry(str(tmp_path / "rows.csv"), **keys)


def told(entry, tmp_path):
    return dict(false_targets(entry, tmp_path).itertuples(index=False, name=None))


def test_each_phrasing_of_a_fact_has_its_false_target(tmp_path):
    targets = told(counterfact(tmp_path, records()), tmp_path)
    assert targets == {f"{case}-{phrasing}": f" English{case}" for case in range(5) for phrasing in (0, 1)}
    rows = build_rows(counterfact(tmp_path, records())).rows
    assert {row["id"] for row in rows} < set(targets) and {row["answer"] for row in rows} == {" French"}


@pytest.mark.parametrize("wrong", [{"target_new": {}}, {"target_new": {"str": 3}}, {"target_new": "English"}])
def test_a_record_without_one_is_named(tmp_path, wrong):
    with pytest.raises(UserError, match=r"CounterFact, record 0.*requested_rewrite\.target_new\.str"):
        told(counterfact(tmp_path, records(**wrong)), tmp_path)


OPEN = "q,a,wrong\n" + "".join(f"q{row},a{row},{'' if row == 3 else f'w{row}'}\n" for row in range(8))
COLUMNS = {"question": "q", "answer": "a", "false_answer": "wrong"}


@pytest.mark.parametrize(("scoring", "space"), [("generate", ""), ("next_token", " ")])
def test_rows_of_ones_own(tmp_path, scoring, space):
    given = own(tmp_path, OPEN, columns=COLUMNS, scoring=scoring)
    rows = {row["id"]: row["answer"] for row in build_rows(given).rows}
    targets = told(given, tmp_path)
    assert targets == {name: answer.replace("a", "w") for name, answer in rows.items() if name != "4"}
    assert all(answer.startswith(f"{space}w") for answer in targets.values())


def test_ids_of_a_column_of_rows_of_ones_own(tmp_path):
    text = "name," + OPEN.replace("\nq", "\nrow-q")
    text = "\n".join(line if row == 0 else f"{line.split(',')[0]},{line}" for row, line in enumerate(text.split("\n")))
    given = own(tmp_path, text.strip("\n,"), columns=COLUMNS | {"id": "name"})
    assert set(told(given, tmp_path)) == {row["id"] for row in build_rows(given).rows} - {"row-q3"}


def test_options_are_named_as_the_right_one_is(tmp_path):
    text = "q,a,x,y,wrong\n" + "".join(f"q{row},A,yes{row},no{row},B\n" for row in range(8))
    columns = COLUMNS | {"options": ["x", "y"]}
    given = own(tmp_path, text, columns=columns, answer_is="letter")
    assert told(given, tmp_path) == {str(row + 1): f"no{row}" for row in range(8)}


def test_a_column_that_is_not_there_is_refused_when_the_rows_are_prepared(tmp_path):
    given = own(tmp_path, OPEN, columns=COLUMNS | {"false_answer": "wrogn"})
    with pytest.raises(UserError, match=r"columns\.false_answer is 'wrogn' \(did you mean 'wrong'"):
        build_rows(given)
