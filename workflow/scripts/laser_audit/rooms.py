"""The data behind pictures of rooms: Figure 6, rooms solved by boxes and path length, and the moves of films."""

from __future__ import annotations

from itertools import pairwise

from laser_audit.cells import ARMS, Tested, compared, tested
from laser_audit.comparing import Row, compare_table
from laser_audit.figures import drawn
from laser_audit.findings import Check
from laser_audit.games import play, read_room
from laser_audit.reading import Study, asked
from laser_audit.splits import Prepared, prepared

FIG6 = ("dataset", "room", "row", "column", "what", "player", "step")
SOLVED = (
    *("model", "dataset", "protocol", "by", "label", "least", "most", "n", "groups"),
    *("base", "base_low", "base_high", "laser", "laser_low", "laser_high"),
    *("difference", "difference_low", "difference_high", "p_value"),
)
FILM = ("model", "dataset", "protocol", "room", "arm", "step", "move", "reward", "return", "solved")
BINS = 5


@asked("fig6")
def check_fig6(check: Check, study: Study) -> None:
    """Compare the data of Figure 6 with the first room of those with most boxes, and the expert's way through it."""
    for dataset in dict.fromkeys(dataset for _, dataset in drawn(study)):
        path = f"figures/fig6/{dataset}/room.csv"
        with check.guarded(path):
            compare_table(check, study, path, _room(dataset, prepared(study, dataset)), ("row", "column"), FIG6)


def _room(dataset: str, data: Prepared) -> list[Row]:
    name = max(data.rows, key=lambda one: len(read_room(data.rows[one]["text"]).boxes))
    text = data.rows[name]["text"]
    room = read_room(text)
    way = [room.player, *(step.player for step in play(text, data.rows[name]["answer"]))]
    rows: list[Row] = []
    for row in range(room.height):
        for column in range(room.width):
            cell = (row, column)
            box, target = cell in room.boxes, cell in room.targets
            what = "box on a target" if box and target else "box" if box else "target" if target else "floor"
            place: Row = {"dataset": dataset, "room": name, "row": row, "column": column}
            place |= {"what": "wall" if cell in room.walls else what, "player": cell == room.player}
            rows.append(place | {"step": way.index(cell) if cell in way else None})
    return rows


@asked("solved")
def check_solved(check: Check, study: Study) -> None:
    """Compare shares of rooms solved by boxes and by path length with the test rows."""
    for model, dataset in drawn(study):
        for protocol in study.protocols:
            path = f"figures/solved/{model}/{dataset}-{protocol}.csv"
            with check.guarded(path):
                rows = _shares(study, tested(study, model, dataset, protocol))
                compare_table(check, study, path, rows, ("by", "label"), SOLVED)


def _shares(study: Study, cell: Tested) -> list[Row]:
    seed, resamples = study.sampling
    asked = [cell.data.rows[name] for name in cell.ids]
    boxes, paths = [len(read_room(row["text"]).boxes) for row in asked], [len(row["answer"]) for row in asked]
    rows: list[Row] = []
    for by, sizes, bounds in (
        ("boxes", boxes, [(one, one) for one in sorted(set(boxes))]),
        ("path", paths, bins(paths)),
    ):
        for least, most in bounds:
            inside = [place for place, size in enumerate(sizes) if least <= size <= most]
            base, laser = ([cell.values(arm, "correct")[place] for place in inside] for arm in ARMS)
            names = (*cell.name, "solved", by, str(least))
            groups = [cell.groups[place] for place in inside]
            row: Row = dict(zip(SOLVED, (*cell.name, by), strict=False)) | {"least": least, "most": most}
            row["label"] = str(least) if least == most else f"{least}–{most}"
            rows.append(row | compared(base, laser, groups, names, True, seed, resamples))
    return rows


def bins(sizes: list[int]) -> list[tuple[int, int]]:
    """Return inclusive bounds of about equally full bins: from one fifth of the sorted sizes to the next."""
    ordered = sorted(sizes)
    edges = sorted({ordered[(len(ordered) - 1) * fifth // BINS] for fifth in range(BINS + 1)})
    if len(edges) == 1:
        return [(edges[0], edges[0])]
    return [(low + (place > 0), high) for place, (low, high) in enumerate(pairwise(edges))]


@asked("film")
def check_film(check: Check, study: Study) -> None:
    """Compare the moves of every film with the test rows: the room by its rule, and each step played anew."""
    for model, dataset in drawn(study):
        for protocol in study.protocols:
            path = f"figures/film/{model}/{dataset}-{protocol}.csv"
            with check.guarded(path):
                compare_table(
                    check, study, path, _moves(tested(study, model, dataset, protocol)), ("arm", "step"), FILM
                )


def _moves(cell: Tested) -> list[Row]:
    place = filmed(cell)
    name = cell.ids[place]
    rows: list[Row] = []
    for arm in ARMS:
        moves = cell.arms[arm]["prediction"].iloc[place]
        for number, step in enumerate(play(cell.data.rows[name]["text"], moves), 1):
            row: Row = dict(zip(FILM, (*cell.name, name, arm, number, moves[number - 1]), strict=False))
            rows.append(row | {"reward": step.reward, "return": step.total, "solved": step.solved})
    return rows


def filmed(cell: Tested) -> int:
    """Return the place of the room that is filmed: the first that one arm alone solves, or plays otherwise, or any."""
    for column in ("correct", "prediction"):
        base, laser = (cell.arms[arm][column].tolist() for arm in ARMS)
        apart = [place for place, (one, other) in enumerate(zip(base, laser, strict=True)) if one != other]
        if apart:
            return apart[0]
    return 0
