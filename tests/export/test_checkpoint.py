"""Exported checkpoints: loaded as a user would, and held against the live edit."""

import shutil

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from laser.config.specs import ExportSpec
from laser.engine.live_edits import edited
from laser.errors import UserError
from laser.export.card import export_model
from laser.export.checkpoint import LATENCY, export
from laser.export.factored import FactoredLinear, load_factored
from laser.io.files import read_json, sha256_file, write_json, write_parquet
from laser.models.load import load
from laser.models.stored import weight_files
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from tests.evaluation.small_cell import SmallCell, place
from tests.models import families

IDS = torch.arange(3, 13)[None]
CASES = [
    ("llama", "u_gate", {}),
    ("llama", "o", {"tie_word_embeddings": True}),
    ("gptj", "u_in", {}),
    ("gpt2", "u_out", {}),
    ("roberta", "u_out", {}),
    ("gpt_neox", "u_in", {}),
    ("qwen3", "q", {"head_dim": 12}),
    ("olmo2", "u_gate", {}),
    ("phi", "o", {}),
    ("opt", "u_in", {"word_embed_proj_dim": 16, "do_layer_norm_before": False}),
]
CHOSEN = place("u_out", 1, 0.2)
STEPS = {"svd": {}, "randomised": {"niter": 2, "seed": 3}}
VARIED = [(*case, bool(place % 2), list(STEPS)[place // 2 % 2]) for place, case in enumerate(CASES)]
"""Every family once, and both kinds of files and of steps with each other; none of the three looks at another."""


def checkpoint(folder, kind, shards=False, dtype=None, **settings):
    model = families.save(folder, kind, **settings)
    if shards or dtype:
        size = "20KB" if shards else "50GB"
        model.to(dtype or torch.float32).save_pretrained(folder, max_shard_size=size)
    if shards:
        (folder / "model.safetensors").unlink()
        assert len(weight_files(folder)) > 2
    return folder


def stored(folder):
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(path)
    return tensors


def live(folder, edit, dtype, store):
    """Return the logits of the live edit, as the evaluation has it."""
    loaded = load(folder, dtype, "cpu")
    with edited(loaded, (edit,), store):
        return loaded.model(IDS).logits


def plain(folder, task="causal", **more):
    kind = AutoModelForMaskedLM if task == "masked" else AutoModelForCausalLM
    return kind.from_pretrained(folder, local_files_only=True, **more).eval()


@pytest.mark.parametrize(("kind", "matrix", "settings", "shards", "step"), VARIED)
def test_dense(tmp_path, kind, matrix, settings, shards, step):
    origin = checkpoint(tmp_path / "origin", kind, shards, **settings)
    store, edit = FactorStore(tmp_path / "factors"), Intervention(matrix, 1, 0.2, step, **STEPS[step])
    facts = export(origin, tmp_path / "out", edit, "dense", "fp32", store)
    before, after = stored(origin), stored(tmp_path / "out")
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == [facts["parameter"]] and set(before) == set(after)
    assert torch.linalg.matrix_rank(after[facts["parameter"]]) == facts["kept_rank"] == 6
    task = "masked" if kind == "roberta" else "causal"
    expected = live(origin, edit, "fp32", store)
    assert torch.equal(plain(tmp_path / "out", task)(IDS).logits, expected)
    assert not torch.equal(plain(origin, task)(IDS).logits, expected)
    assert (facts["relative_difference"], facts["bytes_saved"]) == (0, 0)
    assert weight_files(tmp_path / "out") == weight_files(origin)
    for name, digest in facts["files"].items():
        assert sha256_file(tmp_path / "out" / name) == digest


@pytest.mark.parametrize(("kind", "matrix", "settings", "shards", "step"), VARIED)
def test_factored(tmp_path, kind, matrix, settings, shards, step):
    origin = checkpoint(tmp_path / "origin", kind, shards, **settings)
    store, edit = FactorStore(tmp_path / "factors"), Intervention(matrix, 1, 0.2, step, **STEPS[step])
    facts = export(origin, tmp_path / "out", edit, "factored", "fp32", store)
    model = load_factored(tmp_path / "out")
    expected = live(origin, edit, "fp32", store)
    assert torch.allclose(model(IDS).logits, expected, atol=1e-4)
    assert not torch.allclose(live(origin, Intervention(matrix, 1, 0.1), "fp32", store), expected, atol=1e-4)
    (module,) = [one for one in model.modules() if isinstance(one, FactoredLinear)]
    assert module.left.weight.shape[1] == module.right.weight.shape[0] == 6
    assert facts["relative_difference"] < 1e-5
    before, after = stored(origin), stored(tmp_path / "out")
    name = facts["parameter"]
    assert set(after) == set(before) - {name} | {f"{name}.left", f"{name}.right"}
    assert all(torch.equal(before[one], after[one]) for one in set(before) - {name})
    rows, columns = facts["shape"]
    difference = facts["bytes_saved"] - 4 * (rows * columns - 6 * (rows + columns))
    assert abs(difference) < 400, "the bytes saved are those of the matrix but for the file's header"


@pytest.mark.parametrize("shards", [False, True])
def test_a_plain_from_pretrained_refuses_the_factored_form(tmp_path, shards):
    origin = checkpoint(tmp_path / "origin", "llama", shards)
    export(origin, tmp_path / "out", Intervention("o", 0, 0.2), "factored", "fp32", FactorStore(tmp_path / "factors"))
    with pytest.raises(OSError, match="no file named"):
        plain(tmp_path / "out")
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("w5").input_ids == [5]


@pytest.mark.parametrize("rho", [0.0, 1.0])
def test_ranks_at_both_ends(tmp_path, rho):
    origin = checkpoint(tmp_path / "origin", "gptj")
    store, edit = FactorStore(tmp_path / "factors"), Intervention("u_out", 1, rho)
    expected = live(origin, edit, "fp32", store)
    export(origin, tmp_path / "dense", edit, "dense", "fp32", store)
    facts = export(origin, tmp_path / "factored", edit, "factored", "fp32", store)
    assert torch.equal(plain(tmp_path / "dense")(IDS).logits, expected)
    assert torch.allclose(load_factored(tmp_path / "factored")(IDS).logits, expected, atol=1e-4)
    assert (facts["bytes_saved"] > 0) == (rho == 0)


@pytest.mark.parametrize(
    ("file", "study", "exact"),
    [
        (torch.float32, "fp16", True),
        (torch.float32, "bf16", True),
        (torch.float16, "fp16", True),
        (torch.bfloat16, "fp32", False),
    ],
)
def test_the_checkpoint_keeps_its_dtype(tmp_path, file, study, exact):
    """The export holds what was evaluated wherever the file's dtype can hold it; else it says by how much not."""
    origin = checkpoint(tmp_path / "origin", "llama", dtype=file)
    store, edit = FactorStore(tmp_path / "factors"), Intervention("u_gate", 1, 0.3)
    facts = export(origin, tmp_path / "out", edit, "dense", study, store)
    assert {one.dtype for one in stored(tmp_path / "out").values()} == {file}
    expected = live(origin, edit, study, store)
    found = load(tmp_path / "out", study, "cpu").model(IDS).logits
    assert torch.equal(found, expected) == exact
    assert (facts["relative_difference"] == 0) == exact and facts["relative_difference"] < 0.01
    export(origin, tmp_path / "factored", edit, "factored", study, store)
    assert {one.dtype for one in stored(tmp_path / "factored").values()} == {file}
    assert load_factored(tmp_path / "factored", study).dtype == expected.dtype
    assert load_factored(tmp_path / "factored").dtype == file


def test_packed_matrices_are_exported_dense_alone(tmp_path):
    origin = checkpoint(tmp_path / "origin", "gpt2")
    store, edit = FactorStore(tmp_path / "factors"), Intervention("k", 1, 0.3)
    export(origin, tmp_path / "out", edit, "dense", "fp32", store)
    assert torch.equal(plain(tmp_path / "out")(IDS).logits, live(origin, edit, "fp32", store))
    with pytest.raises(UserError, match=r"packed with others in 'transformer\.h\.1\.attn\.c_attn\.weight'"):
        export(origin, tmp_path / "factored", edit, "factored", "fp32", store)
    assert not (tmp_path / "factored").exists()


def test_a_folder_is_replaced_as_a_whole_and_comes_out_the_same(tmp_path):
    origin, store = checkpoint(tmp_path / "origin", "llama"), FactorStore(tmp_path / "factors")
    edit = Intervention("u_out", 1, 0.3)
    first = export(origin, tmp_path / "out", edit, "dense", "fp32", store)
    (tmp_path / "out" / "stray.safetensors").write_bytes(b"")
    assert export(origin, tmp_path / "out", edit, "dense", "fp32", store) == first
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(first["files"])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("other", ["card.json", "thesis.txt", "work/notes.md"])
def test_a_folder_of_something_else_is_not_replaced(tmp_path, other):
    origin, store = checkpoint(tmp_path / "origin", "llama"), FactorStore(tmp_path / "factors")
    path = tmp_path / "out" / other
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(UserError, match=rf"would be replaced, but holds '{other.split('/')[0]}'"):
        export(origin, tmp_path / "out", Intervention("u_out", 1, 0.3), "dense", "fp32", store)
    assert path.read_text() == "mine"


def test_factored_folders_that_are_none(tmp_path):
    origin, store = checkpoint(tmp_path / "origin", "llama"), FactorStore(tmp_path / "factors")
    with pytest.raises(UserError, match=r"has no factors\.json"):
        load_factored(origin)
    export(origin, tmp_path / "out", Intervention("u_out", 1, 0.3), "factored", "fp32", store)
    path = tmp_path / "out" / "factored-model.safetensors"
    whole = load_file(path)
    save_file({name: one for name, one in whole.items() if not name.endswith(".left")}, path, {"format": "pt"})
    with pytest.raises(UserError, match=r"weight files lack .*down_proj\.weight\.left"):
        load_factored(tmp_path / "out")
    save_file({name: one for name, one in whole.items() if "up_proj" not in name}, path, {"format": "pt"})
    with pytest.raises(UserError, match=r"lacks weights, such as model\.layers\.0\.mlp\.up_proj\.weight"):
        load_factored(tmp_path / "out")


@pytest.fixture
def cell(tmp_path):
    made = SmallCell(tmp_path)
    write_json(made.model / "card.json", {"name": "tiny", "revision": "abc", "source": {"kind": "hub", "repo": "o/n"}})
    scores = {"protocol": "corrected", "id": "x"}
    rows = [scores | {"arm": "base", "correct": one, "loss": 2.0} for one in (True, False, False, False)]
    rows += [scores | {"arm": "laser", "correct": one, "loss": float("inf")} for one in (True, True, True, False)]
    write_parquet(tmp_path / "test.parquet", pd.DataFrame(rows), {})
    return made


def run(cell, output, form="dense", chosen=CHOSEN, **more):
    files = {"selection": cell.select(chosen), "test": cell.folder / "test.parquet"} | more
    job = cell.job(ExportSpec, output, {"protocol": "corrected", "form": form}, **files)
    export_model(job)
    return output.parent


@pytest.mark.parametrize("form", ["dense", "factored"])
def test_the_card_says_what_the_folder_is(cell, form):
    folder = run(cell, cell.folder / "export" / "README.md", form, test=cell.folder / "test.parquet")
    card, record = (folder / "README.md").read_text(), read_json(folder / "export.json")
    assert card.startswith("---\nbase_model: o/n\nlibrary_name: transformers\npipeline_tag: text-generation\n")
    assert "`tiny` (hub `o/n`, `abc`)" in card and "\n# tiny, one matrix reduced to rank 6\n" in card
    assert "`u_out` of layer 1 (counted from 0): `model.layers.1.mlp.down_proj.weight`" in card
    assert "6 of 32 (ρ = 0.2), matrix 32 × 48" in card
    assert "exact truncated SVD" in card and "study `small`, dataset `worldfacts`, protocol `corrected`" in card
    assert "| validation | original | 10.00 | 3.0000 | 5 |" in card
    assert "| test | original | 25.00 | 2.0000 | 4 |" in card
    assert "| test | this one | 75.00 | not finite | 4 |" in card
    assert ("A plain `from_pretrained` cannot load this folder" in card) == (form == "factored")
    assert f"{record['checkpoint']['bytes']:,} bytes" in card and "licence of that model" in card
    for name in folder.iterdir():
        if name.name not in ("README.md", "export.json", LATENCY):
            assert f"| `{name.name}` | `{sha256_file(name)}` |" in card
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    before = (cell.model / "model.safetensors").stat().st_size
    assert record["checkpoint"]["bytes"] == size and record["checkpoint"]["bytes_saved"] == before - size
    assert record["spec"]["form"] == form and record["intervention"]["kept_rank"] == 6


def test_how_the_card_says_to_load_works(cell):
    store = FactorStore(cell.folder / "factors")
    edit = Intervention("u_out", 1, 0.2)
    for form in ("dense", "factored"):
        folder = run(cell, cell.folder / form / "README.md", form)
        card = (folder / "README.md").read_text()
        code = card.split("```python\n")[1].split("```")[0].replace("this folder", str(folder))
        space = {}
        exec(code, space)
        assert space["tokenizer"]("Paris").input_ids
        expected = live(cell.model, edit, "fp32", store)
        assert torch.allclose(space["model"].eval()(IDS).logits, expected, atol=1e-4)


def test_where_base_won_there_is_nothing_to_export(cell):
    with pytest.raises(UserError, match="under 'corrected' the base model won on validation"):
        run(cell, cell.folder / "export/README.md", chosen=None)
    assert not (cell.folder / "export").exists()


def test_an_export_can_be_a_model_of_a_study(cell):
    """The dense form is an ordinary checkpoint for the pipeline, too."""
    folder = run(cell, cell.folder / "export/README.md")
    shutil.rmtree(cell.model)
    assert load(folder, "fp32", "cpu").task == "causal"


def test_same_inputs_give_the_same_bytes(cell):
    one, two = (run(cell, cell.folder / name / "README.md", "factored") for name in ("one", "two"))
    for path in one.iterdir():
        if path.name == LATENCY:
            continue  # measured times
        assert path.read_bytes() == (two / path.name).read_bytes(), path.name
