"""Made-up result files of the evaluations beside the sweep, added to the study of `synthetic`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from laser.io.files import read_json, read_parquet, read_spec, write_json, write_parquet
from tests.artefacts.synthetic import LAYERS, MATRICES, PROTOCOLS, RHOS, Study, scored

BEST = {"matrix": "u_in", "layer": max(LAYERS), "rho": min(RHOS), "kept_rank": 40}
OTHER = {"matrix": "u_out", "layer": 2, "rho": 0.1, "kept_rank": 4}


def spec_of(study: Study, number: int) -> dict:
    """Return the spec of the study's cell `number`, as its test file carries it, without what the run added."""
    found = read_spec(study.tests[number])
    return {key: value for key, value in found.items() if key not in ("chosen", "run")}


def rows_of(study: Study, number: int) -> pd.DataFrame:
    """Return the prepared rows of a cell's dataset."""
    name = spec_of(study, number)["dataset"]["name"]
    return read_parquet(next(path for path in study.rows if name in str(path)))


def labelled(study: Study, number: int, folder: str, parts: dict, extra: dict) -> Path:
    """Write one file of test rows: `parts` maps a tuple of label values to (accuracy, loss), `extra` joins the spec.

    The key `names` of `extra` holds the labels' names.
    """
    spec, examples = spec_of(study, number), rows_of(study, number)
    names = extra.pop("names")
    frames = []
    for protocol in PROTOCOLS:
        test = examples[examples[f"split_{protocol}"] == "test"]
        for salt, (labels, (accuracy, loss)) in enumerate(parts.items()):
            own = scored(test, accuracy, loss, [9, salt, number])
            for at, (name, value) in enumerate({"protocol": protocol, **dict(zip(names, labels, strict=True))}.items()):
                own.insert(at, name, value)
            frames.append(own)
    path = study.folder / f"{folder}/{spec['model']['name']}/{spec['dataset']['name']}.parquet"
    write_parquet(path, pd.concat(frames, ignore_index=True), spec | extra)
    return path


def choices(study: Study, number: int, accuracy: float = 0.6) -> Path:
    places = {protocol: {"published": OTHER, "gradient": BEST} for protocol in PROTOCOLS}
    cost = {"evaluations": 6, "exhaustive_evaluations": 18, "examples": 10, "validation_examples": 24}
    parts = {("published",): (accuracy, 2.8), ("gradient",): (0.62, 2.5)}
    extra = {"choices": places, "search": dict.fromkeys(PROTOCOLS, cost), "names": ["choice"]}
    return labelled(study, number, "choices", parts, extra)


def gradients(study: Study, number: int) -> Path:
    spec = spec_of(study, number)
    places = [
        {"matrix": matrix, "layer": layer, "order": 0, "score": 0.0, "predicted": [{"rho": rho} for rho in RHOS]}
        for layer in sorted(LAYERS, reverse=True)
        for matrix in MATRICES
    ]
    found = {"examples": [{"id": str(number)} for number in range(10)], "places": places}
    path = study.folder / f"gradients/{spec['model']['name']}/{spec['dataset']['name']}.json"
    write_json(path, {"spec": spec, "protocols": dict.fromkeys(PROTOCOLS, found)})
    return path


def seeds(study: Study, number: int, place: dict = BEST, accuracies=(0.60, 0.62, 0.64)) -> Path:
    parts = {(seed,): (accuracy, 2.5) for seed, accuracy in enumerate(accuracies)}
    said = dict.fromkeys(PROTOCOLS, place | {"kind": "randomised", "niter": 2, "source": "selected"})
    return labelled(study, number, "seeds", parts, {"intervention": said, "names": ["seed"]})


def transfer(study: Study, number: int) -> Path:
    """Write rows at `OTHER`, which is the generic choice; whose choice the others are follows from the selections."""
    own = spec_of(study, number)["model"]["name"]
    selections = [found for found in map(read_json, study.selections) if found["model"] == own]
    said = {
        protocol: {
            "chosen_on": {found["dataset"]: found["protocols"][protocol]["chosen"] for found in selections},
            "generic": {"chosen": OTHER, "gain": 0.25, "candidates": 18},
        }
        for protocol in PROTOCOLS
    }
    at = {key: OTHER[key] for key in ("matrix", "layer", "rho")}
    parts = {tuple(at.values()): (0.7, 2.0)}
    for protocol in PROTOCOLS:
        chosen = said[protocol]["chosen_on"][spec_of(study, number)["dataset"]["name"]]
        if chosen is None:
            # Another dataset's choice is then not its own, and has its rows here.
            parts |= {("u_in", BEST["layer"], BEST["rho"]): (0.6, 2.5)}
    return labelled(study, number, "transfer", parts, {"transferred": said, "names": list(at)})


