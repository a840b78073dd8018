"""The project's files as the norms look at them.

DISK.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
KINDS = ("PURE", "DISK", "NETWORK", "SHELL")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


NOT_OURS = re.compile(r"\.git|\.venv.*|\..*_cache|\.hypothesis|__pycache__|replog-data|build|dist")


@cache
def project_files() -> tuple[Path, ...]:
    """Return what is in the repository. Git is not asked: it need not be there."""
    found: list[Path] = []
    for directory, names, files in os.walk(ROOT):
        names[:] = [name for name in names if not NOT_OURS.fullmatch(name)]
        found += (Path(directory, file) for file in files)
    return tuple(sorted(found))


@cache
def modules() -> tuple[Path, ...]:
    """Return every Python file."""
    return tuple(path for path in project_files() if path.suffix == ".py")


@cache
def source_modules() -> tuple[Path, ...]:
    """Return the package's own modules that hold anything."""
    inside = (path for path in modules() if path.is_relative_to(SOURCE))
    return tuple(path for path in inside if path.read_text().strip())


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def dotted_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def kind_of(path: Path) -> str | None:
    """Return which of `KINDS` a module's docstring begins its second paragraph with."""
    lines = [line for line in (ast.get_docstring(tree_of(path)) or "").splitlines() if line]
    words = lines[1].replace(".", " ").split() if len(lines) > 1 else []
    return words[0] if words and words[0] in KINDS else None


def functions_of(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each function's name and its lines, its docstring not counted."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node) is not None:
                docstring = node.body[0]
                assert docstring.end_lineno is not None
                lines -= docstring.end_lineno - docstring.lineno + 1
            yield node.name, lines


def imports_of(path: Path) -> Iterator[str]:
    """Yield the modules that a module imports when it runs: not those for types alone."""
    pending: list[ast.AST] = [tree_of(path)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path}: relative import"
            yield node.module
        pending.extend(ast.iter_child_nodes(node))
