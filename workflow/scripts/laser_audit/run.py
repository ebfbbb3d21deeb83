"""All checks in their order, and what none of them can do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from laser.errors import UserError
from laser_audit import (
    base,
    beyond,
    composed,
    described,
    figures,
    frequencies,
    lineage,
    manifest,
    policies,
    prompts,
    records,
    rendered,
    report,
    rooms,
    rows,
    seeds,
    selection,
    settings,
    sizes,
    splits,
    subsets,
    table1,
    table1_text,
    table2,
    table3,
    trained,
)
from laser_audit.findings import Check, Unreadable, brief, checked
from laser_audit.reading import Examine, Study

CHECKS: tuple[tuple[str, str, str, Examine], ...] = (
    (
        "manifests",
        "Both manifests are well-formed, and each file is in the right one.",
        "facts",
        manifest.check_manifests,
    ),
    (
        "files",
        "Every file has the recorded bytes and sha256; no file is missing or extra.",
        "files",
        manifest.check_files,
    ),
    ("records", "Every result has one record; what a job read is what another made.", "facts", records.check_records),
    ("lineage", "Every job read all that its rule must read.", "inputs", lineage.check_lineage),
    ("jobs", "Every record has its run, log and benchmark, and the reverse.", "facts", records.check_jobs),
    ("specs", "The spec inside each result is that of its record; one script, one code.", "facts", records.check_specs),
    (
        "settings",
        "Every job ran with the study's settings, models, datasets and paper.",
        "facts",
        settings.check_settings,
    ),
    (
        "descriptions",
        "The RO-Crate names the same files with the same hashes, and the same jobs.",
        "hashes",
        described.check_described,
    ),
    ("data", "Each dataset's rows are those that its card describes.", "facts", splits.check_data),
    ("splits", "Both splits follow their rule; no fact is on both sides.", "rows", splits.check_splits),
    ("rows", "Result files hold exactly the rows of their side, in order.", "rows", rows.check_rows),
    ("rows of other runs", "Other prompts and repaired rows: test rows alone.", "rows", subsets.check_subsets),
    (
        "scores",
        "No row contradicts itself: loss, tokens, prediction, answer, right or wrong.",
        "rows",
        rows.check_scores,
    ),
    ("games", "Every game of a policy, played anew from its room and moves.", "values", policies.check_games),
    ("sides", "No room is one that a policy was trained on.", "facts", policies.check_sides),
    ("base", "Base is the same in every comparison.", "values", base.check_base),
    ("reductions", "Kept rank is ⌊ρ·d⌋; energies and residuals agree along ρ.", "facts", selection.check_reductions),
    (
        "selection",
        "Every candidate's scores; the choice is the best by the stated rule.",
        "facts",
        selection.check_selection,
    ),
    ("table1", "Every cell of Table 1: values, intervals, tests, constants, verdicts.", "cells", table1.check_table1),
    ("table1 for reading", "Every cell of Table 1 as it is printed.", "cells", table1_text.check_table1_text),
    ("verdicts", "The verdict on every number of the paper's Table 1.", "cells", table1.check_verdicts),
    ("table2", "Every cell of Table 2: values, intervals, tests, the paper's.", "cells", table2.check_table2),
    ("table2 for reading", "Every cell of Table 2 as it is printed.", "cells", table2.check_table2_text),
    ("table3", "Choices, and what they and the paper's score on test rows.", "cells", table3.check_table3),
    ("table4", "Sizes of datasets and splits.", "cells", table3.check_table4),
    ("table5", "The search space.", "cells", table3.check_table5),
    ("paraphrase", "Facts right in all phrasings, with intervals and tests.", "cells", beyond.check_paraphrase),
    ("topk", "Top-1, 5 and 10 on test rows and along ρ.", "cells", beyond.check_topk),
    ("compose", "Every search by its rule; the table of compositions.", "values", composed.check_compose),
    ("seeds", "Spread over the seeds of the randomised decomposition.", "cells", seeds.check_seeds),
    ("prompts", "Base and LASER under other wordings of the prompt.", "cells", prompts.check_prompts),
    ("size", "Parameters and bytes that factors save.", "cells", sizes.check_size),
    ("tables", "Every artefact that the study asks for is there.", "files", figures.check_tables),
    ("tables for reading", "Markdown, LaTeX and CSV of every table agree.", "cells", rendered.check_rendered),
    ("fig2", "Figures 2 and 10 and the control: loss by layer, matrix and ρ.", "cells", figures.check_fig2),
    ("fig3", "Figures 3b and 3c: accuracy by training frequency.", "cells", frequencies.check_fig3),
    ("fig4", "The course of every composition, on validation and test rows.", "cells", composed.check_fig4),
    ("fig6", "A room, and the expert's way through it.", "cells", rooms.check_fig6),
    ("fig7", "Effective rank by layer.", "cells", figures.check_fig7),
    ("fig8", "Top-k accuracy against the reduction.", "cells", figures.check_fig8),
    ("fig9", "The best intervention of each layer.", "cells", figures.check_fig9),
    ("solved", "Rooms solved by boxes and by length of the path.", "cells", rooms.check_solved),
    ("film", "The moves of every film, played anew.", "cells", rooms.check_film),
    ("noise", "Gain by noise and depth of trained models, with their intervals.", "cells", trained.check_noise),
    ("report", "Copies of tables, figures and rows in the report are true.", "values", report.check_report),
    ("pictures", "Every figure has its SVG, PDF (or film) and CSV, well begun.", "files", figures.check_pictures),
)

RECOMPUTED = {
    *(
        "table1",
        "verdicts",
        "table2",
        "table3",
        "table4",
        "table5",
        "paraphrase",
        "topk",
        "compose",
        "seeds",
        "prompts",
        "size",
    ),
    *("fig2", "fig3b", "fig3c", "fig4", "noise", "fig6", "solved", "film", "fig7", "fig8", "fig9", "fig10", "smallest"),
}

NEEDS_MODEL = (
    ("answers and log-probabilities", "They need the model. A sample is run again by `make spotcheck`."),
    ("singular values", "They need the weights. Records of reductions are held against each other alone."),
    ("weights, tokenizers and raw data", "Only their hashes are in the study; `card.json` names where they come from."),
)


@dataclass(frozen=True)
class Report:
    """The outcome of an audit.

    Attributes:
        folder: what was audited.
        study: its name, empty where the folder does not say.
        checks: in order.
        left: (what, why) of what was not recomputed.
    """

    folder: Path
    study: str
    checks: list[Check]
    left: list[tuple[str, str]]

    @property
    def passed(self) -> bool:
        """Whether no check found anything."""
        return all(check.passed for check in self.checks)

    @property
    def findings(self) -> int:
        """How many findings there are."""
        return sum(len(check.findings) for check in self.checks)


def audit(folder: Path) -> Report:
    """Run every check on a study's folder.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder. Give the folder of a study, such as results/quickstart.")
    study = Study(folder)
    checks = [
        checked(name, about, unit, partial(lambda examine, check: examine(check, study), examine))
        for name, about, unit, examine in CHECKS
    ]
    return Report(folder, _name(study), checks, not_recomputed(study))


