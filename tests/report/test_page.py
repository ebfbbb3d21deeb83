import html.parser
import itertools
import json
import re
from urllib.parse import unquote

import pytest

from laser.analysis.tables import View, read_table, to_csv
from laser.config.artefacts import declared
from laser.errors import UserError
from laser.io.files import write_json, write_text
from laser.report.dumbbells import picture
from laser.report.files import slug, unique_slugs
from laser.report.page import CAPTIONS, caption, write_report, write_run_page
from laser.report.run_page import machines, timings
from laser.report.shown import shown, unbroken
from laser.report.summary import Pair, general_cautions, in_one_sentence, summarise
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
def made(tmp_path_factory):
    return study.report(tmp_path_factory.mktemp("report"))


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
        assert raised and f"raised held-out accuracy significantly in {count} pairs" in one.headline
        assert (f"on validation rows) in {kept}" in one.headline) == (kept > 0)
        assert len(one.findings) == len(own)
        for finding, row in zip(one.findings, own.to_dict("records"), strict=True):
            assert finding.startswith(f"{row['model']} on {row['dataset']}: ")
            assert f"{row['value']:.1f} %" in finding
            assert any(finding in "".join(text) for text in page.text["li"])
    assert "selection kept the base model" in summaries[1].findings[-1]


def row(arm, **changes):
    given = {"model": "m", "dataset": "d", "protocol": "corrected", "metric": "accuracy", "arm": arm, "value": 50.0}
    given |= {"n": 100, "p_holm": 0.5, "difference": 0.0, "difference_low": -1.0, "difference_high": 1.0, "rho": 0.1}
    given |= {
        "matrix": "u_in",
        "layer": 3,
        "constant": 20.0,
        "answer_in_prompt": 0.0,
        "prediction_shares": '{"yes": 0.9}',
    }
    return given | changes


def test_weights_quantised_before_are_a_caution_of_their_model():
    import pandas as pd

    rows = [row("base"), row("laser"), row("base", metric="loss"), row("laser", metric="loss", value=2.0)]
    frame = pd.DataFrame(rows)
    quantised = {"m": "4 bits (Q4_1)", "elsewhere": "8 bits"}
    (caution,) = general_cautions(frame, quantised, {})
    assert caution.startswith("m: its weights were quantised to 4 bits (Q4_1) before")
    assert general_cautions(frame, {}, {"elsewhere": "half"}) == []
    (caution,) = general_cautions(frame, {}, {"d": "half of them"})
    assert caution == "d: only a part of the paper's rows was read: half of them."


def selection(kept_rank, **changes):
    chosen = {"matrix": "u_in", "layer": 3, "rho": 0.005, "kept_rank": kept_rank} | changes
    return {"model": "m", "dataset": "d", "protocols": {"corrected": {"chosen": chosen}}}


@pytest.mark.parametrize("kept_rank, said", [(0, True), (1, False), (None, False)])
def test_rank_0_is_said_to_remove_the_matrix(kept_rank, said):
    import pandas as pd

    rows = [row("base"), row("laser"), row("base", metric="loss"), row("laser", metric="loss", value=2.0)]
    (summary,) = summarise(pd.DataFrame(rows), [selection(kept_rank)])
    words = "m on d: rank 0 was chosen (ρ = 0.005): the whole matrix u_in of layer 3 is removed, not approximated."
    assert (words in summary.cautions) == said
    (kept,) = summarise(pd.DataFrame(rows), [{**selection(0), "protocols": {"corrected": {"chosen": None}}}])
    assert kept.cautions == []


