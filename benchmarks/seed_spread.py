"""How far a draw of the randomised SVD lies from the exact one, for config/claims.yaml, from a study's sweep.

    PYTHONPATH=workflow/scripts python -m benchmarks.seed_spread results/pocket --datasets fever qa_wikidata

The study has run under both protocols, whose low-rank steps are the released randomised one and the exact one. Name
datasets on which both judge answers alike. For every intervention (matrix, layer, ρ) that is at least as good as base
on validation rows, by accuracy or by loss, this compares the rows that both protocols validate on and on which base is
judged alike. It prints the share of rows whose answer changes from right to wrong or back, and the standard deviation
of the mean loss, estimated from the median of its absolute change.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

COLUMNS = ["protocol", "matrix", "layer", "rho", "id", "correct", "loss"]
PLACE = ["matrix", "layer", "rho"]
NORMAL_MEDIAN = 0.6745
"""Median of the absolute value of a standard normal variable."""


def changes(cell: Path) -> pd.DataFrame:
    """Return, for each intervention, the share of rows that change, their number, and the change in the mean loss."""
    base = pd.read_parquet(cell / "base.parquet", columns=["protocol", "id", "correct", "loss"])
    judged = base.pivot(index="id", columns="protocol", values="correct").dropna()
    alike = judged.index[judged["published"] == judged["corrected"]]
    swept = pd.concat([pd.read_parquet(path, columns=COLUMNS) for path in sorted(cell.glob("layer*/rho*.parquet"))])
    reference = base[base["protocol"] == "corrected"]
    means = swept[swept["protocol"] == "corrected"].groupby(PLACE)[["correct", "loss"]].mean()
    good = (means["correct"] >= reference["correct"].mean()) | (means["loss"] <= reference["loss"].mean())
    rows = swept[swept["id"].isin(alike)].pivot(index=[*PLACE, "id"], columns="protocol", values=["correct", "loss"])
    rows = rows.dropna().astype("float64")
    change = pd.DataFrame(
        {name: rows[name, "published"] - rows[name, "corrected"] for name in ("correct", "loss")}
    ).groupby(PLACE)
    shares = change["correct"].agg(lambda values: (values != 0).mean())
    return pd.DataFrame({"changed": shares, "n": change.size(), "loss": change["loss"].mean()})[good]


def main() -> None:
    """Print the spreads of every dataset, and of all together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of a study's results")
    parser.add_argument("--datasets", nargs="+", required=True)
    given = parser.parse_args()
    parts = {
        dataset: pd.concat(
            [changes(path.parent) for path in sorted(given.results.glob(f"sweep/*/{dataset}/base.parquet"))]
        )
        for dataset in given.datasets
    }
    for name, part in (parts | {"all": pd.concat(parts.values())}).items():
        spread = part["loss"].abs().median() / NORMAL_MEDIAN
        share = (part["changed"] * part["n"]).sum() / part["n"].sum()
        print(f"{name}: {len(part)} places, {share:.4f} of the rows change, loss {spread:.3f} nats")


if __name__ == "__main__":
    main()
