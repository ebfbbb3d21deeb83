"""Files of the shared cache and of the repository that a study copies, so that it can be checked without either."""

from __future__ import annotations

from pathlib import Path

from laser.config.evaluations import LABORATORY
from laser.config.plan import Plan
from laser.config.rules import NAME as RULES
from laser.io.files import sha256_file

CACHED = ("card.json", "record.json", "run.json")
"""Files of every folder of the cache: what is in it, what made it, and when and where that ran."""


def copies(plan: Plan) -> dict[str, str]:
    """Return the files that are copied: path below <results>/inputs/ to path below <cache>/."""
    sources: dict[str, str] = {}

    def add(target: str, source: str, *names: str) -> None:
        sources.update({f"{target}/{name}": f"{source}/{name}" for name in (*CACHED, *names)})

    for name in plan.datasets:
        add(f"data/{name}", f"data/{plan.data_key(name)}", "rows.parquet")
    for name in plan.models:
        trained, curve = plan.is_trained(name), plan.is_trained(name) or plan.is_policy(name)
        add(f"models/{name}", f"models/{plan.model_key(name)}", *(["training.csv"] if curve else []))
        if trained:
            corpus = f"corpora/{plan.corpus_key(name)}"
            add(corpus, corpus, "facts.parquet")
    for key in plan.pool_keys:
        add(f"rooms/{key}", f"rooms/{key}")
    if "perplexity" in plan.study["artefacts"] and plan.study["perplexity"]["corpus"] != LABORATORY:
        add(f"texts/{plan.text_key()}", f"texts/{plan.text_key()}")
    return sources


def all_copies(plan: Plan) -> list[str]:
    """Return all files below <results>/inputs/ except study.json."""
    published = [f"published/{name}" for name in published_copies(plan)]
    return [*copies(plan), *count_copies(plan), *published, *(f"workflow/{name}" for name in workflow_copies(plan))]


def count_copies(plan: Plan) -> dict[str, str]:
    """Return the user's files of training frequencies: path below <results>/inputs/ to the given path."""
    return {f"counts/{name}{Path(file).suffix}": file for name, file in plan.study["counts"].items()}


def published_copies(plan: Plan) -> list[str]:
    """Return the names of the files with the paper's numbers, copied from config/published/ to inputs/published/."""
    return sorted(path.name for path in (plan.root / "config/published").glob("*.csv"))


def workflow_copies(plan: Plan) -> dict[str, str]:
    """Return the sha256 of the workflow's rules, scripts, citation and margins, by path in the repository."""
    root = plan.root
    files = [
        root / "Snakefile",
        root / "CITATION.cff",
        root / RULES,
        *(root / "rules").rglob("*.smk"),
        *plan.scripts.glob("*.py"),
    ]
    return {path.relative_to(root).as_posix(): sha256_file(path) for path in sorted(files)}
