"""Imports point one way, nothing needs torchvision, and the package and its help start without torch."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import structure

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "photowords"

NOUNS = (
    "errors",
    "threads",
    "workers",
    "fields",
    "settings",
    "recipes",
    "templates",
    "starts",
    "concept",
    "formats",
    "images",
    "files",
    "naming",
    "prompts",
    "pocket",
    "pretrained",
    "plots",
    "clip",
    "clock",
    "follow",
    "jobs",
)
METHOD = ("initializers", "inversion", "generation", "metrics")
LAYERS = {
    **dict.fromkeys(NOUNS, 0),
    "backbones": 1,
    "segmentation": 1,
    **dict.fromkeys(METHOD, 2),
    "describe": 3,  # what the readers say of a photo
    "word_report": 3,  # what became of each word of a run
    "learning": 3,  # from photos to a run folder: the whole job
    "evaluation": 3,  # a concept, sampled and scored
    "report": 4,  # what a study's files show
    "study": 5,  # many of both
    "demo": 4,
    "web": 5,  # all of it in a browser
    "cli": 6,
    "__main__": 7,
    "__init__": 7,  # the public names, loaded on first use
}
FREE = ("__version__",)  # what any module may take from the package itself
HEAVY = ("torch", "diffusers", "transformers", "matplotlib")


def imports(file: Path, root: Path) -> Iterator[str]:
    """Full names of what a file under ``root`` imports, anywhere in it: ``photowords.concept.Concept``."""
    package = file.relative_to(root).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def layer(name: str) -> int:
    """Of a module or folder right under photowords."""
    assert name in LAYERS, f"photowords.{name} has no layer yet: give it one in LAYERS of tests/test_imports.py"
    return LAYERS[name]


def crossings(package: Path) -> Iterator[str]:
    """A sentence for each import that points the wrong way."""
    for file in sorted(package.rglob("*.py")):
        within = file.relative_to(package)
        importer = within.parts[0].removesuffix(".py")
        up = layer(importer)
        for name in imports(file, package.parent):
            top, _, rest = name.partition(".")
            imported = rest.partition(".")[0]
            if top != "photowords" or imported == importer or imported in FREE:
                continue
            if (
                imported not in LAYERS
                and not (package / imported).is_dir()
                and not (package / f"{imported}.py").is_file()
            ):
                imported = "__init__"
            down = layer(imported)
            if down > up or down == up != 0:
                yield f"{within} (layer {up}) imports {name} (photowords.{imported}, layer {down})"


def write(folder: Path, **sources: str) -> Path:
    """A package with these modules; ``a__b`` is b.py in folder a."""
    for name, source in {"__init__": "", **sources}.items():
        parts = name.split("__") if name != "__init__" else [name]
        file = folder.joinpath("photowords", *parts).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    return folder / "photowords"


def test_the_design_says_the_same_layers() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    block = page.split("## Layers\n\n```\n")[1].split("```")[0]
    told = {name for line in block.splitlines() for name in line.split("  ")[0].split()}
    assert told == set(LAYERS) - {"__main__", "__init__"}


def test_imports_point_one_way() -> None:
    wrong = list(crossings(PACKAGE))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("concept", "from photowords.backbones.splice import f"),
        ("concept", "def f():\n    import photowords.backbones.splice"),
        ("inversion__loop", "from photowords.generation import g"),
        ("inversion__loop", "from photowords import generation"),
        ("inversion__loop", "from ..generation import g"),
        ("demo", "from photowords.cli import main"),
        ("demo", "from photowords import invert"),
    ],
)
def test_an_import_the_wrong_way_is_seen(tmp_path: Path, module: str, source: str) -> None:
    others = {"concept": "", "backbones__splice": "", "generation": "", "inversion__loop": "", "cli": "", "demo": ""}
    assert len(list(crossings(write(tmp_path, **{**others, module: source})))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("concept", "from photowords.errors import UserError"),
        ("inversion__loop", "from . import loss\nfrom ..backbones import splice"),
        ("inversion__loop", "from photowords import __version__, concept"),
        ("cli", "import torch\nfrom photowords import demo"),
    ],
)
def test_an_import_the_right_way_is_let_be(tmp_path: Path, module: str, source: str) -> None:
    others = {"errors": "", "concept": "", "backbones__splice": "", "inversion__loss": "", "demo": ""}
    assert not list(crossings(write(tmp_path, **{**others, module: source})))


def test_a_cycle_is_seen_and_none_is_there(tmp_path: Path) -> None:
    package = write(
        tmp_path,
        concept="from photowords.formats import read",
        formats="from photowords import files",
        files="import json\nfrom photowords.concept import Concept",
    )
    assert structure.cycles(structure.graph(package)) == [["concept", "formats", "files", "concept"]]
    assert structure.cycles(structure.graph(PACKAGE)) == []


def test_a_module_without_a_layer_is_named(tmp_path: Path) -> None:
    package = write(tmp_path, concept="", novelty="x = 1")
    with pytest.raises(AssertionError, match=r"photowords\.novelty has no layer yet"):
        list(crossings(package))


def test_nothing_imports_torchvision_and_the_package_not_its_recipes() -> None:
    for folder, banned in ((ROOT / "src", {"torchvision", "recipes"}), (ROOT / "recipes", {"torchvision"})):
        for file in folder.rglob("*.py"):
            found = banned & {name.partition(".")[0] for name in imports(file, folder)}
            assert not found, f"{file.relative_to(ROOT)} imports {', '.join(found)}"


def test_a_studys_file_is_read_without_what_renders_its_report() -> None:
    code = "import sys, photowords.study.plan\nprint(*[name for name in sys.modules if name.startswith("
    code += "('jinja2', 'matplotlib', 'photowords.report.build', 'photowords.report.page'))])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


@pytest.mark.parametrize(
    "statement",
    [
        "import photowords",
        "import photowords.web.serve",
        "import runpy; sys.argv = ['photowords', '--help']; runpy.run_module('photowords', run_name='__main__')",
    ],
    ids=["package", "web", "help"],
)
def test_starts_without_the_heavy_libraries(statement: str) -> None:
    code = f"import sys\ntry:\n    {statement}\nexcept SystemExit as end:\n    assert not end.code\n"
    code += f"print('heavy:', *[name for name in {HEAVY!r} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "heavy:", f"loaded {run.stdout.splitlines()[-1]}"
