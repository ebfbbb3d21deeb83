# The paper's figures for this study: SVG and PDF to look at, and the CSV behind them. No figure loads a model.


localrules:
    fig2,


rule fig2:
    input:
        base=cell_files("<results>/sweep/{model}/{dataset}/base.parquet"),
        sweep=[
            path
            for model, dataset in PLAN.cells()
            for path in sweep_files(model, dataset)
        ],
    output:
        **figure_outputs("fig2"),
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
        spec=lambda wildcards: PLAN.artefact_spec("make_fig2"),
        sweep=lambda wildcards: sweep_words(PLAN.cells()),
    message:
        "Figure 2: validation loss by layer, matrix and reduction"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_fig2.py --spec {params.spec:q} --base {input.base:q} --sweep {params.sweep}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"
