import pytest
import torch

from laser.engine.live_edits import edited
from laser.errors import UserError
from laser.models.adapter import matrices, parameter_view
from laser.models.load import load
from laser.reduction.edit import edited_weight
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import KINDS, Intervention
from laser.reduction.svd import exact_svd
from tests.models import families

PAIRS = [
    (kind, matrix) for kind in ("llama", "gptj", "roberta", "gpt2", "phi3") for matrix in matrices({"model_type": kind})
]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    made = {}

    def get(kind, dtype="fp32"):
        if (kind, dtype) not in made:
            folder = tmp_path_factory.mktemp(kind)
            families.save(folder, kind)
            made[kind, dtype] = load(folder, dtype, "cpu")
        return made[kind, dtype]

    return get


def copies(model):
    return {name: parameter.clone() for name, parameter in model.named_parameters()}


def differing(model, before):
    return {
        name: int((value != before[name]).sum())
        for name, value in model.named_parameters()
        if not same(value, before[name])
    }


def same(one, other):
    """Compare bytes, so that -0.0 is not 0.0."""
    kind = {2: torch.int16, 4: torch.int32}[one.element_size()]
    return torch.equal(one.data.view(kind), other.data.view(kind))


@pytest.mark.parametrize(("kind", "matrix"), PAIRS)
def test_one_matrix_is_edited_and_restored(loaded, tmp_path, kind, matrix):
    live = loaded(kind)
    before = copies(live.model)
    one = Intervention(matrix, 1, 0.25)
    view = parameter_view(live.model, live.config, 1, matrix)
    original = view.clone()
    expected = edited_weight(original, one, exact_svd(original))
    with edited(live, [one], FactorStore(tmp_path)):
        assert torch.allclose(view, expected, atol=1e-6)
        assert int(torch.linalg.matrix_rank(view, rtol=1e-4)) == min(view.shape) // 4
        changed = differing(live.model, before)
        assert len(changed) == 1
        assert sum(changed.values()) <= view.numel()
    assert not differing(live.model, before)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_edited_in_fp32_and_restored_exactly(loaded, tmp_path, dtype, kind):
    live = loaded("gptj", dtype)
    before = copies(live.model)
    view = parameter_view(live.model, live.config, 0, "u_in")
    weight = view.float()
    one = Intervention("u_in", 0, 0.25, kind)
    with edited(live, [one], FactorStore(tmp_path)):
        assert view.dtype == live.model.dtype
        assert torch.equal(view, edited_weight(weight, one, exact_svd(weight)).to(view.dtype))
        assert len(differing(live.model, before)) == 1
    assert not differing(live.model, before)


def test_several_matrices_at_once(loaded, tmp_path):
    live = loaded("gpt2")
    before = copies(live.model)
    edits = [Intervention("q", 0, 0.25), Intervention("v", 0, 0.5, "pruning"), Intervention("u_out", 1, 0, "zero")]
    original = parameter_view(live.model, live.config, 0, "k").clone()
    with edited(live, edits, FactorStore(tmp_path)):
        changed = differing(live.model, before)
        assert set(changed) == {"transformer.h.0.attn.c_attn.weight", "transformer.h.1.mlp.c_proj.weight"}
        assert torch.equal(parameter_view(live.model, live.config, 0, "k"), original)
        assert not parameter_view(live.model, live.config, 1, "u_out").any()
    assert not differing(live.model, before)


def test_restored_after_an_exception_in_the_block(loaded, tmp_path):
    live = loaded("llama")
    before = copies(live.model)
    with (
        pytest.raises(KeyError, match="inside"),
        edited(live, [Intervention("u_in", 0, 0, "zero")], FactorStore(tmp_path)),
    ):
        assert differing(live.model, before)
        raise KeyError("inside")
    assert not differing(live.model, before)


def test_restored_where_a_later_edit_is_impossible(loaded, tmp_path):
    live = loaded("gptj")
    before = copies(live.model)
    edits = [Intervention("u_in", 0, 0, "zero"), Intervention("u_gate", 0, 0.5)]
    with pytest.raises(UserError, match="no matrix 'u_gate'"), edited(live, edits, FactorStore(tmp_path)):
        pass
    assert not differing(live.model, before)


def test_same_matrix_twice_is_refused(loaded, tmp_path):
    live = loaded("llama")
    before = copies(live.model)
    edits = [Intervention("u_in", 0, 0.5), Intervention("u_in", 0, 0.25)]
    with pytest.raises(UserError, match="names the same matrix twice"), edited(live, edits, FactorStore(tmp_path)):
        pass
    assert not differing(live.model, before)


def test_no_edit_is_the_base_model(loaded, tmp_path):
    live = loaded("llama")
    before = copies(live.model)
    with edited(live, [], FactorStore(tmp_path)):
        assert not differing(live.model, before)


def test_an_edit_changes_what_the_model_says_and_base_says_it_again(loaded, tmp_path):
    live = loaded("llama")
    ids = torch.arange(3, 11)[None]
    base = live.model(ids).logits
    with edited(live, [Intervention("u_out", 1, 0.1)], FactorStore(tmp_path)):
        assert not torch.allclose(live.model(ids).logits, base, atol=1e-5)
    assert torch.equal(live.model(ids).logits, base)
