"""Ways to tamper with a study. NAIVE ones leave the manifest alone; after the others every hash is made to fit."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from tests.audit.edits import (
    CELL,
    PAPERS,
    Change,
    add,
    cell,
    content,
    flip,
    frame,
    gone,
    less_loss,
    number,
    put,
    spec,
    swapped,
    text,
)

TEST, BASE = f"test/{CELL}.parquet", f"sweep/{CELL}/base.parquet"
SWEEP = f"sweep/{CELL}/layer0/rho0.5.parquet"
SELECTION = f"selection/{CELL}.json"
REDUCTION = "reductions/gpt-j-6b/layer0/rho0.1.json"
ROWS = "inputs/data/worldfacts/rows.parquet"
CARD = "inputs/models/gpt-j-6b/card.json"
TABLE1 = "tables/table1.csv"
COMPOSE, COMPOSED = f"compose/{CELL}.json", f"compose/{CELL}.parquet"
TRANSFER = f"transfer/{CELL}.parquet"
SPECTRA = "spectra/gpt-j-6b.json"
RECORD, RUN = "records/table1/table1.json", "runs/table1/table1.json"
LOG = "logs/select_intervention/gpt-j-6b/worldfacts.log"


def _first(held: dict) -> dict:
    return held["protocols"]["corrected"]["candidates"][0]


def _second_best(held: dict) -> None:
    own = held["protocols"]["corrected"]
    own["chosen"] = {key: own["candidates"][1][key] for key in ("matrix", "layer", "rho", "kept_rank")}
    own["validation"]["chosen"] = {key: own["candidates"][1][key] for key in ("accuracy", "loss", "n")}


def _choose(held: dict, **values: object) -> None:
    held["protocols"]["corrected"]["chosen"] |= values


def _no_base_candidate(held: dict) -> None:
    held["protocols"]["corrected"]["chosen"] = None


def _step(held: dict) -> dict:
    return held["protocols"]["corrected"]["steps"][0]


def _not_accepted(held: dict) -> None:
    """Take an edit for refused, or a refused one for accepted, wherever the file says so."""
    own = held["protocols"]["corrected"]
    step = next((one for one in own["steps"] if one["accepted"]), own["steps"][0])
    step["accepted"] = not step["accepted"]
    place = {key: step[key] for key in ("matrix", "layer", "rho", "kept_rank")}
    own["chosen"] = [one for one in own["chosen"] if one != place] if place in own["chosen"] else [place]


def _peeked(folder: Path) -> str:
    """Let a search on validation rows have read what was scored on test rows."""
    path, read = f"records/compose_layers/{CELL}.json", (folder / TEST).read_bytes()
    entry = {"path": f"results/small/{TEST}", "sha256": hashlib.sha256(read).hexdigest(), "bytes": len(read)}
    return content(path, lambda held: held["inputs"].append(entry))(folder)


def _fewer_rows(folder: Path) -> str:
    """Leave rows out of a layer's sweep, as if it had been asked for so many only."""
    for rho in ("0.5", "0.1"):
        path = SWEEP.replace("rho0.5", f"rho{rho}")
        frame(path, lambda rows: rows.groupby(["protocol", "matrix"], sort=False).head(5).reset_index(drop=True))(
            folder
        )
        spec(path, lambda held: held.update(rows=5))(folder)
    content(f"records/sweep/{CELL}/layer0.json", lambda held: held["spec"].update(rows=5))(folder)
    return SWEEP


def _lower_laser(rows: pd.DataFrame) -> None:
    less_loss(rows, 0.5, (rows["arm"] == "laser") & (rows["protocol"] == "corrected"))


def _right_everywhere(rows: pd.DataFrame) -> None:
    rows.loc[rows["arm"] == "laser", "correct"] = True


def _from_validation(rows: pd.DataFrame) -> None:
    """Give a test row the id of a validation row."""
    rows.loc[0, "id"] = "capital-BD-0"


def _other_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.loc[[1, 0, *range(2, len(rows))]].reset_index(drop=True)


def _to_validation(rows: pd.DataFrame) -> None:
    rows.loc[rows["split_corrected"] == "test", "split_corrected"] = ["validation"] + ["test"] * (
        int((rows["split_corrected"] == "test").sum()) - 1
    )


