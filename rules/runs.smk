# Evaluations beside the sweep, each of the cells that the study names for it. Validation: landscape, gradients, compose.
# Test rows, after selection and for no choice: compose_test, choices, seeds, prompts, higher_order.


localrules:
    text,


rule landscape:
    input:
        model=model_card,
        rows=data_rows,
    output:
        "<results>/landscape/{model}/{dataset}/layer{layer}.parquet",
    log:
        "<logs>/landscape/{model}/{dataset}/layer{layer}.log",
    benchmark:
        "<benchmarks>/landscape/{model}/{dataset}/layer{layer}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("landscape"),
    params:
        spec=lambda wildcards: landscape_spec(wildcards),
        factors=f"{PLAN.config['cache']}/factors",
    message:
        "Every matrix and reduction in layer {wildcards.layer} of {wildcards.model} on {wildcards.dataset}, validation rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/sweep_landscape.py --spec {params.spec:q} --model {input.model:q}"
        " --rows {input.rows:q} --factors {params.factors:q} --output {output:q} --log {log:q}"


rule gradients:
    input:
        model=model_card,
        rows=data_rows,
    output:
        "<results>/gradients/{model}/{dataset}.json",
    log:
        "<logs>/gradients/{model}/{dataset}.log",
    benchmark:
        "<benchmarks>/gradients/{model}/{dataset}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("gradients"),
    params:
        spec=lambda wildcards: PLAN.run_spec(
            "rank_gradients",
            wildcards.model,
            wildcards.dataset,
            grid=PLAN.study["grid"][wildcards.model],
            rhos=PLAN.rhos,
            examples=PLAN.study["gradient"]["examples"],
        ),
        factors=f"{PLAN.config['cache']}/factors",
    message:
        "Rank the matrices of {wildcards.model} on {wildcards.dataset} by the gradients of their singular values"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/rank_gradients.py --spec {params.spec:q} --model {input.model:q}"
        " --rows {input.rows:q} --factors {params.factors:q} --output {output:q} --log {log:q}"


rule compose_layers:
    input:
        model=model_card,
        rows=data_rows,
    output:
        "<results>/compose/{model}/{dataset}.json",
    log:
        "<logs>/compose_layers/{model}/{dataset}.log",
    benchmark:
        "<benchmarks>/compose_layers/{model}/{dataset}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("compose_layers"),
    params:
        spec=lambda wildcards: PLAN.run_spec(
            "compose_layers",
            wildcards.model,
            wildcards.dataset,
            layers=PLAN.layers(wildcards.model),
            matrices=PLAN.study["compose"].get(
                "matrices", PLAN.study["grid"][wildcards.model]["matrices"]
            ),
            rhos=PLAN.study["compose"]["rhos"],
        ),
        factors=f"{PLAN.config['cache']}/factors",
    message:
        "Compose interventions over the layers of {wildcards.model} on {wildcards.dataset}, validation rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/compose_layers.py --spec {params.spec:q} --model {input.model:q}"
        " --rows {input.rows:q} --factors {params.factors:q} --output {output:q} --log {log:q}"


rule compose_test:
    input:
        model=model_card,
        rows=data_rows,
        composition="<results>/compose/{model}/{dataset}.json",
    output:
        "<results>/compose/{model}/{dataset}.parquet",
    log:
        "<logs>/compose_test/{model}/{dataset}.log",
    benchmark:
        "<benchmarks>/compose_test/{model}/{dataset}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("compose_test"),
    params:
        spec=lambda wildcards: PLAN.run_spec(
            "test_composition", wildcards.model, wildcards.dataset
        ),
        factors=f"{PLAN.config['cache']}/factors",
    message:
        "Every step of the composition of {wildcards.model} on {wildcards.dataset}, test rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/test_composition.py --spec {params.spec:q} --model {input.model:q} --rows {input.rows:q}"
        " --compose {input.composition:q} --factors {params.factors:q} --output {output:q} --log {log:q}"


rule choices:
    input:
        unpack(choice_inputs),
        model=model_card,
        rows=data_rows,
        selection="<results>/selection/{model}/{dataset}.json",
    output:
        "<results>/choices/{model}/{dataset}.parquet",
    log:
        "<logs>/choices/{model}/{dataset}.log",
    benchmark:
        "<benchmarks>/choices/{model}/{dataset}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("choices"),
    params:
        spec=lambda wildcards: PLAN.run_spec(
            "evaluate_choices",
            wildcards.model,
            wildcards.dataset,
            published_choice=PLAN.published_choice(wildcards.model, wildcards.dataset),
            gradient={"keep": PLAN.study["gradient"]["keep"]},
        ),
        factors=f"{PLAN.config['cache']}/factors",
        gradients=lambda wildcards, input: input.get("gradients", []),
        sweep=lambda wildcards, input: input.get("sweep", []),
    message:
        "What other choices would have scored for {wildcards.model} on {wildcards.dataset}, test rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/evaluate_choices.py --spec {params.spec:q} --model {input.model:q} --rows {input.rows:q}"
        " --selection {input.selection:q} --gradients {params.gradients:q} --sweep {params.sweep:q} --factors {params.factors:q}"
        " --output {output:q} --log {log:q}"


