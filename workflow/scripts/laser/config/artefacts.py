"""The declarations of tables, figures and films; all that the workflow knows of an artefact follows from its own.

A module `laser/artefacts/<name>.py` holds the declaration as `ARTEFACT`, and the function `make`; a table's module also
has `views`. The modules are found, not listed: a new one, with its caption `workflow/report/<name>.rst`, adds a rule, a
target and a name that a study may ask for (docs/adding-an-artefact.md).

The declarations are read while the Snakefile is parsed. Their modules import no matplotlib, scipy or torch at module
level; pandas and numpy may be imported there, because Snakemake has imported both by then.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from laser.config.fingerprint import code_fingerprint
from laser.config.paths import PATTERNS, Folders, StudyFiles, names_in
from laser.config.pools import POLICY, is_policy
from laser.errors import UserError, nearest
from laser.io.files import canonical_json, digest

if TYPE_CHECKING:
    from laser.config.plan import Plan

TABLE, FIGURE, FILM = "table", "figure", "film"
FORMATS = {TABLE: ("csv", "md", "tex"), FIGURE: ("svg", "pdf", "csv"), FILM: ("gif", "csv")}
"""Kind of artefact to the formats in which each table, or each picture, is written."""

PACKAGE = "laser.artefacts"
SCRIPT = "make_artefact"

CellName = tuple[str, str]
Cells = Callable[["Plan"], Sequence[CellName]]
"""Function that returns some (model, dataset) pairs of a study, in order."""


def every_cell(plan: Plan) -> list[CellName]:
    """Return all (model, dataset) pairs of the study."""
    return plan.cells()


def drawn_cells(plan: Plan) -> list[CellName]:
    """Return the pairs that the study's figures show."""
    return plan.cells_of("figures")


def evaluated_cells(evaluation: str) -> Cells:
    """Return a function that returns the pairs of an evaluation other than the sweep, such as `compose`."""
    return functools.partial(_cells_of, evaluation)


def _cells_of(evaluation: str, plan: Plan) -> list[CellName]:
    return plan.cells_of(evaluation)


@dataclass(frozen=True)
class Artefact:
    """The declaration of one table, figure or film.

    Attributes:
        name: the name of its module, rule, target, caption and files.
        kind: `table`, `figure` or `film`.
        title: what a reader calls it, such as Figure 9.
        about: what it shows, in one line.
        reads: kinds of files that it reads (`laser.config.paths.PATTERNS`), for all of its cells; `counts` stands for
            the study's own files of training frequencies.
        cells: the (model, dataset) pairs that it is about.
        also_reads: further kinds of files, each with the cells for which it is read.
        after: tables whose CSV files it reads.
        pictures: for a figure or film, the pattern of its pictures' paths below the artefact's folder. It may have the
            wildcards model, dataset and protocol; there is one picture for each combination of their values.
        texts: columns of its CSV that hold text, which may be empty or look like numbers.
        wordy: whether the table's cells are sentences rather than numbers.
        needs: the evaluation that a study must have (`laser.config.evaluations`), if any.
        missing: returns what else a given study lacks; an empty text if it lacks nothing.
        not_for_policies: why it does not exist for policies that play Sokoban; empty if it does.
        only_policies: whether it exists only for such policies.
        resampled: whether it depends on the study's seed and number of resamples.
        settings: further settings that shape it, taken from the study.
    """

    name: str
    kind: str
    title: str
    about: str
    reads: tuple[str, ...] = ()
    cells: Cells = every_cell
    also_reads: Mapping[str, Cells] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    pictures: str = "{model}/{dataset}-{protocol}"
    texts: tuple[str, ...] = ()
    wordy: bool = False
    needs: str = ""
    missing: Callable[[Mapping[str, Any]], str] | None = None
    not_for_policies: str = ""
    only_policies: bool = False
    resampled: bool = True
    settings: Callable[[Plan], dict[str, Any]] | None = None

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats in which it is written."""
        return FORMATS[self.kind]

    @property
    def module(self) -> ModuleType:
        """The module that makes it."""
        return importlib.import_module(f"{PACKAGE}.{self.name}")

    def cells_by_kind(self, plan: Plan) -> dict[str, list[CellName]]:
        """Return the kinds of files that it reads, each with the cells for which it reads them."""
        kinds = dict.fromkeys(self.reads, self.cells) | dict(self.also_reads)
        return {kind: list(cells(plan)) for kind, cells in kinds.items() if kind != "counts"}


@dataclass(frozen=True)
class Picture:
    """One picture of a figure or film.

    Attributes:
        path: path below the artefact's folder, without file extension.
        model, dataset, protocol: what it shows; empty where it shows several.
    """

    path: str
    model: str = ""
    dataset: str = ""
    protocol: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """What it shows, by name, for Snakemake's report."""
        values = {"model": self.model, "dataset": self.dataset, "protocol": self.protocol}
        return {name: value for name, value in values.items() if value}


