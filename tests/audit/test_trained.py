"""The audit's figure of noise and depth against the one under audit; and its t interval against scipy's."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from laser.analysis.tables import to_csv
from laser.artefacts.noise import noise_data
from laser.config.variants import facts
from laser.results.cells import Cell
from laser_audit import cells as audited_cells
from laser_audit import trained
from laser_audit.findings import Check
from laser_audit.reading import Study
from laser_audit.splits import Prepared

ROWS = 120
SETTINGS = {"seed": 7, "resamples": 300, "protocols": ["corrected"], "artefacts": ["noise"]}
PATH = "figures/noise/worldfacts/corrected.csv"
SOURCE = {"family": "gptj", "layers": 4, "corpus": {"noise": {"level": 0.5}}, "training": {"seed": 0}}


def models():
    """Return entries of models: two families, two levels of three seeds, one depth alone, one that was not trained."""
    found = [{"name": "other", "source": {"kind": "hub"}}]
    for level, seed in ((0, 0), (0, 1), (0, 2), (0.5, 0), (0.5, 1), (0.5, 2)):
        source = copy.deepcopy(SOURCE)
        source["corpus"]["noise"]["level"], source["training"]["seed"] = level, seed
        found.append({"name": f"gptj-{level}-{seed}", "source": source})
    return [*found, {"name": "llama", "source": {**SOURCE, "family": "llama", "layers": 2}}]


def both(name: str, place: int):
    """Return the same results as the code under audit and as the audit hold them."""
    luck = np.random.default_rng(place).random(ROWS)
    ids, groups = [f"row{one}" for one in range(ROWS)], [f"fact{one // 3}" for one in range(ROWS)]
    arms = {arm: pd.DataFrame({"correct": luck < share}) for arm, share in (("base", 0.3), ("laser", 0.3 + place / 30))}
    chosen = {"matrix": "u_in", "layer": place, "rho": 0.1, "kept_rank": 2} if place % 3 else None
    rows = pd.DataFrame({"id": ids, "group": groups} | {f"{arm}_correct": own["correct"] for arm, own in arms.items()})
    return (
        Cell(name, "worldfacts", "corrected", rows, chosen, "fp32", True),
        audited_cells.Tested(name, "worldfacts", "corrected", ids, groups, arms, chosen, Prepared({}, {}, False)),
    )


@pytest.fixture
def examined(monkeypatch, tmp_path):
    """The figure's data in a study's folder, and a function that audits it."""
    entries = models()
    cells = {one["name"]: both(one["name"], place) for place, one in enumerate(entries)}
    known = {one["name"]: facts(one) for one in entries if "corpus" in one["source"]}
    (tmp_path / PATH).parent.mkdir(parents=True)
    frame = noise_data([cell for cell, _ in cells.values()], known, SETTINGS["seed"], SETTINGS["resamples"])
    (tmp_path / PATH).write_text(to_csv(frame))

    def examine() -> Check:
        study = Study(tmp_path)
        datasets = [{"name": "worldfacts"}]
        monkeypatch.setitem(study.__dict__, "settings", SETTINGS | {"models": entries, "datasets": datasets})
        monkeypatch.setattr(trained, "tested", lambda study, model, dataset, protocol: cells[model][1])
        check = Check("noise", "", "")
        trained.check_noise(check, study)
        return check

    return tmp_path / PATH, examine


def test_both_make_one_figure(examined):
    path, examine = examined
    check = examine()
    assert check.passed and check.count > 150, list(map(str, check.findings))
    assert list(pd.read_csv(path)["row"]) == ["model"] * 7 + ["mean"] * 3


@pytest.mark.parametrize("column", ["gain", "gain_low", "gain_high", "base_accuracy", "noise", "n", "seeds", "rho"])
@pytest.mark.parametrize("row", ["model", "mean"])
def test_a_changed_number_is_found(examined, column, row):
    path, examine = examined
    read = pd.read_csv(path, dtype=str, keep_default_na=False)
    line = int((read["row"] == row).to_numpy().nonzero()[0][1])
    read.loc[line, column] = str(float(read.loc[line, column] or 0) + 1)
    path.write_text(read.to_csv(index=False))
    check = examine()
    assert [finding.path for finding in check.findings] == [PATH] and column in str(check.findings[0])


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 14, 29, 100])
def test_t_quantiles(freedom):
    assert trained.t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-12)


def test_t_intervals_need_two_values():
    assert math.isnan(trained.t_half_width([1.0]))
    expected = stats.t.interval(0.95, 3, loc=3.25, scale=stats.sem([1.0, 2.0, 4.0, 6.0]))[1] - 3.25
    assert trained.t_half_width([1.0, 2.0, 4.0, 6.0]) == pytest.approx(expected)
