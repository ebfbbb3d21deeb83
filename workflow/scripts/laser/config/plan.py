"""The plan of one study: its models, datasets and evaluations, and the folders of the cache that they use.

`laser.config.jobs` makes the specs of its jobs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laser.config.artefacts import declared
from laser.config.evaluations import FILES, LABORATORY, RUNS, task_of
from laser.config.fingerprint import code_fingerprint, unused_modules
from laser.config.own_rows import BUILDERS, file_hashes
from laser.config.paths import DatasetFiles, Folders, ModelFiles, StudyFiles
from laser.config.pools import is_policy, pool_key
from laser.config.searches import RACING, searches_by
from laser.config.variants import facts
from laser.config.yaml_files import read_yaml
from laser.errors import UserError
from laser.io.files import canonical_json, digest, read_json, sha256_file
from laser.paper.published import read_published


@dataclass(frozen=True)
class Plan:
    """One study with its configuration. All paths are relative to the working directory, as Snakemake expects.

    Attributes:
        study: the resolved study (`laser.config.study.load_study`).
        config: the checked config/config.yaml.
        scripts: the folder of the rule scripts.
    """

    study: dict[str, Any]
    config: dict[str, Any]
    scripts: Path

    @classmethod
    def load(cls, values: dict[str, Any], root: Path) -> Plan:
        """Load the study that the configuration names. Raises UserError for anything that is not allowed."""
        # Imported late: code that is given a plan needs no models of settings.
        from laser.config.study import load_config, load_study

        config = load_config(values, root)
        study = load_study(config["study"], root, Path(config["cache"]), config.get("accept_terms", ()))
        return cls(study, config, root / "workflow/scripts")

    @property
    def root(self) -> Path:
        """The folder of the repository."""
        return self.scripts.parents[1]

    @property
    def results(self) -> str:
        """The folder of the study's results."""
        return f"{self.config['results']}/{self.study['name']}"

    @property
    def models(self) -> list[str]:
        """Names of the study's models, in its order."""
        return [entry["name"] for entry in self.study["models"]]

    @property
    def datasets(self) -> list[str]:
        """Names of the study's datasets, in its order."""
        return [entry["name"] for entry in self.study["datasets"]]

    @property
    def rhos(self) -> list[float]:
        """The study's values of ρ, largest first."""
        return self.study["rhos"]

    @property
    def files(self) -> StudyFiles:
        """The study's files, as Snakemake's rules name them: below <results> and <cache>."""
        landscape = self.study.get("landscape", {}).get("grid", {})
        models = [
            ModelFiles(
                name,
                self.model_key(name),
                self.layers(name),
                landscape.get(name, {}).get("layers", []),
                self.corpus_key(name) if self.is_trained(name) else None,
            )
            for name in self.models
        ]
        datasets = [DatasetFiles(name, self.data_key(name)) for name in self.datasets]
        return StudyFiles(tuple(models), tuple(datasets), tuple(self.rhos), Folders())

    @property
    def together(self) -> list[str]:
        """Names of the datasets whose sweeps of a layer are one job; empty if every sweep is a job of its own."""
        return self.study.get("sweep_together", [])

    @property
    def alone(self) -> list[str]:
        """Names of the other datasets."""
        return [name for name in self.datasets if name not in self.together]

    def model(self, name: str) -> dict[str, Any]:
        """Return a model's entry."""
        return _named(self.study["models"], name)

    def dataset(self, name: str) -> dict[str, Any]:
        """Return a dataset's entry."""
        return _named(self.study["datasets"], name)

    def layers(self, model: str) -> list[int]:
        """Return the layers that the grid has for a model."""
        return self.study["grid"][model]["layers"]

    def model_key(self, name: str) -> str:
        """Return the name of a model's folder in the cache: its name and a hash of where it comes from."""
        return f"{name}-{digest(self.model(name)['source'], 8)}"

    def data_key(self, name: str) -> str:
        """Return the name of a dataset's folder in the cache."""
        return f"{name}-{digest(self.dataset(name), 8)}"

    def model_of_key(self, key: str) -> str:
        """Return the model whose folder in the cache has this name."""
        return next(name for name in self.models if self.model_key(name) == key)

    def dataset_of_key(self, key: str) -> str:
        """Return the dataset whose folder in the cache has this name."""
        return next(name for name in self.datasets if self.data_key(name) == key)

    def cells(self) -> list[tuple[str, str]]:
        """Return all (model, dataset) pairs of the study, models first."""
        return [(model, dataset) for model in self.models for dataset in self.datasets]

    def cells_of(self, run: str) -> list[tuple[str, str]]:
        """Return the (model, dataset) pairs of an evaluation (`laser.config.evaluations`) or of the figures."""
        return [(model, dataset) for model, dataset in self.study.get(run, {}).get("cells", [])]

    def evaluated(self) -> dict[str, list[tuple[str, str]]]:
        """Return the kinds of files (`laser.config.paths`) that the study's tables rest on, each with its cells."""
        cells = self.cells()
        kinds = dict.fromkeys(("reduction", "sweep", "base", "selection", "test"), cells)
        if searches_by(self.study, RACING):
            kinds["race"] = cells
        needed = {declared()[artefact].needs for artefact in self.study["artefacts"]}
        for evaluation in RUNS:
            if evaluation in needed:
                kinds |= dict.fromkeys(FILES.get(evaluation, (evaluation,)), self.cells_of(evaluation))
        return kinds

    def quantised(self, models: Iterable[str]) -> dict[str, str]:
        """Return how the weights of models were quantised before they came here; other models are left out."""
        entries = {name: self.model(name) for name in models}
        return {name: entry["quantised_before"] for name, entry in entries.items() if "quantised_before" in entry}

    def is_trained(self, model: str) -> bool:
        """Return True if the pipeline trains the model itself, on a corpus of sentences."""
        return bool(self.model(model)["source"]["kind"] == "trained") and not self.is_policy(model)

    def is_policy(self, model: str) -> bool:
        """Return True if the model is a policy, which the pipeline trains on a pool of rooms."""
        return is_policy(self.model(model))

    @property
    def pool_keys(self) -> dict[str, str]:
        """Name of every pool's folder in the cache to the pool's name."""
        return {pool_key(self._pool(name)): name for name in self.study["pools"]}

    def pool_of_model(self, model: str) -> str:
        """Return the name of the folder of the pool that a policy is trained on."""
        return pool_key(self.model(model)["source"]["pool"])

    def pool_of_dataset(self, dataset: str) -> str | None:
        """Return the name of the folder of the pool that a dataset is a side of; None if it has no pool."""
        pool = self.dataset(dataset)["options"].get("pool")
        return pool_key(pool) if pool else None

    def local_files(self, dataset: str) -> dict[str, str] | None:
        """Return the sha256 of the local files that hold a dataset of own rows; None for any other dataset.

        A file that has disappeared since the rows were prepared counts with the sha256 that it had then.
        """
        entry = self.dataset(dataset)
        if entry["builder"] not in BUILDERS:
            return None
        card = Path(self.config["cache"]) / "data" / self.data_key(dataset) / "card.json"
        return file_hashes(entry, read_json(card)["spec"].get("files") or {} if card.is_file() else {})

    def chunks(self, key: str) -> int:
        """Return how many jobs share the work of the pool whose folder has this name."""
        return int(self.study["pools"][self.pool_keys[key]]["chunks"])

    def pool(self, key: str) -> dict[str, Any]:
        """Return the entry of the pool whose folder has this name, as it is hashed: without `chunks`."""
        return self._pool(self.pool_keys[key])

    def _pool(self, name: str) -> dict[str, Any]:
        entry = self.study["pools"][name]
        return {"name": name} | {key: value for key, value in entry.items() if key != "chunks"}

    def corpus_key(self, model: str) -> str:
        """Return the name of the folder of a trained model's corpus; models with equal corpora share it."""
        return f"corpus-{digest(self.model(model)['source']['corpus'], 8)}"

    def corpus_of_key(self, key: str) -> str:
        """Return a model that is trained on the corpus whose folder has this name."""
        return next(name for name in self.models if self.is_trained(name) and self.corpus_key(name) == key)

    def text_file(self, model: str) -> str:
        """Return the text on which a model's perplexity is measured."""
        if self.study["perplexity"]["corpus"] == LABORATORY:
            return Folders().text("held_out", corpus_key=self.corpus_key(model))
        return Folders().text("text", text_key=self.text_key())

    def text_key(self) -> str:
        """Return the name of the folder of the text for perplexity."""
        return f"{self.study['perplexity']['corpus']}-{digest(self.text(), 8)}"

    def text(self) -> dict[str, Any]:
        """Return the entry of the text for perplexity, with its name and the study's limit of rows."""
        catalogue = read_yaml(self.root / "config/corpora.yaml")
        entry: dict[str, Any] = {"name": self.study["perplexity"]["corpus"]}
        return entry | catalogue[entry["name"]] | {"rows": self.study["perplexity"].get("rows")}

    def published_choice(self, model: str, dataset: str) -> dict[str, Any] | None:
        """Return the paper's own (matrix, layer, rho) for a cell; None without one, or if the model lacks the layer."""
        choice = read_published().choice(model, dataset)
        if choice is None or choice["layer"] >= self.model(model)["layers"]:
            return None
        return {key: choice[key] for key in ("matrix", "layer", "rho")}

    def compares_searches(self, model: str, dataset: str) -> bool:
        """Return True if the study compares the cheap search with the exhaustive one on this cell."""
        return "search" in self.study["artefacts"] and (model, dataset) in self.cells_of("figures")

    def transferred(self, model: str) -> list[str]:
        """Return the datasets of a model whose choices are applied to each other, in the study's order."""
        return [dataset for name, dataset in self.cells_of("transfer") if name == model]

    def model_facts(self) -> dict[str, Any]:
        """Return noise level, seed, depth and family of each model that the pipeline trains."""
        return {entry["name"]: facts(entry) for entry in self.study["models"] if self.is_trained(entry["name"])}

    def code(self, script: str, model: str | None = None, dataset: str | None = None) -> str:
        """Return the fingerprint of a rule's script and all that it imports, except what such a job never uses.

        Args:
            script: the script's name.
            model: the one model that the job evaluates.
            dataset: the one dataset that it reads.
        """
        task = task_of(self.model(model)) if model else None
        builder = self.dataset(dataset)["builder"] if dataset else None
        unused = unused_modules(task, builder, self.scripts)
        return code_fingerprint(self.scripts / f"{script}.py", unused=unused, scripts=self.scripts)

    def study_spec(self, script: str, **settings: Any) -> str:
        """Return the spec of a job about the whole study: its inputs, report or manifest."""
        common = {
            "study": self.study["name"],
            "models": self.models,
            "datasets": self.datasets,
            "protocols": self.study["protocols"],
            "published": self.published(),
            "rules": self.rules(),
        }
        return canonical_json(common | settings | {"code": self.code(script)})

    def texts(self) -> str:
        """Return a hash of the captions and templates of the report, which are not Python modules."""
        folders = (self.scripts.parent / "report", self.scripts / "laser/report/templates")
        files = sorted(path for folder in folders for path in folder.iterdir() if path.is_file())
        return digest({path.name: sha256_file(path) for path in files}, 16)

    def rules(self) -> str:
        """Return a hash of the margins and thresholds of verdicts."""
        # Imported late: benchmarks/gpu.py makes a plan to cost a study even where pydantic is missing.
        from laser.config.rules import NAME as RULES

        return sha256_file(self.root / RULES)[:16]

    def published(self) -> str:
        """Return a hash of the paper's numbers, which tables and verdicts show beside ours."""
        folder = self.root / "config/published"
        return digest({path.name: sha256_file(path) for path in sorted(folder.glob("*.csv"))}, 16)


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise UserError(f"'{name}' is not in the study. It has: {', '.join(entry['name'] for entry in entries)}.")
