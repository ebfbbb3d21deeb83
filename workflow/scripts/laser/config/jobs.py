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

SHAPE_KEYS = ("name", "dtype", "architecture", "layers", "mapping", "play")
NOT_OF_THE_FILES = ("dtype", "mapping", "play", "notes")
"""Keys of a model's entry that its checkpoint does not depend on."""


def job_spec(plan: Plan, rule: str, wildcards: Wildcards) -> str:
    """Return the spec of one job as canonical JSON."""
    model, dataset = wildcards.get("model"), wildcards.get("dataset")
    if "data_key" in wildcards:
        dataset = plan.dataset_of_key(wildcards["data_key"])
    return canonical_json(specs.as_json(SPECS[rule](plan, wildcards, plan.code(rule, model, dataset))))


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


def _published(plan: Plan, wildcards: Wildcards) -> specs.Site | None:
    choice = plan.published_choice(wildcards["model"], wildcards["dataset"])
    return None if choice is None else specs.Site(**choice)


def _cell(plan: Plan, wildcards: Wildcards, code: str) -> dict[str, Any]:
    """Return what the specs of all evaluations have in common."""
    return {
        "study": plan.study["name"],
        "model": _model(plan, wildcards["model"]),
        "dataset": _dataset(plan, wildcards["dataset"]),
        "protocols": tuple(plan.study["protocols"]),
        "engine": plan.study["engine"],
        "token_budget": plan.study["token_budget"],
        "seed": plan.study["seed"],
        "compute": _compute(plan),
        "code": code,
    }


def _fetch(plan: Plan, wildcards: Wildcards, code: str) -> specs.FetchSpec:
    name = plan.model_of_key(wildcards["model_key"])
    return specs.FetchSpec(model=_files_of(plan, name), key=wildcards["model_key"], code=code)


def _corpus(plan: Plan, wildcards: Wildcards, code: str) -> specs.CorpusSpec:
    corpus = plan.model(plan.corpus_of_key(wildcards["corpus_key"]))["source"]["corpus"]
    return specs.CorpusSpec(corpus=corpus, key=wildcards["corpus_key"], code=code)


def _train(plan: Plan, wildcards: Wildcards, code: str) -> specs.TrainSpec:
    key = wildcards["model_key"]
    name = plan.model_of_key(key)
    source: dict[str, Any] = (
        {"pool_key": plan.pool_of_model(name)} if plan.is_policy(name) else {"corpus_key": plan.corpus_key(name)}
    )
    return specs.TrainSpec(model=_files_of(plan, name), key=key, compute=_compute(plan), code=code, **source)


def _rooms(plan: Plan, wildcards: Wildcards, code: str) -> specs.RoomsSpec:
    key = wildcards["pool_key"]
    chunk, chunks = int(wildcards["chunk"]), int(wildcards["chunks"])
    return specs.RoomsSpec(pool=plan.pool(key), key=key, chunk=chunk, chunks=chunks, code=code)


def _episodes(plan: Plan, wildcards: Wildcards, code: str) -> specs.EpisodesSpec:
    key = wildcards["pool_key"]
    return specs.EpisodesSpec(pool=plan.pool(key), key=key, chunks=plan.chunks(key), code=code)


def _text(plan: Plan, wildcards: Wildcards, code: str) -> specs.TextSpec:
    return specs.TextSpec(text=plan.text(), key=wildcards["text_key"], code=code)


def _prepare(plan: Plan, wildcards: Wildcards, code: str) -> specs.PrepareSpec:
    key = wildcards["data_key"]
    name = plan.dataset_of_key(key)
    pool, files = plan.pool_of_dataset(name), plan.local_files(name)
    return specs.PrepareSpec(dataset=plan.dataset(name), key=key, pool_key=pool, files=files, code=code)


def _false_targets(plan: Plan, wildcards: Wildcards, code: str) -> specs.FalseTargetsSpec:
    name = wildcards["dataset"]
    key, files = plan.data_key(name), plan.local_files(name)
    return specs.FalseTargetsSpec(dataset=plan.dataset(name), key=key, files=files, code=code)


