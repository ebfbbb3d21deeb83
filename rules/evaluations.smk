# Evaluations beside the sweep, for the cells that the study names for each. Those that need the selection run after it
# and score test rows, from which nothing is chosen; the others see only validation rows.

# Rule to the kind of file that it makes, the kinds that it needs besides model and data, and what it does.
EVALUATIONS = {
    "landscape": ("landscape", [], "Every matrix and reduction in a layer"),
    "gradients": (
        "gradients",
        [],
        "Matrices ranked by their singular values' gradients",
    ),
    "compose_layers": ("composition", [], "Interventions composed over layers"),
    "compose_test": ("composed", ["composition"], "Every step of the composition"),
    "evaluate_choices": (
        "choices",
        ["selection"],
        "Choices that selection did not make",
    ),
    "evaluate_seeds": ("seeds", ["selection"], "Randomised SVD with several seeds"),
    "evaluate_transfer": ("transfer", [], "Choices of the other datasets"),
    "evaluate_rank_rules": (
        "rank_rules",
        ["spectra", "selection"],
        "Rules for rho in place of the grid",
    ),
    "evaluate_prompts": ("prompts", ["selection"], "Other prompts"),
    "evaluate_higher_order": (
        "higher_order",
        ["test", "selection"],
        "Higher-order components alone",
    ),
    "evaluate_perplexity": ("perplexity", ["selection"], "Perplexity of a text"),
    "evaluate_clustered": ("clustered", ["selection"], "Rows in clusters"),
    "evaluate_efficacy": (
        "efficacy",
        ["selection", "false_targets"],
        "False targets",
    ),
    "evaluate_baselines": ("baselines", ["selection"], "Baselines beside LASER"),
}

for NAME, (KIND, NEEDED_KINDS, WHAT) in EVALUATIONS.items():
    FOLDER = (
        "{model}/{dataset}/layer{layer}" if NAME == "landscape" else "{model}/{dataset}"
    )

    rule:
        name:
            NAME
        input:
            model_card,
            text_of_model if NAME == "evaluate_perplexity" else data_rows,
            [FILES[kind] for kind in NEEDED_KINDS],
            cheap_search_files if NAME == "evaluate_choices" else [],
            selections_of_model if NAME == "evaluate_transfer" else [],
            files_of_cell("corpus") if NAME == "evaluate_baselines" else [],
        output:
            FILES[KIND],
        log:
            f"<logs>/{NAME}/{FOLDER}.log",
        priority: longest_first(NAME)
        conda:
            "../envs/laser.yaml"
        threads: PLAN.config["threads"]
        resources:
            **needs(NAME),
        params:
            **job(NAME),
        message:
            f"{WHAT}: {{wildcards}}"
        shell:
            JOB
