# Validation rows only: the base model once, and every intervention of a layer.


rule base:
    input:
        model=model_card,
        rows=data_rows,
    output:
        "<results>/sweep/{model}/{dataset}/base.parquet",
    log:
        "<logs>/base/{model}/{dataset}.log",
    benchmark:
        "<benchmarks>/base/{model}/{dataset}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("base"),
    params:
        spec=lambda wildcards: PLAN.base_spec(wildcards.model, wildcards.dataset),
        factors=f"{PLAN.config['cache']}/factors",
    message:
        "Base {wildcards.model} on {wildcards.dataset}, validation rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/evaluate_base.py --spec {params.spec:q} --model {input.model:q} --rows {input.rows:q}"
        " --factors {params.factors:q} --output {output:q} --log {log:q}"


rule sweep:
    input:
        unpack(sweep_inputs),
        model=model_card,
        rows=data_rows,
        reductions=per_rho("<results>/reductions/{model}/layer{layer}/rho{rho}.json"),
    output:
        per_rho("<results>/sweep/{model}/{dataset}/layer{layer}/rho{rho}.parquet"),
    log:
        f"<logs>/sweep/{{model}}/{{dataset}}/layer{{layer}}{'-rho{rho}' if EACH_RHO else ''}.log",
    benchmark:
        f"<benchmarks>/sweep/{{model}}/{{dataset}}/layer{{layer}}{'-rho{rho}' if EACH_RHO else ''}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("sweep"),
    params:
        spec=lambda wildcards: PLAN.sweep_spec(
            wildcards.model,
            wildcards.dataset,
            int(wildcards.layer),
            rho_of(wildcards),
        ),
        factors=f"{PLAN.config['cache']}/factors",
        gradients=lambda wildcards, input: input.get("gradients", []),
    message:
        "Sweep layer {wildcards.layer} of {wildcards.model} on {wildcards.dataset}, validation rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/sweep_layer.py --spec {params.spec:q} --model {input.model:q} --rows {input.rows:q}"
        " --factors {params.factors:q} --gradients {params.gradients:q} --output {output:q} --log {log:q}"
