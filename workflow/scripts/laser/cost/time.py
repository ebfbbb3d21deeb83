"""From operations to seconds: speed of a device, stated or measured, and comparison with the times of a run."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from laser.cost.operations import Work
from laser.errors import UserError
from laser.io.files import read_json

GEMM_SHARE = 0.71
"""The engine's operations per second over those of one large product, on one thread: benchmarks.sweep, docs/cost.md."""
CPU_DECOMPOSITION = 0.75
"""The same for LAPACK's decomposition of 1536 x 576, by `decomposition_work`: measured, docs/cost.md."""
GPU_DECOMPOSITION = 0.13
"""Share of a GPU's fp32 peak that an exact decomposition reaches, checks included: measured on an H100, docs/gpu.md."""
GPU_RANDOMISED = 0.2
"""The same for a randomised decomposition."""
SPLIT_SHARE = 0.064
"""Share of a GPU's fp16 peak that the engine's split products of an fp32 model reach: measured with Llama 2 7B's
shape on an H100, layer 15, decoding, a token budget of 16,384, docs/gpu.md."""
START_SECONDS = 4.5
"""Seconds that starting one job takes: Python, torch and a small model; measured, docs/cost.md."""
FORK_SECONDS = 0.3
"""The same for jobs that are forks (`laser.cluster.forks`); measured, docs/cost.md."""
CPU_START_SECONDS = FORK_SECONDS if sys.platform == "linux" else START_SECONDS
"""The same for jobs on this machine's CPU."""
LOAD_BYTES_PER_SECOND = 1e9
"""Speed of reading a checkpoint: assumed."""
NUMBER = r"([0-9]+(?:\.[0-9]+)?)"


@dataclass(frozen=True)
class Device:
    """Speed of a device. Peaks in operations per second, bandwidth in bytes per second.

    Attributes:
        name: for the reader.
        half, single: peak of products in fp16 or bf16, and in fp32.
        bandwidth: memory bandwidth; None if it was not given.
        efficiency: share of the peak that the engine's products reach.
        decomposition: share of the fp32 peak that decompositions reach.
        randomised: operations per second of the randomised decompositions.
        start: seconds that starting one job takes.
    """

    name: str
    half: float
    single: float
    bandwidth: float | None
    efficiency: float
    decomposition: float
    randomised: float
    start: float = START_SECONDS

    def seconds(self, work: Work, width: int, split: bool = False) -> float:
        """Return the time in seconds of some work for a model of `width` bytes a weight; `split` as in `Shape`."""
        native = (self.half if width == 2 else self.single) * self.efficiency
        if split:
            native = max(native, self.half * SPLIT_SHARE)
        return (
            work.native / native
            + work.single / (self.single * self.efficiency)
            + work.decomposition / (self.single * self.decomposition)
            + work.randomised / self.randomised
        )


def gpu_device(name: str, half: float, single: float, bandwidth: float | None, efficiency: float) -> Device:
    """Return a GPU with the measured shares of its fp32 peak for decompositions."""
    return Device(name, half, single, bandwidth, efficiency, GPU_DECOMPOSITION, GPU_RANDOMISED * single)


def parse_device(text: str, efficiency: float) -> Device:
    """Read a device such as "A100: 312 TFLOP/s fp16, 19.5 fp32, 2039 GB/s".

    Args:
        text: name, then the fp32 peak in TFLOP/s and optionally those of fp16 and the memory's bandwidth.
        efficiency: share of the peak.
    """
    name, _, facts = text.partition(":")
    peaks = {unit: re.search(f"{NUMBER}( TFLOP/s)? {unit}", facts) for unit in ("fp16", "fp32")}
    bandwidth = re.search(f"{NUMBER} GB/s", facts)
    if peaks["fp32"] is None or float(peaks["fp32"][1]) == 0:
        raise UserError(
            f"--device is '{text}': give its peaks as in 'A100: 312 TFLOP/s fp16, 19.5 fp32, 2039 GB/s'. Only the "
            "fp32 peak must be there, and be more than 0."
        )
    if not 0 < efficiency <= 1:
        raise UserError(f"--efficiency is {efficiency}: give a share of the peak, above 0 and at most 1.")
    single = float(peaks["fp32"][1]) * 1e12
    half = float(peaks["fp16"][1]) * 1e12 if peaks["fp16"] and float(peaks["fp16"][1]) else single
    bytes_per_second = float(bandwidth[1]) * 1e9 if bandwidth and float(bandwidth[1]) else None
    return gpu_device(name.strip(), half, single, bytes_per_second, efficiency)


