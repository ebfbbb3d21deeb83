# Puts models into the cache: fetched and checked, or trained by the pipeline on corpora and rooms that it makes.
from laser.cost.requests import fetch_memory_mb, training_memory_mb

# `update`: Snakemake must not delete an output before remaking it, because another run may be reading it.


localrules:
    fetch,
    corpus,


ruleorder: train_policy > train > fetch


rule fetch:
    output:
        update(FILES["model"]),
    log:
        "<logs>/fetch/{model_key}.log",
    priority: FIRST
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=lambda wildcards: fetch_memory_mb(
            PLAN.model(PLAN.model_of_key(wildcards.model_key))
        ),
        runtime=240,
    params:
        **job("fetch"),
    message:
        "Fetch {wildcards.model_key}"
    shell:
        JOB


rule corpus:
    output:
        [update(FILES[kind]) for kind in ("facts", "sentences", "held_out", "corpus")],
    log:
        "<logs>/corpus/{corpus_key}.log",
    priority: FIRST
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        **job("corpus"),
    message:
        "Make {wildcards.corpus_key}"
    shell:
        JOB


rule train:
    input:
        corpus_of_model,
    output:
        update(FILES["model"]),
    log:
        "<logs>/train/{model_key}.log",
    wildcard_constraints:
        model_key=any_of(PLAN.model_key(name) for name in TRAINED),
    priority: FIRST
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, attempt: attempt * 240,
        gpu=0 if PLAN.config["device"] == "cpu" else 1,
    params:
        **job("train"),
    message:
        "Train {wildcards.model_key}"
    shell:
        JOB


rule rooms:
    output:
        update(FILES["rooms"]),
    log:
        "<logs>/rooms/{pool_key}/{chunk}-of-{chunks}.log",
    priority: FIRST
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=2000,
        runtime=lambda wildcards, attempt: attempt * 120,
    params:
        **job("rooms"),
    message:
        "Make and solve rooms of {wildcards.pool_key}, share {wildcards.chunk} of {wildcards.chunks}"
    shell:
        JOB


rule episodes:
    input:
        room_chunks,
    output:
        [update(FILES[kind]) for kind in ("episodes", "pool")],
    log:
        "<logs>/episodes/{pool_key}.log",
    priority: FIRST
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 6000,
        runtime=30,
    params:
        **job("episodes"),
    message:
        "Collect the expert's episodes in {wildcards.pool_key}"
    shell:
        JOB


rule train_policy:
    input:
        episodes_of_policy,
    output:
        update(FILES["model"]),
    log:
        "<logs>/train_policy/{model_key}.log",
    wildcard_constraints:
        model_key=any_of(
            PLAN.model_key(name) for name in PLAN.models if PLAN.is_policy(name)
        ),
    priority: FIRST
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        mem_mb=lambda wildcards, attempt: attempt
        * training_memory_mb(PLAN, PLAN.model_of_key(wildcards.model_key)),
        runtime=lambda wildcards, attempt: attempt * 720,
        gpu=0 if PLAN.config["device"] == "cpu" else 1,
    params:
        **job("train_policy"),
    message:
        "Train {wildcards.model_key}"
    shell:
        JOB
