import shutil

import pytest

from laser.errors import UserError
from laser.paper.published import FOLDER, read_published
from laser.paper.reproductions import FOLLOW_UP_SOURCE, read_reproductions


def by(model, dataset, source):
    return [one for one in read_reproductions() if (one.model, one.dataset, one.source) == (model, dataset, source)]


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(FOLDER, tmp_path / "published")


def change(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))


def test_a_gain_is_taken_over_the_base_of_the_same_source():
    (fever,) = by("GPT-J", "FEVER", "mayaaha/laser logs")
    assert (fever.base, fever.laser, fever.gain) == (50.29, 54.74, 4.45)
    (chat,) = by("Llama2-7B-chat (wrong model)", "FEVER", "laser issue #27")
    assert chat.gain == -0.85
    (prompts,) = by("GPT-J", "FEVER", "Giafferri/Laser-Extension README")
    assert prompts.gain == 1.28 and prompts.base != prompts.base


def test_numbers_without_a_base_and_other_methods_are_left_out():
    found = read_reproductions()
    assert not any("Pruning_LASER" in one.source or "higher-order" in one.setting for one in found)
    assert not any("TensorLLM" in one.setting for one in found)


def test_what_the_follow_up_repeats_from_the_paper_is_no_reproduction(folder):
    published = read_published()
    repeated = {one.setting for one in read_reproductions() if one.source == FOLLOW_UP_SOURCE}
    assert repeated == {"LASER on MLP and attention matrices"}
    change(folder, "followup_tensorllm.csv", "GPT-J,FEVER,50.2,58.94,56.2", "GPT-J,FEVER,50.2,58.94,56.3")
    added = [one for one in read_reproductions(folder) if one.setting == "LASER on one MLP matrix"]
    assert [(one.model, one.dataset, one.laser, one.gain) for one in added] == [("GPT-J", "FEVER", 56.3, 6.1)]
    assert published.table1["GPT-J", "FEVER", "accuracy", "laser"].value == 56.2


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("independent_reproductions.csv", "50.29", "about half", "no number"),
        ("independent_reproductions.csv", "found", "seen", "lacks the column 'found'"),
        ("independent_reproductions.csv", '"base, all 13086"', '"base, all"', "no arm for the setting 'base, all'"),
        ("reproduction_settings.csv", "(pp)\",gain", "(pp)\",gained", "no arm for the setting '40 prompt variants"),
        ("followup_tensorllm.csv", "case2_", "case2", "lacks the column 'case2_laser_ffn_and_mha'"),
        ("followup_tensorllm.csv", "5.24", "", "no number"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named(folder, name, old, new, expected):
    change(folder, name, old, new)
    with pytest.raises(UserError, match=expected) as raised:
        read_reproductions(folder)
    assert str(folder) in str(raised.value)
