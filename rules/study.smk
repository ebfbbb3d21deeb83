# What the user gets: the report, copies of the study's inputs, the manifest of all its files and, on request, edited
# checkpoints (`snakemake results/<study>/export/<model>/<dataset>-<protocol>-<form>/README.md`).
from laser.provenance.copied_inputs import (
    all_copies,
    copies,
    count_copies,
    published_copies,
    workflow_copies,
)
from laser.provenance.declared import declare_records
from laser.provenance.manifest import untracked_state
from laser.config.artefacts import hash_of_declarations


localrules:
    report,
    inputs,
    manifest,
    export,


rule report:
    input:
        artefact_files,
        study_files("model", "dataset", "base", "sweep", "test", "selection", "rows"),
    output:
        page=FILES["report"],
        run=FILES["run_report"],
    log:
        "<logs>/report/report.log",
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        **study_job(
            "report",
            settings=PLAN.study,
            texts=PLAN.texts(),
            artefacts=artefact_names,
        ),
    message:
        "The study's report"
    shell:
        JOB


rule inputs:
    input:
        study_files("model", "rows", "dataset", "facts"),
        [PATHS.text("pool", pool_key=key) for key in PLAN.pool_keys],
        texts,
        [
            f"<cache>/{path}"
            for path in copies(PLAN).values()
            if Path(path).name in ("record.json", "run.json")
        ],
        PLAN.study["counts"].values(),
    output:
        "<results>/README.md",
        [f"<results>/inputs/{path}" for path in all_copies(PLAN)],
        study=FILES["inputs"],
    log:
        "<logs>/inputs/inputs.log",
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        **study_job(
            "inputs",
            settings=PLAN.study,
            declarations=hash_of_declarations(PLAN),
            copies=copies(PLAN),
            counts=count_copies(PLAN),
            published_files=published_copies(PLAN),
            workflow=workflow_copies(PLAN),
        ),
    message:
        "Copies of what the study rests on"
    shell:
        JOB


rule manifest:
    input:
        artefact_files,
        evaluation_files,
        record_files,
        rules.inputs.output,
        FILES["report"],
    output:
        FILES["manifest"],
        FILES["run_manifest"],
        FILES["crate"],
    log:
        "<logs>/manifest/manifest.log",
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        **study_job("manifest", title=PLAN.study["title"], evaluations=PLAN.evaluated()),
        untracked=lambda wildcards: untracked_state(PLAN.results),
    message:
        "The study's manifest"
    shell:
        JOB


rule export:
    input:
        model_card,
        FILES["selection"],
        FILES["test"],
    output:
        FILES["export"],
    log:
        "<logs>/export/{model}/{dataset}-{protocol}-{form}.log",
    wildcard_constraints:
        protocol="published|corrected",
        form="dense|factored",
    conda:
        "../envs/laser.yaml"
    resources:
        **needs("export"),
    params:
        **job("export"),
    message:
        "Export {wildcards.model} with the intervention chosen on {wildcards.dataset}, {wildcards.form}"
    shell:
        JOB


# A job leaves a record and a run beside its outputs.
declare_records(workflow.rules, Path(PLAN.results), Path(PLAN.config["cache"]))
