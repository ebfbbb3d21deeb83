"""What jobs ask a cluster for: by the model's size, more at every attempt, in the words of sbatch."""

import itertools
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string

from laser.config.plan import Plan
from laser.config.yaml_files import read_yaml
from laser.cost.demand import STAGES, demand_of
from laser.cost.requests import check_gpus, choose_gpu, request, resource_functions, urgency, working_mb
from laser.cost.shapes import guessed_shape
from laser.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PAPER = ("roberta-base", "gpt-j-6b", "llama2-7b")
TABLE = [
    {"memory_gb": 80, "gpu_model": "h100", "partition": "big", "longest_hours": 24},
    {"memory_gb": 16, "gpu_model": "t4", "partition": "small", "fp32_tflops": 8.1, "fp16_tflops": 65},
    {"memory_gb": 48, "constraint": "l40s", "partition": "middle"},
]


def plan(study="paper", **config):
    return Plan.load(read_yaml(ROOT / "config/config.yaml") | {"study": study} | config, ROOT)


def job(model, dataset="counterfact", layer=0, **more):
    return {"model": model, "dataset": dataset, "layer": str(layer)} | more


@pytest.mark.parametrize("model", PAPER)
@pytest.mark.parametrize("stage", ["base", "sweep", "test_intervention"])
def test_a_job_asks_for_more_than_the_weights_on_gpu_and_host(model, stage):
    study = plan()
    weights = guessed_shape(study.model(model)).weight_bytes / 1e6
    asked = request(study, stage, job(model))
    assert weights + 1000 < asked.gpu_memory_mb < 4 * weights + 5000
    assert 3500 < asked.mem_mb < 11_000, "weights go straight to the GPU"
    on_cpu = request(plan(device="cpu"), stage, job(model))
    assert weights + 1500 < on_cpu.mem_mb


def test_the_papers_models_ask_for_different_gpus():
    study = plan(gpus=TABLE)
    chosen = {model: request(study, "sweep", job(model)).gpu["memory_gb"] for model in PAPER}
    assert chosen == {"roberta-base": 16, "gpt-j-6b": 48, "llama2-7b": 80}
    # Decomposing reads a layer's matrices and never the model.
    assert {request(study, "reduce", job(model)).gpu["memory_gb"] for model in PAPER} == {16}


@pytest.mark.parametrize("model", PAPER)
@pytest.mark.parametrize("stage", ["reduce", "base", "sweep", "test_intervention"])
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_memory_and_time_grow_with_every_attempt(model, stage, device):
    study = plan(device=device)
    attempts = [request(study, stage, job(model), attempt) for attempt in (1, 2, 3)]
    for before, after in itertools.pairwise(attempts):
        assert after.mem_mb > before.mem_mb and after.runtime > before.runtime
        assert after.gpu_memory_mb > before.gpu_memory_mb or device == "cpu"


def test_time_grows_with_rows_with_the_layers_above_and_with_the_ranks():
    study = plan()
    times = [request(study, "sweep", job("llama2-7b", layer=layer)).runtime for layer in (0, 16, 31)]
    assert times == sorted(times, reverse=True) and times[0] > 3 * times[2]
    more = request(study, "sweep", job("llama2-7b")).runtime
    assert more > request(study, "sweep", job("llama2-7b", "truthfulqa")).runtime
    assert more > 3 * request(study, "sweep", job("llama2-7b", rho="0.1")).runtime


def test_a_faster_gpu_and_a_partitions_bound_shorten_the_time():
    slow = request(plan(), "sweep", job("llama2-7b")).runtime
    fast = plan(gpus=[{"memory_gb": 80, "fp32_tflops": 67}])
    bound = plan(gpus=[{"memory_gb": 80, "longest_hours": 5}])
    assert request(fast, "sweep", job("llama2-7b")).runtime < slow / 2
    assert slow > 5 * 60 == request(bound, "sweep", job("llama2-7b"), 2).runtime


def test_a_limit_shortens_the_work():
    study = plan()
    whole = demand_of(study, "base", job("gpt-j-6b")).work.native
    study.dataset("counterfact")["limit"] = 100
    assert 0 < demand_of(study, "base", job("gpt-j-6b")).work.native < whole / 100


def test_the_token_budget_sets_what_is_needed_beside_the_weights():
    shape = guessed_shape(plan().model("gpt-j-6b"))
    assert working_mb(shape, 16384) > 4 * working_mb(shape, 2048) - 4 * 1000


def test_an_entry_without_sizes_is_guessed_from_what_it_has():
    bare = {
        "name": "x",
        "source": {"kind": "local", "path": "x"},
        "dtype": "fp32",
        "architecture": "llama",
        "layers": 24,
    }
    assert guessed_shape(bare).parameters == 200_000_000
    sized = guessed_shape(bare | {"hidden": 4096})
    assert 4e9 < sized.parameters < 6e9 and sized.intermediate == 4 * 4096


