# Checkpoints into the cache: pinned, checked, safetensors.

# update: Snakemake does not delete them before it makes them again, as another run may be reading them.


localrules:
    fetch,


rule fetch:
    output:
        card=update("<cache>/models/{model_key}/card.json"),
    log:
        "<logs>/fetch/{model_key}.log",
    benchmark:
        "<benchmarks>/fetch/{model_key}.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=lambda wildcards: fetch_memory_mb(
            PLAN.model(PLAN.model_of_key(wildcards.model_key))
        ),
        runtime=240,
    params:
        spec=lambda wildcards: PLAN.fetch_spec(PLAN.model_of_key(wildcards.model_key)),
    message:
        "Fetch {wildcards.model_key}"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/fetch_model.py --spec {params.spec:q} --card {output.card:q} --log {log:q}"
