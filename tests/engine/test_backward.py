"""Gradients of the answer loss by singular value, against finite differences."""

import pytest
import torch

from laser.config.protocols import PROTOCOLS
from laser.engine.backward import answer_pass, divisor, gradients
from laser.errors import UserError
from laser.evaluation.cell import answers_for, first_rows, of_protocol, result_rows
from laser.evaluation.gradients import predicted_changes, singular_gradients
from laser.models.adapter import parameter_view
from laser.reduction.svd import exact_svd
from tests.evaluation.tiny_cell import FAMILIES, TinyCell, by_family
from tests.models import families

BUILDERS = {"llama": "worldfacts", "gptj": "fever", "roberta": "qa_wikidata"}
RHOS = [0.8, 0.5, 0.2, 0.0]
STEP = 3e-3
"""Of finite differences: norms and attention are computed in fp32 in any case, which leaves few digits below it."""


@pytest.fixture(scope="module")
def cell_of(tmp_path_factory):
    return by_family(tmp_path_factory, lambda folder, family: TinyCell(folder, family, BUILDERS[family]))


def all_places(cell):
    return [(layer, matrix) for layer in (0, 1) for matrix in cell.matrices]


def doubled(opened):
    """Return the cell with its model in double precision, as far as it goes."""
    opened.loaded.model.double()
    return opened


def loss_of(opened, protocol):
    """Return the mean answer loss of the live model, by the definition, one example at a time."""
    total = 0.0
    for one in opened.questions.items:
        asked, queries = answer_pass(opened.questions, one)
        logits = opened.loaded.model(input_ids=torch.tensor([asked.ids])).logits[0].log_softmax(-1)
        total -= sum(float(logits[query]) for query in queries) / divisor(opened.questions, len(queries), protocol)
    return total / len(opened.questions.items)


