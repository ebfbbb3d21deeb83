# What the study rests on and what made it: copies of its inputs, and the manifest of all its files with their hashes.


# A job leaves a record and a run beside its outputs (docs/provenance.md). They are asked for by name, as every file that
# the tables rest on is, so that one that is deleted is made again with its job.


def record_files(wildcards):
    """Record and run of every job of the study."""
    files = [
        *artefact_files(wildcards),
        *run_files(wildcards),
        rules.report.output.page,
    ]
    files = [file.replace("<results>", PLAN.results) for file in files]
    return records_of(workflow.rules, [*files, rules.inputs.output.study])


localrules:
    inputs,
    manifest,


rule inputs:
    input:
        models=[f"{model_folder(name)}/card.json" for name in PLAN.models],
        data=[
            f"{data_folder(name)}/{file}"
            for name in PLAN.datasets
            for file in ("rows.parquet", "card.json")
        ],
        corpora=[f"{corpus_folder(name)}/facts.parquet" for name in TRAINED],
        pools=[f"<cache>/rooms/{key}/card.json" for key in PLAN.pool_keys],
        texts=texts,
        records=[
            f"<cache>/{path}"
            for path in copies(PLAN).values()
            if path.endswith(("/record.json", "/run.json"))
        ],
        counts=PLAN.study["counts"].values(),
    output:
        [
            f"<results>/inputs/{path}"
            for path in (
                *copies(PLAN),
                *count_copies(PLAN),
                *(f"published/{name}" for name in published_copies(PLAN)),
                *(f"workflow/{name}" for name in workflow_copies(PLAN)),
            )
        ],
        readme="<results>/README.md",
        study="<results>/inputs/study.json",
    log:
        "<logs>/inputs/inputs.log",
    benchmark:
        "<benchmarks>/inputs/inputs.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "copy_inputs",
            settings=PLAN.study | {"artefact_files": described(PLAN)},
            copies=copies(PLAN),
            counts=count_copies(PLAN),
            published_files=published_copies(PLAN),
            workflow=workflow_copies(PLAN),
        ),
        cache=lambda wildcards, input: Path(input.models[0]).parents[2],
    message:
        "Copies of what the study rests on"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/copy_inputs.py --spec {params.spec:q} --cache {params.cache:q}"
        " --output {output.study:q} --log {log:q}"


rule manifest:
    input:
        artefact_files,
        run_files,
        record_files,
        rules.inputs.output,
        report="<results>/report/index.html",
    output:
        manifest="<results>/manifest.json",
        run="<results>/manifest-run.json",
        crate="<results>/ro-crate-metadata.json",
    log:
        "<logs>/manifest/manifest.log",
    benchmark:
        "<benchmarks>/manifest/manifest.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_manifest", title=PLAN.study["title"]
        ),
        files=lambda wildcards: run_words(),
        lost=lambda wildcards: lost(PLAN.results),
    message:
        "The study's manifest"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_manifest.py --spec {params.spec:q} --files {input.report:q} {params.files}"
        " --output {output.manifest:q} --log {log:q}"


declare_records(workflow.rules)
