import itertools

import pytest
import torch
import transformers

from laser.engine import fast, naive
from laser.engine.families import network
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.tasks.passes import Generation, Pass, Requests
from tests.engine.tiny_models import (
    CAUSAL,
    CONFIGS,
    FULL,
    GEMMA,
    LAYERS,
    LLAMA,
    MASKED,
    VARIANTS,
    WINDOW,
    assert_agree,
    made,
    masked_requests,
    requests,
    tiny,
)

RHOS = (0.0, 0.1, 0.5, 0.9, 1.0)


@pytest.fixture
def store(tmp_path):
    return FactorStore(tmp_path)


def edits_of(loaded, layer, rhos=RHOS, kinds=("svd",)):
    matrices = network(loaded.model).blocks[layer].linears
    return [(Intervention(matrix, layer, rho, kind),) for matrix in matrices for kind in kinds for rho in rhos]


def both(loaded, asked, edits, store):
    expected = list(naive.evaluate(loaded, asked, edits, store))
    found = list(fast.evaluate(loaded, asked, edits, store))
    return expected, found


EDGES = [(family, layer) for family in ("llama", "gptj") for layer in (0, LAYERS - 1)]
"""First and last layers: what the engine does there does not depend on the family."""


@pytest.mark.parametrize(("family", "layer"), [(family, 1) for family in [*CAUSAL, *VARIANTS]] + EDGES)
def test_every_matrix_of_causal_models(family, layer, store):
    loaded = tiny(family)
    assert_agree(*both(loaded, requests(5), [(), *edits_of(loaded, layer, (0.1,))], store))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_every_rank_of_causal_models(family, store):
    loaded = tiny(family)
    assert_agree(*both(loaded, requests(generate=False), edits_of(loaded, 1), store))


@pytest.mark.parametrize("layer", [0, 1, LAYERS - 1])
@pytest.mark.parametrize("family", MASKED)
def test_every_matrix_and_rank_of_masked_models(family, layer, store):
    loaded = tiny(family)
    edits = [(), *edits_of(loaded, layer, RHOS if layer == 1 else (0.1,))]
    assert_agree(*both(loaded, masked_requests(), edits, store))


@pytest.mark.parametrize("family", ["llama_bias", "gpt2", "roberta"])
def test_every_kind(family, store):
    loaded = tiny(family)
    asked = masked_requests() if family in MASKED else requests(1, generate=False)
    edits = edits_of(loaded, 1, (0.3, 0.8), ("svd", "smallest", "randomised", "pruning", "zero"))
    assert_agree(*both(loaded, asked, edits, store))


def test_the_edits_differ_from_base_and_from_each_other(store):
    """Agreement would mean little if the edits did nothing."""
    loaded = tiny("llama")
    edits = [(), *edits_of(loaded, 1, (0.1, 0.5))]
    found = list(fast.evaluate(loaded, requests(), edits, store))
    for one, other in itertools.combinations(found, 2):
        assert abs(one.passes[0].logprobs[0] - other.passes[0].logprobs[0]) > 1e-4
    assert len({tuple(one.generations) for one in found}) == len(found)


def test_layers_and_halves_mixed_keep_the_order(store):
    loaded = tiny("llama")
    edits = [
        (Intervention("u_in", 2, 0.5),),
        (Intervention("q", 0, 0.1),),
        (),
        (Intervention("u_out", 0, 0.1),),
        (Intervention("o", 2, 0.2, "smallest"),),
        (Intervention("u_in", 2, 0.1),),
        (),
    ]
    assert_agree(*both(loaded, requests(2), edits, store))


def test_base_alone(store):
    loaded = tiny("gptj")
    assert_agree(*both(loaded, requests(3), [()], store))


