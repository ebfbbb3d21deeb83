# Tables beyond the paper's numbered ones: its one-sentence results, and what a careful reader asks next.


localrules:
    paraphrase,
    topk,
    stability,
    compose,
    perplexity,
    seeds,
    prompts,
    search,
    size,


rule paraphrase:
    input:
        test=cell_files("<results>/test/{model}/{dataset}.parquet"),
        selection=cell_files("<results>/selection/{model}/{dataset}.json"),
        rows=data_of(PLAN.cells()),
    output:
        **table_outputs("paraphrase"),
    log:
        "<logs>/tables/paraphrase.log",
    benchmark:
        "<benchmarks>/tables/paraphrase.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_paraphrase",
            resamples=PLAN.study["resamples"],
            seed=PLAN.study["seed"],
            trained_phrasings={name: [0, 1] for name in PLAN.model_facts()},
        ),
    message:
        "Facts that are right under all phrasings, test rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_paraphrase.py --spec {params.spec:q} --test {input.test:q} --selection {input.selection:q} --rows {input.rows:q}"
        " --output {output:q} --log {log:q}"


rule topk:
    input:
        test=cell_files("<results>/test/{model}/{dataset}.parquet"),
        selection=cell_files("<results>/selection/{model}/{dataset}.json"),
        rows=data_of(PLAN.cells()),
        base=cell_files("<results>/sweep/{model}/{dataset}/base.parquet"),
        sweep=sweeps_of(PLAN.cells()),
    output:
        **table_outputs("topk"),
    log:
        "<logs>/tables/topk.log",
    benchmark:
        "<benchmarks>/tables/topk.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_topk", resamples=PLAN.study["resamples"], seed=PLAN.study["seed"]
        ),
        sweep=lambda wildcards: sweep_words(PLAN.cells()),
    message:
        "Answers among the most probable 1, 5 and 10"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_topk.py --spec {params.spec:q} --test {input.test:q} --selection {input.selection:q} --rows {input.rows:q} --base {input.base:q} --sweep {params.sweep}"
        " --output {output:q} --log {log:q}"


rule stability:
    input:
        selection=cell_files("<results>/selection/{model}/{dataset}.json"),
        rows=data_of(PLAN.cells()),
        base=cell_files("<results>/sweep/{model}/{dataset}/base.parquet"),
        sweep=sweeps_of(PLAN.cells()),
    output:
        **table_outputs("stability"),
    log:
        "<logs>/tables/stability.log",
    benchmark:
        "<benchmarks>/tables/stability.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_stability",
            resamples=PLAN.study["resamples"],
            seed=PLAN.study["seed"],
        ),
        sweep=lambda wildcards: sweep_words(PLAN.cells()),
    message:
        "How stable the selection is, and the gain with selection counted in"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_stability.py --spec {params.spec:q} --selection {input.selection:q} --rows {input.rows:q} --base {input.base:q} --sweep {params.sweep}"
        " --output {output:q} --log {log:q}"


rule compose:
    input:
        test=cell_files("<results>/test/{model}/{dataset}.parquet"),
        selection=cell_files("<results>/selection/{model}/{dataset}.json"),
        rows=data_of(PLAN.cells()),
        steps=lambda wildcards: files_of(
            "<results>/compose/{model}/{dataset}.json", PLAN.cells_of("compose")
        ),
        composed=lambda wildcards: files_of(
            "<results>/compose/{model}/{dataset}.parquet", PLAN.cells_of("compose")
        ),
    output:
        **table_outputs("compose"),
    log:
        "<logs>/tables/compose.log",
    benchmark:
        "<benchmarks>/tables/compose.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_compose", resamples=PLAN.study["resamples"], seed=PLAN.study["seed"]
        ),
    message:
        "Interventions composed over layers, test rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_compose.py --spec {params.spec:q} --test {input.test:q} --selection {input.selection:q} --rows {input.rows:q} --search {input.steps:q} --composed {input.composed:q}"
        " --output {output:q} --log {log:q}"


