"""Settings: every job must have run with exactly those of the study, and on the sources that the study names."""

from __future__ import annotations

from typing import Any

from laser_audit.findings import Check
from laser_audit.manifest import MANIFEST, listed
from laser_audit.paper import FOLDER, RULES
from laser_audit.reading import Study, digest, text_of
from laser_audit.records import records
from laser_audit.rows import grid, transferred
from laser_audit.splits import OWN

ASKED = ("scoring", "new_tokens")
"""Options of own rows that the specs of evaluations repeat."""
SHARED = ("seed", "resamples", "protocols", "engine", "token_budget")
DECLARED = "artefact_files"
"""Key of inputs/study.json with the declarations of artefacts, which are not settings."""

EVALUATION = {
    *("study", "model", "dataset", "format", "protocols", "engine", "token_budget", "seed"),
    *("compute", "code"),
}
EVALUATIONS = (
    *("base", "sweep", "race", "survivors", "test_intervention", "landscape", "gradients", "compose_layers"),
    "compose_test",
    *(
        f"evaluate_{kind}"
        for kind in (
            "choices",
            "seeds",
            "transfer",
            "rank_rules",
            "prompts",
            "higher_order",
            "perplexity",
            "efficacy",
            "clustered",
            "baselines",
        )
    ),
)
SWEEPS = ("sweep", "survivors")
"""Rules that make a layer's sweep: by evaluating it, or from a race."""


def check_settings(check: Check, study: Study) -> None:
    """Compare the spec in every record with inputs/study.json and with the study's copies of its inputs."""
    paper = digest(
        {path.rpartition("/")[2]: study.sha256(path) for path in study.matching(f"{FOLDER}/", ".csv")},
        16,
    )
    plain = {key: value for key, value in study.settings.items() if key != DECLARED}
    models = {text_of(entry["name"]): entry for entry in study.settings["models"]}
    datasets = {text_of(entry["name"]): entry for entry in study.settings["datasets"]}
    for path, record in records(study).items():
        if not path.startswith("records/"):
            continue
        with check.guarded(path):
            spec = record["spec"]
            for key in SHARED:
                if key in spec:
                    check.same(path, f"spec.{key} (and inputs/study.json)", spec[key], study.settings[key])
            if "study" in spec:
                check.same(path, "spec.study", spec["study"], study.settings["name"])
            for key, names in (("models", study.models), ("datasets", study.datasets)):
                if key in spec:
                    check.same(path, f"spec.{key} (and inputs/study.json)", spec[key], names)
            if "published" in spec and isinstance(spec["published"], str):
                check.same(path, f"spec.published (hash of {FOLDER}/)", spec["published"], paper)
            if "rules" in spec:
                check.same(path, f"spec.rules (hash of {RULES})", spec["rules"], study.sha256(RULES)[:16])
            if "settings" in spec:
                settings = {key: value for key, value in spec["settings"].items() if key != DECLARED}
                check.same(path, "spec.settings (and inputs/study.json)", settings, plain)
            _model(check, path, spec, models)
            if "model" in spec and "dataset" in spec:
                dataset = spec["dataset"]
                name = text_of(dataset["name"])
                key = f"{name}-{digest(datasets[name], 8)}"
                check.same(path, "spec.dataset.key (hash of its entry in inputs/study.json)", dataset["key"], key)
                check.same(path, "spec.dataset.builder", dataset["builder"], datasets[name]["builder"])
                of_user = datasets[name]["builder"] in OWN
                said = {key: datasets[name]["options"][key] for key in ASKED if key in datasets[name]["options"]}
                check.same(path, "spec.dataset.asked", dataset.get("asked"), said if of_user else None)
            if record["rule"] == "reduce":
                _reduce(check, study, path, spec)
            if record["rule"] == "spectra":
                searched = study.settings["grid"][text_of(spec["model"]["name"])]
                check.same(path, "spec.grid (and inputs/study.json)", spec["grid"], searched)
                check.same(path, "spec.rhos (and inputs/study.json)", spec["rhos"], study.settings["rhos"])
            if record["rule"] in EVALUATIONS:
                _evaluation(check, study, path, text_of(record["rule"]), spec)
    _models(check, study, models)


def _model(check: Check, path: str, spec: dict[str, Any], models: dict[str, Any]) -> None:
    """Compare a spec's model with the study."""
    if not isinstance(spec.get("model"), dict) or "key" not in spec["model"]:
        return
    name = text_of(spec["model"]["name"])
    entry = models[name]
    key = f"{name}-{digest(entry['source'], 8)}"
    check.same(path, "spec.model.key (hash of its source in inputs/study.json)", spec["model"]["key"], key)
    for part in ("dtype", "architecture", "layers", "mapping"):
        check.same(path, f"spec.model.{part}", spec["model"].get(part), entry.get(part))


