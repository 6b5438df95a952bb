"""Every command that README and docs show is run on small models, in its document's order and in one folder."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import save_file

from photowords import backbones, formats, pocket, workers
from photowords.backbones import automatic
from photowords.cli import main
from photowords.starts import STARTS
from tests.documents import DOCUMENTS, ELSEWHERE, ROOT, arguments, commands
from tests.original_layout import one_file
from tests.study.small_study import SMALL, serially

KETTLES = {
    'seeds = "0-2"': 'seeds = "0"\nsamples = 1\nprompts = ["a {}"]\nedits = ["a {} at night"]',
    "[0, 25, 100]": "[0, 2]",
    "steps = 100": "steps = 2\nheld_out = 4",
    "[0, 100]": "[0, 2]",
}
"""What makes the example of docs/studies.md quick."""


@pytest.fixture(scope="module")
def model(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Stable Diffusion that has the pocket's readers: it stands for the real models."""
    folder = shutil.copytree(tiny_folder, tmp_path_factory.mktemp("read") / "sd")
    world = json.loads((pocket.PIPELINE / "world.json").read_text())
    world["readers"] = {reader: str(pocket.PIPELINE / place) for reader, place in world["readers"].items()}
    (folder / "world.json").write_text(json.dumps(world))
    shutil.copy(pocket.PIPELINE / "world.safetensors", folder)
    return folder


@pytest.fixture
def here(model: Path, learned: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the photos and studies that the documents speak of; trials run in this process."""
    for name, concept, side in (("mug.png", "mug", 256), ("mug.jpg", "mug", 256), ("table.jpg", "mug", 512)):
        Image.open(pocket.view(concept)).convert("RGB").resize((side, side)).save(tmp_path / name)
    Image.open(pocket.view("teapot")).convert("RGB").resize((512, 512)).save(tmp_path / "kettle.jpg")
    shutil.copytree(learned[0], tmp_path / "learned")
    (tmp_path / "studies").mkdir()
    for study in ROOT.glob("studies/*.toml"):
        (tmp_path / "studies" / study.name).write_text(SMALL)
    kettles = (ROOT / "docs" / "studies.md").read_text().split("```toml\n")[1].split("```")[0]
    for old, new in KETTLES.items():
        assert old in kettles
        kettles = kettles.replace(old, new)
    (tmp_path / "kettles.toml").write_text(kettles)
    save_file(one_file(model), tmp_path / "dreamy.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workers, "on_processes", serially)
    monkeypatch.setitem(backbones.ALIASES, "sd15", backbones.Alias(str(model), "stands for it"))
    monkeypatch.setattr(automatic, "is_cached", lambda source: source == str(model))
    return tmp_path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_a_document_shows_runs(
    document: Path, here: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, comment in commands(document.read_text(encoding="utf-8")):
        if command in ELSEWHERE:
            continue
        if command.startswith("cp "):
            shutil.copy(ROOT / command.split()[1], here / command.split()[2])
            continue
        assert command.startswith("photowords "), f"{command}: give the reason in ELSEWHERE, or let it be run here"
        words = arguments(command)
        if words[0] == "study" and "--check" not in words:
            words += ["--model", str(model)]
        try:
            status = main(words)
        except SystemExit as end:  # --help
            status = int(end.code or 0)
        said = capsys.readouterr()
        assert status == 0, f"{document.name}: {command}: {said.err}"
        left = [words[words.index("--out") + 1]] if "--out" in words else []
        for file in [*left, *re.findall(r"[\w/.-]+\.(?:png|html)", comment)]:
            assert (here / file).exists(), f"{document.name}: {command}: {file} is not there"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```\nmake demo    # set up\n```", [("make demo", "set up")]),
        ('```sh\n.venv/bin/photowords invert "a b" # see x.png\n```', [('photowords invert "a b"', "see x.png")]),
        ("```python\nphotowords = 1\n```\n`photowords models` and `--model`", [("photowords models", "")]),
        ("```\npipelines   of layers\n```\n`makes`", []),
    ],
)
def test_commands_are_found(text: str, found: list[tuple[str, str]]) -> None:
    assert [*commands(text)] == found


def test_what_is_not_run_here_is_still_there() -> None:
    shown = {command for document in DOCUMENTS for command, _ in commands(document.read_text(encoding="utf-8"))}
    assert shown >= set(ELSEWHERE) and len(shown) >= 25
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {command.split()[1] for command in ELSEWHERE if command.startswith("make ")} <= set(targets)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"\.\[(\w+)\]", " ".join(ELSEWHERE))) <= set(extras)


def test_what_the_readme_lists_is_what_there_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    takes = readme.split("`--model` takes ")[1].split("(`photowords models`")[0]
    assert {*re.findall(r"`([\w-]+)`", takes)} == set(backbones.ALIASES) - {backbones.POCKET}
    studies = readme.split("`studies/` holds ")[1].split("[docs/studies.md]")[0]
    assert set(re.findall(r"`([\w-]+)`", studies)) == {path.stem for path in ROOT.glob("studies/*.toml")}
    starts = readme.split("`--init` also takes ")[1].split("\n\n")[0]
    assert {*re.findall(r"`([\w-]+)`", starts)} == set(STARTS) - {"caption", "words"}


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(pocket.view("mug"), tmp_path / "mug.png")
    monkeypatch.chdir(tmp_path)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert "steps=50" in code and len(code.strip().splitlines()) <= 12
    exec(code.replace("steps=50", "steps=2"), {})
    assert Image.open("snow.png").size == (pocket.SIDE, pocket.SIDE)
    assert formats.read("mug.safetensors").provenance["step"] == 2


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    package = ROOT / "src" / "photowords"
    text = document.read_text(encoding="utf-8").replace("DIR/report/report.html", "")  # of a study that was run
    named = re.findall(r"`([\w./-]*\w\.(?:py|toml|md|json))`", text) + re.findall(r"`([\w-]+/[\w./-]*)`", text)
    named += [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    places = (ROOT, document.parent, package, package / "backbones", pocket.PIPELINE)
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_the_nouns_of_the_design_are_where_it_says() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    nouns = re.findall(r"^\| \*\*(\w+)\*\* \|.*\| `([\w/.]+)` \|$", page, re.MULTILINE)
    assert len(nouns) >= 15
    for noun, place in nouns:
        where = ROOT / "src" / "photowords" / place
        text = "".join(
            file.read_text(encoding="utf-8") for file in ([where] if where.is_file() else where.glob("*.py"))
        )
        assert noun == "Mask" or re.search(rf"^(class )?{noun}\b", text, re.MULTILINE), f"no {noun} in {place}"
