import html.parser
import itertools
import json
import re
from urllib.parse import unquote

import pytest

from laser.analysis.tables import read_table, to_csv
from laser.config.artefacts import declared
from laser.errors import UserError
from laser.io.files import write_json, write_text
from laser.report.files import slug, unique_slugs
from laser.report.page import CAPTIONS, caption, write_report, write_run_page
from laser.report.rows import write_rows
from laser.report.run_page import machines, timings
from laser.report.summary import in_one_sentence, summarise
from tests.artefacts import synthetic
from tests.report import study

VOID = {"meta", "img", "link", "br", "hr", "input"}
ATTACK = '</td><script>alert("x")</script><img src=x onerror=alert(1)>&amp;'


class Page(html.parser.HTMLParser):
    """Collects elements and text, and fails on elements that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], {}
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]} at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def all(self, tag):
        return [attributes for name, attributes, _ in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(made):
    return Page(made.read_text(encoding="utf-8"))


def test_nothing_is_asked_of_any_network(made, page):
    for _, attributes, _ in page.elements:
        for name in ("src", "href", "action", "data", "srcset", "poster"):
            target = attributes.get(name)
            if target:
                assert not re.match(r"(?i)[a-z][a-z0-9+.-]*:|//", target), target
                assert target.startswith("#") or (made.parent / unquote(target)).is_file(), target
    text = made.read_text(encoding="utf-8")
    assert "@import" not in text and "url(" not in text
    for svg in made.parent.rglob("*.svg"):
        assert not re.findall(r'(?:href|src)="(?!#)[^"]*"', svg.read_text()), svg


def test_links_within_the_page_lead_somewhere_and_ids_are_unique(page):
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in page.all("a"):
        if attributes["href"].startswith("#"):
            assert attributes["href"][1:] in ids
    for _, attributes, _ in page.elements:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids


def test_the_page_can_be_used_without_eyes_or_mouse(page):
    assert page.all("html") == [{"lang": "en"}]
    assert {"header", "nav", "main", "footer"} <= {tag for tag, *_ in page.elements}
    levels = [int(tag[1]) for tag, *_ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    assert all(len(image["alt"]) > 20 for image in page.all("img"))
    assert page.all("img")
    assert len(page.all("caption")) == len(page.all("table")) > 5
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    scrolled = [one for one in page.all("div") if one.get("class") == "scroll"]
    assert all(one["tabindex"] == "0" and one["role"] == "region" for one in scrolled)
    assert page.elements[[tag for tag, *_ in page.elements].index("body") + 1][1]["href"] == "#content"


def test_light_dark_and_print_are_provided_for(made):
    text = made.read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text and "@media print" in text and "color-scheme: dark" in text


def test_only_the_pages_own_script_may_run(made, page):
    import base64
    import hashlib

    (script,) = page.text["script"]
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert f"script-src 'sha256-{hashed}'" in policy and "default-src 'none'" in policy
    assert "unsafe-eval" not in policy and "http" not in policy


def test_what_a_model_generates_is_shown_and_never_run(tmp_path):
    def change(frame):
        shares = json.dumps({ATTACK: 0.75, "<b>bold</b>": 0.25})
        return frame.assign(
            model=frame["model"] + ATTACK,
            prediction_shares=[shares if metric == "accuracy" else "" for metric in frame["metric"]],
        )

    settings = study.SETTINGS | {"title": f"T{ATTACK}", "description": ATTACK, "extra": ATTACK}
    text = study.report(tmp_path, settings, change).read_text(encoding="utf-8")
    hostile = Page(text)
    assert len(hostile.all("script")) == 1
    assert "b" not in {tag for tag, *_ in hostile.elements}
    assert all("onerror" not in attributes for _, attributes, _ in hostile.elements)
    assert all(image["src"].startswith("figures/") for image in hostile.all("img"))
    assert any('<script>alert("x")</script>' in data for data in hostile.text["td"])
    assert ATTACK in "".join(hostile.text["h1"])


def test_figures_are_named_by_their_data(made):
    text = made.read_text(encoding="utf-8")
    for model in synthetic.MODELS:
        for dataset in synthetic.DATASETS:
            assert f">{model} on {dataset}, corrected protocol</h4>" in text


def test_hostile_names_stay_inside_the_folder(tmp_path, made):
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug('fig2/a"b/<c>') == "fig2-a-b-c"
    svg = next(made.parent.rglob("*.svg"))
    write_report(tmp_path / "out", study.SETTINGS, {}, {"fig2/../../../x": svg})
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_names_that_would_share_a_file_get_one_each():
    named = unique_slugs(["fig2/a/b-c", "fig2/a-b/c", "fig2/d", "fig2/D", "../..", "x" * 500])
    assert len({one.lower() for one in named.values()}) == 6
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,130}", one) for one in named.values())
    assert unique_slugs(["a/b", "a/c"]) == {"a/b": "a-b", "a/c": "a-c"}


def test_the_summary_says_what_the_table_says(made, page):
    frame = read_table(made.parent / "tables/table1.csv", declared()["table1"].texts)
    summaries = summarise(frame)
    assert [one.protocol for one in summaries] == list(synthetic.PROTOCOLS)
    for one in summaries:
        own = frame[(frame["protocol"] == one.protocol) & (frame["metric"] == "accuracy") & (frame["arm"] == "laser")]
        raised = int(((own["p_holm"] < 0.05) & (own["difference"] > 0)).sum())
        kept = int((own["matrix"] == "").sum())
        count = f"all {len(own)}" if raised == len(own) else f"{raised} of {len(own)}"
        assert raised and f"raised held-out accuracy significantly in {count} pairs" in in_one_sentence([one])
        assert (f"on validation rows) in {kept}" in in_one_sentence([one])) == (kept > 0)
        assert len(one.findings) == len(own)
        for finding, row in zip(one.findings, own.to_dict("records"), strict=True):
            assert finding.startswith(f"{row['model']} on {row['dataset']}: ")
            assert f"{row['value']:.1f} %" in finding
            assert any(finding in "".join(text) for text in page.text["li"])
    assert "selection kept the base model" in summaries[1].findings[-1]


def test_shown_files_are_the_given_ones_byte_for_byte(made):
    root = made.parents[1]
    for name in ("table1", "table3", "table4", "table5", "verdicts"):
        for ending in ("csv", "md", "tex"):
            assert (made.parent / f"tables/{name}.{ending}").read_bytes() == (
                root / f"tables/{name}.{ending}"
            ).read_bytes()
    for model in synthetic.MODELS:
        for ending in ("svg", "pdf", "csv"):
            copied = made.parent / f"figures/fig2-{slug(model)}-fever.{ending}"
            assert copied.read_bytes() == (root / f"figures/fig2/{model}/fever.{ending}").read_bytes()


def test_what_differs_by_run_stands_on_a_page_of_its_own(made):
    text, run = made.read_text(encoding="utf-8"), made.with_name("run.html").read_text(encoding="utf-8")
    assert 'href="run.html"' in text and 'href="index.html"' in run
    assert "node1" in run and "node1" not in text
    assert "<td>1.5</td>" in run and "Minutes" not in text
    assert "2 jobs took 1.5 minutes in all, counted one after another; the largest held 512 MB." in run


def test_machines_are_counted_and_damaged_records_named(tmp_path):
    one = {"host": "a", "gpu": [{"name": "H100", "memory": 80}], "git": {"commit": "0123456789abcdef", "dirty": True}}
    for number, value in enumerate([one, one, {"host": "b"}]):
        write_json(tmp_path / f"{number}.json", value)
    found = machines(sorted(tmp_path.glob("*.json")))
    assert [(row["host"], row["jobs"], row["gpu"]) for row in found] == [("a", "2", "80, H100"), ("b", "1", "none")]
    assert found[0]["git"] == "0123456789ab, changed"
    write_json(tmp_path / "0.json", [1])
    with pytest.raises(UserError, match=r"0\.json: a run's record is a JSON object"):
        write_run_page(tmp_path, study.SETTINGS, {tmp_path / "0.json": "sweep"})


def test_other_numbers_give_another_page(made, tmp_path):
    def change(frame):
        return frame.assign(value=frame["value"] / 2, difference=-frame["difference"])

    text = study.report(tmp_path, change=change).read_text(encoding="utf-8")
    assert "LASER lowered held-out accuracy" in text and "LASER raised held-out accuracy" not in text
    assert "LASER raised held-out accuracy" in made.read_text(encoding="utf-8")


def test_missing_parts_are_named(made, tmp_path, monkeypatch):
    tables = made.parent / "tables"
    with pytest.raises(UserError, match=r"none\.csv"):
        write_report(tmp_path, study.SETTINGS, {"table1": tmp_path / "none.csv"}, {})
    with pytest.raises(UserError, match=r"none\.svg: does not exist"):
        write_report(tmp_path, study.SETTINGS, {}, {"fig2/a/b": tmp_path / "none.svg"})
    write_json(tmp_path / "card.json", [1])
    with pytest.raises(UserError, match="a card is a JSON object"):
        write_report(tmp_path, study.SETTINGS, {}, {}, [tmp_path / "card.json"])
    monkeypatch.setattr("laser.report.page.CAPTIONS", tmp_path)
    with pytest.raises(UserError, match=r"table1\.rst: the caption of table1"):
        write_report(tmp_path, study.SETTINGS, {"table1": tables / "table1.csv"}, {})
    assert not (tmp_path / "index.html").exists()


def test_a_study_without_tables_and_one_with_an_empty_table_are_shown(made, tmp_path):
    text = write_report(tmp_path / "a", {"title": "Bare"}, {}, {}).read_text(encoding="utf-8")
    assert "nothing to summarise" in text
    Page(text)
    empty = tmp_path / "table3.csv"
    write_text(empty, to_csv(read_table(made.parent / "tables/table3.csv", declared()["table3"].texts).head(0)))
    Page(write_report(tmp_path / "b", study.SETTINGS, {"table3": empty}, {}).read_text(encoding="utf-8"))


def test_every_artefact_has_a_caption_of_plain_text():
    names = {path.stem for path in CAPTIONS.glob("*.rst")} - {"workflow"}
    assert {"table1", "table3", "table4", "table5", "verdicts", "fig2", "fig7", "fig8"} <= names
    for name in names:
        paragraphs = caption(name)
        assert paragraphs and not any(re.search(r"[`*|{}]|::|\.\. ", text) for text in paragraphs), name


def test_times_are_summed_by_rule(tmp_path, page):
    runs = {"a": (1800, 1e8), "b": (5400, 1e6), "c": (36, 5e7)}
    for name, (seconds, memory) in runs.items():
        write_json(tmp_path / f"{name}.json", {"seconds": seconds, "peak_memory_bytes": memory})
    summed = timings({tmp_path / f"{name}.json": "base" if name == "c" else "sweep" for name in runs})
    assert summed.rules == [
        {"rule": "base", "jobs": "1", "minutes": "0.6", "memory": "50"},
        {"rule": "sweep", "jobs": "2", "minutes": "120.0", "memory": "100"},
    ]
    assert summed.total == {"rule": "All rules", "jobs": "3", "minutes": "120.6", "memory": "100"}
    assert timings({}).rules == []
    write_json(tmp_path / "d.json", {"seconds": "long"})
    with pytest.raises(UserError, match=r"d\.json"):
        timings({tmp_path / "d.json": "sweep"})


MOVES = "model,dataset,arm,step,solved\nm,rooms,base,1,False\nm,rooms,base,2,False\nm,rooms,laser,1,True\n"


def film(folder, name="film/m/rooms", **beside):
    path = folder / f"study/figures/{name}.gif"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GIF89a")
    for ending, text in beside.items():
        write_text(path.with_suffix(f".{ending}"), text)
    return path


def test_films_are_copied_and_told_in_words(tmp_path):
    shown = {"film/m/rooms": film(tmp_path, csv=MOVES)}
    shown["film/n/rooms"] = film(tmp_path, "film/n/rooms", csv=MOVES.replace("m,rooms", "<b>n</b> & n,rooms"))
    made = write_report(tmp_path / "study/report", study.SETTINGS, {}, {}, media=shown)
    images = Page(made.read_text(encoding="utf-8")).all("img")
    assert [image["src"] for image in images] == ["media/film-m-rooms.gif", "media/film-n-rooms.gif"]
    told = "base has not solved the room after 2 steps; LASER has solved the room after 1 step."
    assert images[0]["alt"] == f"Base (left) and LASER (right), m on rooms: {told}"
    assert images[1]["alt"] == f"Base (left) and LASER (right), <b>n</b> & n on rooms: {told}"
    assert (tmp_path / "study/report/media/film-m-rooms.csv").read_text() == MOVES
    with pytest.raises(UserError, match=r"rooms\.csv: cannot be read"):
        untold = {"film/o/rooms": film(tmp_path, "film/o/rooms")}
        write_report(tmp_path / "study/report", study.SETTINGS, {}, {}, media=untold)


def test_what_an_earlier_page_had_is_gone(tmp_path):
    old = tmp_path / "study/report/figures/old.svg"
    write_text(old, "<svg/>")
    write_report(tmp_path / "study/report", study.SETTINGS, {}, {})
    assert not old.exists()


def test_every_choice_has_a_page_with_its_candidates(made):
    for model in synthetic.MODELS:
        for dataset in synthetic.DATASETS:
            text = (made.parent / f"choices/{slug(model)}-{slug(dataset)}.html").read_text(encoding="utf-8")
            selected = json.loads((made.parents[1] / f"selection/{model}/{dataset}.json").read_text())["protocols"]
            choice = Page(text)
            assert len(choice.all("table")) == len(selected)
            assert len(choice.all("tr")) == sum(len(each["candidates"]) + 2 for each in selected.values())
            assert f'href="../../selection/{model}/{dataset}.json"' in text
            assert [cell.startswith("chosen") for cell in choice.text["strong"]] == [True] * len(selected)


def test_rows_hold_their_question(made):
    import pandas as pd

    questions = pd.read_csv(made.parent / "questions/fever.csv").set_index("id")["prompt"]
    for path in (made.parent / "rows").glob("*-fever-*.csv"):
        rows = pd.read_csv(path)
        assert list(rows["prompt"]) == list(questions[rows["id"]])


@pytest.mark.parametrize("listed", [2, 100])
def test_rows_can_be_read_by_outcome_with_both_outputs(tmp_path, monkeypatch, listed):
    import pandas as pd

    built = synthetic.build(tmp_path, models=synthetic.MODELS[:1], datasets=synthetic.DATASETS[:1])
    monkeypatch.setattr("laser.report.rows.LISTED", listed)
    links = write_rows(tmp_path, study.SETTINGS, built.tests, built.selections, built.rows)
    assert len(links) == len(list(tmp_path.glob("rows/*.html")))
    for link in links.values():
        path = tmp_path / link["href"]
        rows = pd.read_csv(path.with_suffix(".csv"), dtype={"base_prediction": str, "laser_prediction": str})
        page = Page(path.read_text(encoding="utf-8"))
        sizes = rows.groupby(["base_correct", "laser_correct"]).size()
        # Every outcome that there is has a table, with a line of heads.
        assert len(page.all("table")) == len(sizes)
        assert len(page.all("tr")) == sum(min(size, listed) + 1 for size in sizes)
        assert f'href="{path.stem}.csv"' in path.read_text(encoding="utf-8")
        put_right = rows[~rows["base_correct"] & rows["laser_correct"]].head(listed)
        text = " ".join(page.text["th"] + page.text["td"] + page.text["span"])
        for name in ("prompt", "base_prediction", "laser_prediction"):
            assert [value for value in put_right[name] if str(value).strip("' ") not in text] == []
