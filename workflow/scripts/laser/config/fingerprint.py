"""A hash of what the code behind a job means, so that exactly the results that an edit can change are made again.

Snakemake does not see edits in imported modules; this hash goes into every rule's spec. It covers a root (a script or a
module) and all modules of the package that it imports, directly or through others, including inside functions. Each
module's syntax tree is hashed: comments, layout, docstrings, type annotations and imports used only in annotations do
not change the hash, which is the same on every version of Python. Nothing is executed.

Two declarations narrow it. `NO_RESULT` names the modules that shape no result. `unused_modules` names those that a
kind of model or a dataset never uses, although the common code that chooses between them imports them all.

A package's `__init__` counts only if something other than one of its modules is imported from it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = "laser"
SCRIPTS = Path(__file__).resolve().parents[2]
"""The folder of the rule scripts, which holds the package."""

NO_RESULT = {
    "laser.cluster": "where a job runs; a copy of a checkpoint on a node's disk has the same bytes, by its sha256",
    "laser.config.paths": "where a study's files are; Snakemake itself sees another path",
    "laser.engine.freed_memory": "a setting of the memory allocator",
    "laser.errors": "the wording of messages; a job that ends in one leaves no result",
    "laser.config.specs": "how a spec is written and read; what it says is compared itself",
    "laser.io.claim": "whether a job may still write",
    "laser.io.hub_errors": "the wording of messages about the hub",
    "laser.provenance.job": "arguments, log and progress of a script",
    "laser.io.machine": "facts about the host and the cost of a job",
    "laser.io.records": "what is noted about a result after it was made",
    "laser.io.retry": "how often a download is tried again, whose files are held against their sha256",
    "laser.io.transfer": "the progress of downloads, whose files are held against their sha256",
}
"""Modules, or packages of them, whose edits re-run nothing, each with the reason."""

_GAMES = ("laser.policies", "laser.sokoban")
UNUSED_BY_TASK = {
    "causal": _GAMES,
    "masked": _GAMES,
    "policy": tuple(
        f"laser.{name}"
        for name in (
            "engine.answers",
            "engine.attention",
            "engine.blocks",
            "engine.families",
            "engine.decode",
            "engine.edited_layer",
            "engine.edited_matrix",
            "engine.fast",
            "engine.naive",
            "engine.packing",
            "engine.trees",
            "tasks.judging",
            "tasks.questions",
            "tasks.tokens",
        )
    ),
}
"""Kind of model to the modules that its evaluations import but never call (tests/config/test_unused_modules.py)."""

DATASETS = "laser.tasks.datasets"
"""The package with a module per dataset; those whose name begins with _ are shared by several."""

_TYPE_MARKS = ("ClassVar", "InitVar", "KW_ONLY")
"""Annotations that change how a dataclass treats a field."""
_SKIPPED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores", "returns", "annotation"})


class Module(NamedTuple):
    """A module as the fingerprint sees it: a hash of its meaning, and the names that it imports from the package."""

    digest: str
    imports: frozenset[str]


def code_fingerprint(*roots: Path | str, unused: Iterable[str] = (), scripts: Path = SCRIPTS) -> str:
    """Return 16 hex digits that change exactly when the meaning of a root or of a module behind it changes.

    Args:
        roots: scripts by their paths, modules by their dotted names.
        unused: modules or packages that this use of the roots never enters (`unused_modules`).
        scripts: the folder that holds the package.
    """
    return _fingerprint(tuple(map(str, roots)), frozenset(unused), scripts)


@functools.cache
def _fingerprint(roots: tuple[str, ...], unused: frozenset[str], scripts: Path) -> str:
    digests = [read_module(Path(root)).digest for root in roots if root.endswith(".py")]
    behind = modules_behind(*roots, unused=unused, scripts=scripts)
    digests += [f"{name} {_module(scripts, name).digest}" for name in behind]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


def modules_behind(*roots: Path | str, unused: Iterable[str] = (), scripts: Path = SCRIPTS) -> list[str]:
    """Return the modules of the package that shape what the roots make, including roots that are modules, sorted."""
    left_out = (*NO_RESULT, *unused)
    waiting: list[str] = []
    reached: set[str] = set()
    for root in map(str, roots):
        waiting += read_module(Path(root)).imports if root.endswith(".py") else [root]
    while waiting:
        name = _file_and_name(scripts, waiting.pop())[1]
        if name in reached or any(name == other or name.startswith(f"{other}.") for other in left_out):
            continue
        reached.add(name)
        waiting += _module(scripts, name).imports
    return sorted(reached)


def unused_modules(task: str | None = None, builder: str | None = None, scripts: Path = SCRIPTS) -> frozenset[str]:
    """Return the modules that a job never enters, given what it evaluates.

    Args:
        task: the kind of the model, a key of `UNUSED_BY_TASK`; None if it may be any kind.
        builder: the one dataset module that the job uses; None if it may use any.
        scripts: the folder that holds the package.
    """
    unused = set(UNUSED_BY_TASK[task]) if task else set()
    if builder is not None:
        unused.update(f"{DATASETS}.{name}" for name in _dataset_modules(scripts) if name != builder)
    return frozenset(unused)


@functools.cache
def _dataset_modules(scripts: Path) -> list[str]:
    return [path.stem for path in scripts.joinpath(*DATASETS.split(".")).glob("[!_]*.py")]


@functools.cache
def _file_and_name(scripts: Path, imported: str) -> tuple[Path, str]:
    """Return file and name of the module behind an imported name: the name's own module, or the one that defines it."""
    path = scripts.joinpath(*imported.split("."))
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py"), imported
    if (path / "__init__.py").is_file():
        return path / "__init__.py", imported
    above = imported.rpartition(".")[0]
    if not above:
        raise ValueError(f"{imported} is no module below {scripts}")
    return _file_and_name(scripts, above)