def _name(study: Study) -> str:
    try:
        name = study.settings.get("name")
    except Unreadable:
        return ""
    return brief(name) if isinstance(name, str) else ""


def not_recomputed(study: Study) -> list[tuple[str, str]]:
    """Return what the checks leave out of this study, and why."""
    try:
        wanted = [str(one) for one in study.settings["artefacts"]]
        counts = dict(study.settings.get("counts", {}))
    except (Unreadable, KeyError, TypeError, ValueError):
        wanted, counts = [], {}
    only = (
        "Its hash, its record and its printed forms were checked; `--replay` makes it again with the study's own code."
    )
    left = [(name, only) for name in wanted if name not in RECOMPUTED]
    if counts and {"fig3b", "fig3c"} & set(wanted):
        left.append(("fig3b, fig3c of datasets with counts of the user's", only))
    left.append(("report/index.html", only))
    if any(path.startswith("figures/") for path in study.files):
        left.append(
            (
                "lines, labels and frames in SVG, PDF and GIF",
                "The CSV behind them was recomputed, the drawing was not; " + only,
            )
        )
    made = [name for name in ("perplexity", "gradients") if any(path.startswith(f"{name}/") for path in study.files)]
    if made:
        left.append(
            (f"numbers in {' and '.join(made)}", "They need the model. Hashes, records and settings were checked.")
        )
    if any(path.startswith("export/") for path in study.files):
        left.append(("export/", "No manifest covers exported checkpoints; each has hashes of its own."))
    return [*left, *_left_out(study), *NEEDS_MODEL]


def _left_out(study: Study) -> list[tuple[str, str]]:
    """Return the test rows that runs themselves name as left out: whether they had to be takes the model."""
    found = []
    for path in study.matching("test/", ".parquet"):
        try:
            named = study.spec(path)["run"]["left_out"]
            if named:
                reasons = sorted({str(one) for one in named.values()})
                found.append(
                    (f"{len(named)} rows that {path} names as left out", f"{reasons[0]}; {len(reasons)} reasons")
                )
        except (Unreadable, KeyError, TypeError, AttributeError):
            continue
    return found
