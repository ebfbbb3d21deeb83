"""Seconds per token of both forms; and the two linear layers in the hands of those who train them."""

import pytest
import torch

from laser.export import latency as module
from laser.export.checkpoint import LATENCY, export
from laser.export.factored import FactoredLinear, load_factored
from laser.export.latency import BATCHES, dense_linear, latency
from laser.io.files import read_json
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from tests.export.test_checkpoint import IDS, cell, checkpoint, run  # noqa: F401 - a fixture

CASES = [("llama", "u_gate"), ("gpt2", "u_out"), ("roberta", "u_out")]


def factored(folder, kind, matrix):
    origin = checkpoint(folder / "origin", kind)
    export(origin, folder / "out", Intervention(matrix, 1, 0.2), "factored", "fp32", FactorStore(folder / "factors"))
    return load_factored(folder / "out")


def factors_of(model):
    ((name, factors),) = [pair for pair in model.named_modules() if isinstance(pair[1], FactoredLinear)]
    return name, factors


@pytest.mark.parametrize(("kind", "matrix"), CASES)
def test_both_forms_are_measured_at_both_batch_sizes(tmp_path, kind, matrix, monkeypatch):
    model, clock, seen = factored(tmp_path, kind, matrix), iter(range(1000)), []
    before = model(IDS).logits
    monkeypatch.setattr(module, "REPEATS", 2)
    monkeypatch.setattr(module, "NEW_TOKENS", 3)
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(clock)))
    forward = type(model).forward

    def noted(self, *arguments, **keywords):
        layer = self.get_submodule(name)
        seen.append((keywords["input_ids"].shape[0], type(layer).__name__))
        return forward(self, *arguments, **keywords)

    name, factors = factors_of(model)
    monkeypatch.setattr(type(model), "forward", noted)
    measured = latency(model)
    tokens = 3 if kind != "roberta" else module.PROMPT_TOKENS
    assert [entry["batch"] for entry in measured["seconds_per_token"]] == list(BATCHES)
    assert all(
        entry["dense"] == entry["factored"] == 1 / (tokens * entry["batch"]) for entry in measured["seconds_per_token"]
    ), "every run takes a second by this clock"
    for batch in BATCHES:
        kinds = [layer for size, layer in seen if size == batch]
        assert kinds.count("Linear") == kinds.count("FactoredLinear") > 0
    assert all(entry["repeats"] == 2 for entry in measured["seconds_per_token"])
    assert "differs from run to run" in measured["note"]
    monkeypatch.undo()
    assert model.get_submodule(name) is factors and torch.equal(model(IDS).logits, before)


@pytest.mark.parametrize(("slow", "runs", "counted"), [(0.0, 4, 3), (4.0, 2, 1), (1000.0, 1, 1)])
def test_no_further_repeat_begins_when_the_time_is_over(tmp_path, monkeypatch, slow, runs, counted):
    model = factored(tmp_path, "llama", "u_gate")
    clock, measured_runs = [0.0], []

    def run(run, device):
        clock[0] += slow
        measured_runs.append(run)
        return 1.0 if len(measured_runs) > 2 else 5.0

    monkeypatch.setattr(module, "_seconds", run)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    first = latency(model)["seconds_per_token"][0]
    assert len(measured_runs) == 2 * runs * len(BATCHES) and first["repeats"] == counted
    assert first["dense"] == first["factored"] == (5.0 if runs == 1 else 1.0) / module.NEW_TOKENS


@pytest.mark.parametrize(("kind", "matrix"), CASES)
def test_the_dense_form_computes_the_same(tmp_path, kind, matrix):
    model = factored(tmp_path, kind, matrix)
    name, factors = factors_of(model)
    expected = model(IDS).logits
    model.set_submodule(name, dense_linear(factors))
    assert torch.allclose(model(IDS).logits, expected, atol=1e-4)


def test_a_factored_export_has_its_times_beside_the_card(cell):  # noqa: F811
    folder = run(cell, cell.folder / "export/README.md", "factored")
    measured = read_json(folder / LATENCY)
    assert all(0 < entry[form] < 10 for entry in measured["seconds_per_token"] for form in ("dense", "factored"))
    assert f"{LATENCY} holds seconds per token" in (folder / "README.md").read_text()
    assert not (run(cell, cell.folder / "export/README.md", "dense") / LATENCY).exists(), "the folder is replaced"


@pytest.mark.parametrize(("kind", "matrix"), CASES)
def test_the_two_layers_can_be_trained(tmp_path, kind, matrix):
    model = factored(tmp_path, kind, matrix)
    name, factors = factors_of(model)
    assert not any(weight.requires_grad for weight in model.parameters())
    assert [type(layer) for layer in (factors.left, factors.right)] == [torch.nn.Linear] * 2
    factors.requires_grad_(True)
    trained = torch.optim.SGD(factors.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(model(IDS).logits[0], IDS[0])
        trained.zero_grad()
        loss.backward()
        trained.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and f"{name}.left.weight" in dict(model.named_parameters())
