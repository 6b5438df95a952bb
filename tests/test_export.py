"""photowords concept export and show: every tool, names, pictures, what is printed."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from photowords import formats
from photowords.cli import main
from photowords.concept import Concept, Word
from photowords.settings import EXPORTS
from tests import tool_rules

WORDS = ("red", "chequered", "mug")


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """What is exported of a run: its concept, of Stable Diffusion 1's width, and its pictures."""
    draw = torch.Generator().manual_seed(0)
    words = [
        Word(text, {"clip_l": torch.randn(1 + (i == 1), 768, generator=draw)}, i != 1) for i, text in enumerate(WORDS)
    ]
    folder = tmp_path / "run"
    (folder / "samples").mkdir(parents=True)
    formats.write(Concept("mug", tuple(words), {"sentence": " ".join(WORDS)}), folder / "concept.safetensors")
    for step, colours in ((0, ("black", "black")), (20, ("red", "blue"))):
        row = Image.new("RGB", (132, 64), "white")
        row.paste(colours[0], (0, 0, 64, 64))
        row.paste(colours[1], (68, 0, 132, 64))
        row.save(folder / "samples" / f"step_{step:06d}.png")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(["concept", *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


def export(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    status, out, error = run(capsys, "export", *arguments, "--json")
    assert status == 0, error
    return json.loads(out)


def test_an_export_shows_what_was_learned_never_the_plain_words(run_folder: Path) -> None:
    concept = formats.read(run_folder)

    def colour(step: object) -> tuple[int, ...] | None:
        shown = formats.sample_of(run_folder, dataclasses.replace(concept, provenance={"step": step}))
        return shown and shown.getpixel((5, 5))  # type: ignore[return-value]

    red, black = (255, 0, 0), (0, 0, 0)
    assert [colour(step) for step in (20, 35, "?")] == [red] * 3
    assert colour(10) is None, "learned, but only the start was drawn"
    assert colour(0) == black, "it is the plain words"


@pytest.mark.parametrize("tool", EXPORTS)
def test_every_tool(
    tool: str, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = export(capsys, run_folder, "--to", tool)
    (file,) = said["files"]
    assert file["file"] == f"pw-mug.{'pt' if tool == 'original' else 'safetensors'}"
    assert file["tokens"] == {"clip_l": 4} and said["prompt"] == f"a photo of {file['phrase']}"
    if tool in tool_rules.RULES:
        loaded = tool_rules.RULES[tool](Path(file["file"]))
        assert torch.equal(loaded["clip_l"], formats.read(run_folder).vectors("clip_l"))
    status, out, _ = run(capsys, "show", file["file"], "--json")
    assert status == 0 and [word["text"] for word in json.loads(out)["words"]] == [*WORDS]
    if tool == "photowords":
        assert "preview" not in said
    else:
        preview = Image.open(said["preview"])
        assert preview.size == (64, 64) and preview.getpixel((60, 60)) == (255, 0, 0), "the last step's first picture"
        assert Path(said["preview"]).name == "pw-mug.preview.png"
    if tool not in ("photowords", "original"):
        with safe_open(file["file"], framework="pt") as opened:
            assert opened.metadata()["modelspec.thumbnail"].startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("suffix", [".pt", ".png", ".webp"])
def test_a1111s_other_files(suffix: str, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = export(capsys, run_folder, "--to", "a1111", "--out", tmp_path / f"pw-cup{suffix}")
    assert said["prompt"] == "a photo of pw-cup" and ("preview" in said) == (suffix == ".pt")
    loaded = tool_rules.a1111(tmp_path / f"pw-cup{suffix}")
    assert torch.equal(loaded["clip_l"], formats.read(run_folder).vectors("clip_l"))


def test_words_one_by_one(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = export(capsys, run_folder, "--to", "comfyui", "--out", tmp_path, "--per-word")
    assert [Path(each["file"]).name for each in said["files"]] == [
        "pw-mug-1-red.safetensors",
        "pw-mug-3-mug.safetensors",
    ]
    assert "preview" not in said
    assert said["prompt"] == "a photo of embedding:pw-mug-1-red chequered embedding:pw-mug-3-mug"
    assert torch.equal(
        tool_rules.comfyui(tmp_path / "pw-mug-3-mug.safetensors")["clip_l"],
        formats.read(run_folder).words[2].vectors["clip_l"],
    )


def test_what_is_printed_for_people(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "export", run_folder, "--to", "kohya", "--out", tmp_path)
    lines = out.splitlines()
    assert lines[0] == f"{tmp_path}/pw-mug.safetensors  (red chequered mug; tokens of a prompt: 4 for clip_l)"
    assert lines[1] == f"  to draw: gen_img.py --textual_inversion_embeddings {tmp_path}/pw-mug.safetensors"
    assert lines[3:] == ["prompt  a photo of pw-mug", f"preview {tmp_path}/pw-mug.preview.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--to", "gimp"), "invalid choice: 'gimp'"),
        (("--to", "original", "--per-word"), "calls every embedding *, so its words cannot be told apart"),
        (("--to", "kohya", "--out", "mug.safetensors"), "kohya's sd-scripts may refuse 'mug'"),
        (("--to", "comfyui", "--out", "my mug.safetensors"), "ComfyUI cannot be asked for 'my mug'"),
        (("--to", "kohya", "--out", "pw-mug.pt"), "wants a file whose name ends in .safetensors, not 'pw-mug.pt'"),
    ],
)
def test_refusals(options: tuple[str, ...], message: str, run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, error = run(capsys, "export", run_folder, *options)
    assert status == 2 and message in error and not out and error.count("\n") == 1


def test_nothing_that_a_terminal_obeys_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "a\x1b[2J\u202e.safetensors"
    for status in (run(capsys, "show", bad), run(capsys, "export", bad, "--to", "kohya")):
        assert status[0] == 2 and "does not exist" in status[2] and "\x1b" not in status[2]


def test_only_the_same_concepts_file_is_an_earlier_one(tmp_path: Path) -> None:
    def written(name: str, sentence: str | None, photos: list[str] | None, **widths: int) -> Concept:
        tables = {encoder: torch.full((1, width), 0.5) for encoder, width in widths.items()}
        told = {"sentence": sentence, "photos_sha256": photos}
        concept = Concept("it", (Word(sentence or "", tables),), {key: value for key, value in told.items() if value})
        formats.write(concept, tmp_path / name)
        return concept

    mine = written("mine.safetensors", "mug", ["1"], clip_l=768)
    again = dataclasses.replace(mine, words=(Word("mug", {"clip_l": torch.zeros(1, 768)}),))
    unknown = written("unknown.safetensors", None, None, clip_l=768)
    other = written("other.safetensors", None, None, clip_g=1280)
    assert formats.is_earlier(again, tmp_path / "mine.safetensors"), "learned again, it is the same concept"
    assert formats.is_earlier(unknown, tmp_path / "unknown.safetensors")
    for concept, file in (
        (mine, "unknown"),
        (unknown, "mine"),
        (unknown, "other"),
        (other, "unknown"),
        (again, "other"),
    ):
        assert not formats.is_earlier(concept, tmp_path / f"{file}.safetensors")
