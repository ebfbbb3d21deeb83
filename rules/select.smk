# The intervention of each cell, from validation rows alone.


localrules:
    select,


rule select:
    input:
        base="<results>/sweep/{model}/{dataset}/base.parquet",
        sweep=lambda wildcards: sweep_files(wildcards.model, wildcards.dataset),
        records=lambda wildcards: reduction_files(wildcards.model),
    output:
        "<results>/selection/{model}/{dataset}.json",
    log:
        "<logs>/select/{model}/{dataset}.log",
    benchmark:
        "<benchmarks>/select/{model}/{dataset}.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        spec=lambda wildcards: PLAN.select_spec(wildcards.model, wildcards.dataset),
    message:
        "Choose the intervention of {wildcards.model} on {wildcards.dataset} from validation rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/select_intervention.py --spec {params.spec:q} --base {input.base:q} --sweep {input.sweep:q}"
        " --records {input.records:q} --output {output:q} --log {log:q}"