def _link_outside(folder: Path) -> str:
    place = folder / TEST
    place.rename(folder.parent / "elsewhere.parquet")
    os.symlink(folder.parent / "elsewhere.parquet", place)
    return TEST


def _cut(folder: Path) -> str:
    (folder / TEST).write_bytes((folder / TEST).read_bytes()[:200])
    return TEST


def _renamed(folder: Path) -> str:
    (folder / SWEEP).rename(folder / f"sweep/{CELL}/layer0/rho0.4.parquet")
    return SWEEP


def _entities(start: str, **values):
    """Return a change of the crate: every entity whose id starts so gets the values."""

    def change(held):
        for entity in held["@graph"]:
            if entity["@id"].startswith(start):
                entity.update(values)

    return change


def _added(folder: Path) -> str:
    (folder / "tables/table9.csv").write_text("a,b\n1,2\n")
    return "tables/table9.csv"


def _bytes(path: str) -> Change:
    """Return a change of the last digit in a file."""

    def apply(folder: Path) -> str:
        held = bytearray((folder / path).read_bytes())
        place = max(i for i, one in enumerate(held) if chr(one).isdigit() and one != ord("9"))
        held[place] += 1
        (folder / path).write_bytes(bytes(held))
        return path

    return apply


def _other_entry(key: str, value: object) -> Change:
    def change(held: dict) -> None:
        next(one for one in held["files"] if one["path"] == TEST)[key] = value

    return content("manifest.json", change, TEST)


def _without_entry(folder: Path) -> str:
    content(
        "manifest.json",
        lambda held: held["files"].__delitem__(next(n for n, one in enumerate(held["files"]) if one["path"] == TEST)),
    )(folder)
    return TEST


def _hidden(folder: Path) -> str:
    """Leave the test rows out of what the manifest covers, and change them."""
    content("manifest.json", lambda held: held["not_covered"].append("test/"))(folder)
    frame(TEST, flip("correct"))(folder)
    return "manifest.json"


def _two_files(first: Change, second: Change) -> Change:
    """Return two changes; the file of the second is the one that must be named."""

    def apply(folder: Path) -> str:
        first(folder)
        return second(folder)

    return apply


def _without_table(folder: Path) -> str:
    for ending in ("csv", "md", "tex"):
        gone(f"tables/table4.{ending}")(folder)
    return "tables/table4.csv"


def _script_in_data(folder: Path) -> str:
    """Let a page of data run another script, with the policy made to fit."""
    page = sorted((folder / "report/explorer").glob("*.html"))[-1]
    written = page.read_text(encoding="utf-8")
    script = re.findall(r"<script>(.*?)</script>", written, re.DOTALL)[0]
    other = script + "parent.alert(1);"
    for old, new in ((_policy_hash(script), _policy_hash(other)), (f"<script>{script}<", f"<script>{other}<")):
        assert old in written
        written = written.replace(old, new)
    page.write_text(written, encoding="utf-8")
    return page.relative_to(folder).as_posix()


def _policy_hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _other_picture(folder: Path) -> str:
    pictures = sorted((folder / "report/figures").glob("fig9*.svg"))
    pictures[0].write_bytes(pictures[1].read_bytes())
    return pictures[0].relative_to(folder).as_posix()


def _empty_picture(folder: Path) -> str:
    (folder / "figures/fig7/gpt-j-6b/all.svg").write_bytes(b"")
    return "figures/fig7/gpt-j-6b/all.svg"


def _other_column(folder: Path) -> str:
    table = pq.read_table(folder / TEST)
    pq.write_table(
        table.rename_columns([{"loss": "Loss"}.get(name, name) for name in table.column_names]), folder / TEST
    )
    return TEST


