"""Time, memory and accuracy of the exact decomposition, beside the released code's randomised one.

    PYTHONPATH=workflow/scripts python -m benchmarks.reduce [--json] [--shapes 1024x256] [--threads 1] [--device cpu]

Every shape runs in its own process, on a seeded random matrix. `seconds_exact` is one `exact_svd`, its checks included:
it serves every rho. `seconds_randomised` is one `torch.svd_lowrank` (no oversampling, niter 2, on the CPU) for each of
the nine rhos that the released code sweeps, since it decomposes anew for each. `working_mib` is how much the process's
peak memory grew during the exact one (its result u, s, vt included); on CUDA it is the device's peak. Time grows as
m·n² (n the smaller side), memory as m·n: 16384 × 4096 takes 64 times the time and 16 times the memory of
4096 × 1024.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from multiprocessing.queues import Queue
from typing import Any

RATIOS = (0.9, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05, 0.01, 0.005)


def measure(shape: tuple[int, int], threads: int, device: str, queue: Queue[dict[str, Any]]) -> None:
    """Put the measurements of one shape into `queue`; run in its own process."""
    import torch

    from laser.reduction.interventions import kept_rank
    from laser.reduction.svd import check, exact_svd

    torch.set_num_threads(threads)
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    exact_svd(weight[:64, :64])  # libraries load at the first call
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    before = _peak_mib(device)
    started = _now(device)
    factors = exact_svd(weight)
    exact = _now(device) - started
    grown = _peak_mib(device) - before
    cpu_weight = weight.cpu()
    started = time.perf_counter()
    for rho in RATIOS:
        torch.svd_lowrank(cpu_weight, q=kept_rank(rho, shape), niter=2)
    randomised = time.perf_counter() - started
    queue.put(
        {
            "shape": list(shape),
            "threads": threads,
            "device": device,
            "seconds_exact": exact,
            "seconds_randomised": randomised,
            "working_mib": grown,
            "matrix_mib": weight.numel() * 4 / 2**20,
            **check(factors, weight),
        }
    )


def _now(device: str) -> float:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()


def _peak_mib(device: str) -> float:
    """Return the peak memory so far, in MiB: of the device, or of this process."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    """Run all shapes and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["1024x256", "2048x512", "4096x1024"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    rows = []
    for text in arguments.shapes:
        rows_count, columns = map(int, text.split("x"))
        queue: Queue[dict[str, Any]] = context.Queue()
        worker = context.Process(
            target=measure, args=((rows_count, columns), arguments.threads, arguments.device, queue), daemon=True
        )
        worker.start()
        worker.join()
        if worker.exitcode:
            raise SystemExit(f"{text}: the process ended with code {worker.exitcode}")
        rows.append(queue.get())
    if arguments.json:
        print(json.dumps({"reduce": rows}, indent=2))
        return
    for row in rows:
        print(
            f"{row['shape'][0]:>6} x {row['shape'][1]:<5} exact {row['seconds_exact']:7.2f} s, randomised (9 rhos) "
            f"{row['seconds_randomised']:7.2f} s, working memory {row['working_mib']:6.0f} MiB (matrix "
            f"{row['matrix_mib']:.0f}), residual {row['residual']:.1e}, "
            f"orthogonality {max(row['orthogonality_u'], row['orthogonality_v']):.1e}"
        )


if __name__ == "__main__":
    main()
