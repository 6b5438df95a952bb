"""The structure of the package in a few lines: who imports whom, and what has grown too large.

``python -m tests.structure`` prints it, with exit status 1 for an import cycle, an import of a higher layer, a file of
more than 250 lines that is no table, or a function of more than 60 that is no parser. Of the last two, tests and
benchmarks are held to the same.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "photowords"
MEASURED = (PACKAGE, ROOT / "tests", ROOT / "benchmarks")
"""Where no file and no function may be too long."""
FILE_LINES, FUNCTION_LINES = 250, 60
TABLES = {"metrics/registry.py", "starts.py", "settings.py"}
"""Files whose length is that of what they list."""
PARSERS = {"add", "parser"}
"""Functions that declare a command's options."""


def runtime_imports(file: Path, package: Path) -> Iterator[str]:
    """Modules of the package that a file imports when it is imported, as paths under it without a suffix."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:  # those inside functions come later, if at all
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == package.name:
            for name in node.names:
                for full in (f"{node.module}.{name.name}", node.module):
                    where = package.parent.joinpath(*full.split("."))
                    if where.with_suffix(".py").is_file():
                        yield str(where.relative_to(package))
                        break
                    if (where / "__init__.py").is_file():
                        yield str((where / "__init__").relative_to(package))
                        break


def graph(package: Path) -> dict[str, set[str]]:
    """Module -> modules that it imports, both as paths under the package without a suffix."""
    files = sorted(package.rglob("*.py"))
    return {str(f.relative_to(package).with_suffix("")): set(runtime_imports(f, package)) for f in files}


def cycles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """A path for each cycle that a walk finds, first module named again at the end."""
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in done:
            for other in sorted(arrows.get(module, ())):
                walk(other, [*path, module])
            done.add(module)

    for module in sorted(arrows):
        walk(module, [])
    return found


def lengths(folder: Path) -> list[tuple[int, str]]:
    """Lines and name of each file, the longest first."""
    files = folder.rglob("*.py")
    return sorted((len(f.read_text(encoding="utf-8").splitlines()), str(f.relative_to(folder))) for f in files)[::-1]


def long_functions(folder: Path) -> Iterator[tuple[int, str]]:
    """Lines and name of each function that is too long, docstring included."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name not in PARSERS:
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    yield lines, f"{file.relative_to(folder)}: {node.name}"


def main() -> int:
    from tests.test_imports import crossings

    arrows = graph(PACKAGE)
    wrong = [f"import cycle: {' -> '.join(cycle)}" for cycle in cycles(arrows)]
    wrong += [f"import of a higher layer: {sentence}" for sentence in crossings(PACKAGE)]
    for folder in MEASURED:
        where = folder.name
        wrong += [
            f"{where}/{name} has {n} lines" for n, name in lengths(folder) if n > FILE_LINES and name not in TABLES
        ]
        wrong += [f"{where}/{name} has {n} lines" for n, name in long_functions(folder)]
    count = sum(len(imported) for imported in arrows.values())
    print(f"{len(arrows)} modules, {count} imports, {sum(n for n, _ in lengths(PACKAGE)):,} lines")
    print("largest: " + ", ".join(f"{name} {n}" for n, name in lengths(PACKAGE)[:5]))
    print("\n".join(wrong) or "no import cycle, no import of a higher layer, no file or function too long")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
