"""The formulae against operations counted in real runs of both engines, and the command line on made-up studies."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from laser.config.evaluations import is_masked
from laser.config.plan import Plan
from laser.config.yaml_files import read_yaml
from laser.cost import inputs
from laser.cost.inputs import asked, asked_from, model_shape
from laser.cost.operations import Work, decomposition_work, engine_work, plain_work, randomised_work
from laser.cost.report import check_text
from laser.cost.shapes import shape_of
from laser.cost.study import JobCost, cell_cost, job_parts, job_seconds, model_cost
from laser.cost.time import GPU_RANDOMISED, SPLIT_SHARE, Compared, compare, parse_device
from laser.engine import fast, naive
from laser.errors import UserError
from laser.io.files import write_json, write_parquet
from laser.models.card import sizes
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.tasks.datasets import build
from laser.tasks.passes import Requests
from laser.tasks.prepare import to_rows
from tests.engine.tiny_models import CONFIGS, LAYERS, requests, tiny
from tests.workflow.runner import ROOT, tool

RHOS = (0.9, 0.5, 0.1)


def shape(family):
    config = CONFIGS[family]()
    entry = dict(
        name=family, architecture=config.model_type, layers=LAYERS, parameters=1, dtype="fp32",
        task="masked" if family == "roberta" else "causal",
    )  # fmt: skip
    return shape_of(entry | sizes(config))


def counted(work):
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def asking(family, generate, count=10):
    found = requests(generate=generate, count=count)
    if family == "roberta":
        # Masked models have no prefixes in common to share and see answers in their own place.
        found = Requests(found.passes)
    return found, asked_from(found, 1, family != "roberta")


def warm_up(loaded, found, run, store):
    """Have all factors made, whose cost is counted elsewhere: one pass is enough."""
    list(fast.evaluate(loaded, Requests(found.passes[:1]), run, store))


def grid(family, layer, matrices, kind="svd"):
    return [Intervention(matrix, layer, rho, kind) for matrix in matrices for rho in RHOS]


@pytest.mark.parametrize("layer", range(LAYERS))
@pytest.mark.parametrize("matrices", [("u_in", "u_out"), ("q", "o"), ("u_out",)])
@pytest.mark.parametrize("family", ["llama", "gptj", "roberta"])
def test_engine_formula_is_what_the_engine_does(family, matrices, layer, tmp_path):
    loaded, store = tiny(family), FactorStore(tmp_path)
    found, what = asking(family, generate=False)
    edits = grid(family, layer, matrices)
    run = [(one,) for one in edits]
    warm_up(loaded, found, run, store)
    real = counted(lambda: list(fast.evaluate(loaded, found, run, store, token_budget=10**6)))
    again = u_in_again(family, what, layer, edits)
    assert 0.98 * real - again <= engine_work(shape(family), what, layer, edits).total <= 1.02 * real


@pytest.mark.parametrize("family", ["qwen3", "olmo2", "phi", "opt"])
def test_shapes_of_other_families(family, tmp_path):
    """Heads of another size than the states' share, gates, no gates; the layer below the last."""
    loaded, store, layer = tiny(family), FactorStore(tmp_path), LAYERS - 2
    found, what = asking(family, generate=False)
    for matrices in (("q", "k", "v", "o"), ("u_in", "u_out")):
        edits = grid(family, layer, matrices)
        run = [(one,) for one in edits]
        warm_up(loaded, found, run, store)
        real = counted(lambda run=run: list(fast.evaluate(loaded, found, run, store, token_budget=10**6)))
        again = u_in_again(family, what, layer, edits)
        assert 0.98 * real - again <= engine_work(shape(family), what, layer, edits).total <= 1.02 * real


def u_in_again(family, what, layer, edits):
    """What the edits of u_in cost at most: without a gate the engine may compute them a second time."""
    if shape(family).gated or not any(one.matrix == "u_in" for one in edits):
        return 0.0
    rows = what.read if layer == LAYERS - 1 else what.nodes
    return rows * sum(shape(family).product("u_in") * (1 if one.kind == "pruning" else 2 * one.rho) for one in edits)


