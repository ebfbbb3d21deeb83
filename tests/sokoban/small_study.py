"""A study of a policy that is made in seconds: few small rooms, a tiny decision transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

POOL = {"source": "generated", "height": 6, "width": 6, "boxes": [1, 2], "count": 240, "seed": 3,
        "evaluation_share": 0.25, "max_nodes": 5000, "chunks": 2}  # fmt: skip
TRAINING = {"steps": 30, "batch": 16, "learning_rate": 0.003, "warm_up": 5, "save_every": 10, "record_every": 5,
            "symmetries": True, "seed": 1}  # fmt: skip

ARTEFACTS = ["table2", "table3", "table4", "table5", "stability", "power", "size", "fig2", "fig6", "fig7", "solved",
             "film"]  # fmt: skip


def source(**changes: Any) -> dict[str, Any]:
    """Return the source of a tiny policy."""
    made: dict[str, Any] = {
        "kind": "trained",
        "family": "decision_transformer",
        "layers": 2,
        "hidden": 16,
        "intermediate": 24,
        "heads": 2,
        "pool": "few",
        "encoding": "grid",
        "context": 3,
        "timesteps": 8,
        "training": dict(TRAINING),
    }
    return made | changes


def entry(name: str = "tiny-policy", **changes: Any) -> dict[str, Any]:
    """Return the entry of a tiny policy."""
    own = source(**changes)
    known = {"dtype": "fp32", "architecture": "decision_transformer", "task": "policy", "layers": own["layers"]}
    return {"name": name, "source": own, **known, "play": {"target_return": 10, "step_limit": 12}}


def settings(**changes: Any) -> dict[str, Any]:
    """Return the settings of the study."""
    made: dict[str, Any] = {
        "title": "A tiny policy",
        "protocols": ["corrected"],
        "pools": {"few": dict(POOL)},
        "models": [entry()],
        "datasets": [{"name": "sokoban", "options": {"pool": "few"}}],
        "grid": {"matrices": ["q", "o", "u_in"], "layers": "all", "rhos": [0.5, 0.1]},
        "resamples": 200,
        "artefacts": ARTEFACTS,
    }
    return made | changes


def write(folder: Path, **changes: Any) -> Path:
    """Write the study's file and return its path."""
    path = folder / "tiny-sokoban.yaml"
    path.write_text(yaml.safe_dump(settings(**changes), sort_keys=False), encoding="utf-8")
    return path
