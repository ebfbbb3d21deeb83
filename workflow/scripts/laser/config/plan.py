"""The plan of one study: which files there are, and the spec from which each rule makes its own.

A spec is a plain dict with everything that shapes a rule's output: settings, pinned sources, and a content hash of the
code. Snakemake compares specs, results repeat them, and nothing ever parses a path to learn a setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laser.config.evaluations import LABORATORY, task_of
from laser.config.fingerprint import code_fingerprint, unused_modules
from laser.config.paths import DatasetFiles, Folders, ModelFiles, StudyFiles, rho_name
from laser.config.pools import is_policy, pool_key
from laser.config.variants import facts
from laser.config.yaml_files import read_yaml
from laser.errors import UserError
from laser.io.files import canonical_json, digest, sha256_file
from laser.paper.published import read_published

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}
SHAPE_KEYS = ("name", "dtype", "architecture", "layers", "mapping", "play")
NOT_OF_THE_FILES = ("dtype", "mapping", "play", "notes")
"""Keys of a model's entry that its checkpoint does not depend on."""


@dataclass(frozen=True)
class Plan:
    """One study with its configuration. All paths are relative to the working directory, as Snakemake wants them.

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
        # Whoever is given a plan needs no models of settings.
        from laser.config.study import load_config, load_study

        config = load_config(values, root)
        return cls(load_study(config["study"], root), config, root / "workflow/scripts")

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

    def is_trained(self, model: str) -> bool:
        """Whether the pipeline trains the model itself, on a corpus of sentences."""
        return bool(self.model(model)["source"]["kind"] == "trained") and not self.is_policy(model)

    def is_policy(self, model: str) -> bool:
        """Whether the model is a policy, which the pipeline trains on a pool of rooms."""
        return is_policy(self.model(model))

    @property
    def pool_keys(self) -> dict[str, str]:
        """Name of every pool's folder in the cache to the pool's name."""
        return {pool_key(self._pool(name)): name for name in self.study["pools"]}

    def pool_of_model(self, model: str) -> str:
        """Return the name of the folder of the pool that a policy is trained on."""
        return pool_key(self.model(model)["source"]["pool"])

    def pool_of_dataset(self, dataset: str) -> str | None:
        """Return the name of the folder of the pool that a dataset is a side of; None if it is none."""
        pool = self.dataset(dataset)["options"].get("pool")
        return pool_key(pool) if pool else None

    def chunks(self, key: str) -> int:
        """Return how many jobs share the work of the pool whose folder has this name."""
        return int(self.study["pools"][self.pool_keys[key]]["chunks"])

    def _pool(self, name: str) -> dict[str, Any]:
        entry = self.study["pools"][name]
        return {"name": name} | {key: value for key, value in entry.items() if key != "chunks"}

    def corpus_key(self, model: str) -> str:
        """Return the name of the folder of a trained model's corpus; models with equal corpora share it."""
        return f"corpus-{digest(self.model(model)['source']['corpus'], 8)}"

    def corpus_of_key(self, key: str) -> str:
        """Return a model that is trained on the corpus whose folder has this name."""
        return next(name for name in self.models if self.is_trained(name) and self.corpus_key(name) == key)

    def text_path(self, model: str) -> str:
        """Return the text file on which a model's perplexity is measured."""
        corpus = self.study["perplexity"]["corpus"]
        if corpus == LABORATORY:
            return f"{self.config['cache']}/corpora/{self.corpus_key(model)}/held_out.parquet"
        return f"{self.config['cache']}/texts/{self.text_key()}/text.parquet"

    def text_key(self) -> str:
        """Return the name of the folder of the text for perplexity."""
        return f"{self.study['perplexity']['corpus']}-{digest(self._text(), 8)}"

    def _text(self) -> dict[str, Any]:
        catalogue = read_yaml(self.scripts.parents[1] / "config/corpora.yaml")
        entry: dict[str, Any] = {"name": self.study["perplexity"]["corpus"]}
        return entry | catalogue[entry["name"]] | {"rows": self.study["perplexity"].get("rows")}

    def published_choice(self, model: str, dataset: str) -> dict[str, Any] | None:
        """Return the paper's own (matrix, layer, rho) for a cell; None without one, or if the model lacks it."""
        choice = read_published().choice(model, dataset)
        if choice is None or choice["layer"] >= self.model(model)["layers"]:
            return None
        return {key: choice[key] for key in ("matrix", "layer", "rho")}

    def model_facts(self) -> dict[str, Any]:
        """Return noise level, seed, depth and family of each model that the pipeline trains."""
        return {entry["name"]: facts(entry) for entry in self.study["models"] if self.is_trained(entry["name"])}

    # Specs, one kind per rule. `code` is the fingerprint of the rule's script.

    def code(self, script: str, model: str | None = None, dataset: str | None = None) -> str:
        """Return the fingerprint of a rule's script and all that it imports, without what such a job never uses.

        Args:
            script: the script's name.
            model: the one model that the job evaluates.
            dataset: the one dataset that it reads.
        """
        task = task_of(self.model(model)) if model else None
        builder = self.dataset(dataset)["builder"] if dataset else None
        unused = unused_modules(task, builder, self.scripts)
        return code_fingerprint(self.scripts / f"{script}.py", unused=unused, scripts=self.scripts)

    def fetch_spec(self, model: str) -> str:
        """Return the spec for fetching a model."""
        return canonical_json({"model": self._files_of(model), "code": self.code("fetch_model")})

    def corpus_spec(self, model: str) -> str:
        """Return the spec for the corpus that a model is trained on."""
        return canonical_json({"corpus": self.model(model)["source"]["corpus"], "code": self.code("make_corpus")})

    def train_spec(self, model: str) -> str:
        """Return the spec for training a model."""
        script = "train_policy" if self.is_policy(model) else "train_model"
        made = {"model": self._files_of(model), "compute": self._compute(), "code": self.code(script)}
        return canonical_json(made)

    def rooms_spec(self, key: str, chunk: int) -> str:
        """Return the spec for one job's share of a pool's rooms."""
        share = {"chunk": chunk, "chunks": self.chunks(key)}
        return canonical_json({"pool": self._pool(self.pool_keys[key])} | share | {"code": self.code("make_rooms")})

    def episodes_spec(self, key: str) -> str:
        """Return the spec for a pool's episodes, from the shares of all jobs."""
        return canonical_json({"pool": self._pool(self.pool_keys[key]), "code": self.code("collect_episodes")})

    def text_spec(self) -> str:
        """Return the spec for preparing the text for perplexity."""
        return canonical_json({"text": self._text(), "code": self.code("prepare_text")})

    def run_spec(self, script: str, model: str, dataset: str, **settings: Any) -> str:
        """Return the spec of any other evaluation of a cell: the common settings, its own, and the script's code."""
        return canonical_json(self._evaluation(model, dataset) | settings | {"code": self.code(script, model, dataset)})

    def prepare_spec(self, dataset: str) -> str:
        """Return the spec for preparing a dataset."""
        return canonical_json({"dataset": self.dataset(dataset), "code": self.code("prepare_dataset", dataset=dataset)})

    def reduce_spec(self, model: str, layer: int, rho: str | None) -> str:
        """Return the spec for the reductions of one layer: all rhos, or one."""
        # How a policy is played has no part in its matrices.
        identity = {key: value for key, value in self._model_identity(model).items() if key != "play"}
        return canonical_json(
            {
                "model": identity,
                "layer": layer,
                "matrices": self.study["grid"][model]["matrices"],
                "rhos": self._rhos(rho),
                "compute": self._compute(),
                "code": self.code("reduce_layer", model),
            }
        )

    def base_spec(self, model: str, dataset: str) -> str:
        """Return the spec for the unmodified model on the validation rows."""
        return canonical_json(self._evaluation(model, dataset) | {"code": self.code("evaluate_base", model, dataset)})

    def sweep_spec(self, model: str, dataset: str, layer: int, rho: str | None) -> str:
        """Return the spec for the sweep of one layer over all rhos, or one."""
        cheap = {"gradient": {"keep": self.study["gradient"]["keep"]}} if self.study["search"] == "gradient" else {}
        return canonical_json(
            self._evaluation(model, dataset)
            | {
                "layer": layer,
                "matrices": self.study["grid"][model]["matrices"],
                "rhos": self._rhos(rho),
                "code": self.code("sweep_layer", model, dataset),
            }
            | cheap
        )

    def select_spec(self, model: str, dataset: str) -> str:
        """Return the spec for choosing the intervention of one cell from validation rows."""
        grid = self.study["grid"][model] | {"rhos": self.rhos}
        return canonical_json(
            {
                "model": model,
                "dataset": dataset,
                "grid": grid,
                "protocols": self.study["protocols"],
                "code": self.code("select_intervention"),
            }
        )

    def test_spec(self, model: str, dataset: str) -> str:
        """Return the spec for base and chosen intervention on the test rows."""
        return canonical_json(self._evaluation(model, dataset) | {"code": self.code("evaluate_test", model, dataset)})

    def artefact_spec(self, script: str, **settings: Any) -> str:
        """Return the spec for a table, a figure or the report, all made by `script`."""
        common = {
            "study": self.study["name"],
            "models": self.models,
            "datasets": self.datasets,
            "protocols": self.study["protocols"],
            "published": self._published(),
        }
        return canonical_json(common | settings | {"code": self.code(script)})

    def _files_of(self, model: str) -> dict[str, Any]:
        return {key: value for key, value in self.model(model).items() if key not in NOT_OF_THE_FILES}

    def _evaluation(self, model: str, dataset: str) -> dict[str, Any]:
        return {
            "study": self.study["name"],
            "model": self._model_identity(model),
            "dataset": self.data_key(dataset),
            "dataset_name": dataset,
            "builder": self.dataset(dataset)["builder"],
            "protocols": self.study["protocols"],
            "engine": self.study["engine"],
            "token_budget": self.study["token_budget"],
            "seed": self.study["seed"],
            "compute": self._compute(),
        }

    def texts(self) -> str:
        """Return a hash of the captions and templates of the report, which are no Python modules."""
        folders = (self.scripts.parent / "report", self.scripts / "laser/report/templates")
        files = sorted(path for folder in folders for path in folder.iterdir() if path.is_file())
        return digest({path.name: sha256_file(path) for path in files}, 16)

    def _published(self) -> str:
        """Return a hash of the paper's numbers, which tables and verdicts stand beside ours."""
        folder = self.scripts.parents[1] / "config/published"
        return digest({path.name: sha256_file(path) for path in sorted(folder.glob("*.csv"))}, 16)

    def _model_identity(self, model: str) -> dict[str, Any]:
        entry = self.model(model)
        return {key: entry[key] for key in SHAPE_KEYS if key in entry} | {"key": self.model_key(model)}

    def _compute(self) -> dict[str, Any]:
        return {"device": self.config["device"], "threads": self.config["threads"]}

    def _rhos(self, rho: str | None) -> list[float]:
        if rho is None:
            return self.rhos
        return [value for value in self.rhos if rho_name(value) == rho]


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise UserError(f"'{name}' is not in the study. It has: {', '.join(one['name'] for one in entries)}.")