@pytest.mark.parametrize("layer", range(LAYERS))
@pytest.mark.parametrize("family", ["llama", "gptj"])
def test_decoding_lies_between_all_continuations_alike_and_all_different(family, layer, tmp_path):
    loaded, store = tiny(family, ends=()), FactorStore(tmp_path)
    found, what = asking(family, generate=True)
    edits = grid(family, layer, ("u_gate" if family == "llama" else "u_in", "u_out"))
    run = [(one,) for one in edits]
    warm_up(loaded, found, run, store)
    real = counted(lambda: list(fast.evaluate(loaded, found, run, store, token_budget=10**6)))
    least, most = (engine_work(shape(family), what, layer, edits, share=share).total for share in (0.0, 1.0))
    assert 0.98 * least <= real <= 1.02 * most
    assert most > 1.02 * least or layer == 0


@pytest.mark.parametrize("family", ["llama", "gptj", "roberta"])
def test_dense_edits_cost_their_whole_matrix(family, tmp_path):
    loaded, store = tiny(family), FactorStore(tmp_path)
    found, what = asking(family, generate=False)
    edits = grid(family, 1, ("u_in", "u_out"), "pruning")
    run = [(one,) for one in edits]
    real = counted(lambda: list(fast.evaluate(loaded, found, run, store, token_budget=10**6)))
    again = u_in_again(family, what, 1, [one for one in edits if one.matrix == "u_in"])
    assert 0.98 * real - again <= engine_work(shape(family), what, 1, edits).native <= 1.02 * real


@pytest.mark.parametrize("family", ["llama", "gptj", "roberta"])
def test_plain_formula_is_what_the_plain_engine_does_without_padding(family, tmp_path):
    loaded = tiny(family, ends=())
    found, what = asking(family, generate=True, count=5)
    # A budget of one token runs every sequence alone, so that nothing is padded.
    real = counted(lambda: naive.answer(loaded, found, token_budget=1))
    if family != "roberta":
        assert what.steps > 0
    # GPT-J's head sees the whole prompt while generating, the others' its last token: 2.5 % at this vocabulary.
    assert plain_work(shape(family), what, 1).total == pytest.approx(real, rel=0.03)


def test_randomised_steps_are_counted_apart():
    one = Intervention("u_out", 0, 0.5, "randomised", niter=2)
    matrix = torch.randn(48, 80, generator=torch.Generator().manual_seed(0))
    real = counted(lambda: torch.svd_lowrank(matrix, q=24, niter=2))
    found = randomised_work(shape("llama"), [one, None, Intervention("u_out", 0, 0.5)])
    assert found.native == found.single == 0
    # The counter sees products alone: QR and the small decomposition come on top.
    assert real < found.randomised < 5 * real


def test_factor_bytes_are_those_of_the_file(tmp_path):
    store = FactorStore(tmp_path)
    store.get(torch.randn(80, 48))
    (file,) = tmp_path.glob("*.safetensors")
    assert 0 <= file.stat().st_size - shape("llama").factor_bytes("u_in") < 400


def test_decomposition_does_not_depend_on_the_side():
    assert decomposition_work(80, 48) == decomposition_work(48, 80) == 8 * 80 * 48**2 + 20 * 48**3


def test_device_in_words():
    device = parse_device("A100: 312 TFLOP/s fp16, 19.5 fp32, 2039 GB/s", 0.5)
    assert (device.name, device.half, device.single, device.bandwidth) == ("A100", 312e12, 19.5e12, 2039e9)
    assert device.seconds(Work(native=156e12), width=2) == pytest.approx(1)
    assert device.seconds(Work(native=9.75e12, randomised=GPU_RANDOMISED * 19.5e12), width=4) == pytest.approx(2)
    # Split products of an fp32 model: by the fp16 peak, where that is faster.
    assert device.seconds(Work(native=312e12 * SPLIT_SHARE), width=4, split=True) == pytest.approx(1)
    assert device.seconds(Work(native=156e12), width=2, split=False) == pytest.approx(1)
    only = parse_device("CPU: 0.1 fp32", 0.5)
    assert only.half == only.single == 1e11 and only.bandwidth is None