@pytest.mark.parametrize(("wanted", "floor", "expected"), [(9_000, 1, 16), (15_500, 1, 48), (90_000, 60_000, 80)])
def test_the_smallest_gpu_that_fits_is_chosen(wanted, floor, expected):
    assert choose_gpu(TABLE, wanted, floor, "a job")["memory_gb"] == expected


def test_an_empty_table_asks_for_any_gpu():
    assert choose_gpu([], 10**9, 10**9, "a job") is None


def test_a_model_that_fits_no_gpu_is_told_before_any_job():
    small = plan(gpus=[{"memory_gb": 24, "gpu_model": "l4"}])
    with pytest.raises(UserError, match=r"'llama2-7b' needs at least 2\d GB .* largest GPU there has 24 GB"):
        check_gpus(small)
    check_gpus(plan(gpus=[{"memory_gb": 40}]))  # in smaller batches


def test_partitions_are_given_for_all_gpus_or_for_none():
    with pytest.raises(UserError, match="some entries have a partition"):
        check_gpus(plan(gpus=[{"memory_gb": 80, "partition": "gpu"}, {"memory_gb": 16}]))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([{"memory": 80}], "unknown key 'memory'"),
        ([{"gpu_model": "a100"}], "lacks the key 'memory_gb'"),
        ([{"memory_gb": 80, "gpu_model": "a100-80"}], "give constraint"),
    ],
)
def test_a_wrong_table_is_one_message(table, expected):
    with pytest.raises(UserError, match=expected):
        plan(gpus=table)


class Wildcards(SimpleNamespace):
    """As Snakemake's: attributes and items()."""

    def items(self):
        return vars(self).items()


def flags(study, stage, wildcards, attempt=1, **profile):
    """Return what the executor plugin gives sbatch for a job."""
    found = dict(profile)
    for name, value in resource_functions(study, stage).items():
        value = value(Wildcards(**wildcards), attempt) if callable(value) else value
        found.pop(name, None)  # a rule's own resource hides the profile's default …
        if value is not None:  # … and one that is None is as if it were not there
            found[name] = value

    class Resources(dict):
        __getattr__ = dict.__getitem__

    one = SimpleNamespace(resources=Resources(found), threads=1)
    partition = f"-p {found['slurm_partition']}" if "slurm_partition" in found else ""
    given = dict.fromkeys(("run_uuid", "slurm_logfile", "comment_str", "account", "workdir"), "")
    given["partition"] = partition
    return get_submit_command(one, given) + set_gres_string(one)


def test_sbatch_is_given_the_sites_own_words():
    study = plan(gpus=TABLE)
    small, middle, big = (flags(study, "sweep", job(model)) for model in PAPER)
    assert "--gpus=t4:1" in small and "-p small" in small and "-C" not in small.split()
    assert "--gpus=1" in middle and "-p middle" in middle and "-C l40s" in middle
    assert "--gpus=h100:1" in big and "-p big" in big
    assert "-t 1440" in flags(study, "sweep", job("llama2-7b"), attempt=2)
    memory = [int(re.search(r"--mem (\d+)", text)[1]) for text in (small, middle, big)]
    assert memory[0] < 5000 and max(memory) < 12_000, "the host never holds a 27 GB model"
    assert all("--cpus-per-task=8" in text for text in (small, middle, big))


def test_without_a_table_one_gpu_of_any_kind_and_the_profiles_partition():
    text = flags(plan(), "sweep", job("gpt-j-6b"), slurm_partition="mine")
    assert "--gpus=1" in text and "-p mine" in text and "-C" not in text.split()


def test_the_cpu_asks_for_no_gpu():
    text = flags(plan(device="cpu", gpus=TABLE), "sweep", job("roberta-base"), slurm_partition="mine")
    assert "--gpus" not in text and "-p mine" in text and "--cpus-per-task=1" in text


RUNS = {
    "landscape": {"grid": {"gpt-j-6b": {"matrices": ["u_in"]}}, "rhos": [0.5, 0.1], "kinds": ["svd", "pruning"]},
    "compose": {"rhos": [0.5, 0.1]},
    "gradient": {"examples": 100},
    "seeds": {"count": 5},
    "prompts": {"rows": 100},
    "higher_order": {"percents": [10, 50, 100]},
    "clustered": {"clusters": [1, 2, 4, 8], "rhos": [0.5, 0.1]},
    "baselines": {"subspaces": 3},
}


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_every_stage_has_its_request(stage):
    study = plan()
    study = Plan(study.study | RUNS, study.config, study.scripts)
    asked = request(study, stage, job("gpt-j-6b"))
    assert 4000 < asked.mem_mb < 60_000 and 30 <= asked.runtime <= 14 * 24 * 60


