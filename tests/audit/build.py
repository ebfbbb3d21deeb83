"""The small study that the tests of the audit look at; `tests.workflow.one_process.build` makes it."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests import made_up, tiny

NAME = "small"
ARTEFACTS = (
    *("table1", "table3", "table4", "table5", "verdicts", "paraphrase", "topk", "stability", "size"),
    *(
        "compose",
        "seeds",
        "transfer",
        "transfer_map",
        "baselines",
        "rank_rules",
        "edges",
        "prompts",
        "fig2",
        "fig3b",
        "fig3c",
        "fig4",
        "fig7",
        "fig8",
        "fig9",
    ),
)


def write_study(folder: Path) -> Path:
    """Write a study of one tiny model under the name of the paper's on two datasets, one of them the paper's."""
    model = tiny.checkpoint(folder / "gptj", "gptj")
    study = {
        "title": "A study that takes seconds",
        "protocols": ["published", "corrected"],
        "models": [tiny.entry("gpt-j-6b", model, "gptj")],
        "datasets": [
            {"name": "worldfacts", "options": {"minimum_population": 120_000_000}},
            {"name": "counterfact", "sources": made_up.sources(folder, "counterfact")},
        ],
        "grid": {"matrices": ["u_in", "u_out"], "layers": "all", "rhos": [0.5, 0.1]},
        "figures": {"datasets": ["worldfacts"]},
        "compose": {"rhos": [0.5, 0.1], "datasets": ["worldfacts"]},
        "seeds": {"count": 3, "datasets": ["worldfacts"]},
        "transfer": {},
        "rank_rules": {"datasets": ["worldfacts"]},
        "prompts": {"rows": 20, "datasets": ["worldfacts"]},
        "baselines": {"subspaces": 2, "datasets": ["worldfacts"]},
        "resamples": 260,
        "artefacts": list(ARTEFACTS),
    }
    path = folder / f"{NAME}.yaml"
    path.write_text(yaml.safe_dump(study))
    return path
