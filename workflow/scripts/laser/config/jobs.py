"""The spec of every job, from the study's plan, the rule's name and the job's wildcards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from laser.config import specs
from laser.config.evaluations import LABORATORY
from laser.config.own_rows import asked_options
from laser.config.paths import rho_name
from laser.config.plan import Plan
from laser.config.searches import GRADIENT, searches_by
from laser.io.files import canonical_json

Wildcards = Mapping[str, str]
Fields = dict[str, Any]

SHAPE_KEYS = ("name", "dtype", "architecture", "layers", "mapping", "play")
NOT_OF_THE_FILES = ("dtype", "mapping", "play", "notes")
"""Keys of a model's entry that its checkpoint does not depend on."""


def job_spec(plan: Plan, rule: str, wildcards: Wildcards) -> str:
    """Return the spec of one job as canonical JSON."""
    model, dataset = wildcards.get("model"), wildcards.get("dataset")
    if "data_key" in wildcards:
        dataset = plan.dataset_of_key(wildcards["data_key"])
    kind, fields = SPECS[rule]
    shared = _cell(plan, wildcards) if issubclass(kind, specs.EvaluationSpec) else {}
    spec = kind(**shared, **fields(plan, wildcards), code=plan.code(rule, model, dataset))
    return canonical_json(specs.as_json(spec))


def _compute(plan: Plan) -> specs.Compute:
    return specs.Compute(plan.config["device"], plan.config["threads"])


def _model(plan: Plan, name: str, keys: tuple[str, ...] = SHAPE_KEYS) -> specs.ModelSpec:
    entry = plan.model(name)
    return specs.ModelSpec(key=plan.model_key(name), **{key: entry[key] for key in keys if key in entry})


def _weights(plan: Plan, name: str) -> specs.ModelSpec:
    """Return the part of a model that its matrices depend on; they are the same however a policy is played."""
    return _model(plan, name, tuple(key for key in SHAPE_KEYS if key != "play"))


def _dataset(plan: Plan, name: str) -> specs.DatasetSpec:
    entry = plan.dataset(name)
    return specs.DatasetSpec(name, plan.data_key(name), entry["builder"], asked_options(entry))


def _files_of(plan: Plan, name: str) -> dict[str, Any]:
    return {key: value for key, value in plan.model(name).items() if key not in NOT_OF_THE_FILES}


def _rhos(plan: Plan, wildcards: Wildcards) -> tuple[float, ...]:
    """Return all values of ρ, or the one of a job that has its own (`one_job_per: rho`)."""
    named = wildcards.get("rho")
    return tuple(rho for rho in plan.rhos if named in (None, rho_name(rho)))


def _matrices(plan: Plan, model: str) -> tuple[str, ...]:
    return tuple(plan.study["grid"][model]["matrices"])


def _grid(plan: Plan, model: str) -> specs.Grid:
    return specs.Grid(_matrices(plan, model), tuple(plan.layers(model)))


def _grid_and_rhos(plan: Plan, wildcards: Wildcards) -> Fields:
    return {"grid": _grid(plan, wildcards["model"]), "rhos": tuple(plan.rhos)}


def _published(plan: Plan, wildcards: Wildcards) -> specs.Site | None:
    choice = plan.published_choice(wildcards["model"], wildcards["dataset"])
    return None if choice is None else specs.Site(**choice)


def _cell(plan: Plan, wildcards: Wildcards) -> Fields:
    """Return what the specs of all evaluations have in common; those of several datasets have the first of them."""
    return {
        "study": plan.study["name"],
        "model": _model(plan, wildcards["model"]),
        "dataset": _dataset(plan, wildcards["dataset"] if "dataset" in wildcards else plan.together[0]),
        "protocols": tuple(plan.study["protocols"]),
        "engine": plan.study["engine"],
        "token_budget": plan.study["token_budget"],
        "seed": plan.study["seed"],
        "compute": _compute(plan),
    }


def _corpus(plan: Plan, wildcards: Wildcards) -> Fields:
    key = wildcards["corpus_key"]
    return {"corpus": plan.model(plan.corpus_of_key(key))["source"]["corpus"], "key": key}


def _train(plan: Plan, wildcards: Wildcards) -> Fields:
    key = wildcards["model_key"]
    name = plan.model_of_key(key)
    source = {"pool_key": plan.pool_of_model(name)} if plan.is_policy(name) else {"corpus_key": plan.corpus_key(name)}
    return {"model": _files_of(plan, name), "key": key, "compute": _compute(plan), **source}


