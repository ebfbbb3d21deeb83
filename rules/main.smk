# From a model and a dataset to test scores: decompose, sweep and select on validation rows, then test.


localrules:
    select_intervention,


rule reduce:
    input:
        model_card,
    output:
        per_rho("reduction"),
    log:
        f"<logs>/reduce/{{model}}/{LAYER}.log",
    priority: longest_first("reduce")
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("reduce"),
    params:
        **job("reduce"),
    message:
        "Decompose layer {wildcards.layer} of {wildcards.model}"
    shell:
        JOB


rule spectra:
    input:
        model_card,
        reductions_of_model,
    output:
        FILES["spectra"],
    log:
        "<logs>/spectra/{model}.log",
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("spectra"),
    params:
        **job("spectra"),
    message:
        "Describe the singular values of {wildcards.model}"
    shell:
        JOB


rule base:
    input:
        model_card,
        data_rows,
    output:
        FILES["base"],
    log:
        "<logs>/base/{model}/{dataset}.log",
    priority: longest_first("base")
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("base"),
    params:
        **job("base"),
    message:
        "Base {wildcards.model} on {wildcards.dataset}, validation rows"
    shell:
        JOB


if searches_by(PLAN.study, RACING):

    localrules:
        survivors,

    rule race:
        input:
            model_card,
            data_rows,
            FILES["base"],
            reductions_of_model,
            gradients_of_search,
        output:
            FILES["race"],
        log:
            "<logs>/race/{model}/{dataset}.log",
        priority: longest_first("race")
        conda:
            "../envs/laser.yaml"
        threads: PLAN.config["threads"]
        resources:
            **needs("race"),
        params:
            **job("race"),
        message:
            "Race of the candidates of {wildcards.model} on {wildcards.dataset}, validation rows"
        shell:
            JOB

    rule survivors:
        input:
            FILES["race"],
        output:
            per_rho("sweep"),
        log:
            f"<logs>/survivors/{{model}}/{{dataset}}/{LAYER}.log",
        conda:
            "../envs/laser.yaml"
        resources:
            mem_mb=3000,
            runtime=20,
        params:
            **job("survivors"),
        message:
            "What ran to the end in layer {wildcards.layer} of {wildcards.model} on {wildcards.dataset}"
        shell:
            JOB

else:

    rule sweep:
        input:
            model_card,
            data_rows,
            per_rho("reduction"),
            # Under `search: gradient` a sweep evaluates only what the gradients point to.
            gradients_of_search,
        output:
            per_rho("sweep"),
        log:
            f"<logs>/sweep/{{model}}/{{dataset}}/{LAYER}.log",
        wildcard_constraints:
            dataset=any_of(PLAN.alone),
        priority: longest_first("sweep")
        conda:
            "../envs/laser.yaml"
        threads: PLAN.config["threads"]
        resources:
            **needs("sweep"),
        params:
            **job("sweep"),
        message:
            "Sweep layer {wildcards.layer} of {wildcards.model} on {wildcards.dataset}, validation rows"
        shell:
            JOB

    if PLAN.together:

        rule sweep_together:
            input:
                model_card,
                [
                    PATHS.text("rows", data_key=PLAN.data_key(name))
                    for name in PLAN.together
                ],
                per_rho("reduction"),
            output:
                expand(per_rho("sweep"), dataset=PLAN.together, allow_missing=True),
            log:
                f"<logs>/sweep_together/{{model}}/{LAYER}.log",
            priority: longest_first("sweep_together")
            conda:
                "../envs/laser.yaml"
            threads: PLAN.config["threads"]
            resources:
                **needs("sweep_together"),
            params:
                **job("sweep_together"),
            message:
                "Sweep layer {wildcards.layer} of {wildcards.model} on several datasets, validation rows"
            shell:
                JOB


rule select_intervention:
    input:
        FILES["base"],
        files_of_cell("sweep", "reduction"),
    output:
        FILES["selection"],
    log:
        "<logs>/select_intervention/{model}/{dataset}.log",
    priority: longest_first("select_intervention")
    conda:
        "../envs/laser.yaml"
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        **job("select_intervention"),
    message:
        "Choose the intervention of {wildcards.model} on {wildcards.dataset} from validation rows"
    shell:
        JOB


rule test_intervention:
    input:
        model_card,
        data_rows,
        FILES["selection"],
    output:
        FILES["test"],
    log:
        "<logs>/test_intervention/{model}/{dataset}.log",
    priority: longest_first("test_intervention")
    conda:
        "../envs/laser.yaml"
    threads: PLAN.config["threads"]
    resources:
        **needs("test_intervention"),
    params:
        **job("test_intervention"),
    message:
        "Base and LASER {wildcards.model} on {wildcards.dataset}, test rows"
    shell:
        JOB
