"""Settings: that every job ran with those of the study, and on the sources that it names."""

from __future__ import annotations

from typing import Any

from laser.io.files import digest
from laser_audit.findings import Check
from laser_audit.manifest import MANIFEST, listed
from laser_audit.paper import FOLDER
from laser_audit.reading import Study, text_of
from laser_audit.records import records
from laser_audit.rows import grid

SHARED = ("seed", "resamples", "protocols", "engine", "token_budget")


def check_settings(check: Check, study: Study) -> None:
    """Compare the spec in every record with inputs/study.json and with the study's copies of its inputs."""
    paper = digest(
        {path.rpartition("/")[2]: study.sha256(path) for path in study.matching(f"{FOLDER}/", ".csv")},
        16,
    )
    models = {text_of(one["name"]): one for one in study.settings["models"]}
    datasets = {text_of(one["name"]): one for one in study.settings["datasets"]}
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
            if "settings" in spec:
                check.same(path, "spec.settings (and inputs/study.json)", spec["settings"], study.settings)
            _model(check, study, path, spec, models)
            if "dataset_name" in spec:
                name = text_of(spec["dataset_name"])
                key = f"{name}-{digest(datasets[name], 8)}"
                check.same(path, "spec.dataset (hash of its entry in inputs/study.json)", spec["dataset"], key)
                check.same(path, "spec.builder", spec["builder"], datasets[name]["builder"])
    _models(check, study, models)


def _model(check: Check, study: Study, path: str, spec: dict[str, Any], models: dict[str, Any]) -> None:
    """Compare what a spec says of its model, matrices, layer and rhos with the study."""
    if not isinstance(spec.get("model"), dict) or "key" not in spec["model"]:
        return
    name = text_of(spec["model"]["name"])
    entry = models[name]
    key = f"{name}-{digest(entry['source'], 8)}"
    check.same(path, "spec.model.key (hash of its source in inputs/study.json)", spec["model"]["key"], key)
    for one in ("dtype", "architecture", "layers", "mapping"):
        check.same(path, f"spec.model.{one}", spec["model"].get(one), entry.get(one))
    if path.startswith(("records/reduce/", "records/sweep/")):
        matrices, layers, rhos = grid(study, name)
        check.same(path, "spec.matrices (and the grid)", spec["matrices"], matrices)
        check.same(path, "spec.layer in the grid", spec["layer"] in layers, True)
        if study.settings["one_job_per"] == "layer":
            check.same(path, "spec.rhos (and the grid)", [float(one) for one in spec["rhos"]], rhos)


def _models(check: Check, study: Study, models: dict[str, Any]) -> None:
    """Compare each model's card with its entry: where it comes from, and its shape."""
    for name, entry in models.items():
        path = f"inputs/models/{name}/card.json"
        with check.guarded(path):
            card = study.json(path)
            check.same(path, "name", card["name"], name)
            for key in ("architecture", "layers"):
                check.same(path, key, card[key], entry[key])
            source = card["source"]
            for key in ("kind", "repo", "revision", "package", "version", "sha256", "path"):
                if key in entry["source"] and key in source:
                    check.same(path, f"source.{key}", source[key], entry["source"][key])
            check.same(path, "in manifest.json", path in listed(study, MANIFEST), True)