NAIVE: dict[str, Change] = {
    "a right answer made wrong": frame(TEST, flip("correct")),
    "a loss changed by 1e-9": frame(TEST, add("loss", 1e-9)),
    "a row dropped": frame(TEST, lambda rows: rows.iloc[1:]),
    "a digit of a figure": _bytes("figures/fig7/gpt-j-6b/all.svg"),
    "a digit of a PDF": _bytes("figures/fig7/gpt-j-6b/all.pdf"),
    "a digit of a table": _bytes("tables/table3.tex"),
    "a line added to a log": text(LOG, "\n", "\nall is well\n"),
    "a file deleted": gone(SWEEP),
    "a file renamed": _renamed,
    "a file added": _added,
    "a file behind a link": _link_outside,
    "a Parquet file cut short": _cut,
    "the seconds of a run": content(RUN, lambda held: held.update(seconds=held["seconds"] + 1)),
    "the host of a run": content(RUN, lambda held: held.update(host="elsewhere")),
    "a hash in the manifest": _other_entry("sha256", "0" * 64),
    "a length in the manifest": _other_entry("bytes", 3),
    "a length that is negative": _other_entry("bytes", -1),
    "a length that is a text": _other_entry("bytes", "many"),
    "an entry removed from the manifest": _without_entry,
    "an input's hash in a record": content(RECORD, lambda held: held["inputs"][0].update(sha256="0" * 64)),
    "the report": text("report/index.html", "</body>", "<p>Believe me.</p></body>"),
    "a record deleted": gone(RECORD),
    "the manifest deleted": gone("manifest.json"),
}