def measured_device(threads: int, jobs: int) -> Device:
    """Measure a large fp32 product on this CPU while `jobs` processes of `threads` threads run it at once.

    They run at once because jobs of a study do: cores share caches, memory and their clock.
    """
    code = f"from laser.cost.time import large_product; print(large_product({threads}, 2.0))"
    folder = str(Path(__file__).resolve().parents[2])
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, text=True)
        for _ in range(jobs)
    ]
    rates = [float(process.communicate()[0] or "nan") for process in started]
    if any(process.returncode for process in started):
        raise UserError("this CPU's speed could not be measured; the message above says why. Give --device instead.")
    rate = sum(rates) / jobs
    name = f"this CPU ({jobs} jobs of {threads} thread{'s' if threads > 1 else ''} at {rate / 1e9:.0f} GFLOP/s each)"
    return Device(name, rate, rate, None, GEMM_SHARE, CPU_DECOMPOSITION, rate * GEMM_SHARE, CPU_START_SECONDS)


def large_product(threads: int | None = None, seconds: float | None = None) -> float:
    """Return operations per second of a 2048-cubed fp32 product.

    Args:
        threads: number of torch's threads; None leaves it unchanged.
        seconds: measure for this long and return the median rate by processor time of each thread, so that other work
            on the same cores counts little; None returns the best of five by wall-clock time.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)

    def now() -> float:
        return time.perf_counter() if seconds is None else time.process_time() / torch.get_num_threads()

    left, right = torch.ones(2048, 2048), torch.ones(2048, 2048)
    times: list[float] = []
    while len(times) < 5 or (seconds is not None and sum(times) < seconds):
        start = now()
        left @ right
        times.append(now() - start)
    return 2 * 2048**3 / (min(times) if seconds is None else statistics.median(times))


@dataclass(frozen=True)
class Compared:
    """Predicted and measured seconds of one stage, over the jobs that were measured.

    Attributes:
        stage: the rule's name.
        jobs: how many jobs have a file in runs/.
        missing: how many have none.
        predicted, wall, processor: seconds, without the start of Python and its libraries; the last two from runs/.
    """

    stage: str
    jobs: int
    missing: int
    predicted: float
    wall: float
    processor: float


def compare(predictions: Iterable[tuple[str, Path, float]]) -> list[Compared]:
    """Compare predictions with the runs of a study.

    Args:
        predictions: (stage, file of its run, predicted seconds) of every job, or of each part of one.

    Raises:
        UserError: no job has run, or a run cannot be read.
    """
    jobs_of: dict[tuple[str, Path], float] = {}
    for stage, path, seconds in predictions:
        jobs_of[stage, path] = jobs_of.get((stage, path), 0.0) + seconds
    stages: dict[str, list[tuple[float, float, float] | None]] = {}
    for (stage, path), seconds in jobs_of.items():
        measured = _measured(path)
        stages.setdefault(stage, []).append(None if measured is None else (seconds, *measured))
    result = []
    for stage, jobs in stages.items():
        done = [stage for stage in jobs if stage is not None]
        predicted, wall, processor = (sum(stage[column] for stage in done) for column in range(3))
        result.append(Compared(stage, len(done), len(jobs) - len(done), predicted, wall, processor))
    if not any(stage.jobs for stage in result):
        raise UserError("--check: no job of the study has a run there. Give results/<study> of a finished run.")
    return result


def _measured(path: Path) -> tuple[float, float] | None:
    """Return seconds and processor seconds of a job's run, or None if there is no file."""
    if not path.is_file():
        return None
    try:
        run = read_json(path)
        return float(run["seconds"]), float(run["processor_seconds"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is not the run of a job ({error!r}). Delete it and run the job again.") from error
