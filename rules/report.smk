# The page that a person reads.


localrules:
    report,


rule report:
    input:
        artefacts=artefact_files,
        models=[f"{model_folder(name)}/card.json" for name in PLAN.models],
        data=[f"{data_folder(name)}/card.json" for name in PLAN.datasets],
        tests=cell_files("<results>/test/{model}/{dataset}.parquet"),
        selections=cell_files("<results>/selection/{model}/{dataset}.json"),
        rows=data_of(PLAN.cells()),
    output:
        page="<results>/report/index.html",
        run="<results>/report/run.html",
    log:
        "<logs>/report/report.log",
    benchmark:
        "<benchmarks>/report/report.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_report", settings=PLAN.study, texts=PLAN.texts()
        ),
        benchmarks=f"{PLAN.results}/benchmarks",
    message:
        "The study's report"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_report.py --spec {params.spec:q} --artefacts {input.artefacts:q}"
        " --models {input.models:q} --data {input.data:q} --tests {input.tests:q} --selections {input.selections:q} --rows {input.rows:q}"
        " --benchmarks {params.benchmarks:q} --output {output.page:q} --log {log:q}"
