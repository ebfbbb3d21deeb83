"""How many of a layer's edits have a continuation of their own, by layer, from the sweeps of a finished study.

    python -m benchmarks.distinct --results results/quickstart --model cache/models/NAME-KEY --dataset worldfacts

While decoding, edits of one prompt whose tokens agree so far share the layers below the edit (docs/engine.md). For E
edits with D distinct beginnings the share is (D - 1) / (E - 1), averaged over examples and decoded tokens. Beginnings
are those of the stored text, tokenized again.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pandas as pd

from laser.models.tokenizer import load_tokenizer
from laser.tasks.definitions import definition

MLP = ("u_in", "u_gate", "u_out")


def distinct_share(rows: pd.DataFrame, encode: Callable[[str], Sequence[int]], steps: int) -> float:
    """Return the mean share of the further edits whose continuation differs from all others so far; nan without any.

    Args:
        rows: id and prediction, a row per example and edit of one layer.
        encode: turns a text into its tokens.
        steps: tokens that are fed back while decoding.
    """
    shares = []
    for _, predictions in rows.groupby("id")["prediction"]:
        continuations = [tuple(encode(text)) for text in predictions]
        if len(continuations) < 2:
            continue
        for step in range(1, steps + 1):
            beginnings = {tokens[:step] for tokens in continuations}
            shares.append((len(beginnings) - 1) / (len(continuations) - 1))
    return sum(shares) / len(shares) if shares else math.nan


def main() -> None:
    """Parse the command line and print a line per layer: depth from 0 (first) to 1 (last), and the share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder of a finished study")
    parser.add_argument("--model", type=Path, required=True, help="the checkpoint's folder in the cache")
    parser.add_argument("--dataset", required=True, help="a dataset whose answers are generated")
    given = parser.parse_args()
    tokenizer = load_tokenizer(given.model)
    name = given.model.name.rpartition("-")[0]

    @cache
    def encode(text: str) -> tuple[int, ...]:
        return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

    folder = given.results / "sweep" / name / given.dataset
    layers = sorted(folder.glob("layer*"), key=lambda path: int(path.name.removeprefix("layer")))
    if not layers:
        parser.error(f"{folder}: holds no sweep. Give the study's folder, the checkpoint's and the dataset's name.")
    last = int(layers[-1].name.removeprefix("layer"))
    for path in layers:
        rows = pd.concat([pd.read_parquet(file) for file in sorted(path.glob("*.parquet"))])
        share = distinct_share(rows[rows["matrix"].isin(MLP)], encode, definition(given.dataset).new_tokens - 1)
        depth = int(path.name.removeprefix("layer")) / last if last else 0.0
        print(f"{depth:.3f} {share:.3f}")


if __name__ == "__main__":
    main()
