"""Where the files of a study are: one pattern per kind of file, for rules, jobs and readers alike.

A pattern begins with <results> (the study's folder) or <cache>, which Snakemake knows as path variables, and has the
wildcards of its rule in braces. `Folders` turns patterns into paths; `StudyFiles` also knows the names, keys, layers
and values of ρ of a study, and so returns all files of one kind for some of its (model, dataset) pairs.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from laser.errors import UserError

RESULTS, CACHE = "<results>", "<cache>"

_MODEL = "<cache>/models/{model_key}"
_DATA = "<cache>/data/{data_key}"
_CORPUS = "<cache>/corpora/{corpus_key}"
_POOL = "<cache>/rooms/{pool_key}"
_TEXT = "<cache>/texts/{text_key}"
_CELL = "{model}/{dataset}"
_OF_A_CELL = (
    *("race", "test", "choices", "seeds", "transfer", "rank_rules", "prompts", "higher_order", "perplexity"),
    *("efficacy", "clustered", "baselines"),
)
"""Kinds with one file per model and dataset, in a folder of the kind's name."""

PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        "model": f"{_MODEL}/card.json",
        "training_curve": f"{_MODEL}/training.csv",
        "rows": f"{_DATA}/rows.parquet",
        "dataset": f"{_DATA}/card.json",
        "corpus": f"{_CORPUS}/card.json",
        "facts": f"{_CORPUS}/facts.parquet",
        "sentences": f"{_CORPUS}/sentences.parquet",
        "held_out": f"{_CORPUS}/held_out.parquet",
        "rooms": f"{_POOL}/chunks/{{chunk}}-of-{{chunks}}.parquet",
        "episodes": f"{_POOL}/episodes.parquet",
        "pool": f"{_POOL}/card.json",
        "text": f"{_TEXT}/text.parquet",
        "text_card": f"{_TEXT}/card.json",
        "factors": "<cache>/factors",
        **{kind: f"<results>/{kind}/{_CELL}.parquet" for kind in _OF_A_CELL},
        "reduction": "<results>/reductions/{model}/layer{layer}/rho{rho}.json",
        "base": f"<results>/sweep/{_CELL}/base.parquet",
        "sweep": f"<results>/sweep/{_CELL}/layer{{layer}}/rho{{rho}}.parquet",
        "selection": f"<results>/selection/{_CELL}.json",
        "landscape": f"<results>/landscape/{_CELL}/layer{{layer}}.parquet",
        "gradients": f"<results>/gradients/{_CELL}.json",
        "composition": f"<results>/compose/{_CELL}.json",
        "composed": f"<results>/compose/{_CELL}.parquet",
        "spectra": "<results>/spectra/{model}.json",
        "false_targets": "<results>/false_targets/{dataset}.parquet",
        "export": f"<results>/export/{_CELL}-{{protocol}}-{{form}}/README.md",
        "table": "<results>/tables/{table}.{format}",
        "figure": "<results>/figures/{figure}/{picture}.{format}",
        "report": "<results>/report/index.html",
        "run_report": "<results>/report/run.html",
        "inputs": "<results>/inputs/study.json",
        "manifest": "<results>/manifest.json",
        "run_manifest": "<results>/manifest-run.json",
        "crate": "<results>/ro-crate-metadata.json",
    }
)
"""Kind of file to its pattern."""


def rho_name(rho: float) -> str:
    """Return ρ as it is written in file names: 0.9, 0.05, 0.005."""
    return f"{rho:g}"


def names_in(kind: str) -> tuple[str, ...]:
    """Return the names of the wildcards of a kind of file."""
    return tuple(re.findall(r"{(\w+)}", PATTERNS[kind]))