def _reduce(plan: Plan, wildcards: Wildcards, code: str) -> specs.ReduceSpec:
    model = wildcards["model"]
    return specs.ReduceSpec(
        model=_weights(plan, model),
        layer=int(wildcards["layer"]),
        matrices=_matrices(plan, model),
        rhos=_rhos(plan, wildcards),
        compute=_compute(plan),
        code=code,
    )


def _evaluation(plan: Plan, wildcards: Wildcards, code: str) -> specs.EvaluationSpec:
    return specs.EvaluationSpec(**_cell(plan, wildcards, code))


def _sweep(plan: Plan, wildcards: Wildcards, code: str) -> specs.SweepSpec:
    return specs.SweepSpec(
        **_cell(plan, wildcards, code),
        layer=int(wildcards["layer"]),
        matrices=_matrices(plan, wildcards["model"]),
        rhos=_rhos(plan, wildcards),
        keep=_kept_places(plan),
    )


def _sweep_together(plan: Plan, wildcards: Wildcards, code: str) -> specs.SweepTogetherSpec:
    datasets = tuple(_dataset(plan, name) for name in plan.together)
    first = _sweep(plan, {**wildcards, "dataset": datasets[0].name}, code)
    return specs.SweepTogetherSpec(**vars(first), together=datasets)


def _kept_places(plan: Plan) -> int | None:
    """Return how many matrices the gradients leave for inspection; None if they leave all."""
    return plan.study["gradient"]["keep"] if searches_by(plan.study, GRADIENT) else None


def _race(plan: Plan, wildcards: Wildcards, code: str) -> specs.RaceSpec:
    return specs.RaceSpec(
        **_cell(plan, wildcards, code),
        grid=_grid(plan, wildcards["model"]),
        rhos=tuple(plan.rhos),
        error=plan.study["racing"]["error"],
        blocks=plan.study["racing"]["blocks"],
        keep=_kept_places(plan),
    )


def _select(plan: Plan, wildcards: Wildcards, code: str) -> specs.SelectSpec:
    return specs.SelectSpec(
        model=_model(plan, wildcards["model"]),
        dataset=_dataset(plan, wildcards["dataset"]),
        grid=_grid(plan, wildcards["model"]),
        rhos=tuple(plan.rhos),
        protocols=tuple(plan.study["protocols"]),
        keep_at_least=plan.study.get("keep_at_least"),
        code=code,
    )


def _landscape(plan: Plan, wildcards: Wildcards, code: str) -> specs.LandscapeSpec:
    settings = plan.study["landscape"]
    return specs.LandscapeSpec(
        **_cell(plan, wildcards, code),
        layer=int(wildcards["layer"]),
        kinds=tuple(settings["kinds"]),
        clusters=settings["clusters"] if "clustered" in settings["kinds"] else None,
        matrices=tuple(settings["grid"][wildcards["model"]]["matrices"]),
        rhos=tuple(settings["rhos"]),
        rows=settings.get("rows"),
    )


def _gradients(plan: Plan, wildcards: Wildcards, code: str) -> specs.GradientsSpec:
    return specs.GradientsSpec(
        **_cell(plan, wildcards, code),
        grid=_grid(plan, wildcards["model"]),
        rhos=tuple(plan.rhos),
        examples=plan.study["gradient"]["examples"],
    )


def _compose(plan: Plan, wildcards: Wildcards, code: str) -> specs.ComposeSpec:
    grid = _grid(plan, wildcards["model"])
    return specs.ComposeSpec(
        **_cell(plan, wildcards, code),
        layers=grid.layers,
        matrices=tuple(plan.study["compose"].get("matrices", grid.matrices)),
        rhos=tuple(plan.study["compose"]["rhos"]),
    )


def _choices(plan: Plan, wildcards: Wildcards, code: str) -> specs.ChoicesSpec:
    model = wildcards["model"]
    search = None
    if plan.compares_searches(model, wildcards["dataset"]):
        keep = plan.study["gradient"]["keep"]
        search = specs.CheapSearch(keep=keep, layers=tuple(plan.layers(model)), rhos=tuple(plan.rhos))
    cell = _cell(plan, wildcards, code)
    return specs.ChoicesSpec(**cell, published_choice=_published(plan, wildcards), cheap_search=search)


def _seeds(plan: Plan, wildcards: Wildcards, code: str) -> specs.SeedsSpec:
    seeds = tuple(range(plan.study["seeds"]["count"]))
    cell = _cell(plan, wildcards, code)
    return specs.SeedsSpec(**cell, seeds=seeds, published_choice=_published(plan, wildcards))


