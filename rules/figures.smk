# The paper's figures for this study: SVG and PDF to look at, and the CSV behind them. No figure loads a model.


localrules:
    fig2,
    fig10,
    smallest,
    fig3b,
    fig3c,
    fig4,
    fig5b,
    fig5c,
    fig7,
    fig8,
    fig9,
    noise,


rule fig2:
    input:
        base=files_of("<results>/sweep/{model}/{dataset}/base.parquet", DRAWN),
        sweep=sweeps_of([cell for cell in DRAWN if cell not in svd_landscape()]),
        landscape=landscapes_of(svd_landscape()),
    output:
        **figure_outputs("fig2", per_cell(DRAWN)),
    log:
        "<logs>/figures/fig2.log",
    benchmark:
        "<benchmarks>/figures/fig2.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: figure_spec("make_fig2", DRAWN),
        sweep=lambda wildcards: sweep_words(
            [cell for cell in DRAWN if cell not in svd_landscape()]
        ),
        landscape=lambda wildcards: landscape_words(svd_landscape()),
    message:
        "Figure 2: validation loss by layer, matrix and reduction"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_fig2.py --spec {params.spec:q} --base {input.base:q} --sweep {params.sweep} --landscape {params.landscape}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"


rule fig10:
    input:
        base=files_of(
            "<results>/sweep/{model}/{dataset}/base.parquet", landscape_drawn()
        ),
        landscape=landscapes_of(landscape_drawn()),
    output:
        **figure_outputs("fig10", per_cell(landscape_drawn())),
    log:
        "<logs>/figures/fig10.log",
    benchmark:
        "<benchmarks>/figures/fig10.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: figure_spec("make_fig10", landscape_drawn()),
        landscape=lambda wildcards: landscape_words(landscape_drawn()),
    message:
        "Figure 10: validation loss by layer, matrix and amount of pruning"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_fig10.py --spec {params.spec:q} --base {input.base:q} --landscape {params.landscape}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"


rule smallest:
    input:
        base=files_of(
            "<results>/sweep/{model}/{dataset}/base.parquet", landscape_drawn()
        ),
        landscape=landscapes_of(landscape_drawn()),
    output:
        **figure_outputs("smallest", per_cell(landscape_drawn())),
    log:
        "<logs>/figures/smallest.log",
    benchmark:
        "<benchmarks>/figures/smallest.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: figure_spec(
            "make_fig10", landscape_drawn(), kind="smallest"
        ),
        landscape=lambda wildcards: landscape_words(landscape_drawn()),
    message:
        "Control: only the smallest singular values kept, as Figure 2"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_fig10.py --spec {params.spec:q} --base {input.base:q} --landscape {params.landscape}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"


rule fig3b:
    input:
        test=files_of("<results>/test/{model}/{dataset}.parquet", DRAWN),
        selection=files_of("<results>/selection/{model}/{dataset}.json", DRAWN),
        rows=data_of(DRAWN),
        counts=counts(DRAWN).values(),
    output:
        **figure_outputs("fig3b", per_cell(DRAWN)),
    log:
        "<logs>/figures/fig3b.log",
    benchmark:
        "<benchmarks>/figures/fig3b.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: figure_spec("make_fig3b", DRAWN),
        counts=lambda wildcards: counts_words(DRAWN),
    message:
        "Figure 3b: accuracy over facts by how often they were met"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_fig3b.py --spec {params.spec:q} --test {input.test:q} --selection {input.selection:q} --rows {input.rows:q} --counts {params.counts}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"


rule fig3c:
    input:
        test=files_of("<results>/test/{model}/{dataset}.parquet", DRAWN),
        selection=files_of("<results>/selection/{model}/{dataset}.json", DRAWN),
        rows=data_of(DRAWN),
        counts=counts(DRAWN).values(),
    output:
        **figure_outputs("fig3c", per_cell(DRAWN)),
    log:
        "<logs>/figures/fig3c.log",
    benchmark:
        "<benchmarks>/figures/fig3c.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: figure_spec("make_fig3c", DRAWN),
        counts=lambda wildcards: counts_words(DRAWN),
    message:
        "Figure 3c: answers put right, by how often their facts were met"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_fig3c.py --spec {params.spec:q} --test {input.test:q} --selection {input.selection:q} --rows {input.rows:q} --counts {params.counts}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"


rule fig4:
    input:
        search=files_of(
            "<results>/compose/{model}/{dataset}.json", PLAN.cells_of("compose")
        ),
        composed=files_of(
            "<results>/compose/{model}/{dataset}.parquet", PLAN.cells_of("compose")
        ),
        rows=data_of(PLAN.cells_of("compose")),
    output:
        **figure_outputs("fig4", per_cell(PLAN.cells_of("compose"))),
    log:
        "<logs>/figures/fig4.log",
    benchmark:
        "<benchmarks>/figures/fig4.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: figure_spec("make_fig4", PLAN.cells_of("compose")),
    message:
        "Figure 4: interventions composed over layers"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_fig4.py --spec {params.spec:q} --search {input.search:q} --composed {input.composed:q} --rows {input.rows:q}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"


