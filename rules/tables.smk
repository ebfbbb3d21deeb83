# The paper's tables for this study: CSV with all numbers, Markdown and LaTeX to read.


localrules:
    table1,
    table3,
    table4,
    table5,
    verdicts,


rule table1:
    input:
        test=cell_files("<results>/test/{model}/{dataset}.parquet"),
        selection=cell_files("<results>/selection/{model}/{dataset}.json"),
        rows=data_of(PLAN.cells()),
    output:
        **table_outputs("table1"),
    log:
        "<logs>/tables/table1.log",
    benchmark:
        "<benchmarks>/tables/table1.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_table1", resamples=PLAN.study["resamples"], seed=PLAN.study["seed"]
        ),
    message:
        "Table 1: accuracy and loss of base and LASER, test rows"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_table1.py --spec {params.spec:q} --test {input.test:q} --selection {input.selection:q}"
        " --rows {input.rows:q} --output {output:q} --log {log:q}"


rule table3:
    input:
        test=cell_files("<results>/test/{model}/{dataset}.parquet"),
        selection=cell_files("<results>/selection/{model}/{dataset}.json"),
        rows=data_of(PLAN.cells()),
        choices=lambda wildcards: files_of(
            "<results>/choices/{model}/{dataset}.parquet", published_cells()
        ),
    output:
        **table_outputs("table3"),
    log:
        "<logs>/tables/table3.log",
    benchmark:
        "<benchmarks>/tables/table3.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_table3", resamples=PLAN.study["resamples"], seed=PLAN.study["seed"]
        ),
    message:
        "Table 3: the chosen matrix, layer and rho, and what the published choice scores"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_table3.py --spec {params.spec:q} --selection {input.selection:q} --test {input.test:q}"
        " --rows {input.rows:q} --choices {input.choices:q} --output {output:q} --log {log:q}"


rule table4:
    input:
        rows=data_of(PLAN.cells()),
    output:
        **table_outputs("table4"),
    log:
        "<logs>/tables/table4.log",
    benchmark:
        "<benchmarks>/tables/table4.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        spec=lambda wildcards: PLAN.artefact_spec("make_table4"),
    message:
        "Table 4: sizes of the datasets and of their splits"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_table4.py --spec {params.spec:q} --rows {input.rows:q}"
        " --output {output:q} --log {log:q}"


rule table5:
    output:
        **table_outputs("table5"),
    log:
        "<logs>/tables/table5.log",
    benchmark:
        "<benchmarks>/tables/table5.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        spec=lambda wildcards: PLAN.artefact_spec(
            "make_table5", grid=PLAN.study["grid"], rhos=PLAN.rhos
        ),
    message:
        "Table 5: the search space"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_table5.py --spec {params.spec:q} --output {output:q} --log {log:q}"


rule verdicts:
    input:
        table1="<results>/tables/table1.csv",
    output:
        **table_outputs("verdicts"),
    log:
        "<logs>/tables/verdicts.log",
    benchmark:
        "<benchmarks>/tables/verdicts.jsonl"
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        spec=lambda wildcards: PLAN.artefact_spec("make_verdicts"),
    message:
        "Verdicts: each number of the paper's Table 1 beside ours"
    shell:
        "python ${{LASER_SCRIPTS:-workflow/scripts}}/make_verdicts.py --spec {params.spec:q} --table1 {input.table1:q}"
        " --output {output:q} --log {log:q}"