def _rooms(plan: Plan, wildcards: Wildcards) -> Fields:
    key = wildcards["pool_key"]
    return {"pool": plan.pool(key), "key": key, "chunk": int(wildcards["chunk"]), "chunks": int(wildcards["chunks"])}


def _episodes(plan: Plan, wildcards: Wildcards) -> Fields:
    key = wildcards["pool_key"]
    return {"pool": plan.pool(key), "key": key, "chunks": plan.chunks(key)}


def _prepare(plan: Plan, wildcards: Wildcards) -> Fields:
    name = plan.dataset_of_key(wildcards["data_key"])
    return _rows(plan, name) | {"pool_key": plan.pool_of_dataset(name)}


def _rows(plan: Plan, name: str) -> Fields:
    return {"dataset": plan.dataset(name), "key": plan.data_key(name), "files": plan.local_files(name)}


def _reduce(plan: Plan, wildcards: Wildcards) -> Fields:
    model = wildcards["model"]
    return {
        "model": _weights(plan, model),
        "layer": int(wildcards["layer"]),
        "matrices": _matrices(plan, model),
        "rhos": _rhos(plan, wildcards),
        "compute": _compute(plan),
    }


def _sweep(plan: Plan, wildcards: Wildcards) -> Fields:
    return {
        "layer": int(wildcards["layer"]),
        "matrices": _matrices(plan, wildcards["model"]),
        "rhos": _rhos(plan, wildcards),
        "keep": _kept_places(plan),
    }


def _sweep_together(plan: Plan, wildcards: Wildcards) -> Fields:
    return _sweep(plan, wildcards) | {"together": tuple(_dataset(plan, name) for name in plan.together)}


def _kept_places(plan: Plan) -> int | None:
    """Return how many matrices the gradients leave for inspection; None if they leave all."""
    return plan.study["gradient"]["keep"] if searches_by(plan.study, GRADIENT) else None


def _race(plan: Plan, wildcards: Wildcards) -> Fields:
    return _grid_and_rhos(plan, wildcards) | {
        "error": plan.study["racing"]["error"],
        "blocks": plan.study["racing"]["blocks"],
        "keep": _kept_places(plan),
    }


def _select(plan: Plan, wildcards: Wildcards) -> Fields:
    return _grid_and_rhos(plan, wildcards) | {
        "model": _model(plan, wildcards["model"]),
        "dataset": _dataset(plan, wildcards["dataset"]),
        "protocols": tuple(plan.study["protocols"]),
        "keep_at_least": plan.study.get("keep_at_least"),
    }


def _landscape(plan: Plan, wildcards: Wildcards) -> Fields:
    settings = plan.study["landscape"]
    return {
        "layer": int(wildcards["layer"]),
        "kinds": tuple(settings["kinds"]),
        "clusters": settings["clusters"] if "clustered" in settings["kinds"] else None,
        "matrices": tuple(settings["grid"][wildcards["model"]]["matrices"]),
        "rhos": tuple(settings["rhos"]),
        "rows": settings.get("rows"),
    }


def _compose(plan: Plan, wildcards: Wildcards) -> Fields:
    grid, settings = _grid(plan, wildcards["model"]), plan.study["compose"]
    matrices = tuple(settings.get("matrices", grid.matrices))
    return {"layers": grid.layers, "matrices": matrices, "rhos": tuple(settings["rhos"])}


def _choices(plan: Plan, wildcards: Wildcards) -> Fields:
    model = wildcards["model"]
    search = None
    if plan.compares_searches(model, wildcards["dataset"]):
        keep = plan.study["gradient"]["keep"]
        search = specs.CheapSearch(keep=keep, layers=tuple(plan.layers(model)), rhos=tuple(plan.rhos))
    return {"published_choice": _published(plan, wildcards), "cheap_search": search}


def _seeds(plan: Plan, wildcards: Wildcards) -> Fields:
    seeds = tuple(range(plan.study["seeds"]["count"]))
    return {"seeds": seeds, "published_choice": _published(plan, wildcards)}


def _transfer(plan: Plan, wildcards: Wildcards) -> Fields:
    model = wildcards["model"]
    return {"datasets": tuple(plan.transferred(model)), "matrices": _matrices(plan, model)}