@pytest.mark.parametrize(
    "change, headline, finding",
    [
        ({"p_holm": 0.01, "difference": 7.0}, "LASER raised held-out accuracy significantly", "accuracy rose from"),
        ({"p_holm": 0.01, "difference": -7.0}, "LASER lowered held-out accuracy significantly", "accuracy fell from"),
        ({"p_holm": 0.06, "difference": 7.0}, "LASER made no significant difference", "did not change significantly"),
        ({"matrix": ""}, "LASER was not chosen", "selection kept the base model"),
    ],
)
def test_every_outcome_has_its_sentence(change, headline, finding):
    import pandas as pd

    change = {"value": 50.0 + change.get("difference", 0.0)} | change
    rows = [row("base"), row("laser", **change), row("base", metric="loss"), row("laser", metric="loss", value=2.0)]
    (summary,) = summarise(pd.DataFrame(rows))
    assert headline in summary.headline and summary.headline.endswith(" for m on d.")
    assert in_one_sentence([summary]) == summary.headline
    assert finding in summary.findings[0]
    assert summary.cautions == []


def pairs(*changes):
    """Return Table 1 of one dataset with a model per mapping of changes to LASER's accuracy."""
    import pandas as pd

    rows = []
    for index, change in enumerate(changes):
        each = [row("base"), row("laser", **change), row("base", metric="loss"), row("laser", metric="loss", value=2.0)]
        rows += [one | {"model": f"m{index}", "protocol": change.get("protocol", "corrected")} for one in each]
    return pd.DataFrame(rows)


UP, DOWN, SAME, KEPT = ({"p_holm": 0.01, "difference": 7.0}, {"p_holm": 0.01, "difference": -7.0}, {}, {"matrix": ""})


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ([UP, UP], "LASER raised held-out accuracy significantly in all 2 pairs of model and dataset."),
        (
            [UP, DOWN],
            "LASER raised held-out accuracy significantly in 1 of 2 pairs of model and dataset and lowered it",
        ),
        (
            [SAME, KEPT],
            "no significant difference to held-out accuracy in 1 of 2 pairs of model and dataset and was not",
        ),
        ([KEPT, KEPT], "LASER was not chosen (no intervention beat the base model on validation rows) in all 2 pairs"),
    ],
)
def test_counts_over_pairs_make_one_sentence(changes, sentence):
    assert sentence in in_one_sentence(summarise(pairs(*changes)))


def test_two_protocols_share_one_sentence():
    frame = pairs(UP, SAME, {"protocol": "published"} | DOWN)
    text = in_one_sentence(summarise(frame))
    assert text.startswith("Under the corrected protocol, LASER raised") and text.count(".") == 1
    assert "; under the published protocol, LASER lowered held-out accuracy significantly for m2 on d." in text


@pytest.mark.parametrize(
    "before, after, sentence",
    [
        (10.8342, 10.8291, " The loss fell from 10.834 to 10.829 nats, not significantly."),
        (10.84, 10.83, " The loss fell from 10.84 to 10.83 nats, not significantly."),
        (2.0, 2.0000004, " The loss stayed at 2.00 nats."),
        (2.0, 2.00002, " The loss rose from 2.00000 to 2.00002 nats, not significantly."),
        (float("nan"), float("nan"), ""),
    ],
)
def test_a_difference_is_never_rounded_away(before, after, sentence):
    import pandas as pd

    loss = row("laser", metric="loss", value=after, difference=after - before)
    rows = [row("base"), row("laser", value=50.04, difference=0.04), row("base", metric="loss"), loss]
    (summary,) = summarise(pd.DataFrame(rows))
    assert summary.findings[0].endswith(f"with [u_in, 3, 0.1].{sentence}")
    assert "from 50.00 % to 50.04 % (+0.04 points," in summary.findings[0]


def test_one_is_singular():
    import pandas as pd

    laser = row("laser", n=1, value=51.0, difference=1.0, p_holm=0.01)
    rows = [row("base", n=1), laser, row("base", metric="loss"), row("laser", metric="loss", value=2.0)]
    (summary,) = summarise(pd.DataFrame(rows))
    assert "(+1.0 point, " in summary.findings[0] and ", 1 test row)" in summary.findings[0]