@dataclass(frozen=True)
class Folders:
    """The two folders that hold all files: the study's results, and the cache that studies share.

    By default they are the placeholders `<results>` and `<cache>`, as Snakemake's rules expect.
    """

    results: str | Path = RESULTS
    cache: str | Path = CACHE

    def path(self, kind: str, **names: Any) -> Path:
        """Return the file of a kind; ρ and layer may be numbers."""
        return Path(self.text(kind, **names))

    def text(self, kind: str, **names: Any) -> str:
        """Return the file of a kind as text; names that are not given stay wildcards."""

        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in names:
                return match.group(0)
            return rho_name(names[name]) if isinstance(names[name], float) else str(names[name])

        below = re.sub(r"{(\w+)}", value, PATTERNS[kind])
        start, _, rest = below.partition("/")
        return f"{self.results if start == RESULTS else self.cache}/{rest}"

    def each(self, kind: str, **names: Any) -> list[str]:
        """Return the files of a kind for every combination of names; each name is one value or a sequence of them."""
        lists = [value if isinstance(value, list | tuple | range) else [value] for value in names.values()]
        return [self.text(kind, **dict(zip(names, values, strict=True))) for values in itertools.product(*lists)]


@dataclass(frozen=True)
class ModelFiles:
    """What the paths of a model's files are made of.

    Attributes:
        name: as in the study.
        key: its folder in the cache.
        layers, landscape_layers: the layers of the sweep and of the landscape.
        corpus_key: the folder of its corpus, for a model that the pipeline trains on one.
    """

    name: str
    key: str
    layers: list[int]
    landscape_layers: list[int] = field(default_factory=list)
    corpus_key: str | None = None


@dataclass(frozen=True)
class DatasetFiles:
    """A dataset's name in the study, and its folder in the cache."""

    name: str
    key: str


@dataclass(frozen=True)
class StudyFiles:
    """All files of one study, by kind and (model, dataset).

    Attributes:
        models, datasets: in the study's order.
        rhos: the sweep's values of ρ, largest first.
        folders: where the files are.
    """

    models: tuple[ModelFiles, ...]
    datasets: tuple[DatasetFiles, ...]
    rhos: tuple[float, ...]
    folders: Folders = Folders()

    def paths(self, kind: str, cells: Iterable[Sequence[str]] | None = None) -> list[str]:
        """Return the files of one kind, each once, for some (model, dataset) pairs or for all, in the study's order.

        A kind whose pattern names no dataset has one file per model (and per layer and ρ, if it names them); a kind
        whose pattern names no model has one file per dataset. For corpora, only trained models have files.
        """
        wanted = self.cells() if cells is None else cells
        return list(dict.fromkeys(path for model, dataset in wanted for path in self.of_cell(kind, model, dataset)))

    def of_cell(self, kind: str, model: str, dataset: str) -> list[str]:
        """Return the files of one kind of one model and dataset."""
        of_model, of_dataset = _named(self.models, model), _named(self.datasets, dataset)
        if "corpus_key" in names_in(kind) and of_model.corpus_key is None:
            return []
        values: dict[str, Any] = {
            "model": model,
            "dataset": dataset,
            "model_key": of_model.key,
            "data_key": of_dataset.key,
            "corpus_key": of_model.corpus_key,
            "layer": of_model.landscape_layers if kind == "landscape" else of_model.layers,
            "rho": self.rhos,
        }
        return self.folders.each(kind, **{name: values[name] for name in names_in(kind)})

    def cells(self) -> list[tuple[str, str]]:
        """Return all (model, dataset) pairs, models first."""
        return [(model.name, dataset.name) for model in self.models for dataset in self.datasets]

    def spec(self) -> dict[str, Any]:
        """Return what a job's spec must hold so that the job finds the same files (`from_spec`)."""
        return {
            "models": [asdict(model) for model in self.models],
            "datasets": [asdict(dataset) for dataset in self.datasets],
            "rhos": list(self.rhos),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], results: str | Path, cache: str | Path) -> StudyFiles:
        """Return the files that `spec` describes, below real folders."""
        return cls(
            tuple(ModelFiles(**entry) for entry in spec["models"]),
            tuple(DatasetFiles(**entry) for entry in spec["datasets"]),
            tuple(spec["rhos"]),
            Folders(results, cache),
        )


def _named(entries: Sequence[Any], name: str) -> Any:
    for entry in entries:
        if entry.name == name:
            return entry
    raise UserError(f"'{name}' is not in the study. It has: {', '.join(entry.name for entry in entries)}.")