DETERMINED: dict[str, Change] = {
    "test: a wrong answer made right": frame(TEST, flip("correct")),
    "test: all LASER answers made right": frame(TEST, _right_everywhere),
    "test: a loss changed by 1e-9": frame(TEST, add("loss", 1e-9)),
    "test: LASER's losses lowered, log-probabilities to match": _two_files(
        frame(TEST, _lower_laser), lambda folder: TABLE1
    ),
    "test: a row dropped": frame(TEST, lambda rows: rows.iloc[1:]),
    "test: a row twice": frame(TEST, lambda rows: pd.concat([rows.iloc[:1], rows], ignore_index=True)),
    "test: two rows exchanged": frame(TEST, _other_order),
    "test: a validation row in it": frame(TEST, _from_validation),
    "test: arms exchanged": _two_files(frame(TEST, swapped), lambda folder: TABLE1),
    "test: an answer's rank": frame(TEST, put("answer_rank", 0)),
    "test: the chosen place in its spec": spec(TEST, lambda held: held["chosen"]["corrected"].update(layer=1)),
    "test: a column renamed": _other_column,
    "sweep: a loss lowered, log-probability to match": _two_files(
        frame(SWEEP, lambda rows: less_loss(rows, 0.7, rows["matrix"] == "u_out")), lambda folder: SELECTION
    ),
    "sweep: rows left out that its spec leaves out": _fewer_rows,
    "sweep: its spec's seed": spec(SWEEP, lambda held: held.update(seed=7)),
    "sweep: its spec's rho": spec(SWEEP, lambda held: held.update(rho=0.4)),
    "sweep: a test row in it": frame(SWEEP, put("id", "capital-US-0")),
    "sweep: a matrix renamed": frame(SWEEP, lambda rows: rows.assign(matrix="u_in")),
    "base: a prediction": frame(BASE, put("prediction", "Dhaka")),
    "base: one protocol's log-probability": frame(
        BASE, lambda rows: less_loss(rows, 0.1, rows["protocol"] == "corrected")
    ),
    "selection: the second best chosen": content(SELECTION, _second_best),
    "selection: base chosen where LASER wins": content(f"selection/{PAPERS}.json", _no_base_candidate),
    "selection: a candidate's accuracy": content(SELECTION, lambda held: _first(held).update(accuracy=50.0)),
    "selection: a candidate's loss by 1e-9": content(
        SELECTION, lambda held: _first(held).update(loss=_first(held)["loss"] - 1e-9)
    ),
    "selection: a candidate left out": content(
        SELECTION, lambda held: held["protocols"]["corrected"]["candidates"].pop()
    ),
    "selection: the kept rank": content(SELECTION, lambda held: _choose(held, kept_rank=17)),
    "reduction: the kept rank": content(REDUCTION, lambda held: held["matrices"]["u_in"].update(kept_rank=4)),
    "reduction: the energy": content(REDUCTION, lambda held: held["matrices"]["u_in"].update(retained_energy=0.9)),
    "reduction: the effective rank": content(
        REDUCTION, lambda held: held["matrices"]["u_out"].update(effective_rank=9.0)
    ),
    "reduction: the bytes that factors take": content(
        REDUCTION, lambda held: held["matrices"]["u_in"].update(bytes_factored=8)
    ),
    "compose: a row": frame(COMPOSED, flip("correct")),
    "compose: log-probabilities before the first edit": frame(
        COMPOSED, lambda rows: less_loss(rows, 0.1, rows["step"] == 0)
    ),
    "seeds: a row": frame(f"seeds/{CELL}.parquet", flip("correct")),
    "transfer: a row": frame(TRANSFER, flip("correct")),
    "baselines: a row": frame(f"baselines/{CELL}.parquet", flip("correct")),
    "baselines: a seed": spec(f"baselines/{CELL}.parquet", lambda held: held.update(seeds=[0, 7])),
    "rank_rules: a row": frame(f"rank_rules/{CELL}.parquet", flip("correct")),
    "prompts: a row": frame(f"prompts/{CELL}.parquet", flip("correct")),
    "table1: an accuracy": cell(TABLE1, 0, "value", "12.5"),
    "table1: an interval": cell(TABLE1, 3, "high", number),
    "table1: a p value": cell(TABLE1, 3, "p_value", "0.04"),
    "table1: an adjusted p value": cell(TABLE1, 3, "p_holm", "0.04"),
    "table1: a verdict": cell(TABLE1, 4, "verdict", "replicated"),
    "table1: a published number": cell(TABLE1, 4, "published", "13.2"),
    "table1: a constant answer": cell(TABLE1, 0, "constant", number),
    "table1: a number of rows": cell(TABLE1, 0, "n", "78"),
    "table1: a share of predictions": cell(TABLE1, 0, "prediction_shares", "{}"),
    "table3: the paper's choice": cell("tables/table3.csv", 2, "paper_layer", "26"),
    "verdicts: a verdict": text("tables/verdicts.csv", "differs", "replicated"),
    "a picture without its CSV": gone(f"figures/fig8/{CELL}-corrected.csv"),
    "data: a test row moved to validation": frame(ROWS, _to_validation),
    "data: an answer": frame(ROWS, lambda rows: rows.assign(answer=rows["answer"].replace(" Dhaka", " Delhi"))),
    "model: its revision": content(CARD, lambda held: held["source"].update(path="/elsewhere")),
    "model: its layers": content(CARD, lambda held: held.update(layers=3)),
    "study: a dataset's options": _two_files(
        content("inputs/study.json", lambda held: held["datasets"][0]["options"].update(minimum_population=1)),
        lambda folder: ROWS,
    ),
    "study: a candidate more": _two_files(
        content("inputs/study.json", lambda held: held["rhos"].append(0.05)),
        lambda folder: SWEEP.replace("0.5", "0.05"),
    ),
    "paper: a number of the study's copy": _two_files(
        text("inputs/published/table1.csv", "13.1", "0.0"), lambda folder: TABLE1
    ),
    "run.html: scripts allowed": text("report/run.html", "script-src", "script-src 'unsafe-inline'"),
    "run.html: a redirection": text("report/run.html", "</main>", '<meta HTTP-EQUIV="refresh" content="0;/x"></main>'),
    "record: its seed": content(RECORD, lambda held: held["spec"].update(seed=1)),
    "record: the code": content(
        "records/reduce/gpt-j-6b/layer0.json",
        lambda held: held.update(code="0" * 16, spec=held["spec"] | {"code": "0" * 16}),
    ),
    "record: the precision": content(f"records/test_intervention/{CELL}.json", lambda held: held.update(dtype="fp16")),
    "record: an input forgotten": content(RECORD, lambda held: held["inputs"].pop(0)),
    "record: a search that read test results": _peeked,
    "record: a search forgotten": content(
        f"records/compose_test/{CELL}.json",
        lambda held: held.update(inputs=[one for one in held["inputs"] if "/compose/" not in one["path"]]),
    ),
    "record: a choice of another dataset forgotten": content(
        f"records/evaluate_transfer/{CELL}.json",
        lambda held: held.update(inputs=[one for one in held["inputs"] if "/selection/" not in one["path"]]),
    ),
    "record: the rule": content(RECORD, lambda held: held.update(rule="table3")),
    "record: an output of another": content(
        RECORD,
        lambda held: held["outputs"].append(
            {"path": "results/small/tables/table3.csv", "sha256": "0" * 64, "bytes": 1}
        ),
    ),
    "run: of another record": content(RUN, lambda held: held.update(record="results/small/records/x.json")),
    "run: on another host": content(RUN, lambda held: held.update(host="elsewhere")),
    "crate deleted": gone("ro-crate-metadata.json"),
    "a log deleted": gone(LOG),
    "a run deleted": gone(RUN),
    "a table added": _added,
    "a table's three files deleted": _without_table,
    "the manifest covers less": _hidden,
}
"""Found by recomputation, with every hash made to fit."""