def _evaluation(check: Check, study: Study, path: str, rule: str, spec: dict[str, Any]) -> None:
    """Compare the keys that are special to a rule with the study; a key that the rule does not have is a finding.

    A number of rows, for instance, would hide rows of a sweep, and a search by gradients its candidates.
    """
    name = text_of(spec["model"]["name"])
    expected = _special(study, rule, name)
    allowed = (
        EVALUATION
        | set(expected)
        | {"layer", "rhos", "matrices", "published_choice", "cheap_search", "text_key", "corpus_key"}
    )
    if rule not in (*SWEEPS, "landscape"):
        allowed -= {"layer"}
    check.same(path, "spec: keys that its rule does not have", sorted(set(spec) - allowed), [])
    for key, value in expected.items():
        if key == "cheap_search" and key not in spec:
            continue  # of cells for which the paper's choice alone is evaluated
        check.same(path, f"spec.{key} (and inputs/study.json)", spec.get(key), value)
    if "layer" in spec:
        searched = study.settings["landscape"] if rule == "landscape" else study.settings
        layers = searched["grid"][name]["layers"]
        check.same(path, "spec.layer in the grid", spec["layer"] in layers, True)


def _reduce(check: Check, study: Study, path: str, spec: dict[str, Any]) -> None:
    """Compare which reductions a job made with the grid."""
    matrices, layers, rhos = grid(study, text_of(spec["model"]["name"]))
    check.same(path, "spec.matrices (and the grid)", spec["matrices"], matrices)
    check.same(path, "spec.layer in the grid", spec["layer"] in layers, True)
    if study.settings["one_job_per"] == "layer":
        check.same(path, "spec.rhos (and the grid)", [float(rho) for rho in spec["rhos"]], rhos)


def _special(study: Study, rule: str, model: str) -> dict[str, Any]:
    """Return the required keys of an evaluation's spec beyond those that all have."""
    settings = study.settings
    matrices, layers, _ = grid(study, model)
    special: dict[str, Any] = {}
    if rule in SWEEPS:
        special["matrices"] = matrices
        if settings["one_job_per"] == "layer":
            special["rhos"] = settings["rhos"]
    if rule == "race":
        special |= {"grid": settings["grid"][model], "rhos": settings["rhos"]}
        special |= {key: settings["racing"][key] for key in ("error", "blocks")}
    if rule in (*SWEEPS, "race") and "gradient" in settings["search"]:
        special["keep"] = settings["gradient"]["keep"]
    if rule == "landscape":
        run = settings["landscape"]
        special |= {"kinds": run["kinds"], "matrices": run["grid"][model]["matrices"], "rhos": run["rhos"]}
        special["rows"] = run.get("rows")
    if rule == "gradients":
        special |= {"grid": settings["grid"][model], "rhos": settings["rhos"]}
        special["examples"] = settings["gradient"]["examples"]
    if rule == "compose_layers":
        special |= {"layers": layers, "matrices": settings["compose"].get("matrices", matrices)}
        special["rhos"] = settings["compose"]["rhos"]
    if rule == "evaluate_choices" and "search" in settings["artefacts"]:
        search = {"keep": settings["gradient"]["keep"], "layers": layers, "rhos": settings["rhos"]}
        special["cheap_search"] = search
    if rule == "evaluate_seeds":
        special["seeds"] = list(range(settings["seeds"]["count"]))
    if rule == "evaluate_transfer":
        special |= {"datasets": transferred(study, model), "matrices": matrices}
    if rule == "evaluate_rank_rules":
        special |= {"matrices": matrices, "rhos": settings["rhos"]}
    if rule == "evaluate_prompts":
        special["rows"] = settings["prompts"].get("rows")
    if rule == "evaluate_higher_order":
        special["percents"] = settings["higher_order"]["percents"]
    if rule == "evaluate_clustered":
        special |= {key: settings["clustered"].get(key) for key in ("clusters", "rhos", "rows")}
    if rule == "evaluate_baselines":
        special["seeds"] = list(range(settings["baselines"]["subspaces"]))
    return special


def _models(check: Check, study: Study, models: dict[str, Any]) -> None:
    """Compare each model's card with its entry: where it comes from, its shape, and the pinned hashes of its files."""
    for name, entry in models.items():
        path = f"inputs/models/{name}/card.json"
        with check.guarded(path):
            card = study.json(path)
            check.same(path, "name", card["name"], name)
            for key in ("architecture", "layers"):
                check.same(path, key, card[key], entry[key])
            source = {key: value for key, value in card["source"].items() if key in entry["source"]}
            check.same(path, "source (and inputs/study.json)", source, entry["source"])
            pins = entry["source"].get("sha256")
            for file, sha256 in pins.items() if isinstance(pins, dict) else ():
                check.same(path, f"files.{file} (pinned in inputs/study.json)", card["files"].get(file), sha256)
            check.same(path, "in manifest.json", path in listed(study, MANIFEST), True)