@pytest.mark.parametrize(("text", "efficiency"), [("A100", 0.5), ("A100: 0 fp32", 0.5), ("A100: 1 fp32", 1.5)])
def test_device_that_says_too_little_is_named(text, efficiency):
    with pytest.raises(UserError, match=r"--device|--efficiency"):
        parse_device(text, efficiency)


def plan_of(study, cache):
    return Plan.load(read_yaml(ROOT / "config/config.yaml") | {"study": study, "cache": str(cache)}, ROOT)


def test_paper_study_from_the_config_alone(tmp_path):
    plan = plan_of("paper", tmp_path)
    cells = [cell_cost(plan, model, dataset) for model, dataset in plan.cells()]
    models = [model_cost(plan, name) for name in plan.models]
    jobs = [job.stage for one in (*cells, *models) for job in one.jobs]
    assert {stage: jobs.count(stage) for stage in set(jobs)} == {
        "reduce": 72,
        "base": 24,
        "sweep": 576,
        "test": 24,
        # Every evaluation beside the sweep that the study asks for.
        "evaluate_seeds": 24,
        "evaluate_transfer": 24,
        "evaluate_rank_rules": 24,
        "evaluate_prompts": 24,
        "evaluate_efficacy": 3,
        "evaluate_baselines": 24,
        "gradients": 24,
        "evaluate_choices": 24,
        "landscape": 28,
        "compose_layers": 1,
        "compose_test": 1,
        "evaluate_higher_order": 1,
        "evaluate_perplexity": 1,
        "evaluate_clustered": 2,
    }
    first = cells[0].sides
    assert (first["validation"].examples, first["test"].examples) == (13151, 52606)
    # Two protocols with different low-rank steps: 12 layers, 2 matrices, 9 rhos, each twice.
    assert cells[0].edits == 2 * 12 * 2 * 9
    by_name = {(one.shape.name, one.dataset): one for one in cells}
    assert by_name["gpt-j-6b", "counterfact"].sides["test"].steps == 0
    assert by_name["llama2-7b", "counterfact"].sides["test"].steps == 9
    assert by_name["llama2-7b", "hotpot"].sides["test"].steps == 14
    for one in cells:
        assert one.stage("base").total < one.stage("sweep").total < one.plain.total < 2 * one.released.total


def prepared(tmp_path, plan, scale):
    """Put worldfacts-shaped rows where the plan looks for them; prompts `scale` times 36 characters long."""
    tables = {
        "countries": [
            {"name": f"Country{n}", "capital": f"Capital{n}", "continentcode": "AS", "currencyname": "Dollar",
             "currencycode": f"D{n}", "iso": f"C{n}", "population": 10_000_000}
            for n in range(40)
        ],
        "cities": [],
        "continents": [{"name": "Asia", "code": "AS"}],
    }  # fmt: skip
    examples, _ = build("worldfacts", {}, lambda split: tables[split])
    frame = pd.DataFrame(to_rows(examples))
    frame["prompt"] = "x" * round(36 * scale)
    write_parquet(tmp_path / "data" / plan.data_key("worldfacts") / "rows.parquet", frame, {})
    return frame


def test_prepared_rows_replace_stated_sizes(tmp_path):
    plan = plan_of("quickstart", tmp_path)
    stated = asked(plan, "smollm2-135m", "worldfacts")["validation"]
    frame = prepared(tmp_path, plan, 2)
    found = asked(plan, "smollm2-135m", "worldfacts")
    assert found["validation"].examples == int((frame["split_corrected"] == "validation").sum())
    assert found["validation"].examples + found["test"].examples == len(frame)
    assert found["validation"].pass_tokens == pytest.approx(2 * stated.pass_tokens, rel=0.02)


def test_card_of_a_fetched_model_is_preferred(tmp_path):
    plan = plan_of("quickstart", tmp_path)
    folder = tmp_path / "models" / plan.model_key("smollm2-135m")
    write_json(folder / "card.json", plan.model("smollm2-135m") | {"hidden": 64})
    (folder / "model.safetensors").write_bytes(bytes(1000))
    found = model_shape(plan, "smollm2-135m")
    assert (found.hidden, found.bytes) == (64, 1000)


