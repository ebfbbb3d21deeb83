"""A study of a policy: it passes untouched, whatever is changed in it is found, and everything is made again."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laser.replay.inputs import prepare_again
from laser.sokoban.batch import BatchedRooms
from laser.sokoban.generate import generate_room
from laser.sokoban.room import room_hash, room_text, side_of
from laser.sokoban.rules import MOVES
from laser_audit.findings import Check
from laser_audit.games import kept_from_training, play, shared_name
from laser_audit.policies import check_games
from laser_audit.reading import Study
from laser_audit.run import Report, audit
from tests.audit.again import made_again
from tests.audit.edits import content, frame, put
from tests.audit.policy_manipulations import POLICY, ROWS, TEST
from tests.audit.seal import reseal

LOOKED_AT = ("games", "sides", "table2")


def test_an_untouched_study_passes(finished_policy):
    report = audit(finished_policy)
    assert report.passed, "\n".join(map(str, (one for check in report.checks for one in check.findings)))
    counts = {check.name: check.count for check in report.checks}
    assert all(counts[name] > 0 for name in LOOKED_AT), counts
    assert "table2" not in [what for what, _ in report.left]


@pytest.mark.parametrize("name", [name for name, (_, check) in POLICY.items() if check not in ("replay", "inputs")])
def test_a_change_with_all_hashes_made_to_fit_is_found(policy, name):
    change, check = POLICY[name]
    named = change(policy)
    reseal(policy)
    findings = next(one.findings for one in audit(policy).checks if one.name == check)
    assert any(named in str(one) for one in findings), f"{check} does not name {named}: {findings[:5]}"


def test_everything_is_made_again(policy):
    """All of it has the same bytes, but for the one copy of a film that was changed."""
    film = policy / "report/media/film-tiny-policy-sokoban-corrected.gif"
    film.write_bytes(film.read_bytes()[:-1])
    check, report = made_again(policy, "table2", "fig6", "solved", "film", "report")
    assert [one.path for one in check.findings] == [film.relative_to(policy).as_posix()]
    assert report.not_compared == [] and check.count > 30


def test_what_only_the_code_can_give_is_found_by_replay(policy):
    named = {change(policy) for change, check in POLICY.values() if check == "replay"}
    reseal(policy)
    check, _ = made_again(policy, "table2", "fig6", "solved", "film", "report")
    assert named <= {finding.path for finding in check.findings}


def test_data_that_differ_are_found_by_replay(policy, finished_policy, tmp_path):
    named = {change(policy) for change, check in POLICY.values() if check == "inputs"}
    reseal(policy)
    report, check = Report(Study(policy), "", [], []), Check("inputs", "", "")
    prepare_again(check, report, "sokoban", finished_policy.parents[1] / "cache", tmp_path)
    assert report.not_compared == [] and named == {finding.path for finding in check.findings}


def test_a_report_with_other_captions_is_said_and_not_compared(policy):
    content("records/report/report.json", lambda held: held["spec"].update(texts="0" * 16))(policy)
    check, report = made_again(policy, "report")
    assert check.passed and [what for what, _ in report.not_compared] == ["report"]


def test_the_second_rules_are_the_first():
    generator = np.random.default_rng(5)
    for index in range(150):
        room = generate_room(7, 8, 1 + index % 3, 9, index)
        text = room_text(room)
        moves = "".join(generator.choice(list(MOVES), size=60))
        batch = BatchedRooms([room], step_limit=60)
        for count, move in enumerate(moves, start=1):
            if not batch.done[0]:
                batch.step(np.array([MOVES.index(move)]))
            played, points, solved = play(text, moves[:count])
            assert (len(played), points, solved) == (batch.steps[0], batch.returns[0], batch.solved[0])
            assert played.lower() == moves[: len(played)]
        assert batch.done[0]
        assert shared_name(text) == room_hash(room)
        assert kept_from_training(room_hash(room), 0.3) == (side_of(room_hash(room), 0.3) == "evaluation")


def test_a_push_onto_and_off_a_target():
    ends = [play("#######\n#@$..$#\n#######", "rrrr"[:count]) for count in range(1, 5)]
    assert [points for _, points, _ in ends] == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert ends[-1][0] == "RRrr" and not ends[-1][2]
    assert play("#######\n#@*. #\n#  $ #\n#######", "r")[1] == pytest.approx(-0.1)
    assert play("######\n#@*  #\n#.$  #\n######", "r")[1] == pytest.approx(-1.1)
    assert play("######\n#@$.##\n######", "rrr") == ("R", pytest.approx(10.9), True)


@pytest.mark.parametrize(
    "text",
    ["", "###\n#@#\n###", "####\n#@$\n####", "#####\n#@$x#\n#####", "#####\n#@@$.\n#####"],
)
def test_what_is_no_room(text):
    with pytest.raises(ValueError, match="room"):
        play(text, "")


def test_without_a_policy_there_are_no_games(study):
    check = Check("games", "", "")
    check_games(check, Study(study))
    assert check.passed and check.count == 0 and "no model" in check.skipped


def test_a_policy_that_hides_as_a_language_model_is_found(policy):
    content("inputs/models/tiny-policy/card.json", lambda held: held.update(task="causal"))(policy)
    reseal(policy)
    report = audit(policy)
    assert any("task" in str(one) for check in report.checks if check.name == "games" for one in check.findings)


@pytest.mark.parametrize("column", ["return", "steps", "prediction"])
def test_a_column_that_is_gone_or_of_another_kind_is_a_finding(policy, column):
    path = policy / TEST
    table = pq.read_table(path)
    place = table.column_names.index(column)
    texts = pa.array([None] * table.num_rows, pa.string())
    for damaged in (table.drop_columns([column]), table.set_column(place, column, texts)):
        pq.write_table(damaged, path)
        report = audit(policy)
        assert "games" in {check.name for check in report.checks if any(TEST in str(one) for one in check.findings)}


@pytest.mark.parametrize("text", ["", "no room", "\x00", "#####\n#+$*#\n#####"])
def test_a_text_that_is_no_room_is_a_finding(policy, text):
    frame(ROWS, put("text", text))(policy)
    found = {check.name: list(map(str, check.findings)) for check in audit(policy).checks}
    assert any(ROWS in one for one in found["games"]) and any(ROWS in one for one in found["sides"])
