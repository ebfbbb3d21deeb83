# The workflow at a glance. What each part means: docs/architecture.md. How to run it: README.md.
from snakemake.utils import min_version

# From 9.16.3 to 9.19, a run time set by option or profile was read as seconds: --set-resources sweep:runtime=2880 gave
# 48 minutes (snakemake issue 4039).
min_version("9.20")


include: "rules/root.smk"


configfile: f"{ROOT}/config/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/inputs.smk"


pathvars:
    cache=PLAN.config["cache"],
    results=PLAN.results,
    logs=f"{PLAN.results}/logs",


include: "rules/models.smk"
include: "rules/data.smk"
include: "rules/main.smk"
include: "rules/evaluations.smk"
include: "rules/artefacts.smk"
include: "rules/study.smk"
include: "rules/hooks.smk"


localrules:
    all,
    models,
    data,
    reductions,


rule all:
    default_target: True
    input:
        FILES["report"],
        artefact_files,
        evaluation_files,
        record_files,
        rules.inputs.output,
        rules.manifest.output,
    message:
        "Every artefact of the study {PLAN.study[name]}"


rule models:
    input:
        study_files("model"),
    message:
        "Every model of the study"


rule data:
    input:
        study_files("dataset"),
        texts,
    message:
        "Every dataset of the study, and the text for perplexity"


rule reductions:
    input:
        study_files("reduction"),
    message:
        "Every reduction of the study"