@pytest.mark.parametrize("protocol", ["published", "corrected"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_that_of_the_rows(cell_of, family, protocol):
    opened = of_protocol(cell_of(family).open(), protocol)
    (answers,) = answers_for(opened, [()], lambda done: None)
    expected = result_rows(opened, answers, protocol)["loss"].mean()
    loss, _ = gradients(opened.loaded, opened.questions, PROTOCOLS[protocol], [(1, "u_in")], 64)
    assert loss == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_singular_values_are_finite_differences(cell_of, family):
    cell, protocol = cell_of(family), PROTOCOLS["published"]
    opened = doubled(first_rows(of_protocol(cell.open(), "published"), 2))
    places = all_places(cell)
    _, found = gradients(opened.loaded, opened.questions, protocol, places, 64)
    for place in places:
        view = parameter_view(opened.loaded.model, opened.loaded.config, *place)
        original = view.clone()
        factors = exact_svd(original)
        values = singular_gradients(found[place], factors)
        for index in (0, 3, len(factors.s) - 1):
            direction = torch.outer(factors.u[:, index], factors.vt[index]).double()
            losses = []
            for step in (STEP, -STEP):
                view.copy_(original + step * direction)
                losses.append(loss_of(opened, protocol))
            view.copy_(original)
            numeric = (losses[0] - losses[1]) / (2 * STEP)
            assert float(values[index]) == pytest.approx(numeric, rel=1e-2, abs=1e-4), (place, index)
    assert max(float(one.abs().max()) for one in found.values()) > 1e-3


def test_the_prediction_is_the_slope_towards_the_reduced_matrix(cell_of):
    """Moving a small part of the way to the rank-k matrix changes the loss by that part of the prediction."""
    cell, protocol = cell_of("gptj"), PROTOCOLS["corrected"]
    opened = doubled(first_rows(of_protocol(cell.open(), "corrected"), 5))
    _, found = gradients(opened.loaded, opened.questions, protocol, [(1, "u_out")], 64)
    view = parameter_view(opened.loaded.model, opened.loaded.config, 1, "u_out")
    original = view.clone()
    factors = exact_svd(original)
    for one in predicted_changes(found[1, "u_out"], factors, RHOS):
        kept = one["kept_rank"]
        reduced = ((factors.u[:, :kept] * factors.s[:kept]) @ factors.vt[:kept]).double()
        losses = []
        for part in (STEP, -STEP):
            view.copy_(original + part * (reduced - original))
            losses.append(loss_of(opened, protocol))
        view.copy_(original)
        assert one["change"] == pytest.approx((losses[0] - losses[1]) / (2 * STEP), rel=1e-2, abs=1e-4)
    whole = predicted_changes(found[1, "u_out"], factors, [1.0])
    assert whole == [{"rho": 1.0, "kept_rank": 32, "change": 0.0}]


@pytest.mark.parametrize("kind", ["gpt2", "phi3", "gpt_neox", "qwen3", "olmo2", "gemma3_text", "phi", "opt"])
def test_matrices_of_other_architectures(kind, cell_of, tmp_path):
    """A packed or transposed matrix gets its own part of the stored gradient, the right way round."""
    from laser.models.adapter import matrices
    from laser.models.load import load

    families.save(tmp_path, kind)
    loaded = load(tmp_path, "fp32", "cpu")
    loaded.model.double()
    questions = cell_of("llama").open().questions
    fitting = [one for one in questions.items][:3]
    passes = [type(questions.requests.passes[0])((1, 5, 6, 7 + k), ((3, 9 + k),), (3,)) for k in range(3)]
    asked = type(questions)(
        questions.style,
        questions.definition,
        "causal",
        items=[
            type(one)(one.example, one.prompt, (place,), (1,), None, one.prompt_ids)
            for place, one in enumerate(fitting)
        ],
        requests=type(questions.requests)(tuple(passes)),
    )
    names = matrices({"model_type": kind})
    _, found = gradients(loaded, asked, PROTOCOLS["corrected"], [(1, name) for name in names], 64)

    def loss():
        logits = [loaded.model(input_ids=torch.tensor([one.ids])).logits[0].log_softmax(-1) for one in passes]
        return -sum(float(one[each.queries[0]]) for one, each in zip(logits, passes, strict=True)) / len(passes)

    for name in names:
        view = parameter_view(loaded.model, loaded.config, 1, name)
        assert found[1, name].shape == view.shape
        entry = (1, 2)
        original = float(view[entry])
        losses = []
        for step in (STEP, -STEP):
            view[entry] = original + step
            losses.append(loss())
        view[entry] = original
        assert float(found[1, name][entry]) == pytest.approx((losses[0] - losses[1]) / (2 * STEP), rel=1e-2, abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_pass_for_all_places_is_one_pass_each_and_budgets_change_nothing(cell_of, family):
    cell = cell_of(family)
    opened = of_protocol(cell.open(), "corrected")
    protocol = PROTOCOLS["corrected"]
    loss, together = gradients(opened.loaded, opened.questions, protocol, all_places(cell), 64)
    for place in ((0, "u_in"), (1, "o")):
        again, alone = gradients(opened.loaded, opened.questions, protocol, [place], 10_000)
        assert again == pytest.approx(loss, abs=1e-6)
        assert torch.allclose(alone[place], together[place], atol=1e-6)


def test_the_model_is_left_as_it_was(cell_of):
    opened = cell_of("llama").open()
    before = {name: one.clone() for name, one in opened.loaded.model.named_parameters()}
    gradients(opened.loaded, opened.questions, PROTOCOLS["corrected"], [(0, "q"), (1, "u_gate")], 64)
    for name, one in opened.loaded.model.named_parameters():
        assert torch.equal(one, before[name])
        assert one.grad is None and not one.requires_grad and not one._post_accumulate_grad_hooks


def test_out_of_memory_starts_anew_with_half_the_budget(cell_of, monkeypatch):
    opened = cell_of("llama").open()
    arguments = (opened.loaded, opened.questions, PROTOCOLS["corrected"], [(1, "u_in")])
    expected = gradients(*arguments, 16)
    from laser.engine import backward

    real, widths = backward.pad, []

    def limited(sequences, token, device):
        widths.append(len(sequences))
        if len(widths) > 2 and len(sequences) * max(map(len, sequences)) > 40:
            raise torch.OutOfMemoryError
        return real(sequences, token, device)

    monkeypatch.setattr(backward, "pad", limited)
    loss, found = gradients(*arguments, 64)
    assert loss == pytest.approx(expected[0], abs=1e-6)
    assert torch.allclose(found[1, "u_in"], expected[1][1, "u_in"], atol=1e-6)
    assert max(widths) * 8 > 40


def test_half_precision_keeps_small_gradients(cell_of):
    """In fp16 the loss is scaled, and a scale under which something overflows is given up for a smaller one."""
    cell = cell_of("gptj")
    model = dict(cell.spec["model"], dtype="fp16")
    half, whole = cell.open(model=model), cell.open()
    protocol = PROTOCOLS["corrected"]
    place = (0, "u_in")
    _, found = gradients(half.loaded, half.questions, protocol, [place], 64)
    _, expected = gradients(whole.loaded, whole.questions, protocol, [place], 64)
    difference = (found[place] - expected[place]).norm() / expected[place].norm()
    assert found[place].dtype == torch.float32
    assert difference < 0.02


def test_an_overflow_is_said(cell_of):
    opened = cell_of("llama").open()
    parameter_view(opened.loaded.model, opened.loaded.config, 1, "u_out").fill_(3e38)
    with pytest.raises(UserError, match="not finite"):
        gradients(opened.loaded, opened.questions, PROTOCOLS["corrected"], [(0, "u_in")], 64)
