"""The audit's Table 2 against the one under audit, where a tiny study does not reach: verdicts, bold, base chosen."""

import shutil

import numpy as np
import pandas as pd
import pytest

from laser.analysis.tables import write_table
from laser.artefacts.table2 import table2
from laser.artefacts.table2 import views as table2_views
from laser.paper.published import PAPER_POLICY, read_table2
from laser.results.cells import PairedCell
from laser_audit import cells as audited_cells
from laser_audit import paper
from laser_audit import table2 as audited
from laser_audit.findings import Check
from laser_audit.reading import Study
from laser_audit.splits import Prepared
from tests.workflow.runner import ROOT

ROOMS = 300
CHOSEN = {"matrix": "u_in", "layer": 1, "rho": 0.1, "kept_rank": 2}


def arms(gain: float) -> dict[str, pd.DataFrame]:
    """Return rows of base and LASER that solve about half of the rooms."""
    generator = np.random.default_rng(3)
    luck, steps = generator.random(ROOMS), generator.integers(5, 60, ROOMS)
    found = {}
    for arm, share in (("base", 0.5), ("laser", 0.5 + gain)):
        solved = luck < share
        points = np.where(solved, 12.0 - 0.1 * steps, -12.0)
        found[arm] = pd.DataFrame({"correct": solved, "return": points, "loss": 1.0 + luck - gain, "prediction": "u"})
    return found


def both(model: str, dataset: str, gain: float, complete: bool) -> tuple[PairedCell, audited_cells.Tested]:
    """Return the same results as the code under audit and as the audit hold them."""
    ids = [f"room{place}" for place in range(ROOMS)]
    own, chosen = arms(gain), CHOSEN if gain else None
    wide = {f"{arm}_{name}": frame[name] for arm, frame in own.items() for name in frame}
    start = {"id": ids, "group": ids, "answer": "u", "has_options": False, "answer_in_prompt": False}
    data = Prepared({}, {}, not complete)
    return (
        PairedCell(model, dataset, "corrected", pd.DataFrame(start | wide), chosen, "fp32", complete),
        audited_cells.Tested(model, dataset, "corrected", ids, ids, own, chosen, data),
    )


@pytest.mark.parametrize("gain", [0.0, 0.02, 0.2, -0.2])
@pytest.mark.parametrize(
    ("name", "complete"), [(PAPER_POLICY, True), (PAPER_POLICY, False), (("policy", "rooms"), True)]
)
def test_both_make_one_table(monkeypatch, tmp_path, name, complete, gain):
    cells = [both(*name, gain, complete), both(f"{name[0]}-2", name[1], 0.1, complete)]
    frame = table2([cell for cell, _ in cells], read_table2(), seed=7, resamples=300)
    write_table(tmp_path / "tables", "table2", frame, table2_views(frame))
    shutil.copytree(ROOT / "config/published", tmp_path / "inputs/published")
    (tmp_path / paper.RULES).parent.mkdir(parents=True)
    shutil.copy(ROOT / "config/claims.yaml", tmp_path / paper.RULES)
    study = Study(tmp_path)
    models = [{"name": cell.model, "dtype": "fp32"} for cell, _ in cells]
    settings = {"seed": 7, "resamples": 300, "models": models, "protocols": ["corrected"], "artefacts": ["table2"]}
    monkeypatch.setitem(study.__dict__, "settings", settings)
    monkeypatch.setattr(audited, "all_tested", lambda study, protocols: [tested for _, tested in cells])
    for examine in (audited.check_table2,):
        check = Check("table2", "", "")
        examine(check, study)
        assert check.passed and check.count > 30, list(map(str, check.findings))
