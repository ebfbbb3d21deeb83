import math

import pandas as pd
import pytest
import torch

from laser.config.specs import PerplexitySpec
from laser.errors import UserError
from laser.evaluation import perplexity as module
from laser.evaluation.perplexity import evaluate_perplexity, sizes, spans, windows
from laser.io.files import read_parquet, read_spec, write_parquet
from laser.models.load import load
from laser.reduction.edit import edited_weight
from laser.reduction.interventions import Intervention
from laser.reduction.svd import exact_svd
from tests.evaluation.small_cell import SmallCell, place
from tests.tiny import TEXT

INPUT, OUTPUT = place("u_gate", 0, 0.1), place("u_out", 1, 0.2)
LATER = (place("o", 0, 0.5), OUTPUT, INPUT, place("q", 1, 0.5))
WEIGHTS = {"u_gate": "model.layers.0.mlp.gate_proj.weight", "o": "model.layers.0.self_attn.o_proj.weight"}
DOCUMENTS = ["", "x", TEXT[0], " ".join(TEXT[1:]), TEXT[4] * 3]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Score a few documents in windows of 24 and strides of 8."""
    cell = SmallCell(tmp_path_factory.mktemp("perplexity"))
    write_parquet(cell.folder / "text.parquet", pd.DataFrame({"text": DOCUMENTS}), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LARGEST_WINDOW", 24)
        patch.setattr(module, "STRIDE", 8)
        run(cell, cell.folder / "out.parquet")
    return cell, read_parquet(cell.folder / "out.parquet"), read_spec(cell.folder / "out.parquet")


def run(cell, output, settings=None, candidates=LATER, text=None):
    selection = cell.select(None, candidates)
    text = text or cell.folder / "text.parquet"
    evaluate_perplexity(
        cell.job(PerplexitySpec, output, {"text_key": "k"} | (settings or {}), text=text, selection=selection)
    )


def token_by_token(model, tokenizer, size, stride):
    """Return (nll, count) of each document: every token from its own run over the context its window gives it."""
    found = []
    for text in DOCUMENTS:
        ids = tokenizer(text)["input_ids"]
        total = 0.0
        for place_ in range(1, len(ids)):
            start = 0
            while start + size <= place_:
                start += stride
            with torch.no_grad():
                logits = model(torch.tensor([ids[start:place_]])).logits[0, -1]
            total -= float(logits.double().log_softmax(-1)[ids[place_]])
        found.append((total, max(0, len(ids) - 1)))
    return found


def test_every_token_as_a_plain_loop_scores_it(ran):
    cell, found, spec = ran
    assert (spec["window"], spec["stride"], spec["documents"]) == (24, 8, 5)
    for arm, one in (("base", None), ("input", INPUT), ("output", LATER[0])):
        loaded = load(cell.model, "fp32", "cpu")
        if one is not None:
            weight = loaded.model.get_parameter(WEIGHTS[one["matrix"]])
            edit = Intervention(one["matrix"], one["layer"], one["rho"])
            weight.data.copy_(edited_weight(weight, edit, exact_svd(weight)))
        own = found[(found["arm"] == arm) & (found["protocol"] == "corrected")].groupby("document")
        sums = own[["nll", "tokens"]].sum()
        for document, (total, count) in enumerate(token_by_token(loaded.model, loaded.tokenizer, 24, 8)):
            if count == 0:
                assert document not in sums.index
                continue
            assert sums.loc[document, "tokens"] == count
            assert sums.loc[document, "nll"] == pytest.approx(total, abs=1e-3), (arm, document)
    assert found.groupby("document")["window"].nunique().max() > 3


def test_arms_take_the_best_candidate_of_their_matrices(ran):
    _, found, spec = ran
    assert list(dict.fromkeys(found["arm"])) == ["base", "input", "output"]
    chosen = spec["arms"]["corrected"]
    assert chosen["base"] is None
    assert chosen["input"] == INPUT | {"kind": "svd"}
    assert chosen["output"] == LATER[0] | {"kind": "svd"}
    assert spec["arms"]["published"]["input"] == INPUT | {"kind": "randomised", "niter": 2, "seed": 0}
    means = found[found["protocol"] == "corrected"].groupby("arm")["nll"].sum()
    assert means.nunique() == 3


def test_columns(ran):
    _, found, _ = ran
    assert list(found) == ["protocol", "arm", "document", "window", "tokens", "nll"]
    assert found["nll"].map(math.isfinite).all() and (found["tokens"] > 0).all()
    for _, rows in found.groupby(["protocol", "arm"]):
        assert rows["window"].tolist() == list(range(len(rows)))


def test_equal_edits_are_evaluated_once(ran, tmp_path, monkeypatch):
    cell, *_ = ran
    asked = []
    plain = module.ENGINES["fast"]

    def watching(loaded, requests, edits, *rest, **more):
        asked.append(edits)
        return plain(loaded, requests, edits, *rest, **more)

    monkeypatch.setitem(module.ENGINES, "fast", watching)
    run(cell, tmp_path / "out.parquet", {"protocols": ["corrected"]})
    run(cell, tmp_path / "both.parquet")
    assert [len(edits) for edits in asked] == [3, 5]  # base is one edit for both protocols


def test_an_arm_without_candidates_has_no_rows(ran, tmp_path):
    cell, *_ = ran
    run(cell, tmp_path / "out.parquet", candidates=(INPUT,))
    found, spec = read_parquet(tmp_path / "out.parquet"), read_spec(tmp_path / "out.parquet")
    assert set(found["arm"]) == {"base", "input"} and spec["arms"]["corrected"]["output"] is None


def test_engines_agree(ran, tmp_path):
    cell, *_ = ran
    run(cell, tmp_path / "fast.parquet")
    run(cell, tmp_path / "naive.parquet", {"engine": "naive"})
    fast, naive = read_parquet(tmp_path / "fast.parquet"), read_parquet(tmp_path / "naive.parquet")
    pd.testing.assert_frame_equal(fast, naive, rtol=1e-5)


def test_same_inputs_give_the_same_bytes(ran, tmp_path):
    cell, *_ = ran
    for name in ("one", "two"):
        run(cell, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("length", [0, 1, 2, 7, 8, 9, 23, 24, 25, 33, 100])
@pytest.mark.parametrize(("size", "stride"), [(24, 8), (8, 4), (5, 2), (2, 1)])
def test_spans_score_every_token_but_the_first_once(length, size, stride):
    scored = []
    for start, first, stop in spans(length, size, stride):
        assert start < first < stop <= start + size and start % stride == 0
        scored += range(first, stop)
    assert scored == list(range(1, length))


def test_sizes():
    assert sizes(2048) == (1024, 512) and sizes(None) == (1024, 512) and sizes(1024) == (1024, 512)
    assert sizes(128) == (128, 64) and sizes(3) == (3, 1)


def test_window_ids_are_the_documents(ran):
    cell, *_ = ran
    loaded = load(cell.model, "fp32", "cpu")
    (one, *rest) = windows(loaded, [TEXT[0]], 8, 4)
    ids = loaded.tokenizer(TEXT[0])["input_ids"]
    assert one.ids == tuple(ids[:8]) and one.first == 1 and ids[0] == loaded.tokenizer.bos_token_id
    assert rest[0].ids == tuple(ids[4:12]) and rest[0].first == 4


def test_masked_models_have_none(tmp_path):
    cell = SmallCell(tmp_path, "roberta")
    write_parquet(tmp_path / "text.parquet", pd.DataFrame({"text": TEXT}), {})
    with pytest.raises(UserError, match="tiny-roberta' is a masked language model"):
        run(cell, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_an_empty_text_is_told(ran, tmp_path):
    cell, *_ = ran
    write_parquet(tmp_path / "empty.parquet", pd.DataFrame({"text": ["", ""]}), {})
    with pytest.raises(UserError, match="holds no text of at least two tokens"):
        run(cell, tmp_path / "out.parquet", text=tmp_path / "empty.parquet")
