# One exact SVD per matrix: factors once (in the cache, by content), and a record for every rho.


rule reduce:
    input:
        model=model_card,
    output:
        per_rho("<results>/reductions/{model}/layer{layer}/rho{rho}.json"),
    log:
        f"<logs>/reduce/{{model}}/layer{{layer}}{'-rho{rho}' if EACH_RHO else ''}.log",
    benchmark:
        f"<benchmarks>/reduce/{{model}}/layer{{layer}}{'-rho{rho}' if EACH_RHO else ''}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("reduce"),
    params:
        spec=lambda wildcards: PLAN.reduce_spec(
            wildcards.model, int(wildcards.layer), rho_of(wildcards)
        ),
        factors=f"{PLAN.config['cache']}/factors",
    message:
        "Decompose layer {wildcards.layer} of {wildcards.model}"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/reduce_layer.py --spec {params.spec:q} --model {input.model:q}"
        " --factors {params.factors:q} --records {output:q} --log {log:q}"
