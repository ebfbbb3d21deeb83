"""The engine's own blocks against the checkpoint's forward pass."""

import random

import pytest
import torch

from laser.engine.attention import Cache, Layout, through_layer
from laser.engine.edited_matrix import changes, outputs
from laser.engine.families import network
from laser.engine.packing import layout_of, make_batch
from laser.engine.trees import prefix_trees, separate
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.tasks.passes import Pass, Requests
from tests.engine.tiny_models import CAUSAL, CONFIGS, DEVICE, LAYERS, MASKED, VOCABULARY, tiny


def sequences(seed=0, count=6):
    source = random.Random(seed)
    head = tuple(source.randrange(3, VOCABULARY) for _ in range(6))
    return [
        head[: source.randrange(7)] + tuple(source.randrange(3, VOCABULARY) for _ in range(source.randrange(1, 9)))
        for _ in range(count)
    ]


def logits_of(net, ids):
    """Return, per sequence, logits (length, vocabulary) from the engine's blocks."""
    asked = Requests(tuple(Pass(one) for one in ids))
    batch = make_batch(net, prefix_trees(ids) if net.causal else separate(ids), asked, DEVICE)
    layout = layout_of(batch, None, 1, batch.width)
    cache = Cache(len(batch.trees), batch.width)
    hidden = net.embed(batch.ids, batch.positions)
    rotary = None if net.rotary is None else net.rotary(batch.positions)
    for index, block in enumerate(net.blocks):
        hidden = through_layer(block, index, cache, layout, hidden, rotary)
    logits = net.head(net.final(hidden))
    return {index: logits[[batch.packed(row, node) for node in path]] for index, row, path in batch.passes}


@torch.inference_mode()
@pytest.mark.parametrize("family", CONFIGS)
def test_blocks_give_the_models_logits(family):
    loaded = tiny(family)
    ids = sequences()
    found = logits_of(network(loaded.model), ids)
    for index, one in enumerate(ids):
        expected = loaded.model(torch.tensor([one], device=DEVICE)).logits[0]
        largest = float(expected.abs().max())
        assert found[index].shape == expected.shape
        assert float((found[index] - expected).abs().max()) <= 1e-5 * max(1.0, largest)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("family", CAUSAL + MASKED)
def test_half_precision_keeps_shapes_and_dtype(family, dtype):
    loaded = tiny(family, dtype)
    ids = sequences(1, 3)
    for index, logits in logits_of(network(loaded.model), ids).items():
        expected = loaded.model(torch.tensor([ids[index]], device=DEVICE)).logits[0]
        assert logits.shape == expected.shape
        assert logits.dtype == expected.dtype
        assert float((logits - expected).float().abs().median()) < 0.1 * float(expected.float().abs().max())


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["svd", "smallest", "zero", "randomised", "pruning"])
def test_nested_ranks_equal_the_edited_weights(kind, tmp_path):
    from laser.reduction.edit import edited_weight

    loaded = tiny("llama_bias")
    linears = dict(network(loaded.model).blocks[1].linears)
    store = FactorStore(tmp_path)
    edits = [Intervention("u_in", 1, rho, kind) for rho in (0.5, 0.1, 0.9, 0.5, 0.0, 1.0)]
    states = torch.randn(11, linears["u_in"].weight.shape[1], generator=torch.Generator().manual_seed(0)).to(DEVICE)
    rows = [torch.arange(index, index + 3, device=DEVICE) for index in range(len(edits))]
    made = changes(linears, edits, store)
    whole, some = outputs(states, made), outputs(states, made, rows)
    for edit, all_rows, own, chosen in zip(edits, whole, some, rows, strict=True):
        weight = edited_weight(linears["u_in"].weight, edit, store.get(linears["u_in"].weight))
        expected = states @ weight.T + linears["u_in"].bias
        torch.testing.assert_close(all_rows, expected, atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(own, expected[chosen], atol=2e-5, rtol=1e-5)


def test_a_cache_that_grows_keeps_what_it_holds():
    cache = Cache(2, 3)
    keys, _ = cache.of(0, torch.ones(1, 4))
    keys += torch.arange(24).view(2, 3, 4)
    cache.grow(5)
    grown, _ = cache.of(0, torch.ones(1, 4))
    assert grown.shape == (2, 5, 4)
    assert torch.equal(grown[:, :3], torch.arange(24).view(2, 3, 4).float())
    assert not grown[:, 3:].any()


def test_mask_hides_what_is_not_visible():
    visible = torch.tensor([[[True, False]]])
    mask = Layout(torch.zeros(1), torch.zeros(1), visible).mask(3, torch.float32)
    assert mask.shape == (1, 1, 3, 2)
    assert mask[0, 0].tolist() == [[0.0, float("-inf")]] * 3


def test_layers_are_all_there():
    assert all(len(network(tiny(family).model).blocks) == LAYERS for family in CAUSAL + MASKED)
