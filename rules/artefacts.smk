# Every table, figure and film, each from the declaration in its module below workflow/scripts/laser/artefacts/.
from laser.config.artefacts import (
    artefact_inputs,
    artefact_outputs,
    artefact_spec,
    possible_artefacts,
)

# A job finds its files by name; the rule names them too, so that Snakemake knows what to make first.


def inputs_of(artefact):
    return lambda wildcards: artefact_inputs(PLAN, artefact)


def spec_of(artefact):
    return lambda wildcards: artefact_spec(PLAN, artefact)


def reported(path, picture, artefact):
    """Mark an output for Snakemake's own report, with the artefact's caption."""
    return report(
        path,
        caption=f"{ROOT}/workflow/report/{artefact.name}.rst",
        category="Tables" if artefact.kind == "table" else "Figures",
        labels={
            "artefact": artefact.name,
            **picture.labels,
            "format": Path(path).suffix[1:],
        },
    )


def outputs_of(artefact):
    outputs = artefact_outputs(PLAN, artefact)
    return [reported(path, picture, artefact) for path, picture in outputs.items()]


for artefact in possible_artefacts(PLAN):

    rule:
        name:
            artefact.name
        input:
            inputs_of(artefact),
        output:
            outputs_of(artefact),
        log:
            f"<logs>/{artefact.name}/{artefact.name}.log",
        localrule: True
        conda:
            "../envs/laser.yaml"
        resources:
            mem_mb=3000,
            runtime=30,
        params:
            **command("make_artefact", spec_of(artefact)),
        message:
            f"{artefact.title}: {artefact.about}"
        shell:
            JOB