def _spectra(plan: Plan, wildcards: Wildcards) -> Fields:
    shared = {"model": _weights(plan, wildcards["model"]), "compute": _compute(plan)}
    return shared | _grid_and_rhos(plan, wildcards)


def _perplexity(plan: Plan, wildcards: Wildcards) -> Fields:
    trained = plan.study["perplexity"]["corpus"] == LABORATORY
    return {"corpus_key": plan.corpus_key(wildcards["model"])} if trained else {"text_key": plan.text_key()}


def _clustered(plan: Plan, wildcards: Wildcards) -> Fields:
    settings = plan.study["clustered"]
    clusters, rhos = tuple(settings["clusters"]), tuple(settings["rhos"])
    return {"clusters": clusters, "rhos": rhos, "rows": settings.get("rows")}


def _baselines(plan: Plan, wildcards: Wildcards) -> Fields:
    model = wildcards["model"]
    corpus = plan.corpus_key(model) if plan.is_trained(model) else None
    return {"seeds": tuple(range(plan.study["baselines"]["subspaces"])), "corpus_key": corpus}


def _no_more(plan: Plan, wildcards: Wildcards) -> Fields:
    return {}


SPECS: Mapping[str, tuple[type[specs.Spec], Callable[[Plan, Wildcards], Fields]]] = {
    "fetch": (
        specs.FetchSpec,
        lambda plan, names: {
            "model": _files_of(plan, plan.model_of_key(names["model_key"])),
            "key": names["model_key"],
        },
    ),
    "corpus": (specs.CorpusSpec, _corpus),
    "train": (specs.TrainSpec, _train),
    "rooms": (specs.RoomsSpec, _rooms),
    "episodes": (specs.EpisodesSpec, _episodes),
    "train_policy": (specs.TrainSpec, _train),
    "text": (specs.TextSpec, lambda plan, names: {"text": plan.text(), "key": names["text_key"]}),
    "prepare": (specs.PrepareSpec, _prepare),
    "false_targets": (specs.FalseTargetsSpec, lambda plan, names: _rows(plan, names["dataset"])),
    "reduce": (specs.ReduceSpec, _reduce),
    "base": (specs.EvaluationSpec, _no_more),
    "sweep": (specs.SweepSpec, _sweep),
    "sweep_together": (specs.SweepTogetherSpec, _sweep_together),
    "race": (specs.RaceSpec, _race),
    "survivors": (specs.SweepSpec, _sweep),
    "select_intervention": (specs.SelectSpec, _select),
    "test_intervention": (specs.EvaluationSpec, _no_more),
    "landscape": (specs.LandscapeSpec, _landscape),
    "gradients": (
        specs.GradientsSpec,
        lambda plan, names: _grid_and_rhos(plan, names) | {"examples": plan.study["gradient"]["examples"]},
    ),
    "compose_layers": (specs.ComposeSpec, _compose),
    "compose_test": (specs.EvaluationSpec, _no_more),
    "evaluate_choices": (specs.ChoicesSpec, _choices),
    "evaluate_seeds": (specs.SeedsSpec, _seeds),
    "evaluate_transfer": (specs.TransferSpec, _transfer),
    "spectra": (specs.SpectraSpec, _spectra),
    "evaluate_rank_rules": (
        specs.RankRulesSpec,
        lambda plan, names: {"matrices": _matrices(plan, names["model"]), "rhos": tuple(plan.rhos)},
    ),
    "evaluate_prompts": (specs.PromptsSpec, lambda plan, names: {"rows": plan.study["prompts"].get("rows")}),
    "evaluate_higher_order": (
        specs.HigherOrderSpec,
        lambda plan, names: {"percents": tuple(plan.study["higher_order"]["percents"])},
    ),
    "evaluate_perplexity": (specs.PerplexitySpec, _perplexity),
    "evaluate_efficacy": (specs.EvaluationSpec, _no_more),
    "evaluate_clustered": (specs.ClusteredSpec, _clustered),
    "evaluate_baselines": (specs.BaselinesSpec, _baselines),
    "export": (specs.ExportSpec, lambda plan, names: {"protocol": names["protocol"], "form": names["form"]}),
}
"""Name of a rule to the class of its specs, and to the fields that an evaluation's spec (`_cell`) or `code` lacks."""
