"""Whatever stands in a study's YAML: it is a study, or one message says why not. Never a traceback, never code."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from laser.config import plan as plan_module
from laser.config import study, yaml_files
from laser.config.plan import Plan
from laser.config.study import load_config, load_study
from laser.errors import UserError
from laser.io.files import canonical_json
from tests.hostile.odd import DATES, TEXTS, cases, mutated, odd

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "config/studies").glob("*.yaml"))
STUDIES = [yaml_files.read_yaml(path) for path in SHIPPED]
CONFIG = {"study": "x", "cache": "cache", "results": "results", "device": "cpu", "threads": 1}


@pytest.fixture(scope="module", autouse=True)
def catalogues_are_read_once():
    """Thousands of studies name the same catalogues: read each of those once."""
    original = yaml_files.read_yaml
    kept = functools.cache(original)

    def read(path):
        return copy.deepcopy(kept(path)) if Path(path).is_relative_to(ROOT / "config") else original(path)

    with pytest.MonkeyPatch.context() as patch:
        for module in (study, plan_module):
            patch.setattr(module, "read_yaml", read)
        yield


def outcome(path: Path) -> str:
    """Load a study and use all of its names; return the message of a `UserError`, or an empty text."""
    try:
        found = load_study(str(path), ROOT)
    except UserError as error:
        assert str(path) in str(error) or path.name in str(error) or "study" in str(error)
        assert 10 < len(str(error)) < 4_000
        return str(error)
    plan = Plan(found, CONFIG, ROOT / "workflow/scripts")
    canonical_json(found).encode()
    for name in (*map(plan.model_key, plan.models), *map(plan.data_key, plan.datasets), found["name"]):
        assert Path(name).name == name and len(name.encode()) < 200 and name.isprintable() and "\\" not in name
    assert all(plan.layers(model) for model in plan.models) and plan.cells() and plan.rhos
    return ""


@cases(30, 2_500)
@given(st.sampled_from(STUDIES).flatmap(lambda one: mutated(one, odd() | st.sampled_from(DATES))))
def test_a_changed_study_is_understood_or_refused(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "changed.yaml"
    try:
        text = yaml.safe_dump(value, allow_unicode=True)
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    path.write_text(text, encoding="utf-8")
    outcome(path)


@cases(15, 1_000)
@given(odd())
def test_any_other_structure_is_refused(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "other.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    assert outcome(path)


MARKER = "hostile-marker"
SNIPPETS = [
    f'!!python/object/apply:os.system ["touch {MARKER}"]',
    f'!!python/object/new:subprocess.Popen [["touch", "{MARKER}"]]',
    f'!!python/object/apply:eval [\'open("{MARKER}", "w")\']',
    *("!!python/name:os.system", "!!python/module:os", "!!python/tuple [1, 2]", "!!js/function x", "!local x"),
    *("&a [*a]", "&a {x: *a}", "*unknown", "<<: *unknown", "{<<: [1, 2]}", "{<<: {title: x}}", "? [1, 2]\n: x"),
    *(
        "!!binary AAEC",
        "!!set {a, b}",
        "!!omap [a: 1]",
        "!!timestamp 2001-01-01",
        "2001-01-01",
        "2001-99-99",
        "0o7",
        "012",
    ),
    *("!!int abc", "!!float abc", "!!bool maybe", "!!null x", ".nan", ".inf", "-.INF", "0x" + "f" * 5000, "9" * 5000),
    *(
        "1" + ":59" * 3000,
        "[" * 1100,
        "{a: " * 400,
        "- " * 2000,
        "[" * 80 + "]" * 80,
        "'",
        '"\\ud800"',
        '"\\x00"',
        '"\\q"',
    ),
    *(
        "%YAML 9.9",
        "---\nx\n---\ny",
        "...",
        "\t",
        "\x00",
        "\ufeff",
        "|\n x",
        ">-\n",
        "key: key: key",
        "a: 1\na: 2",
        "- a\nb",
    ),
    "[&a [x,x,x,x,x,x,x,x,x], &b [*a,*a,*a,*a,*a,*a,*a,*a,*a], &c [*b,*b,*b,*b,*b,*b,*b,*b,*b], "
    "&d [*c,*c,*c,*c,*c,*c,*c,*c,*c], &e [*d,*d,*d,*d,*d,*d,*d,*d,*d], &f [*e,*e,*e,*e,*e,*e,*e,*e,*e], "
    "&g [*f,*f,*f,*f,*f,*f,*f,*f,*f], &h [*g,*g,*g,*g,*g,*g,*g,*g,*g], &i [*h,*h,*h,*h,*h,*h,*h,*h,*h]]",
]


@st.composite
def texts(draw):
    lines = draw(st.sampled_from(SHIPPED)).read_text(encoding="utf-8").splitlines()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        snippet = draw(st.sampled_from(SNIPPETS) | st.text(max_size=30))
        kind = draw(st.sampled_from(["line", "value", "value", "cut", "twice"]))
        if kind == "line":
            lines.insert(place, snippet)
        elif kind == "value":
            lines[place] = f"{lines[place].partition(':')[0]}: {snippet}"
        elif kind == "cut":
            lines = lines[: place + 1]
        else:
            lines.insert(place, lines[place])
    return "\n".join(lines)


@cases(40, 2_500)
@given(texts())
def test_no_yaml_runs_code_or_ends_in_a_traceback(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "text.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    outcome(path)
    assert not Path(MARKER).exists()


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text[:20])
def test_each_trick_of_yaml_is_refused(tmp_path, snippet):
    path = tmp_path / "trick.yaml"
    path.write_text(f"title: a\nprotocols: [corrected]\nextra:\n  {snippet}\n", encoding="utf-8")
    assert outcome(path)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"\x80", b"title: \xc3", b"", b"\x1f\x8b\x08", b"a: 1\r\nb: 2"])
def test_bytes_that_are_no_text_are_refused(tmp_path, data):
    path = tmp_path / "bytes.yaml"
    path.write_bytes(data)
    assert outcome(path)


def test_a_file_of_many_megabytes_is_refused_unread(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_text("title: " + "x" * 5_000_000, encoding="utf-8")
    assert "larger" in outcome(path)


NAMES = [*TEXTS, "/abs", "a\\b", "x" * 5_000, "a.", "a b", "é", "name\n", "-x", "_x", "a" * 120]


@pytest.mark.parametrize("name", NAMES, ids=lambda text: ascii(text[:12]))
@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_names_that_leave_their_folder_or_cannot_be_one_are_refused(tmp_path, kind, name):
    value = copy.deepcopy(STUDIES[-1]) | {"artefacts": ["table1"]}
    entry = dict(value[kind][0]) if isinstance(value[kind][0], dict) else {"name": value[kind][0]}
    if kind == "models":
        entry = {"source": {"kind": "local", "path": "x"}, "dtype": "fp32", "architecture": "llama", "layers": 30}
    else:
        entry |= {"builder": "worldfacts"}
    value = {key: value[key] for key in ("title", "protocols", "models", "datasets", "grid", "artefacts")}
    value["grid"] = {"matrices": ["u_out"], "layers": [0], "rhos": [0.5]}
    value["models"] = ["smollm2-135m"]
    value[kind] = [entry | {"name": name}]
    path = tmp_path / "named.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    refused = outcome(path)
    # These would be names like others, if odd ones.
    assert refused or name in ("true", "null", "0x10", "1e999")


@pytest.mark.parametrize("name", NAMES, ids=lambda text: ascii(text[:12]))
@pytest.mark.parametrize("ending", ["", ".yaml"])
def test_no_name_of_a_study_reaches_outside(name, ending):
    with pytest.raises(UserError):
        load_study(f"{name}{ending}", ROOT)


@cases(15, 500)
@given(mutated(CONFIG | {"gpus": [{"memory_gb": 80}]}, odd() | st.sampled_from(DATES)))
def test_a_changed_configuration_is_understood_or_refused(value):
    try:
        load_config(value, ROOT) if isinstance(value, dict) else None
    except UserError as error:
        assert "config/config.yaml" in str(error)


@pytest.mark.parametrize("name", ["a" * 120, "a b", "é", "-x", "a.b", "x\ny", "$(id)", "..a"])
def test_a_study_whose_file_could_not_name_a_folder_is_refused(tmp_path, name):
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(STUDIES[0]), encoding="utf-8")
    assert "the file's name becomes a folder" in outcome(path)