REPLAYED: dict[str, Change] = {
    "compose: a value": cell("tables/compose.csv", 2, "value", number),
    "compose: a difference to the single edit": cell("tables/compose.csv", 2, "over_laser", "5.0"),
    "compose: an adjusted p value": cell("tables/compose.csv", 2, "over_laser_p_holm", "0.04"),
    "compose: a validation score": cell("tables/compose.csv", 0, "validation_composed", "88.0"),
    "fig4: a point": cell(f"figures/fig4/{CELL}-corrected.csv", 0, "test_accuracy", "12.0"),
    "fig4: a place": cell(f"figures/fig4/{CELL}-corrected.csv", 1, "layer", "7"),
    "baselines: a value": cell("tables/baselines.csv", 0, "value", "12.5"),
    "seeds: a mean": cell("tables/seeds.csv", 0, "mean", number),
    "seeds: a spread": cell("tables/seeds.csv", 1, "sd", number),
    "seeds: the exact step": cell("tables/seeds.csv", 2, "exact", "31.0"),
    "transfer: a gain": cell("tables/transfer.csv", 0, "difference", number),
    "transfer: an adjusted p value": cell("tables/transfer.csv", 1, "p_holm", "0.04"),
    "transfer_map: a gain": cell("figures/transfer_map/gpt-j-6b/corrected.csv", 1, "difference", "5.0"),
    "rank_rules: a difference to the grid": cell("tables/rank_rules.csv", 1, "over_grid", "5.0"),
    "edges: a share": cell("tables/edges.csv", 0, "share_above", number),
    "prompts: a gain": cell("tables/prompts.csv", 1, "gain_mean", number),
    "prompts: an outcome": cell("tables/prompts.csv", 0, "outcome", "raised"),
    "prompts: an interval": cell("tables/prompts.csv", 2, "laser_high", number),
    "size: what is saved": cell("tables/size.csv", 0, "saved_of_model", number),
    "size: a shape": cell("tables/size.csv", 0, "rows", "7"),
    "table1: a number for reading": text("tables/table1.md", "| 77 |", "| 78 |"),
    "table1: a number in LaTeX": text("tables/table1.tex", "& 77 &", "& 78 &"),
    "table3: a number for reading": text("tables/table3.md", "| 8 |", "| 9 |"),
    "table4: a size": cell("tables/table4.csv", 0, "size", "97"),
    "table5: a rho": text("tables/table5.csv", "0.5 0.1", "0.5 0.2"),
    "paraphrase: an interval": cell("tables/paraphrase.csv", 0, "difference_high", "3.0"),
    "topk: an accuracy": cell("tables/topk.csv", 0, "laser", "7.5"),
    "stability: a number for reading": text("tables/stability.md", "| 8 |", "| 9 |"),
    "fig2: a point": cell(f"figures/fig2/{CELL}-corrected.csv", 1, "loss", number),
    "fig9: a drawing": text("figures/fig9/gpt-j-6b/corrected.svg", "</svg>", "<!-- better --></svg>"),
    "fig3b: a point": cell(f"figures/fig3b/{CELL}-corrected.csv", 1, "n", "19"),
    "fig3c: a bar": cell(f"figures/fig3c/{CELL}-corrected.csv", 0, "corrected", "3"),
    "fig7: a point": cell("figures/fig7/gpt-j-6b/all.csv", 0, "effective_rank", number),
    "fig8: a point": cell(f"figures/fig8/{CELL}-corrected.csv", 0, "first_top10", "40.0"),
    "fig9: a point": cell("figures/fig9/gpt-j-6b/corrected.csv", 0, "benefit", "2.0"),
    "fig7: a picture that is empty": _empty_picture,
}
"""Found by replay alone, as it makes the artefact again, with every hash made to fit."""