def _module(scripts: Path, name: str) -> Module:
    return read_module(_file_and_name(scripts, name)[0])


@functools.cache
def read_module(path: Path) -> Module:
    """Return hash and imports of a Python file."""
    tree = _Meaning(ast.parse(path.read_bytes(), str(path)))
    return Module(tree.digest(), frozenset(tree.package_imports))


class _Meaning:
    """The syntax tree of a module, written out without what has no meaning when the module runs."""

    def __init__(self, tree: ast.Module) -> None:
        self.package_imports: set[str] = set()
        self._parts: list[str] = []
        self._names: set[str] = set()
        self._imported: set[tuple[str, str]] = set()
        self._statements(tree.body)

    def digest(self) -> str:
        """Return the hash. Imports are a set; those from elsewhere count only if more than annotations use them."""
        kept = sorted(
            f"{source} as {name}"
            for source, name in self._imported
            if name.partition(".")[0] in self._names or source.partition(".")[0] == PACKAGE or name == "*"
        )
        return hashlib.sha256("\n".join([*kept, "", *self._parts]).encode()).hexdigest()

    def _statements(self, body: list[ast.stmt], annotated: str = "") -> None:
        """Write a block. `annotated` is the kind of class that it is the body of, if annotations may count there."""
        self._parts.append("[")
        for statement in body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self._import(statement)
            elif isinstance(statement, ast.Pass) or _is_text(statement) or _is_for_type_checkers(statement):
                continue
            elif isinstance(statement, ast.AnnAssign):
                self._annotated(statement, annotated)
            elif isinstance(statement, ast.ClassDef):
                self._class(statement)
            else:
                self._node(statement)
        self._parts.append("]")

    def _import(self, statement: ast.Import | ast.ImportFrom) -> None:
        if isinstance(statement, ast.Import):
            named = [(alias.name, alias.asname or alias.name) for alias in statement.names]
        elif statement.level:
            raise ValueError(f"line {statement.lineno}: the package imports by absolute names only")
        elif statement.module == "__future__":
            return
        else:
            named = [(f"{statement.module}.{alias.name}", alias.asname or alias.name) for alias in statement.names]
        self._imported.update(named)
        self.package_imports.update(source for source, _ in named if source.partition(".")[0] == PACKAGE)

    def _annotated(self, statement: ast.AnnAssign, annotated: str) -> None:
        """Write `name: type = value` as an assignment; in a class an annotation makes a field, even without a value."""
        if annotated:
            marked = any(mark in ast.unparse(statement.annotation) for mark in _TYPE_MARKS)
            self._parts.append("field")
            self._node(statement.target)
            if annotated == "with bases" or marked:
                self._node(statement.annotation)
            if statement.value is not None:
                self._node(statement.value)
        elif statement.value is not None:
            self._node(ast.Assign([statement.target], statement.value))

    def _class(self, statement: ast.ClassDef) -> None:
        """Write a class. Its bases may read its annotations (NamedTuple, pydantic); a dataclass reads few of them."""
        self._parts.append(f"class {statement.name}")
        for node in (*statement.bases, *statement.keywords, *statement.decorator_list):
            self._node(node)
        self._statements(statement.body, "with bases" if statement.bases else "plain")

    def _node(self, node: ast.AST) -> None:
        """Write a node and its contents; empty fields are left out, because versions of Python differ in them."""
        if isinstance(node, ast.Constant):
            self._parts.append(f"{type(node.value).__name__} {node.value!r}")
            return
        if isinstance(node, ast.Name):
            self._names.add(node.id)
            self._parts.append(node.id)
            return
        self._parts.append(type(node).__name__)
        for field in node._fields:
            if field in _SKIPPED_FIELDS:
                continue
            value: Any = getattr(node, field, None)
            if isinstance(node, ast.JoinedStr):
                # Some versions of Python write an empty text between two values of an f-string.
                value = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
            if value is None or value == []:
                continue
            self._parts.append(field)
            if isinstance(value, ast.AST):
                self._node(value)
            elif not isinstance(value, list):
                self._parts.append(str(value))
            elif isinstance(value[0], ast.stmt):
                self._statements(value)
            else:
                for item in value:
                    self._node(item) if isinstance(item, ast.AST) else self._parts.append(str(item))
                self._parts.append(";")


def _is_text(statement: ast.stmt) -> bool:
    """Return True for a docstring, including one below an assignment."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _is_for_type_checkers(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Name)
        and statement.test.id == "TYPE_CHECKING"
        and not statement.orelse
    )
