"""Loading a study: schema, catalogues, and the checks that a schema cannot express.

The result is a plain dict with every name resolved, so that it can be part of a spec and be hashed.
"""

from __future__ import annotations

import copy
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from laser.config import terms
from laser.config.entries import CatalogueDataset, CatalogueModel, Pools
from laser.config.evaluations import resolve_runs
from laser.config.fields import Name, with_defaults
from laser.config.grids import check_matrices, chosen_layers
from laser.config.local_models import with_facts_of_folder
from laser.config.own_rows import BUILDERS, own_rows
from laser.config.paths import rho_name
from laser.config.pools import is_policy, resolve_pools
from laser.config.protocols import SIGNIFICANCE
from laser.config.settings import EVALUATIONS, WEIGHT_BASELINES, WORDINGS, Configuration, Study
from laser.config.validation import check
from laser.config.variants import expand
from laser.config.yaml_files import read_yaml
from laser.errors import UserError, nearest, shortened
from laser.io.user_paths import expanded

DEFAULT_ARTEFACTS = ["table1", "table3", "fig2"]
POLICY_ARTEFACTS = ["table2", "table3", "fig2"]
CONFIGURATION = Path("config/config.yaml (or --config)")
STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
ENDINGS = (".yaml", ".yml")
MODEL_KEYS = ("source", "dtype", "architecture", "layers")
DATASET_KEYS = ("builder",)


def load_config(values: dict[str, Any], root: Path) -> dict[str, Any]:
    """Check config/config.yaml, merged with the command line or the configuration of a workflow that imports this.

    A key that is not given is taken from config/config.yaml. Values given with --config arrive as text; `threads` is
    read as a number, `accept_terms` as names separated by commas.
    """
    merged = {**read_yaml(root / "config/config.yaml"), **values}
    if isinstance(merged.get("threads"), str) and merged["threads"].isdigit():
        merged["threads"] = int(merged["threads"])
    if isinstance(merged.get("accept_terms"), str):
        merged["accept_terms"] = [name.strip() for name in merged["accept_terms"].split(",") if name.strip()]
    check(merged, Configuration, CONFIGURATION)
    return merged | {key: expanded(merged[key], f"config key '{key}'") for key in ("cache", "results")}


def study_path(name: str, root: Path) -> Path:
    """Return the file of a study, given by the name of one under config/studies/ or by its path."""
    return Path(name) if name.endswith(ENDINGS) else root / f"config/studies/{name}.yaml"


def load_study(name: str, root: Path, cache: Path | None = None, accepted: Sequence[str] = ()) -> dict[str, Any]:
    """Load a study by its name (config/studies/<name>.yaml) or by the path of a .yaml or .yml file; resolve it.

    Args:
        name: its name or path.
        root: the folder of the repository.
        cache: the folder of the cache, for facts about local models whose folder was removed after fetching.
        accepted: models whose terms of use the configuration accepts.

    Raises:
        UserError: the study is not valid; the message names file, key, value and what is allowed.
    """
    folder, path = root / "config/studies", study_path(name, root)
    if not os.path.isfile(path):  # False too for a name that no file system accepts
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        raise UserError(
            f"config key 'study' is {shortened(name, 200)}, but {shortened(str(_shown(path, root)), 200)} does not "
            f"exist{nearest(name[:100], known)}. "
            f"Studies here: {', '.join(known)}; or give the path of a .yaml or .yml file."
        )
    if not STUDY_NAME.fullmatch(path.stem):
        raise UserError(
            f"config key 'study' is '{name}': the file's name becomes a folder of results, and '{path.stem}' may hold "
            "letters, digits, - and _ only, starting with a letter or digit; 80 at most. "
            f"Rename the file{_possible_name(path.stem)}."
        )
    return resolve(read_yaml(path), _shown(path, root), root, cache, accepted) | {"name": path.stem}


