"""The most probable token by a bf16 screen and by whole fp32 logits: processor time, and tokens scored again.

    PYTHONPATH=workflow/scripts python -m benchmarks.screen MODEL_FOLDER [--texts FILE] [--threads 1]

States are those of the last layer at the tokens of the texts (by default, sentences from this repository's README).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

ROWS = (1, 4, 16, 64, 256)
REPEATS = 5


def processor_ms(call: Callable[[], object]) -> float:
    """Return the least processor time of a call, in ms."""
    call()
    times = []
    for _ in range(REPEATS):
        begun = time.process_time()
        call()
        times.append(time.process_time() - begun)
    return 1000 * min(times)


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from laser.engine.screen import UNSCREENED, candidates, has_bf16_products, most_probable, screen_of

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--texts", type=Path, default=Path("README.md"))
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32)
    ids = torch.tensor([tokenizer.encode(given.texts.read_text(encoding="utf-8"))[: max(ROWS)]])
    states = model.model(ids).last_hidden_state[0]
    screen = screen_of(model.lm_head)
    print(f"bf16 instructions: {has_bf16_products()}; head {tuple(model.lm_head.weight.shape)}")
    print("| states | whole, ms | screen, ms | scored again, per state | judged | of these equal |")
    print("|---|---|---|---|---|---|")
    for rows in ROWS:
        part = states[:rows].contiguous()
        whole, screened = model.lm_head(part).argmax(dim=1), most_probable(screen, part)
        judged = screened != UNSCREENED
        times = [
            processor_ms(lambda part=part: model.lm_head(part).argmax(dim=1)),  # type: ignore[misc]
            processor_ms(lambda part=part: most_probable(screen, part)),  # type: ignore[misc]
        ]
        again = len(candidates(screen, part)[0]) / rows
        equal = int((whole == screened)[judged].sum())
        print(f"| {rows} | {times[0]:.1f} | {times[1]:.1f} | {again:.1f} | {int(judged.sum())} | {equal} |")


if __name__ == "__main__":
    main()