def test_unknown_sizes_are_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"'mine'.*lacks 'hidden'"):
        shape_of({"name": "mine", "layers": 2, "architecture": "llama", "dtype": "fp32"})
    plan = plan_of("quickstart", tmp_path)
    monkeypatch.setattr(inputs, "read_facts", lambda: {"datasets": {}})
    with pytest.raises(UserError, match=r"worldfacts.*config/cost\.yaml"):
        asked(plan, "smollm2-135m", "worldfacts")


@pytest.mark.parametrize(
    ("architecture", "task", "masked"),
    [("roberta", None, True), ("bert", None, True), ("llama", None, False), ("roberta", "causal", False)],
)
def test_a_model_is_masked_by_its_task_or_without_one_by_its_architecture(architecture, task, masked):
    """As everywhere: what a job asks for and what it is estimated to cost come from one answer."""
    entry = read_yaml(ROOT / "config/models.yaml")["gpt-j-6b"] | {"name": "m", "architecture": architecture}
    entry.pop("task", None)
    entry |= {"task": task} if task else {}
    assert shape_of(entry).masked is masked is is_masked(entry)


def test_naive_engine_costs_more(tmp_path):
    fast_plan, naive_plan = (plan_of("quickstart", tmp_path) for _ in range(2))
    naive_plan.study["engine"] = "naive"
    costs = [cell_cost(one, "smollm2-135m", "worldfacts") for one in (fast_plan, naive_plan)]
    assert costs[1].stage("sweep").total > 2 * costs[0].stage("sweep").total
    assert costs[1].plain.total == pytest.approx(sum(job.work.total for job in costs[1].jobs))


def test_one_job_per_rank_starts_once_per_rank(tmp_path):
    plan = plan_of("quickstart", tmp_path)
    whole = cell_cost(plan, "smollm2-135m", "worldfacts")
    plan.study["one_job_per"] = "rho"
    each = cell_cost(plan, "smollm2-135m", "worldfacts")
    names = [str(job.run) for job in each.jobs if job.stage == "sweep"]
    assert len(names) == 9 * 6 and "sweep/smollm2-135m/worldfacts/layer29-rho0.005.json" in names
    assert each.stage("sweep").total > whole.stage("sweep").total
    device = parse_device("CPU: 0.1 fp32", 0.6)
    started = sum(job_seconds(job, each.shape, device) for job in each.jobs)
    assert started > 60 * 4 + sum(job_seconds(job, whole.shape, device) for job in whole.jobs)


def test_a_dataset_swept_with_another_pays_neither_for_the_start_nor_for_what_both_have(tmp_path):
    plan = plan_of("paper", tmp_path)
    assert plan.together == ["bios_gender", "bios_profession"]
    with_other = [cell_cost(plan, "llama2-7b", name) for name in plan.together]
    del plan.study["sweep_together"]
    alone = [cell_cost(plan, "llama2-7b", name) for name in ("bios_gender", "bios_profession")]
    assert with_other[0].stage("sweep") == alone[0].stage("sweep")
    assert 0.15 < with_other[1].stage("sweep").native / alone[1].stage("sweep").native < 0.35
    assert with_other[1].stage("sweep").randomised == 0 < alone[1].stage("sweep").randomised
    swept = [[job for job in cost.jobs if job.stage == "sweep"] for cost in (*with_other, alone[1])]
    assert [job.run for job in swept[0]] == [job.run for job in swept[1]]
    assert [{job.joins for job in jobs} for jobs in swept] == [{False}, {True}, {False}]
    device = parse_device("X: 8 fp16, 4 fp32", 0.5)
    joined = job_parts(swept[1][0], with_other[1].shape, device)
    assert joined["starting jobs"] == joined["reading checkpoints"] == 0 < joined["products of the models"]


def test_the_parts_of_a_job_are_compared_with_its_one_run(tmp_path):
    ran(tmp_path / "a.json", 30.0)
    (both,) = compare([("sweep", tmp_path / "a.json", 20.0), ("sweep", tmp_path / "a.json", 5.0)])
    assert (both.jobs, both.predicted, both.wall) == (1, 25.0, 30.0)