def prompts(study: Study, number: int, gains=(0.15, 0.1, -0.1)) -> Path:
    names = ["original", *(f"variant {place}" for place in range(1, len(gains)))]
    parts = {}
    for name, gain in zip(names, gains, strict=True):
        parts |= {(name, "base"): (0.5, 3.0), (name, "laser"): (0.5 + gain, 3.0)}
    return labelled(
        study, number, "prompts", parts, {"variants": dict.fromkeys(names, "x"), "names": ["variant", "arm"]}
    )


def composed(study: Study, number: int, accuracies=(0.5, 0.65, 0.75)) -> tuple[Path, Path]:
    """Write a search that accepts an edit per step, and its test rows."""
    spec = spec_of(study, number)
    edits = [BEST, OTHER][: len(accuracies) - 1]
    base = {"accuracy": 50.0, "loss": 3.0, "n": 24}
    steps = [edit | {"accuracy": 60.0 + at, "loss": 2.5, "n": 24, "accepted": True} for at, edit in enumerate(edits)]
    steps.append(OTHER | {"layer": 0, "accuracy": 40.0, "loss": 4.0, "n": 24, "accepted": False})
    found = {"base": base, "steps": steps, "chosen": edits}
    path = study.folder / f"compose/{spec['model']['name']}/{spec['dataset']['name']}.json"
    names = {"model": spec["model"]["name"], "dataset": spec["dataset"]["name"], "rule": "greedy"}
    write_json(path, names | {"spec": spec, "protocols": dict.fromkeys(PROTOCOLS, found)})
    parts = {(step,): (accuracy, 3.0 - step / 5) for step, accuracy in enumerate(accuracies)}
    extra = {"chosen": dict.fromkeys(PROTOCOLS, edits), "names": ["step"]}
    return path, labelled(study, number, "compose", parts, extra)


def perplexity(study: Study, number: int, windows: int = 30, cost: float = 0.05) -> Path:
    """Write windows of 100 tokens, about 2 nats a token; `input` costs `cost` nats a token more, `output` nothing."""
    spec = spec_of(study, number)
    draw = np.random.default_rng(3)
    nll = 100 * (2 + 0.3 * draw.standard_normal(windows))
    frames = []
    for protocol in PROTOCOLS:
        for arm, more in (("base", 0.0), ("input", cost), ("output", 0.0)):
            frame = {"protocol": protocol, "arm": arm, "document": 0, "window": range(windows), "tokens": 100}
            frames.append(pd.DataFrame(frame | {"nll": nll + 100 * more}))
    arms = {"base": None, "input": BEST, "output": OTHER}
    path = study.folder / f"perplexity/{spec['model']['name']}/{spec['dataset']['name']}.parquet"
    extra = {"text": "pile-validation", "window": 128, "stride": 64, "arms": dict.fromkeys(PROTOCOLS, arms)}
    write_parquet(path, pd.concat(frames, ignore_index=True), spec | extra)
    return path


def with_phrasings(study: Study) -> None:
    """Give the rows of worldfacts their phrasing: three per group, in order."""
    for path in study.rows:
        frame = read_parquet(path)
        if "worldfacts" in str(path):
            frame["phrasing"] = pd.array(frame.groupby("group").cumcount(), dtype="Int32")
        write_parquet(path, frame, read_spec(path))


def with_grid(study: Study) -> None:
    """Make the selection files those of the rule applied to the sweep, with the grid in their specs."""
    from laser.evaluation.select import select

    kept = {(matrix, layer, rho): 1 for matrix in MATRICES for layer in LAYERS for rho in RHOS}
    for path, base in zip(study.selections, study.bases, strict=True):
        old = read_json(path)
        swept = pd.concat([read_parquet(one) for one in study.sweeps[old["model"], old["dataset"]]])
        protocols = select(read_parquet(base), swept, list(MATRICES), kept)
        spec = old["spec"] | {"grid": {"matrices": list(MATRICES), "layers": list(LAYERS), "rhos": list(RHOS)}}
        write_json(path, old | {"protocols": protocols, "spec": spec})
