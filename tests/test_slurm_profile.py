"""slurm/profile.yaml: Snakemake takes a misspelt rule, key or resource in a profile without a word; this does not."""

import copy
import re
from pathlib import Path

import pytest
import snakemake_executor_plugin_slurm as plugin
import snakemake_executor_plugin_slurm_jobstep as jobstep
import yaml
import yte
from snakemake.cli import get_argument_parser
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from laser.config.plan import Plan
from laser.cost.requests import resource_functions

ROOT = Path(__file__).resolve().parents[1]
PROFILE = ROOT / "slurm/profile.yaml"
RULE_FILES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]

# What Snakemake itself knows as a resource, and what our rules have for the reader.
OWN_RESOURCES = {"mem", "mem_mb", "mem_mib", "disk", "disk_mb", "disk_mib", "tmpdir", "runtime", "gpu_memory_mb"}
BY_RULE = ("set-resources", "set-threads", "groups", "consider-ancient")
FORBIDDEN = {
    "slurm-array-jobs": "array jobs hang and delete good files",
    "groups": "one failed member deletes the finished files of all",
    "group-components": "one failed member deletes the finished files of all",
    "slurm-requeue": "SLURM would run a job again with the memory that it had",
    "cores": "it bounds what a job may use on its node",
}


def rules() -> set[str]:
    return {
        name for path in RULE_FILES for name in re.findall(r"^ *(?:rule|checkpoint) (\w+):", path.read_text(), re.M)
    }


def options() -> set[str]:
    """All long options of this Snakemake with the installed executors."""
    found = {word for action in get_argument_parser()._actions for word in action.option_strings}
    return {word.removeprefix("--") for word in found if word.startswith("--")}


def resources() -> set[str]:
    """All resources that the SLURM executor reads, from its source."""
    text = "".join(path.read_text() for one in (plugin, jobstep) for path in Path(one.__path__[0]).glob("*.py"))
    read = set(re.findall(r"resources\.get\(\s*[\"'](\w+)[\"']", text))
    assert {"slurm_partition", "slurm_account", "gpu", "gpu_model", "constraint", "mem_mb", "runtime", "qos"} <= read
    return read | OWN_RESOURCES


def problems(profile: dict) -> list[str]:
    """Return all that is wrong with a profile's keys, rules and resources."""
    found = [f"unknown key {key}" for key in profile if key not in options()]
    found += [f"{key}: {why}" for key, why in FORBIDDEN.items() if profile.get(key)]
    for key in BY_RULE:
        found += [f"{key}: unknown rule {name}" for name in profile.get(key) or {} if name not in rules()]
    blocks = {"default-resources": profile.get("default-resources") or {}, **(profile.get("set-resources") or {})}
    for where, block in blocks.items():
        if not isinstance(block, dict):
            found.append(f"{where}: resources are a mapping")
            continue
        found += [f"{where}: unknown resource {name}" for name in block if name not in resources()]
        if int(block.get("mem_mb", 400)) < 400:
            found.append(f"{where}: mem_mb below 400 does not hold the Snakemakes inside a job")
    return found


def read(text: str) -> dict:
    profile = yte.process_yaml(text, require_use_yte=True)
    assert isinstance(profile, dict)
    return profile


@pytest.fixture
def profile(monkeypatch):
    for name in ("SBATCH_ACCOUNT", "SBATCH_PARTITION"):
        monkeypatch.delenv(name, raising=False)
    return read(PROFILE.read_text())


def with_examples(text: str) -> str:
    """Return the profile's text with its examples taken out of their comments."""
    return re.sub(r"^(\s*)# (set-resources:$|  \w+: \{|slurm_\w+: )", r"\1\2", text, flags=re.M)


def test_nothing_is_unknown_or_forbidden(profile):
    assert problems(profile) == []


