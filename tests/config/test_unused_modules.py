"""What the fingerprint leaves out for a kind of model is never entered when such a model is evaluated."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from laser.config.fingerprint import NO_RESULT, UNUSED_BY_TASK, modules_behind, unused_modules
from laser.config.specs import Compute, DatasetSpec, EvaluationSpec, ModelSpec
from laser.evaluation.cell import answers_for, intervention, result_rows
from laser.io.files import write_json, write_parquet
from tests.evaluation.tiny_cell import SCRIPTS, TinyCell, open_cell
from tests.sokoban.tiny_policy import policy, some_games


def language_model(family, engine):
    return lambda folder: TinyCell(folder, family, engine=engine).open


def player(folder):
    policy(folder / "model")
    games = [game.example for game in some_games().items]
    write_json(folder / "model/card.json", {})
    rows = [
        {"id": f"room{place}", "group": f"room{place}", "text": game.text, "prompt": game.text, "answer": game.answer}
        for place, game in enumerate(games)
    ]
    frame = pd.DataFrame(rows).assign(options=[[]] * len(rows), split_corrected="validation")
    write_parquet(folder / "rows.parquet", frame, {})
    play = {"target_return": 10.0, "step_limit": 8}
    spec = EvaluationSpec(
        study="s",
        model=ModelSpec("p", "key", "fp32", "decision_transformer", 2, play=play),
        dataset=DatasetSpec("rooms", "key", "sokoban"),
        protocols=("corrected",),
        engine="fast",
        token_budget=4096,
        seed=0,
        compute=Compute("cpu", 1),
        code="c",
    )
    return lambda: open_cell(
        spec, folder / "model/card.json", folder / "rows.parquet", folder / "factors", "validation"
    )


def entered(work):
    """Return the modules of the package of which a function is called while `work` is done."""
    files = set()

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_name != "<module>":
            files.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    below = [Path(file).relative_to(SCRIPTS) for file in files if Path(file).is_relative_to(SCRIPTS / "laser")]
    return {".".join(path.with_suffix("").parts) for path in below}


@pytest.mark.parametrize(
    ("task", "made"),
    [
        ("causal", language_model("llama", "fast")),
        ("causal", language_model("gptj", "naive")),
        ("masked", language_model("roberta", "fast")),
        ("policy", player),
    ],
)
def test_no_function_of_an_unused_module_is_called(tmp_path, task, made):
    open_it = made(tmp_path)

    def evaluate():
        cell = open_it()
        assert cell.loaded.task == task
        edits = [(), (intervention(cell, "corrected", "u_out", 1, 0.1),)]
        for answers in answers_for(cell, edits, lambda count: None):
            assert len(result_rows(cell, answers, "corrected"))

    modules = entered(evaluate)
    assert "laser.evaluation.cell" in modules
    assert not {name for name in modules if name.startswith(UNUSED_BY_TASK[task])}
    # And nothing is entered that the fingerprint does not know of.
    behind = modules_behind(SCRIPTS / "sweep.py", unused=unused_modules(task))
    assert not {name for name in modules - set(behind) if not name.startswith(tuple(NO_RESULT))}
