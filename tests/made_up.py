"""Made-up rows of the paper's eight datasets, in the hub's field names, for a workflow that needs no data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAMES = ("Ana", "Bo", "Cem", "Dee", "Eli", "Fay", "Gus", "Hua", "Ira", "Jo", "Kai", "Lea")
PROFESSIONS = (11, 20, 5, 12, 26, 1, 14, 21)


def _counterfact(place: int, name: str) -> dict[str, Any]:
    targets = [{"str": text} for text in ("French", "Thai")]
    rewrite = {
        "prompt": "{} speaks",
        "subject": name,
        "target_true": targets[place % 2],
        "target_new": targets[~place % 2],
    }
    return {"case_id": place, "requested_rewrite": rewrite, "paraphrase_prompts": [f"{name} talks in", f"In {name}'s"]}


def _truthfulqa(place: int, name: str) -> dict[str, Any]:
    return {
        "question": f"What does {name} know?",
        "mc2_targets": {"choices": [f"{name} knows all", f"{name} knows it.", "Nothing"], "labels": [1, 0, place % 2]},
    }


def _bios(place: int, name: str) -> dict[str, Any]:
    text = f"{name} works in a small town . " * 4
    return {"hard_text": text, "gender": place % 2, "profession": PROFESSIONS[place % len(PROFESSIONS)]}


def _epistemic(place: int, name: str) -> dict[str, Any]:
    target = ("entailment", "non-entailment")[place % 2]
    return {"inputs": f"Premise: {name} sees. Hypothesis: {name} knows.\nRelation:", "targets": [target]}


MAKERS = {
    "counterfact": (_counterfact, ("train",)),
    "hotpot": (lambda place, name: {"question": f"Who is {name}", "answer": NAMES[-place]}, ("train", "validation")),
    "fever": (lambda place, name: {"claim": f"{name} is tall", "label": place % 2}, ("paper_dev", "paper_test")),
    "bios_gender": (_bios, ("dev",)),
    "bios_profession": (_bios, ("dev",)),
    "truthfulqa": (_truthfulqa, ("validation",)),
    "epistemic_reasoning": (_epistemic, ("validation", "train")),
    "qa_wikidata": (
        lambda place, name: {"inputs": f"{name} is from", "targets": [NAMES[-place]]},
        ("validation", "train"),
    ),
}


def sources(folder: Path, dataset: str) -> list[dict[str, Any]]:
    """Write made-up rows of a dataset below `folder`; return the sources of an entry that reads them."""
    make, splits = MAKERS[dataset]
    files = {}
    for number, split in enumerate(splits):
        path = folder / f"{dataset}-{split}.jsonl"
        names = [f"{name}{number}" for name in NAMES]
        path.write_text("".join(json.dumps(make(place, name)) + "\n" for place, name in enumerate(names)))
        files[split] = str(path)
    return [{"kind": "local", "files": files}]