rule perplexity:
    input:
        perplexity=lambda wildcards: files_of(
            "<results>/perplexity/{model}/{dataset}.parquet",
            PLAN.cells_of("perplexity"),
        ),
    output:
        **table_outputs("perplexity"),
    log:
        "<logs>/tables/perplexity.log",
    benchmark:
        "<benchmarks>/tables/perplexity.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_perplexity",
            resamples=PLAN.study["resamples"],
            seed=PLAN.study["seed"],
        ),
    message:
        "Perplexity of base and of the MLP choices"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_perplexity.py --spec {params.spec:q} --perplexity {input.perplexity:q}"
        " --output {output:q} --log {log:q}"


rule seeds:
    input:
        test=cell_files("<results>/test/{model}/{dataset}.parquet"),
        selection=cell_files("<results>/selection/{model}/{dataset}.json"),
        rows=data_of(PLAN.cells()),
        seeds=lambda wildcards: files_of(
            "<results>/seeds/{model}/{dataset}.parquet", PLAN.cells_of("seeds")
        ),
    output:
        **table_outputs("seeds"),
    log:
        "<logs>/tables/seeds.log",
    benchmark:
        "<benchmarks>/tables/seeds.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_seeds", resamples=PLAN.study["resamples"], seed=PLAN.study["seed"]
        ),
    message:
        "Spread of the randomised SVD over seeds"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_seeds.py --spec {params.spec:q} --test {input.test:q} --selection {input.selection:q} --rows {input.rows:q} --seeds {input.seeds:q}"
        " --output {output:q} --log {log:q}"


rule prompts:
    input:
        test=cell_files("<results>/test/{model}/{dataset}.parquet"),
        selection=cell_files("<results>/selection/{model}/{dataset}.json"),
        rows=data_of(PLAN.cells()),
        prompts=lambda wildcards: files_of(
            "<results>/prompts/{model}/{dataset}.parquet", PLAN.cells_of("prompts")
        ),
    output:
        **table_outputs("prompts"),
    log:
        "<logs>/tables/prompts.log",
    benchmark:
        "<benchmarks>/tables/prompts.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_prompts", resamples=PLAN.study["resamples"], seed=PLAN.study["seed"]
        ),
    message:
        "Base and LASER under other prompts"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_prompts.py --spec {params.spec:q} --test {input.test:q} --selection {input.selection:q} --rows {input.rows:q} --prompts {input.prompts:q}"
        " --output {output:q} --log {log:q}"


rule search:
    input:
        test=files_of("<results>/test/{model}/{dataset}.parquet", DRAWN),
        selection=files_of("<results>/selection/{model}/{dataset}.json", DRAWN),
        rows=data_of(DRAWN),
        choices=files_of("<results>/choices/{model}/{dataset}.parquet", DRAWN),
        gradients=files_of("<results>/gradients/{model}/{dataset}.json", DRAWN),
    output:
        **table_outputs("search"),
    log:
        "<logs>/tables/search.log",
    benchmark:
        "<benchmarks>/tables/search.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_search", resamples=PLAN.study["resamples"], seed=PLAN.study["seed"]
        ),
    message:
        "The cheap search against the exhaustive one"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_search.py --spec {params.spec:q} --test {input.test:q} --selection {input.selection:q} --rows {input.rows:q} --choices {input.choices:q} --gradients {input.gradients:q}"
        " --output {output:q} --log {log:q}"


rule size:
    input:
        selection=cell_files("<results>/selection/{model}/{dataset}.json"),
        records=[path for name in PLAN.models for path in reduction_files(name)],
        models=[f"{model_folder(name)}/card.json" for name in PLAN.models],
    output:
        **table_outputs("size"),
    log:
        "<logs>/tables/size.log",
    benchmark:
        "<benchmarks>/tables/size.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: PLAN.artefact_spec("make_size"),
        records=lambda wildcards: reduction_words(PLAN.models),
    message:
        "Parameters and bytes that the factors save"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_size.py --spec {params.spec:q} --selection {input.selection:q} --records {params.records} --models {input.models:q}"
        " --output {output:q} --log {log:q}"
