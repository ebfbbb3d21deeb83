"""The export job: the checkpoint of a cell's chosen intervention, with a model card."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from laser.config.specs import ExportSpec
from laser.errors import UserError
from laser.evaluation.cell import step_of
from laser.export.checkpoint import LATENCY, export
from laser.export.factored import load_factored
from laser.export.latency import latency
from laser.io.files import read_json, read_parquet, write_json, write_text
from laser.models.device import resolve_device, set_threads
from laser.models.kinds import task_of
from laser.models.stored import read_config
from laser.provenance.job import Job
from laser.reduction.factors import FactorStore
from laser.reduction.interventions import Intervention

CARD = "README.md"


def export_model(job: Job) -> None:
    """Export the intervention that the spec's `protocol` chose, in the spec's `form`.

    The whole folder is replaced; export.json and, last, README.md are written into it. Both are the same for equal
    studies. For the form `factored`, latency.json holds times that differ from run to run (`laser.export.latency`).

    Raises:
        UserError: the base model was chosen, so there is nothing to export; or the protocol or model does not fit.
    """
    spec: ExportSpec = job.spec
    protocol = spec.protocol
    folder = job.output("export", **spec.cell, protocol=protocol, form=spec.form).parent
    chosen, tested = job.input("selection", **spec.cell), job.input("test", **spec.cell)
    model_card = job.input("model", model_key=spec.model.key)
    selection = read_json(chosen)
    if protocol not in selection["protocols"]:
        known = ", ".join(selection["protocols"])
        raise UserError(f"{chosen}: has no protocol '{protocol}'. It has: {known}.")
    outcome = selection["protocols"][protocol]
    if outcome["chosen"] is None:
        raise UserError(
            f"{chosen}: under '{protocol}' the base model won on validation, so that there is no edited "
            "model to export."
        )
    origin = model_card.parent
    task = task_of(read_config(origin))
    if task == "policy":
        raise UserError(
            f"{origin}: is a policy, and export writes language models only. Its weights are in that folder, and the "
            "chosen intervention in the study's selection/."
        )
    chosen_edit = outcome["chosen"]
    settings = step_of(protocol, task, spec.seed)
    edit = Intervention(chosen_edit["matrix"], chosen_edit["layer"], chosen_edit["rho"], **settings)
    model, base = spec.model, read_json(model_card)
    store = FactorStore(job.folders.path("factors"))
    facts = export(origin, folder, edit, spec.form, model.dtype, store, model.mapping)
    record = {
        "base": {"name": base.get("name", model.name), "source": base.get("source"), "revision": base.get("revision")},
        **{"study": spec.study, "dataset": spec.dataset.name, "protocol": protocol, "form": spec.form},
        **{"task": task, "dtype": model.dtype, "intervention": chosen_edit | settings},
        "validation": outcome["validation"],
        "test": test_scores(tested, protocol),
        "checkpoint": facts,
        "spec": job.plain,
    }
    write_json(folder / "export.json", record)
    if spec.form == "factored":
        write_json(folder / LATENCY, _latency(folder, job))
    write_text(folder / CARD, card(record))
    job.say(f"{spec.form}: {facts['bytes']:,} bytes of weights, {facts['bytes_saved']:,} saved")


def _latency(folder: Path, job: Job) -> dict[str, Any]:
    """Measure the exported model in both forms, with the threads and on the device of the spec."""
    spec: ExportSpec = job.spec
    set_threads(spec.compute.threads)
    model = load_factored(folder, spec.model.dtype).to(resolve_device(spec.compute.device))
    measured = latency(model)
    for entry in measured["seconds_per_token"]:
        job.say(f"batch {entry['batch']}: {entry['dense']:.3g} s per token dense, {entry['factored']:.3g} s factored")
    return measured


def test_scores(path: Path, protocol: str) -> dict[str, dict[str, Any]]:
    """Return accuracy (percent), loss (nats) and n of both arms of a test file under one protocol."""
    frame = read_parquet(path, ["protocol", "arm", "correct", "loss"])
    judged = frame[frame["protocol"] == protocol]
    scores = {}
    for arm in ("base", "laser"):
        rows = judged[judged["arm"] == arm]
        loss = float(rows["loss"].mean())
        accuracy = 100 * float(rows["correct"].mean())
        scores[arm] = {"accuracy": accuracy, "loss": loss if math.isfinite(loss) else None, "n": len(rows)}
    return scores


def card(record: dict[str, Any]) -> str:
    """Return the model card as Markdown."""
    base, edit, facts = record["base"], record["intervention"], record["checkpoint"]
    source = base["source"] or {}
    repo = source.get("repo")
    kept, (rows, columns) = facts["kept_rank"], facts["shape"]
    lines = [
        "---",
        *([f"base_model: {repo}"] if repo else []),
        "library_name: transformers",
        f"pipeline_tag: {'fill-mask' if record['task'] == 'masked' else 'text-generation'}",
        "tags: [laser, low-rank]",
        "---",
        "",
        f"# {base['name']}, one matrix reduced to rank {kept}",
        "",
        f"The checkpoint {_origin(base)} with one weight matrix replaced by a low-rank approximation of itself "
        "(LASER, arXiv 2312.13558). Every other weight is the original's, byte for byte.",
        "",
        "| | |",
        "|---|---|",
        f"| matrix | `{edit['matrix']}` of layer {edit['layer']} (counted from 0): `{facts['parameter']}` |",
        f"| rank | {kept} of {min(rows, columns)} (ρ = {edit['rho']:g}), matrix {rows} × {columns} |",
        f"| low-rank step | {_step(edit)} |",
        f"| chosen in | study `{record['study']}`, dataset `{record['dataset']}`, protocol `{record['protocol']}`, on "
        "validation rows alone |",
        f"| evaluated in | {record['dtype']} |",
        f"| weights | {facts['bytes']:,} bytes; the original {facts['bytes_original']:,} ({_saved(facts)}) |",
        f"| rounding | stored and evaluated matrix differ by {facts['relative_difference']:.3g} (relative) |",
        "",
        "## Scores",
        "",
        "| rows | model | accuracy (%) | loss (nats) | n |",
        "|---|---|---|---|---|",
        *_scores("validation", record["validation"], "chosen"),
        *_scores("test", record["test"], "laser"),
        "",
        "The intervention was chosen for its validation scores, which therefore flatter it; the test scores do not. "
        "Intervals and tests are in the study's tables.",
        "",
        "## Loading",
        "",
        *_loading(record),
        "",
        "## Licence",
        "",
        f"The weights are those of {base['name']} but for one matrix made from them: the licence of that model holds "
        "for this one too. Read it before passing the files on; this card grants nothing.",
        "",
        "## Files",
        "",
        "| file | sha256 |",
        "|---|---|",
        *(f"| `{name}` | `{digest}` |" for name, digest in facts["files"].items()),
        "",
    ]
    return "\n".join(lines)


def _origin(base: dict[str, Any]) -> str:
    source = base["source"] or {}
    where = source.get("repo") or source.get("package")  # a local path means nothing elsewhere
    named = f"`{base['name']}`"
    if not where:
        return named
    return f"{named} ({source.get('kind')} `{where}`" + (f", `{base['revision']}`)" if base["revision"] else ")")


def _step(edit: dict[str, Any]) -> str:
    if edit["kind"] == "svd":
        return "exact truncated SVD"
    return f"randomised SVD, {edit['niter']} power iterations, seed {edit['seed']}"


def _saved(facts: dict[str, Any]) -> str:
    saved, whole = facts["bytes_saved"], facts["bytes_original"]
    if saved == 0:
        return "as many"
    return f"{abs(saved):,} {'fewer' if saved > 0 else 'more'}, {100 * abs(saved) / whole:.3g} %"


def _scores(rows: str, scores: dict[str, dict[str, Any]], edited: str) -> list[str]:
    lines = []
    for arm, name in (("base", "original"), (edited, "this one")):
        score = scores[arm]
        loss = "not finite" if score["loss"] is None else f"{score['loss']:.4f}"
        lines.append(f"| {rows} | {name} | {score['accuracy']:.2f} | {loss} | {score['n']:,} |")
    return lines


def _loading(record: dict[str, Any]) -> list[str]:
    facts = record["checkpoint"]
    (rows, columns), kept = facts["shape"], facts["kept_rank"]
    module = facts["parameter"].removesuffix(".weight")
    kind = "AutoModelForMaskedLM" if record["task"] == "masked" else "AutoModelForCausalLM"
    if record["form"] == "dense":
        return [
            "```python",
            f"from transformers import AutoTokenizer, {kind}",
            "",
            f'model = {kind}.from_pretrained("this folder")',
            'tokenizer = AutoTokenizer.from_pretrained("this folder")',
            "```",
        ]
    return [
        "A plain `from_pretrained` cannot load this folder, and says so: the matrix is kept as two factors "
        "(factors.json names them), which transformers does not know. With the replication pipeline's package "
        "(`workflow/scripts` on PYTHONPATH):",
        "",
        "```python",
        "from laser.export.factored import load_factored",
        "from transformers import AutoTokenizer",
        "",
        'model = load_factored("this folder")',
        'tokenizer = AutoTokenizer.from_pretrained("this folder")',
        "```",
        "",
        f"{LATENCY} holds seconds per token of this form and of the dense one, as measured when this folder was made.",
        "",
        f"In the loaded model `{module}` is two `torch.nn.Linear`, `right` ({columns} to {kept}) and `left` ({kept} to "
        f"{rows}). All weights are frozen. `model.requires_grad_(True)` trains all of them; adapters of PEFT take the "
        "two by their names:",
        "",
        "```python",
        "from peft import LoraConfig, get_peft_model",
        "",
        'model = get_peft_model(model, LoraConfig(target_modules=["right", "left"]))',
        "```",
    ]
