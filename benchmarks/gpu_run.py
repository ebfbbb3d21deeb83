"""One run of the GPU benchmark: steps that write what they found, timing, and differences of answers."""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from laser.tasks.passes import Answers

GIGA = 1e9
TERA = 1e12


@dataclass
class Run:
    """One run of the benchmark.

    Attributes:
        device: where it runs.
        toy: whether shapes are tiny, for a check on a CPU.
        out: the output file.
        deadline: on the clock of `time.monotonic`, in seconds.
        steps: what was found, by step.
        kept: what later steps need of earlier ones.
    """

    device: torch.device
    toy: bool
    out: Path | None
    deadline: float
    steps: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def cuda(self) -> bool:
        """Whether a GPU is measured."""
        return self.device.type == "cuda"

    def write(self) -> None:
        """Write the file anew."""
        if self.out is not None:
            self.out.write_text(json.dumps(self.steps, indent=1, default=str) + "\n", encoding="utf-8")

    def step(self, name: str, seconds: float, work: Callable[[Run, dict[str, Any]], None]) -> None:
        """Run a step that fills the mapping it is given, unless less than `seconds` are left."""
        found: dict[str, Any] = {}
        self.steps[name] = {"found": found}
        left = self.deadline - time.monotonic()
        if left < seconds:
            found["skipped"] = f"{left:.0f} s are left, {seconds:.0f} are planned"
            self.write()
            return
        start = time.monotonic()
        try:
            work(self, found)
        except Exception as error:
            found["error"] = repr(error)[:400]
            found["trace"] = traceback.format_exc()[-1200:]
        self.steps[name] |= {"seconds": round(time.monotonic() - start, 2), "planned": seconds}
        if self.cuda:
            torch.cuda.empty_cache()
        self.write()
        print(name, json.dumps(self.steps[name], default=str)[:900], flush=True)


def timed(device: torch.device, work: Callable[[], Any], repeat: int = 3) -> float:
    """Return the median seconds of `work`, after one run that warms up."""
    times = []
    for _ in range(repeat + 1):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[repeat // 2]


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def gaps(left: Iterable[Answers], right: Iterable[Answers]) -> dict[str, Any]:
    """Return the largest and the median difference of log-probabilities, and how many continuations differ."""
    differences: list[float] = []
    differing = count = 0
    for expected, answers in zip(left, right, strict=True):
        for a, b in zip(expected.passes, answers.passes, strict=True):
            differences += [abs(x - y) for x, y in zip(a.logprobs, b.logprobs, strict=True)]
        for a_tokens, b_tokens in zip(expected.generations, answers.generations, strict=True):
            count += 1
            differing += a_tokens != b_tokens
    differences.sort()
    return {
        "largest_nats": differences[-1] if differences else 0.0,
        "median_nats": differences[len(differences) // 2] if differences else 0.0,
        "continuations": count,
        "continuations_that_differ": differing,
        "finite": all(map(math.isfinite, differences)),
    }
