# The paper's figures for this study: SVG and PDF to look at, and the CSV behind them. No figure loads a model.


localrules:
    fig2,


def figure_outputs(name):
    """SVG, PDF and CSV of one figure for every (model, dataset, protocol)."""
    cells = [(model, dataset, protocol) for model, dataset in PLAN.cells() for protocol in PLAN.study["protocols"]]
    return {
        ending: [
            reported(
                f"<results>/figures/{name}/{model}/{dataset}-{protocol}.{ending}",
                name,
                "Figures",
                model=model,
                dataset=dataset,
                protocol=protocol,
                format=ending,
            )
            for model, dataset, protocol in cells
        ]
        for ending in ("svg", "pdf", "csv")
    }


rule fig2:
    input:
        base=cell_files("<results>/sweep/{model}/{dataset}/base.parquet"),
        sweep=[path for model, dataset in PLAN.cells() for path in sweep_files(model, dataset)],
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
        spec=PLAN.artefact_spec("make_fig2"),
    message:
        "Figure 2: validation loss by layer, matrix and reduction"
    shell:
        "python {SCRIPTS}/make_fig2.py --spec {params.spec:q} --base {input.base:q} --sweep {input.sweep:q}"
        " --svg {output.svg:q} --pdf {output.pdf:q} --csv {output.csv:q} --log {log:q}"
