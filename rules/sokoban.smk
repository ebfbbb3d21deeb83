# Policies that play Sokoban: rooms, the expert's episodes, the training of a policy, and the artefacts that only policies
# have. Reduction, sweep, selection and test are those of every model.

# `update` as in fetch.smk: another run may be reading the cache.


POLICIES = [name for name in PLAN.models if PLAN.is_policy(name)]
POOL_KEYS = "|".join(map(re.escape, PLAN.pool_keys)) or NOTHING


ruleorder: train_policy > train > fetch


rule rooms:
    output:
        update("<cache>/rooms/{pool_key}/chunks/{chunk}-of-{chunks}.parquet"),
    log:
        "<logs>/rooms/{pool_key}/{chunk}-of-{chunks}.log",
    benchmark:
        "<benchmarks>/rooms/{pool_key}/{chunk}-of-{chunks}.jsonl"
    wildcard_constraints:
        pool_key=POOL_KEYS,
        chunk=r"\d+",
        chunks=r"\d+",
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=2000,
        runtime=lambda wildcards, attempt: attempt * 120,
    params:
        spec=lambda wildcards: PLAN.rooms_spec(wildcards.pool_key, int(wildcards.chunk)),
    message:
        "Make and solve rooms of {wildcards.pool_key}, share {wildcards.chunk} of {wildcards.chunks}"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_rooms.py --spec {params.spec:q} --output {output:q} --log {log:q}"


rule episodes:
    input:
        chunks=room_chunks,
    output:
        episodes=update("<cache>/rooms/{pool_key}/episodes.parquet"),
        card=update("<cache>/rooms/{pool_key}/card.json"),
    log:
        "<logs>/episodes/{pool_key}.log",
    benchmark:
        "<benchmarks>/episodes/{pool_key}.jsonl"
    wildcard_constraints:
        pool_key=POOL_KEYS,
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 6000,
        runtime=30,
    params:
        spec=lambda wildcards: PLAN.episodes_spec(wildcards.pool_key),
    message:
        "Collect the expert's episodes in {wildcards.pool_key}"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/collect_episodes.py --spec {params.spec:q} --chunks {input.chunks:q} --card {output.card:q} --log {log:q}"


rule train_policy:
    input:
        episodes=lambda wildcards: episodes_file(
            PLAN.pool_of_model(PLAN.model_of_key(wildcards.model_key))
        ),
    output:
        card=update("<cache>/models/{model_key}/card.json"),
    log:
        "<logs>/train_policy/{model_key}.log",
    benchmark:
        "<benchmarks>/train_policy/{model_key}.jsonl"
    wildcard_constraints:
        model_key="|".join(re.escape(PLAN.model_key(name)) for name in POLICIES)
        or NOTHING,
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        mem_mb=lambda wildcards, attempt: attempt
        * training_memory_mb(PLAN, PLAN.model_of_key(wildcards.model_key)),
        runtime=lambda wildcards, attempt: attempt * 720,
        gpu=0 if PLAN.config["device"] == "cpu" else 1,
    params:
        spec=lambda wildcards: PLAN.train_spec(PLAN.model_of_key(wildcards.model_key)),
    message:
        "Train {wildcards.model_key}"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/train_policy.py --spec {params.spec:q} --episodes {input.episodes:q} --card {output.card:q} --log {log:q}"
