# Models that the pipeline trains itself, on corpora whose every count and every wrong answer is known.

# A trained model's folder is like a fetched one; `update` as in fetch.smk: another run may be reading it.


localrules:
    corpus,


TRAINED = [name for name in PLAN.models if PLAN.is_trained(name)]

# A pattern that no name matches, where the study trains nothing.
NOTHING = "(?!)"


ruleorder: train > fetch


rule corpus:
    output:
        facts=update("<cache>/corpora/{corpus_key}/facts.parquet"),
        sentences=update("<cache>/corpora/{corpus_key}/sentences.parquet"),
        held_out=update("<cache>/corpora/{corpus_key}/held_out.parquet"),
        card=update("<cache>/corpora/{corpus_key}/card.json"),
    log:
        "<logs>/corpus/{corpus_key}.log",
    benchmark:
        "<benchmarks>/corpus/{corpus_key}.jsonl"
    wildcard_constraints:
        corpus_key="|".join(sorted({PLAN.corpus_key(name) for name in TRAINED}))
        or NOTHING,
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        spec=lambda wildcards: PLAN.corpus_spec(
            PLAN.corpus_of_key(wildcards.corpus_key)
        ),
    message:
        "Make {wildcards.corpus_key}"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_corpus.py --spec {params.spec:q} --card {output.card:q} --log {log:q}"


rule train:
    input:
        corpus=lambda wildcards: f"{corpus_folder(PLAN.model_of_key(wildcards.model_key))}/card.json",
    output:
        card=update("<cache>/models/{model_key}/card.json"),
    log:
        "<logs>/train/{model_key}.log",
    benchmark:
        "<benchmarks>/train/{model_key}.jsonl"
    wildcard_constraints:
        model_key="|".join(re.escape(PLAN.model_key(name)) for name in TRAINED)
        or NOTHING,
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, attempt: attempt * 240,
        gpu=0 if PLAN.config["device"] == "cpu" else 1,
    params:
        spec=lambda wildcards: PLAN.train_spec(PLAN.model_of_key(wildcards.model_key)),
    message:
        "Train {wildcards.model_key}"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/train_model.py --spec {params.spec:q} --corpus {input.corpus:q} --card {output.card:q} --log {log:q}"