def pictures(pattern: str, cells: Iterable[CellName], protocols: Sequence[str]) -> list[Picture]:
    """Return the pictures of a figure: one for each combination of the pattern's wildcards, cells first, each once."""
    names = re.findall(r"{(\w+)}", pattern)
    made: dict[Picture, None] = {}
    for model, dataset in cells:
        for protocol in protocols:
            values = {"model": model, "dataset": dataset, "protocol": protocol}
            shown = {name: values[name] for name in names}
            made[Picture(pattern.format(**shown), **shown)] = None
    return list(made)


def outputs(
    artefact: Artefact, cells: Iterable[CellName], protocols: Sequence[str], folders: Folders
) -> dict[str, Picture]:
    """Return the files of an artefact, each with the picture that it belongs to (an empty one for a table)."""
    if artefact.kind == TABLE:
        return {folders.text("table", table=artefact.name, format=end): Picture("") for end in artefact.formats}
    return {
        folders.text("figure", figure=artefact.name, picture=picture.path, format=end): picture
        for end in artefact.formats
        for picture in pictures(artefact.pictures, cells, protocols)
    }


@functools.cache
def declared() -> dict[str, Artefact]:
    """Return every artefact by name, tables first, in the order in which a reader meets them.

    Importing the modules by name keeps them out of the fingerprint of whatever code asks for this list: only the
    artefact's own job depends on its module.
    """
    package = importlib.import_module(PACKAGE)
    names = sorted(path.stem for path in Path(package.__path__[0]).glob("*.py") if not path.stem.startswith("_"))
    modules = [importlib.import_module(f"{PACKAGE}.{name}") for name in names]
    artefacts = [module.ARTEFACT for module in modules if hasattr(module, "ARTEFACT")]
    return {artefact.name: artefact for artefact in sorted(artefacts, key=_order)}


def _order(artefact: Artefact) -> tuple[Any, ...]:
    """Return the sort key: by kind, then by number (Table 2 before Table 10), then names without a number."""
    number = re.search(r"\d+", artefact.name)
    return artefact.kind != TABLE, number is None, int(number[0]) if number else 0, artefact.name


def possible_artefacts(plan: Plan) -> list[Artefact]:
    """Return the artefacts that fit the study: those that it lists, and the others that it can be asked for."""
    return [artefact for artefact in declared().values() if not unfit(artefact, plan.study)]


def unfit(artefact: Artefact, study: Mapping[str, Any]) -> str:
    """Return why a study cannot have an artefact, as the end of a sentence; an empty text if it can."""
    policies = any(map(is_policy, study["models"]))
    if policies and artefact.not_for_policies:
        return f"is not for policies: {artefact.not_for_policies}. Leave it out"
    if artefact.only_policies and not policies:
        return f"is about policies that play Sokoban; the study has no model of the architecture {POLICY}. Leave it out"
    if artefact.needs and artefact.needs not in study:
        return (
            f"needs the key '{artefact.needs}' (config/study.md). Add `{artefact.needs}: {{}}` for its defaults, or "
            "leave the artefact out"
        )
    missing = artefact.missing(study) if artefact.missing else ""
    return f"needs {missing}" if missing else ""


def artefact_inputs(plan: Plan, artefact: Artefact) -> list[str]:
    """Return the files that an artefact is made from, as Snakemake's rules name them."""
    files = [path for kind, cells in artefact.cells_by_kind(plan).items() for path in plan.files.paths(kind, cells)]
    files += [Folders().text("table", table=name, format="csv") for name in artefact.after]
    return [*files, *(plan.study["counts"].values() if "counts" in artefact.reads else ())]


