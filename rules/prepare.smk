# Datasets into prepared rows, with a card that says where they came from and what is in them.

# update: Snakemake does not delete them before it makes them again, as another run may be reading them.


localrules:
    prepare,


rule prepare:
    input:
        pool=pool_of_data,
    output:
        rows=update("<cache>/data/{data_key}/rows.parquet"),
        card=update("<cache>/data/{data_key}/card.json"),
    log:
        "<logs>/prepare/{data_key}.log",
    benchmark:
        "<benchmarks>/prepare/{data_key}.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        spec=lambda wildcards: PLAN.prepare_spec(
            PLAN.dataset_of_key(wildcards.data_key)
        ),
    message:
        "Prepare {wildcards.data_key}"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/prepare_dataset.py --spec {params.spec:q}"
        " --pool {input.pool:q} --rows {output.rows:q} --card {output.card:q} --log {log:q}"
