import os

import pytest
import torch

from laser.errors import UserError
from laser.io.machine import GIVEN_BY
from laser.models import device
from laser.models.device import ALLOCATOR, gpu_given_by, pin_precision, precision_facts, resolve_device


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in (*GIVEN_BY, ALLOCATOR, "NVIDIA_TF32_OVERRIDE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize("name", GIVEN_BY)
def test_a_job_that_was_given_a_gpu_and_sees_none_stops_at_once(name, monkeypatch):
    monkeypatch.setenv(name, "1")
    with pytest.raises(UserError, match=f"given a GPU .{name}=1.*torch {torch.__version__.split('+')[0]}"):
        resolve_device("auto")
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "value"),
    [("CUDA_VISIBLE_DEVICES", ""), ("CUDA_VISIBLE_DEVICES", "-1"), ("CUDA_VISIBLE_DEVICES", "NoDevFiles"),
     ("SLURM_GPUS_ON_NODE", "0"), ("SLURM_JOB_GPUS", " ")],
)  # fmt: skip
def test_a_job_without_a_gpu_runs_on_the_cpu(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    assert gpu_given_by() is None
    assert resolve_device("auto") == torch.device("cpu")


def test_the_message_says_what_the_driver_says(monkeypatch, tmp_path):
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed because it could not talk to the driver'\nexit 9\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert "could not talk to the driver" in device.seen()
    with pytest.raises(UserError, match="could not talk to the driver"):
        resolve_device("cuda")
    monkeypatch.setenv("PATH", "/nowhere")
    assert "there is no nvidia-smi" in device.seen()


def test_what_the_environment_asks_for_is_overruled(monkeypatch):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    torch.set_float32_matmul_precision("medium")
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = True
    pin_precision()
    facts = precision_facts(torch.device("cuda"))
    assert facts["tf32"] is False
    assert facts["reduced_precision_sums"] is False
    assert facts["attention_kernels"] == ["efficient", "flash", "math"]
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    torch.set_float32_matmul_precision("high")
    assert precision_facts(torch.device("cuda"))["tf32"] is True
    pin_precision()


def test_an_allocator_that_is_configured_stays_so(monkeypatch):
    resolve_device("auto")
    assert os.environ[ALLOCATOR] == "expandable_segments:True"
    monkeypatch.setenv(ALLOCATOR, "max_split_size_mb:128")
    resolve_device("auto")
    assert os.environ[ALLOCATOR] == "max_split_size_mb:128"


def test_a_cpu_has_none_of_it():
    assert precision_facts(torch.device("cpu")) == {}