def test_the_same_edit_twice(store):
    loaded = tiny("llama")
    edits = [(Intervention("u_gate", 1, 0.5),)] * 2
    expected, found = both(loaded, requests(), edits, store)
    assert_agree(expected, found)
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The model, edits of it, and the answers of the reference engine."""
    loaded = tiny("llama")
    edits = [(), *edits_of(loaded, 1, (0.1, 0.6))]
    return loaded, edits, list(naive.evaluate(loaded, requests(), edits, FactorStore(tmp_path_factory.mktemp("store"))))


@pytest.mark.parametrize("budget", [1, 16, 64, 700, 100_000])
def test_token_budgets(budget, reference, store):
    loaded, edits, expected = reference
    assert_agree(expected, fast.evaluate(loaded, requests(), edits, store, token_budget=budget))


@pytest.mark.parametrize("limit", [1, 12, 500])
def test_tree_sizes(limit, store, monkeypatch):
    monkeypatch.setattr(fast, "TREE_LIMIT", limit)
    loaded = tiny("gptj")
    assert_agree(*both(loaded, requests(4), edits_of(loaded, 1, (0.2,)), store))


def test_several_composed_interventions_go_to_the_reference_engine(store):
    loaded = tiny("llama")
    pair = (Intervention("u_in", 1, 0.5), Intervention("u_out", 2, 0.1))
    assert not fast.supported(loaded, network(loaded.model), pair)
    assert_agree(*both(loaded, requests(), [pair, (Intervention("u_in", 1, 0.5),), ()], store))


def test_unknown_architecture_goes_to_the_reference_engine(store):
    loaded = made(transformers.StableLmConfig(**LLAMA))
    edit = (Intervention("u_in", 1, 0.5),)
    assert not fast.supported(loaded, network(loaded.model), edit)
    assert_agree(*both(loaded, requests(count=4), [edit], store))


def test_packed_matrices_are_left_to_others(store):
    loaded = tiny("gpt_neox")
    assert not fast.supported(loaded, network(loaded.model), (Intervention("q", 1, 0.5),))
    assert fast.supported(loaded, network(loaded.model), (Intervention("o", 1, 0.5),))


@pytest.mark.parametrize("family", ["mistral_window", "qwen2_windows", "gemma3_text"])
def test_sliding_windows(family, store):
    """Windows shorter than most requests, and continuations that leave the prompt's first tokens behind."""
    loaded = tiny(family)
    asked = requests(5)
    assert sum(len(request.ids) > WINDOW for request in asked.passes) > len(asked.passes) / 2
    edits = [(Intervention(matrix, layer, 0.3),) for layer in range(LAYERS) for matrix in ("k", "u_in")]
    assert all(fast.supported(loaded, network(loaded.model), edit) for edit in edits)
    expected = list(naive.evaluate(loaded, asked, [(), *edits], store))
    for budget in (1, 2048):
        assert_agree(expected, fast.evaluate(loaded, asked, [(), *edits], store, token_budget=budget))


@pytest.mark.parametrize("family", ["mistral_window", "gemma3_text"])
def test_a_window_hides_what_is_before_it(family, store):
    """The same answers with a window as long as the requests would mean that the window is not looked at."""
    config = CONFIGS[family]()
    config.sliding_window = 64
    narrow, wide = (next(fast.evaluate(loaded, requests(5), [()], store)) for loaded in (tiny(family), made(config)))
    assert narrow.passes != wide.passes