CHOICES: dict[str, Change] = {
    "compose: a candidate's accuracy": content(
        COMPOSE, lambda held: _step(held)["candidates"][0].update(accuracy=99.0)
    ),
    "compose: a candidate's kept rank": content(COMPOSE, lambda held: _step(held)["candidates"][0].update(kept_rank=7)),
    "compose: a candidate left out": content(COMPOSE, lambda held: _step(held)["candidates"].pop()),
    "compose: a step's score": content(COMPOSE, lambda held: _step(held).update(loss=0.5)),
    "compose: a place left out": content(COMPOSE, lambda held: held["protocols"]["corrected"]["steps"].pop()),
    "compose: the base model": content(COMPOSE, lambda held: held["protocols"]["corrected"]["base"].update(loss=9.0)),
    "compose: what was accepted": content(COMPOSE, _not_accepted),
    "seeds: another place": spec(
        f"seeds/{CELL}.parquet", lambda held: held["intervention"]["corrected"].update(layer=7)
    ),
    "transfer: another choice": spec(
        TRANSFER, lambda held: held["transferred"]["published"]["chosen_on"]["counterfact"].update(layer=7)
    ),
    "transfer: another generic choice": spec(
        TRANSFER, lambda held: held["transferred"]["published"]["generic"]["chosen"].update(layer=7)
    ),
    "transfer: the generic gain": spec(
        TRANSFER, lambda held: held["transferred"]["published"]["generic"].update(gain=3.0)
    ),
    "transfer: of how many the generic choice is": spec(
        TRANSFER, lambda held: held["transferred"]["published"]["generic"].update(candidates=5)
    ),
    "transfer: rows of a choice left out": frame(TRANSFER, lambda rows: rows[rows["protocol"] != "published"]),
    "rank_rules: another choice": spec(
        f"rank_rules/{CELL}.parquet", lambda held: held["ruled"]["published"]["edge"]["chosen"].update(layer=7)
    ),
    "spectra: an edge": content(SPECTRA, lambda held: held["matrices"][0].update(edge=0.5)),
    "spectra: an effective rank": content(SPECTRA, lambda held: held["matrices"][0].update(effective_rank=3.0)),
}
"""Found by replay alone, by its check of choices, with every hash made to fit."""

CRATE: dict[str, Change] = {
    "run: started at another time": content(
        RUN, lambda held: held.update(started="2020-01-01T00:00:00.000+00:00"), "ro-crate-metadata.json"
    ),
    "run: longer than it was": content(RUN, lambda held: held.update(seconds=5000.0), "ro-crate-metadata.json"),
    "crate: a hash": text("ro-crate-metadata.json", '"sha256": "', '"sha256": "0'),
    "crate: who made what": content("ro-crate-metadata.json", _entities("#tool/", softwareVersion="0")),
    "crate: when": content("ro-crate-metadata.json", _entities("#job/", startTime="2020-01-01T00:00:00.000+00:00")),
}
"""Found by replay alone, as it writes the crate again, with every hash made to fit."""

REPORT: dict[str, Change] = {
    "report: a number in its copy of a table": cell("report/tables/table1.csv", 0, "value", "99.9"),
    "report: a script in the page of a choice": text(
        "report/choices/gpt-j-6b-worldfacts.html", "</body>", "<script>document.title = 1</script></body>"
    ),
    "report: a picture in the place of another": _other_picture,
    "report: a script in the explorer's data": _script_in_data,
    "report: a script of the explorer": text("report/explorer.html", "DOMContentLoaded", "load"),
}
"""Found by replay alone, as it writes the report again, with every hash made to fit."""

PLANNED: dict[str, Change] = {
    "study: the resamples": _two_files(
        content("inputs/study.json", lambda held: held.update(resamples=100)), lambda folder: RECORD
    ),
    "record: its seed, wherever it stands": content(
        RECORD, lambda held: (held["spec"].update(seed=1), held["seeds"].update(seed=1))
    ),
}
"""Found by replay alone, as it plans the study again, with every hash made to fit."""
