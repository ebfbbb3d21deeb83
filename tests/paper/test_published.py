import os
import shutil
from pathlib import Path

import pytest

from laser.errors import UserError
from laser.paper.published import FOLDER, fig2_range_of, read_published

SHARED = Path(os.environ.get("LASER_SHARED", Path(__file__).resolve().parents[2] / "../shared"))


def test_names_and_matrices_cover_the_whole_paper():
    published = read_published()
    models = {key[0] for key in published.table1}
    assert models == set(published.models.values())
    assert {key[1] for key in published.table1} == set(published.datasets.values()) == set(published.table4)
    assert set(published.table3) == {(key[0], key[1]) for key in published.table1}
    assert published.choice("llama2-7b", "fever")["matrix"] == "u_gate"
    assert published.choice("gpt-j-6b", "fever")["matrix"] == "u_in"
    assert published.choice("gpt-j-6b", "worldfacts") is None
    assert published.cell("no-such-model", "fever", "loss", "base") is None
    assert published.sizes("hotpot")["size"] == sum(published.sizes("hotpot")[side] for side in ("validation", "test"))


def test_figure_2_has_six_panels_with_known_matrices():
    found = fig2_range_of("gpt-j-6b", "counterfact")
    assert set(found) == {"q", "k", "v", "o", "u_in", "u_out"}
    assert fig2_range_of("gpt-j-6b", "fever") is fig2_range_of("roberta-base", "counterfact") is None
    assert all(low <= high for points in found.values() for _, low, high in points)


@pytest.mark.skipif(
    not (SHARED / "paper").is_dir(), reason="no folder named shared beside the repository (LASER_SHARED)"
)
def test_the_facts_are_those_that_were_read_from_the_paper():
    for path in sorted(FOLDER.glob("*.csv")):
        original = SHARED / "paper" / path.name
        if path.name not in ("names.csv", "matrices.csv", "reproduction_settings.csv"):
            assert path.read_bytes() == original.read_bytes(), path.name


@pytest.mark.parametrize(
    "name, old, new, expected",
    [
        ("table1.csv", "17.3", "much", "no number"),
        ("table1.csv", "metric", "measure", "lacks the column 'metric'"),
        ("names.csv", None, None, "cannot be read"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, old, new, expected):
    folder = tmp_path / "published"
    shutil.copytree(FOLDER, folder)
    if old is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text((folder / name).read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=expected) as raised:
        read_published(folder)
    assert str(folder) in str(raised.value)