@pytest.mark.parametrize(
    "change",
    [
        {"final_logit_softcapping": 5.0},
        {"attn_logit_softcapping": 5.0},
        {"use_bidirectional_attention": True},
        {
            "rope_parameters": GEMMA["rope_parameters"]
            | {FULL: {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}
        },
    ],
)
def test_gemmas_that_the_blocks_do_not_follow_go_to_the_reference_engine(change):
    loaded = made(transformers.Gemma3TextConfig(**GEMMA | change))
    assert not fast.supported(loaded, network(loaded.model), ())


@pytest.mark.parametrize("family", ["llama", "roberta"])
@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_half_precision(family, dtype, store):
    """Half precision rounds at other places, so only the bulk of the numbers is compared."""
    loaded = tiny(family, dtype)
    asked = masked_requests() if family in MASKED else requests()
    edits = [(), *edits_of(loaded, 1, (0.5,))]
    expected, found = both(loaded, asked, edits, store)
    differences = torch.tensor(
        [
            abs(a - b)
            for one, other in zip(expected, found, strict=True)
            for left, right in zip(one.passes, other.passes, strict=True)
            for a, b in zip(left.logprobs, right.logprobs, strict=True)
        ]
    )
    assert differences.isfinite().all()
    assert differences.median() < (0.02 if dtype == "fp16" else 0.15)


def test_no_requests(store):
    loaded = tiny("llama")
    found = list(fast.evaluate(loaded, Requests(), [(), (Intervention("q", 0, 0.5),)], store))
    assert [(one.passes, one.generations) for one in found] == [([], []), ([], [])]


def test_passes_alone_and_generations_alone(store):
    loaded = tiny("llama")
    edits = edits_of(loaded, LAYERS - 1, (0.3,))
    whole = requests()
    assert_agree(*both(loaded, Requests(passes=whole.passes), edits, store))
    assert_agree(*both(loaded, Requests(generations=whole.generations), edits, store))


def test_a_pass_without_queries(store):
    loaded = tiny("llama")
    assert_agree(*both(loaded, Requests((Pass((1, 5, 6)), Pass((1, 5), (), (1,)))), edits_of(loaded, 1, (0.3,)), store))


def test_progress_counts_every_request_under_every_edit(store):
    loaded = tiny("llama")
    asked = requests()
    pair = (Intervention("u_in", 1, 0.5), Intervention("u_out", 2, 0.1))
    edits = [(), pair, *edits_of(loaded, 1, (0.3,))]
    counts = []
    list(fast.evaluate(loaded, asked, edits, store, token_budget=200, progress=counts.append))
    assert sum(counts) == len(edits) * (len(asked.passes) + len(asked.generations))
    assert len(counts) > 3


def test_out_of_memory_halves_the_batch_then_the_edits(reference, store, monkeypatch):
    monkeypatch.setattr(fast, "TREE_LIMIT", 12)
    loaded, (_, *edits), (_, *expected) = reference
    sizes = []
    real = fast._run_chunk

    def limited(job, batch, shared, chunk):
        sizes.append((len(batch.trees), len(chunk)))
        if len(batch.trees) * len(chunk) > 2:
            raise torch.OutOfMemoryError
        return real(job, batch, shared, chunk)

    monkeypatch.setattr(fast, "_run_chunk", limited)
    counts = []
    assert_agree(expected, fast.evaluate(loaded, requests(), edits, store, progress=counts.append))
    assert (1, 2) in sizes
    assert max(trees for trees, _ in sizes) > 2
    assert sum(counts) == len(edits) * (len(requests().passes) + len(requests().generations))


def test_out_of_memory_on_one_sequence_and_one_edit_is_an_error(store, monkeypatch):
    def never(*arguments, **options):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(fast, "_run_chunk", never)
    with pytest.raises(torch.OutOfMemoryError):
        list(fast.evaluate(tiny("llama"), requests(), [()], store))


def test_same_numbers_twice(store):
    loaded = tiny("gptj")
    edits = edits_of(loaded, 1, (0.3,))
    once, again = (list(fast.evaluate(loaded, requests(), edits, store)) for _ in range(2))
    assert once == again


def test_the_model_is_left_as_it_was(store):
    loaded = tiny("llama")
    before = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    list(fast.evaluate(loaded, requests(), edits_of(loaded, 1, (0.3,), ("svd", "zero", "randomised")), store))
    assert all(torch.equal(before[name], tensor) for name, tensor in loaded.model.state_dict().items())


def test_generation_longer_than_any_pass(store):
    loaded = tiny("gpt2")
    asked = Requests(generations=(Generation((1, 5, 6), 40), Generation((1, 5), 3)))
    assert_agree(*both(loaded, asked, [(), *edits_of(loaded, 0, (0.3,))[:2]], store))


def test_the_token_budget_bounds_the_slots_where_memory_is_scarce(store, monkeypatch):
    """As on CUDA: keys and values of the tokens to be decoded count too; the answers stay the same."""
    loaded = tiny("llama")
    asked, edits = requests(count=30), edits_of(loaded, 1, (0.1, 0.6))
    taken = []
    real = fast.Cache

    def watched(rows, slots, *more):
        taken.append(rows * slots)
        return real(rows, slots, *more)

    monkeypatch.setattr(fast, "Cache", watched)
    expected = list(fast.evaluate(loaded, asked, edits, store, token_budget=2000))
    unbounded, taken = max(taken), taken.clear() or taken
    monkeypatch.setattr(fast, "BUDGET_IN_SLOTS", ("cpu", "cuda"))
    assert_agree(expected, fast.evaluate(loaded, asked, edits, store, token_budget=2000))
    assert max(taken) <= 2000 < unbounded


def test_what_did_not_fit_is_not_tried_again(store, monkeypatch):
    monkeypatch.setattr(fast, "TREE_LIMIT", 12)
    loaded = tiny("llama")
    asked = requests(count=40)
    edits = [(Intervention(matrix, 1, rho),) for matrix in ("u_in", "u_out") for rho in (0.1, 0.6)]
    expected = list(fast.evaluate(loaded, asked, edits, store, token_budget=3000))
    failed = []
    real = fast._run_chunk

    def limited(job, batch, shared, chunk):
        if len(batch.trees) > 3:
            failed.append(len(batch.trees))
            raise torch.OutOfMemoryError
        return real(job, batch, shared, chunk)

    monkeypatch.setattr(fast, "_run_chunk", limited)
    assert_agree(expected, fast.evaluate(loaded, asked, edits, store, token_budget=3000))
    assert 0 < len(failed) <= 4