def test_cautions_name_constant_answers_and_answers_in_prompts():
    import pandas as pd

    rows = [row("base", constant=49.6, answer_in_prompt=12.0), row("laser", value=60.0, constant=49.6)]
    rows += [row("base", metric="loss"), row("laser", metric="loss", value=2.0)]
    (summary,) = summarise(pd.DataFrame(rows))
    assert len(summary.cautions) == 2
    words = "m on d: base (50.0 %; predicts 'yes' in 90 % of rows) scores at most 0.5 points more than one constant"
    assert summary.cautions[0] == f"{words} answer (49.6 %)."
    assert "12.0 % of the prompts" in summary.cautions[1]


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


def test_two_runs_give_the_same_page(made, tmp_path):
    again = study.report(tmp_path)
    assert again.read_bytes() == made.read_bytes()


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
        write_run_page(tmp_path, study.SETTINGS, {}, [tmp_path / "0.json"])


def test_other_numbers_give_another_page(made, tmp_path):
    def change(frame):
        return frame.assign(value=frame["value"] / 2, difference=-frame["difference"])

    text = study.report(tmp_path, change=change).read_text(encoding="utf-8")
    assert "LASER lowered held-out accuracy" in text and "LASER raised held-out accuracy" not in text
    assert "LASER raised held-out accuracy" in made.read_text(encoding="utf-8")


def test_missing_parts_are_named(made, tmp_path):
    tables = made.parent / "tables"
    with pytest.raises(UserError, match=r"none\.csv"):
        write_report(tmp_path, study.SETTINGS, {"table1": tmp_path / "none.csv"}, {})
    with pytest.raises(UserError, match="no artefact 'table9'"):
        write_report(tmp_path, study.SETTINGS, {"table9": tables / "table1.csv"}, {})
    with pytest.raises(UserError, match=r"none\.svg: does not exist"):
        write_report(tmp_path, study.SETTINGS, {}, {"fig2/a/b": tmp_path / "none.svg"})
    write_json(tmp_path / "card.json", [1])
    with pytest.raises(UserError, match="a card is a JSON object"):
        write_report(tmp_path, study.SETTINGS, {}, {}, [tmp_path / "card.json"])
    with pytest.raises(UserError, match=r"table1\.rst: the caption of table1"):
        write_report(tmp_path, study.SETTINGS, {"table1": tables / "table1.csv"}, {}, captions=tmp_path)
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
        paragraphs = caption(CAPTIONS, name)
        assert paragraphs and not any(re.search(r"[`*|{}]|::|\.\. ", text) for text in paragraphs), name


def test_times_are_summed_by_rule(tmp_path, page):
    write_text(tmp_path / "a.jsonl", '{"s": 1800, "max_rss": 100.0}\n')
    write_text(tmp_path / "b.jsonl", '{"s": 5400, "max_rss": "NA"}\n\n')
    write_text(tmp_path / "c.jsonl", '{"s": 36, "max_rss": 50}')
    summed = timings({"sweep": [tmp_path / "a.jsonl", tmp_path / "b.jsonl"], "base": [tmp_path / "c.jsonl"]})
    assert summed.rules == [
        {"rule": "base", "jobs": "1", "minutes": "0.6", "memory": "50"},
        {"rule": "sweep", "jobs": "2", "minutes": "120.0", "memory": "100"},
    ]
    assert summed.total == {"rule": "All rules", "jobs": "3", "minutes": "120.6", "memory": "100"}
    assert timings({}).rules == []
    write_text(tmp_path / "d.jsonl", "s\th:m:s\n")
    with pytest.raises(UserError, match=r"d\.jsonl"):
        timings({"sweep": [tmp_path / "d.jsonl"]})


MOVES = "model,dataset,arm,step,solved\nm,rooms,base,1,False\nm,rooms,base,2,False\nm,rooms,laser,1,True\n"


def film(folder, name="film/m/rooms", **beside):
    path = folder / f"study/figures/{name}.gif"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GIF89a")
    for ending, text in beside.items():
        write_text(path.with_suffix(f".{ending}"), text)
    return path


