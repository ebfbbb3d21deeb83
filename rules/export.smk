# The edited checkpoint as files: `snakemake results/<study>/export/<model>/<dataset>-<protocol>-<form>/README.md`.


localrules:
    export,


rule export:
    input:
        model=model_card,
        selection="<results>/selection/{model}/{dataset}.json",
        test="<results>/test/{model}/{dataset}.parquet",
    output:
        "<results>/export/{model}/{dataset}-{protocol}-{form}/README.md",
    log:
        "<logs>/export/{model}/{dataset}-{protocol}-{form}.log",
    benchmark:
        "<benchmarks>/export/{model}/{dataset}-{protocol}-{form}.jsonl"
    wildcard_constraints:
        protocol="published|corrected",
        form="dense|factored",
    conda:
        "../envs/laser.yaml"
    resources:
        **needs("export"),
    params:
        spec=lambda wildcards: PLAN.run_spec(
            "export_model",
            wildcards.model,
            wildcards.dataset,
            protocol=wildcards.protocol,
            form=wildcards.form,
        ),
        factors=f"{PLAN.config['cache']}/factors",
    message:
        "Export {wildcards.model} with the intervention chosen on {wildcards.dataset}, {wildcards.form}"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/export_model.py --spec {params.spec:q} --model {input.model:q}"
        " --selection {input.selection:q} --test {input.test:q} --factors {params.factors:q} --output {output:q} --log {log:q}"
