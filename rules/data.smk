# Puts datasets and texts into the cache, each with a card that says where it came from and what is in it.


# `update`: as in models.smk.


localrules:
    prepare,
    false_targets,
    text,


rule prepare:
    input:
        episodes_of_dataset,
    output:
        [update(FILES[kind]) for kind in ("rows", "dataset")],
    log:
        "<logs>/prepare/{data_key}.log",
    priority: FIRST
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        **job("prepare"),
    message:
        "Prepare {wildcards.data_key}"
    shell:
        JOB


rule false_targets:
    input:
        data_rows,
    output:
        FILES["false_targets"],
    log:
        "<logs>/false_targets/{dataset}.log",
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        **job("false_targets"),
    message:
        "False targets of {wildcards.dataset}"
    shell:
        JOB


rule text:
    output:
        [update(FILES[kind]) for kind in ("text", "text_card")],
    log:
        "<logs>/text/{text_key}.log",
    priority: FIRST
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        **job("text"),
    message:
        "Prepare the text {wildcards.text_key}"
    shell:
        JOB
