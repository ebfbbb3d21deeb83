"""Whatever stands in a result file: tables and the report are made, or one message names the file."""

from __future__ import annotations

import io
import json
import re
import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from laser.analysis.frequency import read_counts
from laser.analysis.tables import write_table
from laser.artefacts.table1 import table1
from laser.artefacts.table1 import views as table1_views
from laser.artefacts.table3 import table3
from laser.artefacts.table3 import views as table3_views
from laser.artefacts.verdicts import verdict_table
from laser.artefacts.verdicts import views as verdict_views
from laser.errors import UserError
from laser.io.files import write_text
from laser.paper.published import read_published
from laser.report.choices import write_choices
from laser.report.page import write_report, write_run_page
from laser.results.averages import load_sweep
from laser.results.labelled import load_labelled
from laser.results.loading import load_cells, load_reductions, load_rows, load_selections
from tests.artefacts import synthetic
from tests.hostile.odd import SCRIPT, TEXTS, cases, mutated, odd, plain
from tests.report.test_page import Page

SETTINGS = {"title": f"T {SCRIPT}", "description": SCRIPT, "name": "x", "search": "exhaustive"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A study of one cell with its tables."""
    folder = tmp_path_factory.mktemp("built") / "study"
    made = synthetic.build(folder, examples=15, models=("gpt-j-6b",), datasets=("fever",), layers=(0,), rhos=(0.9, 0.1))
    cells = load_cells(made.tests, made.selections, made.rows)
    first = table1(cells, read_published(), resamples=100)
    third = table3(load_selections(made.selections), read_published())
    judged = verdict_table(first, read_published())
    for name, frame, views in (
        ("table1", first, table1_views(first)),
        ("table3", third, table3_views(third)),
        ("verdicts", judged, verdict_views(judged)),
    ):
        write_table(folder / "tables", name, frame, views)
    return made


def refused(work, named=()):
    """Run `work`; return the message of a `UserError`, which names one of the files, or an empty text."""
    try:
        work()
    except UserError as error:
        message = str(error)
        assert 10 < len(message) < 6_000
        assert not named or any(str(path) in message for path in named), message
        return message
    return ""


def tables(tests, selections, rows):
    """Do what the rules table1 and table3 do."""
    cells = load_cells(tests, selections, rows)
    frame = table1(cells, read_published(), resamples=100)
    for view in [*table1_views(frame), *table3_views(table3(load_selections(selections), read_published()))]:
        assert all(isinstance(cell, str) for row in view.rows for cell in row)


@cases(25, 1_200)
@given(st.data())
def test_a_changed_selection_is_understood_or_refused(built, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "selection.json"
    value = data.draw(mutated(json.loads(built.selections[0].read_text()), odd()))
    path.write_text(json.dumps(value), encoding="utf-8")
    refused(lambda: tables(built.tests, [path], built.rows), [path, *built.tests])
    folder = tmp_path_factory.getbasetemp() / "choices"
    shutil.rmtree(folder, ignore_errors=True)
    refused(lambda: choices(folder, path), [path])
    for page in folder.rglob("*"):
        if page.is_file():
            assert page.parent == folder / "report/choices"
            harmless(page.read_text(encoding="utf-8"))


def choices(folder, selection):
    """Write the page of a choice, as the report does."""
    read = {selection: load_selections([selection])[0]}
    write_choices(folder / "report", SETTINGS, read, folder, read_published())


@cases(12, 600)
@given(st.data())
def test_a_changed_reduction_is_understood_or_refused(built, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "reduction.json"
    path.write_text(json.dumps(data.draw(mutated(json.loads(built.records[0].read_text()), odd()))), encoding="utf-8")
    refused(lambda: load_reductions([path]), [path])


@pytest.mark.parametrize("change", [{"matrices": {}}, {"layer": True}, {"rho": float("nan")}, {"spec": []}], ids=str)
def test_an_empty_reduction_is_named(built, tmp_path, change):
    path = tmp_path / "reduction.json"
    path.write_text(json.dumps(json.loads(built.records[0].read_text()) | change), encoding="utf-8")
    assert refused(lambda: load_reductions([path]), [path])


KINDS = [pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.null(), pa.binary(), pa.list_(pa.string())]
VALUES = [None, True, -1, 2.5, float("nan"), float("inf"), "", "x", SCRIPT, b"\x00", ["a"], []]


@st.composite
def changed_table(draw, table):
    """Return a Parquet table with columns gone, renamed or retyped, rows gone or doubled, odd metadata."""
    spec = json.loads((table.schema.metadata or {}).get(b"laser_spec", b"{}"))
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(table.column_names))
        place = table.column_names.index(name)
        action = draw(st.sampled_from(["drop", "rename", "type", "type", "value", "value", "rows", "spec", "spec"]))
        if action == "drop" and len(table.column_names) > 1:
            table = table.drop_columns([name])
        elif action == "rename":
            names = list(table.column_names)
            names[place] = draw(st.sampled_from([*TEXTS[:30], "id", "loss"]))
            table = table.rename_columns(names)
        elif action == "type":
            kind = draw(st.sampled_from(KINDS))
            fitting = [one for one in VALUES if _fits(one, kind)]
            column = pa.array([draw(st.sampled_from(fitting)) for _ in range(table.num_rows)], kind)
            table = table.set_column(place, name, column)
        elif action == "value":
            column = table.column(name).to_pylist()
            if column:
                column[draw(st.integers(0, len(column) - 1))] = draw(st.sampled_from(VALUES))
            try:
                table = table.set_column(place, name, pa.array(column, table.schema.field(name).type))
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                continue
        elif action == "rows":
            parts = [table.slice(0, draw(st.integers(0, table.num_rows))), table.slice(0, draw(st.integers(0, 3)))]
            table = pa.concat_tables(parts)
        else:
            raw = json.dumps(draw(mutated(spec, odd()))).encode()
            raw = draw(st.sampled_from([raw, raw, raw, raw[:-1], b"", b"\xff", b"[" * 50_000]))
            table = table.replace_schema_metadata({b"laser_spec": raw})
    return table


def _fits(value, kind):
    try:
        pa.array([value], kind)
        return True
    except (pa.ArrowException, TypeError, ValueError):
        return False


def changed_file(data, source, path):
    """Write a changed copy of a Parquet file: another table, or bytes that were cut or overwritten."""
    how = data.draw(st.sampled_from(["table", "table", "table", "cut", "junk"]))
    if how == "table":
        pq.write_table(data.draw(changed_table(pq.read_table(source, partitioning=None))), path, compression="zstd")
        return
    raw = bytearray(source.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    path.write_bytes(
        raw[:place] if how == "cut" else raw[:place] + data.draw(st.binary(min_size=1, max_size=8)) + raw[place:]
    )


@cases(35, 1_500)
@given(st.data())
def test_changed_test_rows_are_understood_or_refused(built, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "test.parquet"
    changed_file(data, built.tests[0], path)
    refused(lambda: tables([path], built.selections, built.rows), [path])


@cases(20, 700)
@given(st.data())
def test_changed_prepared_rows_are_understood_or_refused(built, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "rows.parquet"
    changed_file(data, built.rows[0], path)
    refused(lambda: tables(built.tests, built.selections, [path]), [path, *built.tests])


@cases(20, 700)
@given(st.data())
def test_a_changed_sweep_is_understood_or_refused(built, tmp_path_factory, data):
    base, swept = built.bases[0], next(iter(built.sweeps.values()))
    path = tmp_path_factory.getbasetemp() / "sweep.parquet"
    changed_file(data, data.draw(st.sampled_from([base, swept[0]])), path)
    refused(lambda: load_sweep([path, *swept[1:]], base), [path, base])
    refused(lambda: load_sweep(swept, path), [path, *swept])
    labels = ["matrix", "layer", "rho"]
    refused(lambda: load_labelled([path], labels, built.rows, side="validation"), [path])


COUNTS = "group,count\n" + "\n".join(f"fever-g{number},{number * 7}" for number in range(15))


@cases(25, 800)
@given(st.data())
def test_changed_counts_of_the_user_are_understood_or_refused(built, tmp_path_factory, data):
    groups = load_rows(built.rows)["fever"][0].set_index("id")["group"]
    folder = tmp_path_factory.getbasetemp()
    if data.draw(st.booleans()):
        path = folder / "counts.csv"
        write_text(path, data.draw(changed_csv(COUNTS)))
    else:
        path = folder / "counts.parquet"
        frame = pd.read_csv(io.StringIO(COUNTS))
        pq.write_table(data.draw(changed_table(pa.Table.from_pandas(frame, preserve_index=False))), path)
    refused(lambda: read_counts(path, groups), [path])


@st.composite
def changed_csv(draw, text):
    """Return a CSV with cells replaced, columns gone or renamed, lines cut, doubled or mended at random."""
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(draw(st.integers(1, 3))):
        action = draw(st.sampled_from(["cell", "cell", "cell", "head", "column", "line", "cut", "junk"]))
        line = draw(st.integers(0, len(rows) - 1))
        place = draw(st.integers(0, len(rows[line]) - 1)) if rows[line] else 0
        value = draw(plain())
        if action in ("cell", "head"):
            rows[0 if action == "head" else line][place : place + 1] = [str(value)[:500].replace(",", ";")]
        elif action == "column":
            rows = [row[:place] + row[place + 1 :] for row in rows]
        elif action == "line":
            rows.insert(line, list(rows[line]))
        elif action == "cut":
            rows = rows[: line + 1]
        else:
            rows.insert(line, [draw(st.text(max_size=30))])
    return "\n".join(",".join(row) for row in rows)


@cases(25, 1_200)
@given(st.data())
def test_changed_tables_are_shown_or_refused_and_never_run(built, tmp_path_factory, data):
    name = data.draw(st.sampled_from(["table1", "table3", "verdicts"]))
    folder = tmp_path_factory.getbasetemp() / "page"
    shutil.rmtree(folder, ignore_errors=True)
    path = folder / f"{name}.csv"
    text = (built.folder / f"tables/{name}.csv").read_text(encoding="utf-8")
    write_text(path, data.draw(changed_csv(text)))
    given_tables = {"table1": built.folder / "tables/table1.csv", name: path}
    settings = SETTINGS | {"extra": data.draw(plain())}
    if refused(lambda: write_report(folder / "report", settings, given_tables, {}), [path]):
        assert not (folder / "report/index.html").exists()
        return
    harmless((folder / "report/index.html").read_text(encoding="utf-8"))
    assert {one.name for one in folder.iterdir()} == {"report", path.name}


def harmless(text):
    """Fail where a page could run or load what it was given."""
    page = Page(text)
    assert len(page.all("script")) == 1
    for tag, attributes, _ in page.elements:
        assert tag not in ("iframe", "object", "embed", "base", "form", "b")
        assert not [key for key in attributes if key.startswith("on")]
        for key in ("src", "href"):
            assert not re.match(r"(?i)[a-z][a-z0-9+.-]*:|//", attributes.get(key, "") or ""), attributes


@cases(20, 800)
@given(st.data())
def test_changed_cards_and_runs_are_shown_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "cards"
    card = {"name": "m", "source": {"kind": "local"}, "files": {"a": "0"}, "rows": 5, "notes": ["x"]}
    run = {"host": "a", "gpu": [{"name": "x"}], "git": {"commit": "0", "dirty": False}, "device": "cpu"}
    run |= {"seconds": 1.5, "peak_memory_bytes": 1000}
    paths = {name: folder / f"{name}.json" for name in ("card", "run")}
    for (name, path), value in zip(paths.items(), (card, run), strict=True):
        raw = json.dumps(data.draw(mutated(value, odd(surrogates=True))))
        write_text(path, data.draw(st.sampled_from([raw, raw, raw, raw[:-1], "[" * 50_000, "9" * 5_000])))
        assert name in path.name
    if not refused(lambda: write_report(folder, SETTINGS, {}, {}, [paths["card"]], [paths["card"]]), [paths["card"]]):
        harmless((folder / "index.html").read_text(encoding="utf-8"))
    if not refused(lambda: write_run_page(folder, SETTINGS, {paths["run"]: SCRIPT}), list(paths.values())):
        harmless((folder / "run.html").read_text(encoding="utf-8"))


@cases(4, 800)
@given(st.lists(st.sampled_from(TEXTS[:-1]) | st.text(max_size=20), min_size=1, max_size=4))
@example(TEXTS[:-1])  # between them, each text is a prediction of base and one of LASER
@example(TEXTS[24:-1] + TEXTS[:24])
def test_predictions_cannot_become_formulas_or_markup(built, tmp_path_factory, predictions):
    folder = tmp_path_factory.getbasetemp() / "predictions"
    shutil.rmtree(folder, ignore_errors=True)
    table = pq.read_table(built.tests[0], partitioning=None)
    place = table.column_names.index("prediction")
    texts = [predictions[number % len(predictions)] for number in range(table.num_rows)]
    path = folder / "test.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table.set_column(place, "prediction", pa.array(texts, pa.string())), path)
    shown = write_report(
        folder / "report", SETTINGS, {}, {}, tests=[path], selections=built.selections, rows=built.rows
    )
    harmless(shown.read_text(encoding="utf-8"))
    written = list((folder / "report/rows").glob("*.csv"))
    assert len(written) == 2
    for one in written:
        frame = pd.read_csv(one, dtype=str, keep_default_na=False, lineterminator="\n")
        assert not frame["base_prediction"].str.match(r"\s*[=+\-@]").any()