def test_films_are_copied_and_told_in_words(tmp_path):
    write_text(tmp_path / "captions/film.rst", "What is seen.")
    settings = {"captions": tmp_path / "captions"}
    shown = {"film/m/rooms": film(tmp_path, csv=MOVES)}
    shown["film/n/rooms"] = film(tmp_path, "film/n/rooms", txt='Two <b>boxes</b> & a "wall".')
    made = write_report(tmp_path / "study/report", study.SETTINGS, {}, {}, media=shown, **settings)
    images = Page(made.read_text(encoding="utf-8")).all("img")
    assert [image["src"] for image in images] == ["media/film-m-rooms.gif", "media/film-n-rooms.gif"]
    told = "base has not solved the room after 2 steps; LASER has solved the room after 1 step."
    assert images[0]["alt"] == f"Base (left) and LASER (right), m on rooms: {told}"
    assert images[1]["alt"] == 'Two <b>boxes</b> & a "wall".'
    assert (tmp_path / "study/report/media/film-m-rooms.csv").read_text() == MOVES
    with pytest.raises(UserError, match=r"rooms\.txt: is missing or empty"):
        untold = {"film/o/rooms": film(tmp_path, "film/o/rooms")}
        write_report(tmp_path / "study/report", study.SETTINGS, {}, {}, media=untold, **settings)


def test_what_an_earlier_page_had_is_gone(tmp_path):
    old = tmp_path / "study/report/figures/old.svg"
    write_text(old, "<svg/>")
    write_report(tmp_path / "study/report", study.SETTINGS, {}, {})
    assert not old.exists()


ROWS = [["d", "m", "accuracy, %", "1 [0, 2]", "", "8"], ["d", "m", "loss, nats", "2", "", "8"]]
COLUMNS = ["Dataset", "Model", "Metric", "Base", "Paper", "n"]


def test_columns_that_say_nothing_leave_the_grid():
    trimmed = shown(View("v", "t", COLUMNS, ROWS, bold={(0, 1), (1, 3)}))
    assert trimmed.view.columns == ["Metric", "Base"]
    assert trimmed.view.rows == [["accuracy, %", "1 [0, 2]"], ["loss, nats", "2"]]
    assert trimmed.view.bold == {(1, 1)}
    assert trimmed.constants == [("Dataset", "d"), ("Model", "m"), ("n", "8")]
    assert trimmed.metrics == ["accuracy, %", "loss, nats"]


@pytest.mark.parametrize("rows", [ROWS[:1], [ROWS[0], ROWS[0]]], ids=["one row", "equal rows"])
def test_rows_that_nothing_tells_apart_keep_what_they_say(rows):
    trimmed = shown(View("v", "t", COLUMNS, rows))
    assert trimmed.view.columns == ["Dataset", "Model", "Metric", "Base", "n"]
    assert trimmed.constants == []


def test_a_view_without_rows_or_words_keeps_its_columns():
    assert shown(View("v", "t", COLUMNS, [])).view.columns == COLUMNS
    assert shown(View("v", "t", ["A"], [[""], [""]])).view.rows == [[""], [""]]


@pytest.mark.parametrize(
    "cell, parts",
    [
        ("33.6 [29.3, 38.1]", ["33.6 ", "[29.3, 38.1]", ""]),
        ("[u_in, 3, 0.1]", ["", "[u_in, 3, 0.1]", ""]),
        ("a[b]c", ["a[b]c"]),
        ("", [""]),
    ],
)
def test_brackets_of_their_own_stay_whole(cell, parts):
    assert unbroken(cell) == parts and "".join(unbroken(cell)) == cell


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


def test_published_values_stand_in_the_picture_only_where_one_was_compared():
    def drawn(**given):
        rows = [row("base", low=40.0, high=60.0), row("laser", low=40.0, high=60.0, published=70.0, **given)]
        return picture([Pair(*rows, row("laser", metric="loss"))])

    compared = drawn(verdict="differs")
    assert compared.published and compared.rows[0].laser.published > compared.rows[0].laser.high
    for verdict in ("not run", "part of the paper's rows", ""):
        assert not drawn(verdict=verdict).published
    labels = [label for _, label in compared.ticks]
    assert labels == ["20", "30", "40", "50", "60", "70"]
    assert all(0 <= position <= 100 for position, _ in compared.ticks)