rule seeds_runs:
    input:
        model=model_card,
        rows=data_rows,
        selection="<results>/selection/{model}/{dataset}.json",
    output:
        "<results>/seeds/{model}/{dataset}.parquet",
    log:
        "<logs>/seeds_runs/{model}/{dataset}.log",
    benchmark:
        "<benchmarks>/seeds_runs/{model}/{dataset}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("seeds_runs"),
    params:
        spec=lambda wildcards: PLAN.run_spec(
            "evaluate_seeds",
            wildcards.model,
            wildcards.dataset,
            seeds=list(range(PLAN.study["seeds"]["count"])),
            published_choice=PLAN.published_choice(wildcards.model, wildcards.dataset),
        ),
        factors=f"{PLAN.config['cache']}/factors",
    message:
        "The randomised SVD with several seeds, {wildcards.model} on {wildcards.dataset}, test rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/evaluate_seeds.py --spec {params.spec:q} --model {input.model:q} --rows {input.rows:q}"
        " --selection {input.selection:q} --factors {params.factors:q} --output {output:q} --log {log:q}"


rule prompts_runs:
    input:
        model=model_card,
        rows=data_rows,
        selection="<results>/selection/{model}/{dataset}.json",
    output:
        "<results>/prompts/{model}/{dataset}.parquet",
    log:
        "<logs>/prompts_runs/{model}/{dataset}.log",
    benchmark:
        "<benchmarks>/prompts_runs/{model}/{dataset}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("prompts_runs"),
    params:
        spec=lambda wildcards: PLAN.run_spec(
            "evaluate_prompts",
            wildcards.model,
            wildcards.dataset,
            rows=PLAN.study["prompts"].get("rows"),
        ),
        factors=f"{PLAN.config['cache']}/factors",
    message:
        "Other prompts, {wildcards.model} on {wildcards.dataset}, test rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/evaluate_prompts.py --spec {params.spec:q} --model {input.model:q} --rows {input.rows:q}"
        " --selection {input.selection:q} --factors {params.factors:q} --output {output:q} --log {log:q}"


rule higher_order:
    input:
        model=model_card,
        rows=data_rows,
        test="<results>/test/{model}/{dataset}.parquet",
        selection="<results>/selection/{model}/{dataset}.json",
    output:
        "<results>/higher_order/{model}/{dataset}.parquet",
    log:
        "<logs>/higher_order/{model}/{dataset}.log",
    benchmark:
        "<benchmarks>/higher_order/{model}/{dataset}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("higher_order"),
    params:
        spec=lambda wildcards: PLAN.run_spec(
            "evaluate_higher_order",
            wildcards.model,
            wildcards.dataset,
            percents=PLAN.study["higher_order"]["percents"],
        ),
        factors=f"{PLAN.config['cache']}/factors",
    message:
        "Answers of higher-order components alone, {wildcards.model} on {wildcards.dataset}, corrected test rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/evaluate_higher_order.py --spec {params.spec:q} --model {input.model:q} --rows {input.rows:q}"
        " --test {input.test:q} --selection {input.selection:q} --factors {params.factors:q} --output {output:q} --log {log:q}"


rule text:
    output:
        text="<cache>/texts/{text_key}/text.parquet",
        card="<cache>/texts/{text_key}/card.json",
    log:
        "<logs>/text/{text_key}.log",
    benchmark:
        "<benchmarks>/text/{text_key}.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        spec=lambda wildcards: PLAN.text_spec(),
    message:
        "Prepare the text {wildcards.text_key}"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/prepare_text.py --spec {params.spec:q} --text {output.text:q} --card {output.card:q} --log {log:q}"


rule perplexity_runs:
    input:
        model=model_card,
        text=lambda wildcards: PLAN.text_path(wildcards.model),
        selection="<results>/selection/{model}/{dataset}.json",
    output:
        "<results>/perplexity/{model}/{dataset}.parquet",
    log:
        "<logs>/perplexity_runs/{model}/{dataset}.log",
    benchmark:
        "<benchmarks>/perplexity_runs/{model}/{dataset}.jsonl"
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("perplexity_runs"),
    params:
        spec=lambda wildcards: PLAN.run_spec(
            "evaluate_perplexity",
            wildcards.model,
            wildcards.dataset,
            text=PLAN.study["perplexity"]["corpus"],
        ),
        factors=f"{PLAN.config['cache']}/factors",
    message:
        "Perplexity of {wildcards.model}, base and the choices on {wildcards.dataset}"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/evaluate_perplexity.py --spec {params.spec:q} --model {input.model:q} --text {input.text:q}"
        " --selection {input.selection:q} --factors {params.factors:q} --output {output:q} --log {log:q}"
