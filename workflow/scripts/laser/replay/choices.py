"""What a study's files say about choices, made again from its other files: whose they are, and which rows they have.

Searches that scored rows with a model are repeated with the scores on file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from laser.evaluation.compose import search, worth
from laser.evaluation.rank_rules import ruled
from laser.evaluation.seeds import place_to_draw
from laser.evaluation.transfer import distinct, further, transferred
from laser.io.files import read_json, read_parquet, read_spec
from laser.reduction.interventions import kept_rank
from laser.reduction.rank_rules import edge, noise

Compared = tuple[str, Any, Any]
"""Where in a file, what it has, and what it must have."""

SITE = ("matrix", "layer", "rho", "kept_rank")
LABELS = ["protocol", "matrix", "layer", "rho"]
RERUN = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 5e-2}
"""Largest difference of a mean loss between two runs, nats, by precision: other batches sum in another order."""

TIED = {"fp32": 0.005, "fp16": 0.03, "bf16": 0.03}
"""Largest share of rows that may be right in one run and wrong in another (near ties), by precision."""

EFFECTIVE = 1e-6
"""Largest relative difference between the effective ranks of a reduction's record and of a spectrum."""


class Results:
    """A study's folder and settings.

    Attributes:
        folder: the study's folder.
        study: the study's settings.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.study: dict[str, Any] = read_json(folder / "inputs/study.json")

    def selected(self, model: str, dataset: str) -> dict[str, Any]:
        """Return the protocols of a selection file."""
        return dict(read_json(self.folder / f"selection/{model}/{dataset}.json")["protocols"])

    def shapes(self, model: str, layer: int) -> dict[str, Any]:
        """Return the records of a layer's matrices at the first ρ of the grid."""
        rho = float(self.study["rhos"][0])
        return dict(read_json(self.folder / f"reductions/{model}/layer{layer}/rho{rho:g}.json")["matrices"])

    def groups(self, path: str, labels: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return the different labels of a file's rows."""
        frame = read_parquet(self.folder / path, list(labels))
        return sorted(frame.drop_duplicates().itertuples(index=False, name=None))

    def ids(self, path: str, protocol: str, **labels: str) -> list[str]:
        """Return the ids of some rows of a file."""
        frame = read_parquet(self.folder / path, ["protocol", *labels, "id"])
        for name, value in {"protocol": protocol, **labels}.items():
            frame = frame[frame[name] == value]
        return list(frame["id"])


def _transfer(results: Results, path: str, model: str, dataset: str) -> Iterator[Compared]:
    names = [name for each, name in results.study["transfer"]["cells"] if each == model]
    selections = {name: results.selected(model, name) for name in names}
    matrices = results.study["grid"][model]["matrices"]
    expected = {each: transferred(selections, dataset, matrices, each) for each in results.study["protocols"]}
    yield "spec.transferred", read_spec(results.folder / path)["transferred"], expected
    yield from _rows(results, path, {name: further(choices, dataset) for name, choices in expected.items()})


def _rank_rules(results: Results, path: str, model: str, dataset: str) -> Iterator[Compared]:
    grid, selected = results.study["grid"][model], results.selected(model, dataset)
    spectra = read_json(results.folder / f"spectra/{model}.json")["matrices"]
    expected = {
        name: ruled(selected[name], spectra, grid["matrices"], results.study["rhos"], name)
        for name in results.study["protocols"]
    }
    yield "spec.ruled", read_spec(results.folder / path)["ruled"], expected
    chosen = {name: [choice["chosen"] for choice in choices.values()] for name, choices in expected.items()}
    yield from _rows(results, path, {name: distinct(each, selected[name]["chosen"]) for name, each in chosen.items()})


def _rows(results: Results, path: str, wanted: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Compared]:
    parts = [(name, *(each[key] for key in SITE[:3])) for name, choices in wanted.items() for each in choices]
    yield "interventions", results.groups(path, LABELS), sorted(parts)


def _spectra(results: Results, path: str, model: str) -> Iterator[Compared]:
    described = read_json(results.folder / path)["matrices"]
    grid = results.study["grid"][model]
    places = [(layer, matrix) for layer in grid["layers"] for matrix in grid["matrices"]]
    yield "matrices", [(each["layer"], each["matrix"]) for each in described], places
    for each in described:
        record, shape = results.shapes(model, each["layer"])[each["matrix"]], each["shape"]
        expected = {
            "shape": record["shape"],
            "above": min(max(each["above"], 0), min(shape)),
            "noise": _held(each["noise"], noise([each["median"]], shape), 1e-9),
            "edge": _held(each["edge"], edge([each["median"]], shape), 1e-9),
            "effective_rank": _held(each["effective_rank"], record["effective_rank"], EFFECTIVE),
        }
        yield f"{each['matrix']} of layer {each['layer']}", {key: each[key] for key in expected}, expected


def _held(value: float, expected: float, relative: float) -> float:
    """Return `value` if it is close enough to `expected`, else `expected`."""
    return value if math.isclose(value, expected, rel_tol=relative) else expected


def _composition(results: Results, path: str, model: str, dataset: str) -> Iterator[Compared]:
    content, chosen = read_json(results.folder / path), {}
    for protocol in results.study["protocols"]:
        search, where = content["protocols"][protocol], f"protocols.{protocol}"
        selected = results.selected(model, dataset)[protocol]
        again = _followed(results, model, search, selected, content["spec"]["model"]["dtype"])
        chosen[protocol] = again["chosen"]
        yield (
            f"{where}: keys, and number of steps",
            [*search, len(search["steps"])],
            [*sorted(again), len(again["steps"])],
        )
        yield f"{where}.base", search["base"], again["base"]
        for number, (step, followed) in enumerate(zip(search["steps"], again["steps"], strict=False)):
            for key in sorted(step.keys() | followed.keys()):
                yield f"{where}.steps[{number}].{key}", step.get(key), followed.get(key)
        yield f"{where}.chosen", search["chosen"], again["chosen"]
    rows = path.removesuffix(".json") + ".parquet"
    yield f"choices tested in {rows}", read_spec(results.folder / rows)["chosen"], chosen
    steps = [(protocol, step) for protocol, edits in chosen.items() for step in range(len(edits) + 1)]
    yield f"steps tested in {rows}", results.groups(rows, ["protocol", "step"]), sorted(steps)


def _followed(
    results: Results, model: str, found: Mapping[str, Any], selected: Mapping[str, Any], dtype: str
) -> dict[str, Any]:
    """Return one protocol's search, run again with the scores of the candidates on file."""
    grid, settings = results.study["grid"][model], results.study["compose"]
    matrices = settings.get("matrices", grid["matrices"])
    alone = {tuple(each[key] for key in SITE[:3]): each for each in selected["candidates"]}
    base = _near(found["base"], selected["validation"]["base"], dtype)
    tried = {(step["layer"], step["matrix"]): step["candidates"] for step in found["steps"]}
    accepted: list[tuple[int, str, float]] = []

    def evaluate(layer: int, matrix: str) -> list[dict[str, Any]]:
        record = results.shapes(model, layer).get(matrix)
        scored = {each["rho"]: each for each in tried[layer, matrix]}
        candidates = []
        for rho in settings["rhos"]:
            scores, single = scored[rho], alone.get((matrix, layer, rho))
            # Before anything is accepted, a candidate is the sweep's own single edit.
            scores = _near(scores, single, dtype) if single and not accepted else scores
            kept = {"kept_rank": kept_rank(rho, record["shape"])} if record else {}
            candidates.append(scores | kept | {"n": base["n"]})
        return candidates

    places = [(layer, matrix) for layer in sorted(grid["layers"], reverse=True) for matrix in matrices]
    steps = search(base, places, evaluate, lambda *site: accepted.append(site))
    chosen = [{key: step[key] for key in SITE} for step in steps if step["accepted"]]
    return {"base": base, "chosen": chosen, "steps": steps}


def _near(scores: dict[str, Any], other: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """Return scores if they agree with those of another run as closely as two runs do, else those of the other run."""
    rows = max(1, math.floor(TIED[dtype] * other["n"]))
    right = abs(scores["accuracy"] - other["accuracy"]) <= 100 * (rows + 1e-6) / other["n"]
    first, second = (math.inf if each["loss"] is None else each["loss"] for each in (scores, other))
    near = right and (first == second or abs(first - second) <= RERUN[dtype]) and scores["n"] == other["n"]
    return scores if near else scores | {key: other[key] for key in ("accuracy", "loss", "n")}


def _seeds(results: Results, path: str, model: str, dataset: str) -> Iterator[Compared]:
    spec = read_spec(results.folder / path)
    for protocol, selected in results.selected(model, dataset).items():
        place, source = place_to_draw(spec.get("published_choice"), selected)
        written = spec["intervention"][protocol]
        site = {key: place[key] for key in SITE if key in place}
        yield f"spec.intervention.{protocol}", written, written | site | {"source": source}


def _clustered(results: Results, path: str, model: str, dataset: str) -> Iterator[Compared]:
    settings, spec = results.study["clustered"], read_spec(results.folder / path)
    labels = ["protocol", "split", "clusters", "rho"]
    frame = read_parquet(results.folder / path, [*labels, "id", "correct", "loss"])
    for protocol, selected in results.selected(model, dataset).items():
        place = selected["chosen"] or selected["candidates"][0]
        yield f"spec.places.{protocol}", spec["places"][protocol], {key: place[key] for key in ("matrix", "layer")}
        ids = results.ids(f"sweep/{model}/{dataset}/base.parquet", protocol)[: settings.get("rows")]
        scores = {}
        for count in settings["clusters"]:
            for rho in settings["rhos"]:
                of_it = {"protocol": protocol, "split": "validation", "clusters": count, "rho": float(rho)}
                part = frame[(frame[labels] == pd.Series(of_it)).all(axis=1)]
                yield f"{protocol}, {count} clusters, rho {rho:g}: validation rows", list(part["id"]), ids
                loss = None if part["loss"].isna().any() else round(float(part["loss"].mean()), 9)
                accuracy = round(100 * float(part["correct"].mean()), 9)
                scores[count, float(rho)] = worth({"accuracy": accuracy, "loss": loss})
        chosen = spec["chosen"][protocol]
        key = chosen["clusters"], float(chosen["rho"])
        yield f"spec.chosen.{protocol}: accuracy and minus loss", scores.get(key), max(scores.values())
        parts = [(protocol, "validation", *each) for each in scores] + [(protocol, "test", *key)]
        mine = [each for each in results.groups(path, labels) if each[0] == protocol]
        yield f"{protocol}: what is scored and what is tested", mine, sorted(parts)
        ids = results.ids(f"test/{model}/{dataset}.parquet", protocol, arm="base")
        yield f"{protocol}: test rows", results.ids(path, protocol, split="test"), ids


def _efficacy(results: Results, path: str, model: str, dataset: str) -> Iterator[Compared]:
    frame = read_parquet(results.folder / path, ["protocol", "arm", "id", "logprob"])
    targets = read_parquet(results.folder / f"false_targets/{dataset}.parquet", ["id"])
    known = set(targets["id"]) - set(read_spec(results.folder / path)["run"]["left_out"])
    yield "log-probabilities above 0", int((frame["logprob"] > 0).sum()), 0
    arms = [(protocol, arm) for protocol in results.study["protocols"] for arm in ("base", "laser")]
    yield "arms", results.groups(path, ["protocol", "arm"]), sorted(arms)
    for protocol, arm in arms:
        ids = results.ids(f"test/{model}/{dataset}.parquet", protocol, arm="base")
        wanted = [name for name in ids if name in known]
        yield f"{protocol}, {arm}: rows with a false target", results.ids(path, protocol, arm=arm), wanted


AGAIN: Mapping[str, Callable[..., Iterator[Compared]]] = {
    "transfer/*/*.parquet": _transfer,
    "rank_rules/*/*.parquet": _rank_rules,
    "spectra/*.json": _spectra,
    "compose/*/*.json": _composition,
    "seeds/*/*.parquet": _seeds,
    "clustered/*/*.parquet": _clustered,
    "efficacy/*/*.parquet": _efficacy,
}
"""Pattern of files to the function that makes their content again; it takes the names in their paths."""


def compared(results: Results) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield file, place, what it has and what it must have, for all files of the study that hold choices."""
    for pattern, compare in AGAIN.items():
        for path in sorted(results.folder.glob(pattern)):
            inner = path.relative_to(results.folder).as_posix()
            try:
                for comparison in compare(results, inner, *inner.rpartition(".")[0].split("/")[1:]):
                    yield inner, *comparison
            except Exception as error:  # a file of the study may hold anything
                yield inner, "made again", f"{type(error).__name__}: {error}", "a file that can be"
