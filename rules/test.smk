# The only rule that ever scores the test split.


rule test:
    input:
        model=model_card,
        rows=data_rows,
        selection="<results>/selection/{model}/{dataset}.json",
    output:
        "<results>/test/{model}/{dataset}.parquet",
    log:
        "<logs>/test/{model}/{dataset}.log",
    benchmark:
        "<benchmarks>/test/{model}/{dataset}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("test"),
    params:
        spec=lambda wildcards: PLAN.test_spec(wildcards.model, wildcards.dataset),
        factors=f"{PLAN.config['cache']}/factors",
    message:
        "Base and LASER {wildcards.model} on {wildcards.dataset}, test rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/evaluate_test.py --spec {params.spec:q} --model {input.model:q} --rows {input.rows:q}"
        " --selection {input.selection:q} --factors {params.factors:q} --output {output:q} --log {log:q}"