def _possible_name(stem: str) -> str:
    """Return a suggestion for the name of a study's file; an empty text if no letter or digit is left."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:80]
    return f", to {name}.yaml for instance" if name else ""


def _shown(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path


def resolve(
    study: Any, path: Path, root: Path, cache: Path | None = None, accepted: Sequence[str] = ()
) -> dict[str, Any]:
    """Check a study as read from `path` and return it with defaults, models, datasets and grid filled in."""
    check(study, Study, path)
    study = with_defaults(Study, copy.deepcopy(study))
    models = _catalogue("models", dict[Name, CatalogueModel], root)
    study["models"] = [
        with_facts_of_folder(item, cache, f"{path}: models[{i}]") for i, item in enumerate(study["models"])
    ]
    datasets = _catalogue("datasets", dict[Name, CatalogueDataset], root)
    entries = _entries(study["models"], models, "models", MODEL_KEYS, path)
    terms.check_names(accepted, entries, models)
    entries, left_out = terms.in_study(entries, accepted, path)
    _without(study, left_out, path)
    study["models"] = expand(entries, path)
    _only_once(study["models"], path)
    study["datasets"] = _entries(study["datasets"], datasets, "datasets", DATASET_KEYS, path)
    for index, entry in enumerate(study["datasets"]):
        study["datasets"][index] = entry = own_rows(entry, f"{path}: datasets[{index}]")
        entry.setdefault("sources", [])
        entry.setdefault("options", {})
        entry.setdefault("limit", None)
        _known_builder(entry, index, path, root)
        _not_a_catalogue_name(entry, datasets, f"{path}: datasets[{index}]")
    default = POLICY_ARTEFACTS if any(map(is_policy, study["models"])) else DEFAULT_ARTEFACTS
    study.setdefault("artefacts", list(default))
    study = resolve_pools(study, _catalogue("rooms", Pools, root), path)
    _one_search(study, path)
    _together(study, path)
    _only_known_models(study["grid"], [model["name"] for model in study["models"]], path)
    study["rhos"] = _rhos(study["grid"]["rhos"], path)
    study["grid"] = {model["name"]: _grid(study["grid"], model, path) for model in study["models"]}
    study = resolve_runs(study, read_yaml(root / "config/corpora.yaml"), path)
    _enough_resamples(study, path)
    return study


def _without(study: dict[str, Any], left_out: Sequence[str], path: Path) -> None:
    """Remove models that are left out from the grid and from the evaluations that name models."""
    for name in left_out:
        study["grid"].get("models", {}).pop(name, None)
    for key in EVALUATIONS:
        if left_out and "models" in study.get(key, {}):
            study[key]["models"] = [name for name in study[key]["models"] if name not in left_out]
            if not study[key]["models"]:
                raise UserError(
                    f"{path}: {key}.models names only models that are left out because their terms of use are not "
                    f"accepted. Name another model there, or accept the terms: --config accept_terms={left_out[0]}."
                )


def _catalogue(name: str, kind: Any, root: Path) -> dict[str, Any]:
    """Return a catalogue under config/, checked."""
    path = root / f"config/{name}.yaml"
    catalogue: dict[str, Any] = read_yaml(path)
    check(catalogue, kind, _shown(path, root))
    return catalogue


def _entries(given: list[Any], catalogue: Any, key: str, needed: tuple[str, ...], path: Path) -> list[dict[str, Any]]:
    """Resolve names against a catalogue; an entry given in the study overrides the catalogue's, key by key.

    A model with another source is another checkpoint: nothing in the catalogue's entry applies to it.
    """
    resolved: list[dict[str, Any]] = []
    for index, item in enumerate(given):
        entry = {"name": item} if isinstance(item, str) else dict(item)
        name = entry["name"]
        if "vary" not in entry and any(other["name"] == name and "vary" not in other for other in resolved):
            raise UserError(
                f"{path}: {key}[{index}] has the name '{name}', which occurs in {key} twice. Names must differ."
            )
        known = {} if "source" in entry else catalogue.get(name, {})
        merged = copy.deepcopy(known) | entry
        if isinstance(known.get("options"), dict) and isinstance(entry.get("options"), dict):
            merged["options"] = known["options"] | entry["options"]
        missing = [key for key in needed if key not in merged]
        if missing:
            known_names = ", ".join(sorted(catalogue))
            raise UserError(
                f"{path}: {key}[{index}] is '{name}', which config/{key}.yaml does not have{nearest(name, catalogue)}; "
                f"and it lacks the key '{missing[0]}', which a new entry needs. Names there: {known_names}."
            )
        resolved.append(merged)
    return resolved


def _enough_resamples(study: dict[str, Any], path: Path) -> None:
    """Refuse a number of resamples with which no difference in a table could be significant, however large.

    The smallest p value of R sign patterns is 1 / (1 + R), and Holm's correction multiplies it by the number of tests
    of a protocol: one per metric of each cell in Table 1 (or 2), and at most as many as counted here in other tables.
    """
    policies = sum(map(is_policy, study["models"]))
    metrics = 2 * (len(study["models"]) - policies) + 3 * policies
    families = {"table2" if policies else "table1": metrics * len(study["datasets"])}
    if "baselines" in study["artefacts"]:
        each = 2 * (WEIGHT_BASELINES + study["baselines"]["subspaces"]) + 1
        families["baselines"] = each * len(study["baselines"]["cells"])
    if "transfer" in study["artefacts"]:
        datasets = Counter(model for model, _ in study["transfer"]["cells"])
        families["transfer"] = sum(count**2 for count in datasets.values())
    if "prompts" in study["artefacts"]:
        families["prompts"] = WORDINGS * len(study["prompts"]["cells"])
    table, tests = max(families.items(), key=lambda family: family[1])
    needed = round(tests / SIGNIFICANCE)
    if study["resamples"] < needed:
        raise UserError(
            f"{path}: resamples is {study['resamples']}. The smallest p value of so many resamples is "
            f"{1 / (1 + study['resamples']):.2g}, and adjusted over the {tests} paired tests of {table} it is not "
            f"below {SIGNIFICANCE}: no difference could be significant. Give at least {needed}."
        )


OWN_SEARCHES = ("compose", "fig4", "rank_rules", "clustered", "clusters", "search")
"""Artefacts of evaluations that choose among candidates of their own."""


def _one_search(study: dict[str, Any], path: Path) -> None:
    """Refuse `keep_at_least` together with another search, which would choose what it excludes."""
    if "keep_at_least" not in study:
        return
    others = [name for name in OWN_SEARCHES if name in study["artefacts"]]
    if study["search"] != "exhaustive":
        others.append(f"search: {study['search']}")
    if others:
        raise UserError(
            f"{path}: keep_at_least stands beside {', '.join(others)}, which would choose among all kept ranks. "
            "Leave out the one or the other."
        )


def _together(study: dict[str, Any], path: Path) -> None:
    """Refuse `sweep_together` with datasets that the study lacks, and where sweeps are not all of the same edits."""
    known = [entry["name"] for entry in study["datasets"]]
    for name in study.get("sweep_together", []):
        if name not in known:
            raise UserError(
                f"{path}: sweep_together has '{name}', which is not a dataset of the study{nearest(name, known)}. "
                f"Datasets: {', '.join(known)}."
            )
    reason = "the study's models are policies" if any(map(is_policy, study["models"])) else ""
    if study["search"] != "exhaustive":
        reason = f"under search: {study['search']} every dataset has candidates of its own"
    if reason and "sweep_together" in study:
        raise UserError(f"{path}: sweep_together does not apply: {reason}. Leave it out.")


def _only_once(models: list[dict[str, Any]], path: Path) -> None:
    """Refuse two models of the same name, which `vary` can produce."""
    names = [model["name"] for model in models]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{path}: models makes '{name}' twice (see `vary`). Every model must come once.")


def _known_builder(entry: dict[str, Any], index: int, path: Path, root: Path) -> None:
    folder = root / "workflow/scripts/laser/tasks/datasets"
    known = sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))
    if entry["builder"] not in known:
        raise UserError(
            f"{path}: datasets[{index}].builder is '{entry['builder']}'{nearest(entry['builder'], known)}. "
            f"Allowed: {', '.join(known)}. Rows of your own take the builder generic (docs/your-own-task.md)."
        )


def _not_a_catalogue_name(entry: dict[str, Any], catalogue: dict[str, Any], where: str) -> None:
    """Refuse own rows under the name of a catalogue's dataset, because published numbers are found by name."""
    known = catalogue.get(entry["name"], {}).get("builder", entry["builder"])
    if entry["builder"] in BUILDERS and known not in BUILDERS:
        raise UserError(
            f"{where}.name is '{entry['name']}', which config/datasets.yaml has with the builder {known}: rows of your "
            "own would be compared with what the paper says about it. Give them another name."
        )


def _rhos(given: list[float], path: Path) -> list[float]:
    """Return the values of ρ, largest first; each must have a different name in file names."""
    rhos = sorted({float(rho) for rho in given}, reverse=True)
    names: dict[str, float] = {}
    for rho in rhos:
        name = rho_name(rho)
        if name in names:
            raise UserError(
                f"{path}: grid.rhos holds {names[name]} and {rho}, which are the same to six digits. Keep one."
            )
        names[name] = rho
    return rhos


def _grid(grid: dict[str, Any], model: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return matrices and layers for one model: the study's, or the model's own if it has any."""
    chosen = {key: grid[key] for key in ("matrices", "layers")} | grid.get("models", {}).get(model["name"], {})
    check_matrices(chosen["matrices"], model, f"{path}: grid.matrices")
    return chosen | {"layers": chosen_layers(chosen["layers"], model, f"{path}: grid.layers")}


def _only_known_models(grid: dict[str, Any], names: list[str], path: Path) -> None:
    """Refuse a grid for a model that the study does not have."""
    for name in grid.get("models", {}):
        if name not in names:
            raise UserError(
                f"{path}: grid.models has '{name}', which is not a model of the study{nearest(name, names)}."
            )