def test_the_parts_of_a_jobs_time_are_all_of_its_work():
    device, shape_ = parse_device("X: 8 fp16, 4 fp32", 0.5), shape("llama")
    work = Work(native=1e12, single=2e12, decomposition=3e12, randomised=4e12)
    parts = [job_parts(JobCost(stage, "m", "", work, Path("x")), shape_, device) for stage in ("sweep", "reduce")]
    assert all(part > 0 for part in parts[0].values())
    assert parts[1]["reading checkpoints"] == 0 < parts[1]["starting jobs"] < parts[0]["starting jobs"]
    outside = parts[0]["starting jobs"] + parts[0]["reading checkpoints"]
    assert sum(parts[0].values()) - outside == pytest.approx(device.seconds(work, shape_.width, shape_.split))


def ran(path, seconds, processor=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"seconds": seconds, "processor_seconds": processor}))


def test_only_jobs_that_ran_are_compared(tmp_path):
    ran(tmp_path / "a.json", 10.0, 8.0)
    found = compare([("sweep", tmp_path / "a.json", 12.0), ("sweep", tmp_path / "b.json", 99.0)])
    assert found == [Compared("sweep", 1, 1, 12.0, 10.0, 8.0)]
    with pytest.raises(UserError, match="no job"):
        compare([("sweep", tmp_path / "b.json", 99.0)])
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(UserError, match=r"c\.json"):
        compare([("sweep", tmp_path / "c.json", 1.0)])


@pytest.mark.parametrize(("predicted", "within"), [(124.0, True), (126.0, False), (76.0, True), (74.0, False)])
def test_check_holds_base_sweep_and_test_to_a_quarter(predicted, within):
    jobs = [Compared("reduce", 1, 0, 1e6, 1.0, 1.0), Compared("sweep", 1, 0, predicted, 100.0, 90.0)]
    text, verdict = check_text(jobs)
    assert verdict is within
    assert ("NOT within" in text) is not within


def run(*arguments):
    return tool("cost", *arguments)


def test_command_prints_every_cell_and_fails_a_check_that_is_off(tmp_path):
    stated = ["--study", "quickstart", "--cache", str(tmp_path), "--device", "CPU: 0.1 fp32", "--efficiency", "0.6"]
    ran(tmp_path / "run/runs/base/smollm2-135m/worldfacts.json", 1e-3)
    done = run(*stated, "--details", "--check", str(tmp_path / "run"))
    assert done.returncode == 1, done.stderr
    assert "| smollm2-135m | worldfacts |" in done.stdout and "NOT within 25%" in done.stdout
    alone = run(*stated)
    assert alone.returncode == 0 and alone.stdout.count("\n") == 1 and done.stdout.startswith(alone.stdout)
    assert re.fullmatch(
        r"LASER on a laptop: about \S+ hours of one CPU, beside the training of 3 models; "
        r"\S+ GB in the cache, \S+ GB of results\.\n",
        alone.stdout,
    )


def test_a_study_of_varied_models_has_a_cost_before_they_are_trained(tmp_path):
    done = run("--study", "laboratory", "--cache", str(tmp_path), "--device", "CPU: 0.1 fp32")
    assert done.returncode == 0 and "training of 56 models" in done.stdout, done.stderr


def test_command_names_what_is_wrong():
    done = run("--study", "papers")
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: ") and "paper" in done.stderr and "Traceback" not in done.stderr


def test_an_fp32_model_whose_files_are_fp16_is_split(tmp_path):
    plan = plan_of("paper", tmp_path)
    shapes = {name: model_shape(plan, name) for name in plan.models}
    assert {name: one.split for name, one in shapes.items()} == {
        "roberta-base": False, "gpt-j-6b": False, "llama2-7b": True
    }  # fmt: skip
    assert shapes["llama2-7b"].bytes == 2 * shapes["llama2-7b"].parameters
    entry = plan.model("llama2-7b")
    assert shape_of(entry, stored=2 * entry["parameters"]).split
    assert not shape_of(entry, stored=4 * entry["parameters"]).split
    assert not shape_of(entry | {"dtype": "fp16"}, stored=2 * entry["parameters"]).split


def test_what_is_asked_of_a_model_without_a_task_follows_from_its_architecture(tmp_path):
    study = plan_of("paper", tmp_path)
    said = asked(study, "roberta-base", "fever")
    del study.model("roberta-base")["task"]
    assert asked(study, "roberta-base", "fever") == said
