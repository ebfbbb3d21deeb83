"""Rows of policies: every game is replayed from the room and the recorded moves, and no room is on two sides."""

from __future__ import annotations

from typing import Any

from laser_audit.comparing import TOLERANCE
from laser_audit.findings import Check, Unreadable
from laser_audit.games import WAYS, kept_from_training, play, shared_name
from laser_audit.reading import Study, close, remembered, text_of
from laser_audit.rows import labels_of, result_files
from laser_audit.splits import Prepared, data_path, prepared

PLAYED = ("id", "correct", "return", "steps", "prediction", "answer_tokens", "answer_rank", "in_top5", "in_top10")
TYPES = {"return": "float64", "steps": "int32"}
POLICY = "decision_transformer"
NO_POLICY = "no model of the study is a policy"


@remembered
def policies(study: Study) -> dict[str, dict[str, Any]]:
    """Return the entries of the study's policies, by name."""
    known = {text_of(entry["name"]): entry for entry in study.settings["models"]}
    return {name: entry for name, entry in known.items() if entry.get("architecture") == POLICY}


def check_games(check: Check, study: Study) -> None:
    """Replay every row of every policy, and the expert's answer to every room."""
    known = policies(study)
    if not known:
        check.skipped = NO_POLICY
        return
    for dataset in study.datasets:
        with check.guarded(data_path(dataset)):
            _experts(check, data_path(dataset), prepared(study, dataset))
    for name, entry in known.items():
        path = f"inputs/models/{name}/card.json"
        with check.guarded(path):
            check.same(path, "task", study.json(path)["task"], entry.get("task", "policy"))
    for path in result_files(study):
        with check.guarded(path):
            spec = study.spec(path)
            name = text_of(spec["model"]["name"])
            if name in known:
                limit = known[name]["play"]["step_limit"]
                check.same(path, "spec.model.play (and inputs/study.json)", spec["model"]["play"], known[name]["play"])
                _rows(check, study, path, labels_of(path)[0], prepared(study, text_of(spec["dataset"]["name"])), limit)


def _experts(check: Check, path: str, data: Prepared) -> None:
    for name, row in data.rows.items():
        where = f"answer of {name}"
        with check.guarded(path, where):
            moves, _, solved = play(row["text"], row["answer"])
            check.same(path, f"{where}: solves its room", solved, True)
            check.same(path, where, row["answer"], moves)


def _rows(check: Check, study: Study, path: str, labels: tuple[str, ...], data: Prepared, limit: int) -> None:
    frame = study.frame(path, ["protocol", *labels, *PLAYED])
    for column, kind in TYPES.items():
        if str(frame[column].dtype) != kind:
            raise Unreadable(path, f"column {column} is {frame[column].dtype}, not {kind}")
    for row in frame.to_dict("records"):
        where = ", ".join(str(row[key]) for key in ("protocol", *labels, "id"))
        with check.guarded(path, where):
            room = data.rows[row["id"]]
            played, points, solved = play(room["text"], row["prediction"])
            expected = {
                "prediction": played,
                "correct": solved,
                "steps": len(played) if solved else limit,
                "answer_tokens": len(room["answer"]),
                "in_top5": row["answer_rank"] <= 5,
                "in_top10": row["answer_rank"] <= 10,
            }
            for column, value in expected.items():
                check.same(path, f"{where}: {column}", row[column], value)
            moves, rank = len(played), row["answer_rank"]
            for column, right, shown, wanted in (
                ("return", close(row["return"], points, TOLERANCE), row["return"], points),
                ("moves in prediction", moves == row["steps"] <= limit, moves, f"its steps, at most {limit}"),
                ("answer_rank", 1 <= rank <= len(WAYS), rank, f"1 to {len(WAYS)}, as many as moves"),
            ):
                check.holds(path, f"{where}: {column}", right, shown, wanted)


def check_sides(check: Check, study: Study) -> None:
    """Check that no policy of the study was trained on a room of a dataset; rooms are compared by name."""
    known = policies(study)
    if not known:
        check.skipped = NO_POLICY
        return
    for entry in study.settings["datasets"]:
        path = data_path(text_of(entry["name"]))
        with check.guarded(path):
            data, pool = prepared(study, entry["name"]), entry["options"]["pool"]
            pools = {f"pool {pool['name']}": pool}
            pools |= {f"training of {name}": policy["source"]["pool"] for name, policy in known.items()}
            for name, row in data.rows.items():
                shared = shared_name(row["text"])
                check.same(path, f"id of {name} (sha256 of the room)", name, shared)
                check.same(path, f"group of {name}", row["group"], shared)
                for label, sampled in pools.items():
                    kept = kept_from_training(shared, float(sampled["evaluation_share"]))
                    check.same(path, f"{name}: on the evaluation side, {label}", kept, True)
