"""A content hash of the code that a script runs: the script and the package modules it imports, transitively.

Snakemake does not see edits in imported modules; this hash goes into every rule's spec, so that exactly the results
that a changed module can have touched are made anew. Nothing is executed: the imports are read from the source.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grimp

PACKAGE = "laser"


@functools.cache
def _graph() -> grimp.ImportGraph:
    import grimp

    return grimp.build_graph(PACKAGE, cache_dir=None)


def imported_modules(script: Path) -> list[str]:
    """Return the package modules that `script` imports, directly or through others, sorted."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    direct: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            direct.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            direct.add(node.module)
            direct.update(f"{node.module}.{alias.name}" for alias in node.names)
    graph = _graph()
    found = {name for name in direct if name in graph.modules}
    for name in tuple(found):
        found |= graph.find_upstream_modules(name)
    return sorted(found)


def module_path(scripts: Path, module: str) -> Path:
    """Return the file of a package module below the scripts folder."""
    path = scripts.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def code_fingerprint(script: Path) -> str:
    """Return 16 hex digits that change exactly when the script or a package module it imports changes."""
    hashed = hashlib.sha256(script.read_bytes())
    for module in imported_modules(script):
        hashed.update(module.encode())
        hashed.update(module_path(script.parent, module).read_bytes())
    return hashed.hexdigest()[:16]