def _transfer(plan: Plan, wildcards: Wildcards, code: str) -> specs.TransferSpec:
    return specs.TransferSpec(
        **_cell(plan, wildcards, code),
        datasets=tuple(plan.transferred(wildcards["model"])),
        matrices=_matrices(plan, wildcards["model"]),
    )


def _spectra(plan: Plan, wildcards: Wildcards, code: str) -> specs.SpectraSpec:
    model = wildcards["model"]
    return specs.SpectraSpec(
        model=_weights(plan, model), grid=_grid(plan, model), rhos=tuple(plan.rhos), compute=_compute(plan), code=code
    )


def _rank_rules(plan: Plan, wildcards: Wildcards, code: str) -> specs.RankRulesSpec:
    matrices = _matrices(plan, wildcards["model"])
    return specs.RankRulesSpec(**_cell(plan, wildcards, code), matrices=matrices, rhos=tuple(plan.rhos))


def _prompts(plan: Plan, wildcards: Wildcards, code: str) -> specs.PromptsSpec:
    return specs.PromptsSpec(**_cell(plan, wildcards, code), rows=plan.study["prompts"].get("rows"))


def _higher_order(plan: Plan, wildcards: Wildcards, code: str) -> specs.HigherOrderSpec:
    return specs.HigherOrderSpec(**_cell(plan, wildcards, code), percents=tuple(plan.study["higher_order"]["percents"]))


def _perplexity(plan: Plan, wildcards: Wildcards, code: str) -> specs.PerplexitySpec:
    trained = plan.study["perplexity"]["corpus"] == LABORATORY
    text: dict[str, Any] = (
        {"corpus_key": plan.corpus_key(wildcards["model"])} if trained else {"text_key": plan.text_key()}
    )
    return specs.PerplexitySpec(**_cell(plan, wildcards, code), **text)


def _clustered(plan: Plan, wildcards: Wildcards, code: str) -> specs.ClusteredSpec:
    settings = plan.study["clustered"]
    return specs.ClusteredSpec(
        **_cell(plan, wildcards, code),
        clusters=tuple(settings["clusters"]),
        rhos=tuple(settings["rhos"]),
        rows=settings.get("rows"),
    )


def _baselines(plan: Plan, wildcards: Wildcards, code: str) -> specs.BaselinesSpec:
    model = wildcards["model"]
    return specs.BaselinesSpec(
        **_cell(plan, wildcards, code),
        seeds=tuple(range(plan.study["baselines"]["subspaces"])),
        corpus_key=plan.corpus_key(model) if plan.is_trained(model) else None,
    )


def _export(plan: Plan, wildcards: Wildcards, code: str) -> specs.ExportSpec:
    cell = _cell(plan, wildcards, code)
    return specs.ExportSpec(**cell, protocol=wildcards["protocol"], form=wildcards["form"])


SPECS: Mapping[str, Callable[[Plan, Wildcards, str], specs.Spec]] = {
    "fetch": _fetch,
    "corpus": _corpus,
    "train": _train,
    "rooms": _rooms,
    "episodes": _episodes,
    "train_policy": _train,
    "text": _text,
    "prepare": _prepare,
    "false_targets": _false_targets,
    "reduce": _reduce,
    "base": _evaluation,
    "sweep": _sweep,
    "sweep_together": _sweep_together,
    "race": _race,
    "survivors": _sweep,
    "select_intervention": _select,
    "test_intervention": _evaluation,
    "landscape": _landscape,
    "gradients": _gradients,
    "compose_layers": _compose,
    "compose_test": _evaluation,
    "evaluate_choices": _choices,
    "evaluate_seeds": _seeds,
    "evaluate_transfer": _transfer,
    "spectra": _spectra,
    "evaluate_rank_rules": _rank_rules,
    "evaluate_prompts": _prompts,
    "evaluate_higher_order": _higher_order,
    "evaluate_perplexity": _perplexity,
    "evaluate_efficacy": _evaluation,
    "evaluate_clustered": _clustered,
    "evaluate_baselines": _baselines,
    "export": _export,
}
"""Name of a rule to the function that makes the specs of its jobs."""