def test_every_rule_with_a_model_is_a_known_stage():
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    named = re.findall(r"\*\*needs\(\"(\w+)\"\)", text)
    table = re.search(r"^EVALUATIONS = {(.*?)^}", text, re.M | re.S)
    named += re.findall(r"^    \"(\w+)\": \(", table[1], re.M)
    assert {"reduce", "base", "sweep", "test_intervention", "evaluate_seeds"} < set(named)
    assert set(named) == set(STAGES)


def test_the_table_in_the_documentation_is_what_jobs_ask_for():
    text = (ROOT / "docs/cluster.md").read_text()
    rows = re.findall(r"^\| (\S+) \| (reduce|base|sweep|test_intervention) \| (\d+) \| (\d+) \| (\d+) \|$", text, re.M)
    assert {(model, stage) for model, stage, *_ in rows} == set(
        itertools.product(PAPER, ("reduce", "base", "sweep", "test_intervention"))
    )
    for model, stage, *numbers in rows:
        asked = request(plan(), stage, job(model))
        assert [int(one) for one in numbers] == [asked.mem_mb, asked.gpu_memory_mb, asked.runtime], (model, stage)


def test_gpu_memory_is_that_of_the_layers_above_and_of_edited_weights():
    study = plan()

    def on_gpu(model, dataset="counterfact", layer=0, stage="sweep"):
        return request(study, stage, job(model, dataset, layer)).gpu_memory_mb

    # Keys and values of 31 layers fewer: two of 4,096 fp32 numbers for each of 16,384 slots.
    saved = 31 * 2 * 4096 * 4 * 16384 / 1e6
    assert on_gpu("llama2-7b") - on_gpu("llama2-7b", layer=31) == pytest.approx(1.1 * saved, rel=0.01)
    # FEVER is answered from one pass: keys and values are dropped layer by layer.
    assert on_gpu("gpt-j-6b", "fever") == on_gpu("gpt-j-6b", "fever", layer=27) < on_gpu("gpt-j-6b")
    # Under the published protocol 18 edited weights stay on the device.
    both, exact = on_gpu("gpt-j-6b", "fever"), on_gpu("gpt-j-6b", "fever", stage="base")
    assert both - exact == pytest.approx(17 * 4096 * 16384 * 2 / 1e6, abs=1)


def test_counted_memory_against_an_h100s():
    """Full batches, docs/gpu.md: GB above the weights."""
    shapes = {model: guessed_shape(plan().model(model)) for model in ("gpt-j-6b", "llama2-7b")}
    assert working_mb(shapes["gpt-j-6b"], 16384, above=1, slack=1) == pytest.approx(3457, rel=0.15)
    assert working_mb(shapes["llama2-7b"], 16384, above=17, slack=1) == pytest.approx(12437, rel=0.15)


def test_long_jobs_start_first_and_what_they_wait_for_before_them():
    study = plan()
    order = {
        (stage, layer): urgency(study, stage, job("gpt-j-6b") | {"layer": str(layer)})
        for stage in ("reduce", "sweep")
        for layer in (0, 13, 27)
    }
    assert order["sweep", 0] > order["sweep", 13] > order["sweep", 27] > 0
    assert all(order["reduce", layer] > order["sweep", layer] for layer in (0, 13, 27))
    assert urgency(study, "sweep", job("gpt-j-6b")) > urgency(study, "sweep", job("roberta-base"))


def test_a_sweep_of_several_datasets_asks_for_the_time_of_all_and_the_memory_of_one():
    study = plan(device="cuda")
    wildcards = {"model": "gpt-j-6b", "layer": "3"}
    together = request(study, "sweep_together", wildcards)
    alone = [request(study, "sweep", job("gpt-j-6b", name, 3)) for name in study.together]
    assert together.runtime >= max(each.runtime for each in alone)
    assert (together.mem_mb, together.gpu_memory_mb) == (alone[0].mem_mb, alone[0].gpu_memory_mb)
    work = [demand_of(study, "sweep", job("gpt-j-6b", name, 3)).work for name in study.together]
    assert demand_of(study, "sweep_together", wildcards).work == work[0] + work[1]
    assert urgency(study, "sweep_together", wildcards) > max(
        urgency(study, "sweep", job("gpt-j-6b", name, 3)) for name in study.together
    )
    assert urgency(study, "reduce", wildcards) > urgency(study, "sweep_together", wildcards)


def test_what_a_long_test_waits_for_starts_before_short_jobs_of_other_models():
    study = plan("quickstart")

    def priority(stage, model, layer):
        return urgency(study, stage, job(model, "worldfacts", layer))

    waits = [priority(stage, "smollm2-135m", 29) for stage in ("base", "select_intervention", "test_intervention")]
    assert min(waits) > priority("sweep", "lab-gptj", 0)
    assert priority("base", "smollm2-135m", 0) < priority("sweep", "smollm2-135m", 0)