def test_nor_in_its_examples():
    text = with_examples(PROFILE.read_text())
    examples = read(text)
    assert set(examples["set-resources"]) == {"reduce", "base", "sweep", "test_intervention"}
    assert "slurm_account" in examples["default-resources"] and "slurm_partition" in examples["default-resources"]
    assert problems(examples) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda one: one.update({"defualt-resources": {}}), "unknown key defualt-resources"),
        (lambda one: one.update({"slurm-log-dir": "x"}), "unknown key slurm-log-dir"),
        (lambda one: one.update({"set-resources": {"sweeps": {"mem_mb": 4000}}}), "unknown rule sweeps"),
        (lambda one: one.update({"set-threads": {"reduces": 4}}), "unknown rule reduces"),
        (lambda one: one.update({"set-resources": {"sweep": {"gpus": 1}}}), "sweep: unknown resource gpus"),
        (lambda one: one.update({"set-resources": {"sweep": {"mem_mb": 200}}}), "sweep: mem_mb below 400"),
        (lambda one: one["default-resources"].update({"slurm_partitoin": "gpu"}), "unknown resource slurm_partitoin"),
        (lambda one: one["default-resources"].update({"mem_mb": 300}), "default-resources: mem_mb below 400"),
        (lambda one: one.update({"set-resources": {"sweep": 4000}}), "sweep: resources are a mapping"),
        (lambda one: one.update({"slurm-array-jobs": "all"}), "slurm-array-jobs: array jobs hang"),
        (lambda one: one.update({"groups": {"sweep": "points"}}), "groups: one failed member"),
        (lambda one: one.update({"slurm-requeue": True}), "slurm-requeue: SLURM would"),
    ],
)
def test_each_mistake_is_found(profile, change, problem):
    changed = copy.deepcopy(profile)
    change(changed)
    assert any(problem in one for one in problems(changed)), problems(changed)


def test_snakemake_and_the_executor_take_every_value(profile):
    arguments = get_argument_parser([str(PROFILE)]).parse_args([])
    assert (arguments.executor, arguments.scheduler, arguments.retries) == ("slurm", "greedy", 2)
    assert arguments.keep_going and arguments.show_failed_logs
    settings = ExecutorPluginRegistry().get_plugin("slurm").get_settings(arguments)
    assert settings.status_command == "squeue" and settings.no_requeue and not settings.requeue
    assert settings.array_jobs is None
    assert str(settings.logdir) == profile["slurm-logdir"] and settings.keep_successful_logs
    # squeue forgets a job after MinJobAge; the executor asks at least every 180 s, and leaves squeue below this bound.
    assert 3 * settings.init_seconds_before_status_checks > 180
    # An unanswered question takes seconds; the controller may be away for half an hour.
    assert settings.status_attempts >= 300


def test_account_and_partition_come_from_slurms_own_variables(monkeypatch):
    monkeypatch.setenv("SBATCH_ACCOUNT", "chemistry")
    monkeypatch.setenv("SBATCH_PARTITION", "gpu")
    own = read(PROFILE.read_text())["default-resources"]
    assert (own["slurm_account"], own["slurm_partition"]) == ("chemistry", "gpu")
    assert own["mem_mb"] >= 400 and own["runtime"] > 0


def test_rules_neither_retry_nor_group_and_name_known_resources():
    for path in RULE_FILES:
        text = path.read_text()
        assert not re.search(r"^\s+(retries|group):", text, re.M), path
        for block in re.findall(r"^    resources:\n((?:        .*\n|\n)+)", text, re.M):
            assert set(re.findall(r"^        (\w+)=", block, re.M)) <= resources(), path


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_functions_of_the_rules_name_known_resources(device):
    gpus = [{"memory_gb": 80, "gpu_model": "h100", "constraint": "fast", "partition": "gpu"}]
    plan = Plan.load(
        {
            "study": "quickstart",
            "cache": "cache",
            "results": "results",
            "device": device,
            "threads": 1,
            "node_local": "",
        }
        | {"gpus": gpus},
        ROOT,
    )
    named = set(resource_functions(plan, "sweep"))
    assert {"mem_mb", "runtime", "gpu"} <= named <= resources()


def test_the_default_profile_beside_it_has_what_every_run_needs_alone():
    # It is merged on top of this one, and would replace whole blocks of it.
    assert not (ROOT / "workflow/profiles").exists()
    files = [path.relative_to(ROOT / "profiles").as_posix() for path in (ROOT / "profiles").rglob("*.yaml")]
    assert files == ["default/profile.yaml"]
    assert yaml.safe_load((ROOT / "profiles/default/profile.yaml").read_text()) == {
        "rerun-incomplete": True,
        "quiet": ["reason"],
    }
    # A config.yaml there would be read as a second profile; study.yaml is the profile's configuration of the workflow.
    assert sorted(path.name for path in PROFILE.parent.glob("*.yaml")) == ["profile.yaml", "study.yaml"]