def artefact_outputs(plan: Plan, artefact: Artefact) -> dict[str, Picture]:
    """Return the files of an artefact, as Snakemake's rules name them, each with its picture."""
    return outputs(artefact, artefact.cells(plan), plan.study["protocols"], plan.files.folders)


def artefact_code(name: str, scripts: Path) -> str:
    """Return the fingerprint of the code that makes an artefact: its module, what that imports, and the script."""
    return code_fingerprint(scripts / f"{SCRIPT}.py", f"{PACKAGE}.{name}", scripts=scripts)


def artefact_spec(plan: Plan, artefact: Artefact) -> str:
    """Return the spec of an artefact's job: everything that shapes it, and where its files are."""
    spec: dict[str, Any] = {
        "artefact": artefact.name,
        "study": plan.study["name"],
        "protocols": plan.study["protocols"],
        "cells": [list(cell) for cell in artefact.cells(plan)],
        "published": plan.published(),
        "rules": plan.rules(),
        "code": artefact_code(artefact.name, plan.scripts),
    }
    read = artefact.cells_by_kind(plan)
    spec["files"] = _files_of(plan.files, read).spec()
    spec["reads"] = {kind: [list(cell) for cell in cells] for kind, cells in read.items()}
    if "counts" in artefact.reads:
        spec["counts"] = plan.study["counts"]
    quantised = plan.quantised(name for name, _ in artefact.cells(plan))
    if artefact.kind == TABLE and quantised:
        spec["quantised"] = quantised
    if artefact.resampled:
        spec |= {"seed": plan.study["seed"], "resamples": plan.study["resamples"]}
    return canonical_json(spec | (artefact.settings(plan) if artefact.settings else {}))


def _files_of(files: StudyFiles, read: Mapping[str, Sequence[CellName]]) -> StudyFiles:
    """Return the part of a study's files that is read, without values that do not occur in their paths."""
    cells = [cell for cells in read.values() for cell in cells]
    names = {name for kind in read for name in names_in(kind)}
    models = tuple(
        replace(
            model,
            layers=model.layers if "layer" in names else [],
            landscape_layers=model.landscape_layers if "landscape" in read else [],
        )
        for model in files.models
        if model.name in {name for name, _ in cells}
    )
    datasets = tuple(dataset for dataset in files.datasets if dataset.name in {name for _, name in cells})
    return replace(files, models=models, datasets=datasets, rhos=files.rhos if "rho" in names else ())


def check_artefacts(study: Mapping[str, Any], path: Path) -> None:
    """Refuse an artefact that does not exist, or whose evaluations the study lacks."""
    for name in study["artefacts"]:
        if name not in declared():
            raise UserError(
                f"{path}: artefacts holds '{name}', which is none{nearest(name, list(declared()))}. "
                f"Allowed: {', '.join(declared())}."
            )
        if reason := unfit(declared()[name], study):
            raise UserError(f"{path}: artefacts holds '{name}', which {reason}.")


def described(plan: Plan) -> list[dict[str, Any]]:
    """Return what a reader of the study's folder needs to know about each of its artefacts, as plain data.

    The patterns are below the study's folder; for files of the cache they are those of the copies in inputs/.
    """
    return [
        {
            "name": artefact.name,
            "kind": artefact.kind,
            "title": artefact.title,
            "reads": {
                copied(kind): [list(cell) for cell in cells] for kind, cells in artefact.cells_by_kind(plan).items()
            }
            | {f"tables/{name}.csv": [] for name in artefact.after},
            "writes": [path.removeprefix("<results>/") for path in artefact_outputs(plan, artefact)],
            "texts": list(artefact.texts),
        }
        for artefact in map(declared().__getitem__, plan.study["artefacts"])
    ]


def hash_of_declarations(plan: Plan) -> str:
    """Return a hash of what `described` returns, which is too long for a spec."""
    return digest(described(plan), 16)


def copied(kind: str) -> str:
    """Return the pattern of a kind of file below the study's folder; for files of the cache, that of their copies."""
    relative = PATTERNS[kind].removeprefix("<results>/").replace("<cache>/", "inputs/")
    return relative.replace("{model_key}", "{model}").replace("{data_key}", "{dataset}")
