# Input functions: which files a rule's jobs read. They use the plan, and Snakemake's rules for what other jobs make.
import os

from snakemake.rules import Rule as workflow_rule

from laser.cost.requests import urgency
from laser.provenance.declared import records_of


def corpus_of_model(wildcards):
    name = PLAN.model_of_key(wildcards.model_key)
    return PATHS.text("corpus", corpus_key=PLAN.corpus_key(name))


def room_chunks(wildcards):
    """The shares of all jobs that make a pool of rooms."""
    count = PLAN.chunks(wildcards.pool_key)
    return PATHS.each(
        "rooms", pool_key=wildcards.pool_key, chunk=range(count), chunks=count
    )


def episodes_of_policy(wildcards):
    key = PLAN.pool_of_model(PLAN.model_of_key(wildcards.model_key))
    return PATHS.text("episodes", pool_key=key)


def episodes_of_dataset(wildcards):
    """The episodes that a dataset of rooms is prepared from; nothing for any other."""
    key = PLAN.pool_of_dataset(PLAN.dataset_of_key(wildcards.data_key))
    return PATHS.text("episodes", pool_key=key) if key else []


def texts(wildcards):
    """The texts on which the study measures perplexity."""
    if "perplexity" not in PLAN.study["artefacts"]:
        return []
    return sorted({PLAN.text_file(model) for model, _ in PLAN.cells_of("perplexity")})


def longest_first(name):
    """A rule's priority; a constant if Snakemake is too old to accept a function of the wildcards."""
    if not hasattr(workflow_rule, "expand_priority"):
        return 0
    return lambda wildcards: urgency(PLAN, name, dict(wildcards.items()))


def per_rho(kind):
    """One file per rho: all of them from one job, or one job each (`one_job_per` in the study)."""
    pattern = FILES[kind]
    return pattern if EACH_RHO else expand(pattern, rho=RHOS, allow_missing=True)


def gradients_of_search(wildcards):
    """The gradients, if the study searches only what they point to."""
    if not searches_by(PLAN.study, GRADIENT):
        return []
    return files_of_cell("gradients")(wildcards)


def text_of_model(wildcards):
    return PLAN.text_file(wildcards.model)


def cheap_search_files(wildcards):
    """The files that the cheap search needs, if the study compares it with the exhaustive one."""
    if not PLAN.compares_searches(wildcards.model, wildcards.dataset):
        return []
    return files_of_cell("gradients", "sweep")(wildcards)


def selections_of_model(wildcards):
    """The selections on the datasets whose choices are applied to each other."""
    datasets = PLAN.transferred(wildcards.model)
    return PATHS.each("selection", model=wildcards.model, dataset=datasets)


def reductions_of_model(wildcards):
    """The records of all decompositions of a model."""
    layers = PLAN.layers(wildcards.model)
    return PATHS.each("reduction", model=wildcards.model, layer=layers, rho=PLAN.rhos)


def artefact_files(wildcards):
    """Every file of every table and figure that the study asks for."""
    made = [getattr(rules, name).output for name in PLAN.study["artefacts"]]
    return [
        path
        for output in made
        for path in output
        if path not in (output.record, output.run_record)
    ]


def study_job(name, **settings):
    """The params of a job about the whole study; settings may be functions of the wildcards."""

    def spec(wildcards):
        given = {
            key: value(wildcards) if callable(value) else value
            for key, value in settings.items()
        }
        return PLAN.study_spec(name, files=PLAN.files.spec(), **given)

    return command(name, spec)


def evaluation_files(wildcards):
    """Every file that the tables are made from: requested by name, so that a deleted one is noticed and remade."""
    return [
        path
        for kind, cells in PLAN.evaluated().items()
        for path in PLAN.files.paths(kind, cells)
    ]


def artefact_names(wildcards):
    """The files of all tables and figures, below the study's folder."""
    return [os.path.relpath(path, PLAN.results) for path in artefact_files(wildcards)]


def record_files(wildcards):
    """Record and run of every job of the study (docs/provenance.md): a deleted one is remade with its job."""
    files = [
        *artefact_files(wildcards),
        *evaluation_files(wildcards),
        rules.report.output.page,
    ]
    files = [file.replace("<results>", PLAN.results) for file in files]
    return records_of(workflow.rules, [*files, rules.inputs.output.study])


def model_card(wildcards):
    return PATHS.text("model", model_key=PLAN.model_key(wildcards.model))


def data_rows(wildcards):
    return PATHS.text("rows", data_key=PLAN.data_key(wildcards.dataset))


def files_of_cell(*kinds):
    """All files of some kinds of a job's model and dataset."""
    return lambda wildcards: [
        path
        for kind in kinds
        for path in PLAN.files.of_cell(kind, wildcards.model, wildcards.dataset)
    ]


def study_files(*kinds):
    """All files of some kinds."""
    return [path for kind in kinds for path in PLAN.files.paths(kind)]