rule fig5b:
    input:
        higher_order=files_of(
            "<results>/higher_order/{model}/{dataset}.parquet",
            PLAN.cells_of("higher_order"),
        ),
        rows=data_of(PLAN.cells_of("higher_order")),
    output:
        **figure_outputs("fig5b", per_cell(PLAN.cells_of("higher_order"))),
    log:
        "<logs>/figures/fig5b.log",
    benchmark:
        "<benchmarks>/figures/fig5b.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: figure_spec("make_fig5b", PLAN.cells_of("higher_order")),
    message:
        "Figure 5b: answers of higher-order components alone, and how near they are"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_fig5b.py --spec {params.spec:q} --higher-order {input.higher_order:q} --rows {input.rows:q}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"


rule fig5c:
    input:
        test=files_of(
            "<results>/test/{model}/{dataset}.parquet", PLAN.cells_of("higher_order")
        ),
        selection=files_of(
            "<results>/selection/{model}/{dataset}.json", PLAN.cells_of("higher_order")
        ),
        rows=data_of(PLAN.cells_of("higher_order")),
        higher_order=files_of(
            "<results>/higher_order/{model}/{dataset}.parquet",
            PLAN.cells_of("higher_order"),
        ),
    output:
        **table_outputs("fig5c"),
    log:
        "<logs>/tables/fig5c.log",
    benchmark:
        "<benchmarks>/tables/fig5c.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: figure_spec("make_fig5c", PLAN.cells_of("higher_order")),
    message:
        "Figure 5c: examples of such answers"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_fig5c.py --spec {params.spec:q} --test {input.test:q} --selection {input.selection:q} --rows {input.rows:q} --higher-order {input.higher_order:q}"
        " --output {output:q} --log {log:q}"


rule fig7:
    input:
        reductions=[path for name in models_of(DRAWN) for path in reduction_files(name)],
    output:
        **figure_outputs("fig7", per_model(DRAWN)),
    log:
        "<logs>/figures/fig7.log",
    benchmark:
        "<benchmarks>/figures/fig7.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: figure_spec("make_fig7", DRAWN),
        reductions=lambda wildcards: reduction_words(models_of(DRAWN)),
    message:
        "Figure 7: effective rank by layer"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_fig7.py --spec {params.spec:q} --reductions {params.reductions}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"


rule fig8:
    input:
        base=files_of("<results>/sweep/{model}/{dataset}/base.parquet", DRAWN),
        sweep=sweeps_of(DRAWN),
        selection=files_of("<results>/selection/{model}/{dataset}.json", DRAWN),
    output:
        **figure_outputs("fig8", per_cell(DRAWN)),
    log:
        "<logs>/figures/fig8.log",
    benchmark:
        "<benchmarks>/figures/fig8.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: figure_spec("make_fig8", DRAWN),
        sweep=lambda wildcards: sweep_words(DRAWN),
    message:
        "Figure 8: top-1, top-5 and top-10 accuracy against the reduction"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_fig8.py --spec {params.spec:q} --base {input.base:q} --sweep {params.sweep} --selection {input.selection:q}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"


rule fig9:
    input:
        base=files_of("<results>/sweep/{model}/{dataset}/base.parquet", DRAWN),
        sweep=sweeps_of(DRAWN),
        selection=files_of("<results>/selection/{model}/{dataset}.json", DRAWN),
    output:
        **figure_outputs("fig9", per_model_and_protocol(DRAWN)),
    log:
        "<logs>/figures/fig9.log",
    benchmark:
        "<benchmarks>/figures/fig9.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: figure_spec("make_fig9", DRAWN),
        sweep=lambda wildcards: sweep_words(DRAWN),
    message:
        "Figure 9: largest benefit by layer, for each dataset"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_fig9.py --spec {params.spec:q} --base {input.base:q} --sweep {params.sweep} --selection {input.selection:q}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"


rule noise:
    input:
        test=files_of("<results>/test/{model}/{dataset}.parquet", PLAN.cells()),
        selection=files_of("<results>/selection/{model}/{dataset}.json", PLAN.cells()),
        rows=data_of(PLAN.cells()),
    output:
        **figure_outputs("noise", per_dataset(PLAN.cells())),
    log:
        "<logs>/figures/noise.log",
    benchmark:
        "<benchmarks>/figures/noise.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: figure_spec(
            "make_noise", PLAN.cells(), facts=PLAN.model_facts()
        ),
    message:
        "Gain against noise and depth, over models whose corpus is known"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_noise.py --spec {params.spec:q} --test {input.test:q} --selection {input.selection:q} --rows {input.rows:q}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"
