"""Hostile and odd files: one sentence each, and no more memory than an embedding takes."""

import base64
import io
import json
import resource
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

from photowords import formats
from photowords.concept import Concept, Word
from photowords.errors import PhotowordsWarning, UserError
from tests.embedding_files import NOT_ONE, ours, rinongal, table


def most_memory() -> int:
    """MB that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)


def bomb(path: Path) -> None:
    """An archive of torch's that is compressed, as torch's own never is: a few hundred KB that unpack to 400 MB."""
    whole = io.BytesIO()
    torch.save({"emb_params": torch.zeros(1, 4)}, whole)
    with zipfile.ZipFile(whole) as given, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as kept:
        for info in given.infolist():
            data = given.read(info)
            kept.writestr(info.filename, bytes(400 << 20) if info.filename.endswith("data/0") else data)


def card_bomb(path: Path) -> None:
    info = PngInfo()
    text = base64.b64encode(json.dumps({"string_to_param": {"*": {"TORCHTENSOR": [[0.5] * 4]}}}).encode())
    info.add_text("sd-ti-embedding", text.decode())
    Image.new("1", (60_000, 60_000)).save(path, "PNG", pnginfo=info)


def deep(depth: int) -> str:
    return '{"a": ' * depth + "1" + "}" * depth


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: ours(p, provenance=deep(100_000)), "damaged photowords header"),
        (lambda p: ours(p, provenance=deep(500)), "damaged photowords header"),
        (lambda p: ours(p, words=f"[{deep(500)}]"), "damaged photowords header"),
        (lambda p: ours(p, words='[{"text": "a", "trainable": true, "tokens": {"clip_g": 1}}]'), "damaged photowords"),
        (lambda p: ours(p, words='[{"text": "a", "trainable": true, "tokens": {"clip_l": -1}}]'), "damaged photowords"),
        (lambda p: ours(p, words='[{"text": "a", "trainable": true, "tokens": {"clip_l": 1e999}}]'), "damaged photow"),
        (lambda p: ours(p, words="9" * 9000), "damaged photowords header"),
        (lambda p: bomb(p), "would unpack to far more than an embedding holds; it was not opened"),
        (lambda p: torch.save({"a": torch.ones(1).expand(1 << 20, 1 << 10)}, p), "far more than an embedding holds"),
        (lambda p: save_file({"a": torch.ones(1 << 22, 1)}, p), "far more than an embedding holds"),
        (lambda p: save_file({f"{i}": torch.ones(1) for i in range(999)}, p), NOT_ONE),
        (lambda p: ours(p, words='[{"text": "a", "trainable": true, "tokens": {"clip_l": 0}}]'), "damaged photowords"),
        (lambda p: ours(p, words='[{"text": "a", "trainable": true, "tokens": {}}]'), "damaged photowords"),
        (lambda p: torch.save({"a": torch.ones(2, 4).to_sparse()}, p), NOT_ONE),
        (lambda p: torch.save({"a": torch.ones(2, 4, device="meta")}, p), NOT_ONE),
        (lambda p: torch.save(rinongal(), p, _use_new_zipfile_serialization=False), "carries program text beside"),
        (lambda p: Image.new("RGB", (64, 64), "red").save(p, "PNG"), "is a picture without an embedding in it"),
        (lambda p: Image.new("RGB", (64, 64)).save(p, "WEBP"), "is a picture without an embedding in it"),
        (lambda p: card_bomb(p), "picture without an embedding|damaged picture card"),
        (lambda p: written_card(p, '{"string_to_param": ' + deep(100_000) + "}"), "damaged picture card"),
        (lambda p: written_card(p, "[1]"), "is a picture without an embedding in it"),
        (lambda p: written_card(p, "{"), "damaged picture card"),
    ],
)
def test_a_hostile_file_is_one_sentence(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "file.pt"
    make(path)
    before = most_memory()
    with pytest.raises(UserError, match=message) as caught:
        formats.read(path)
    assert "\n" not in str(caught.value) and most_memory() - before < 150


def written_card(path: Path, text: str) -> None:
    info = PngInfo()
    info.add_text("sd-ti-embedding", base64.b64encode(text.encode()).decode())
    Image.new("RGB", (8, 8)).save(path, "PNG", pnginfo=info)


def test_what_is_no_text_in_a_header_is_not_shown(tmp_path: Path) -> None:
    """Half a surrogate pair cannot be printed, and a terminal obeys control characters."""
    word = {"text": "a\ud800\x1b[2Jb", "trainable": True, "tokens": {"clip_l": 1}}
    provenance = json.dumps({"sentence": "a\x9b31mb", "k\x1b": ["\u202eevil"], "caption": "two\nlines"})
    ours(tmp_path / "a", words=json.dumps([word]), provenance=provenance)
    read = formats.read(tmp_path / "a")
    assert read.texts == ("a\ufffd\ufffd[2Jb",) and read.sentence == "a\ufffd31mb"
    assert read.provenance["k\ufffd"] == ["\ufffdevil"] and read.provenance["caption"] == "two\nlines"


def test_a_word_that_is_no_text_is_written_all_the_same(tmp_path: Path) -> None:
    odd = Concept("mug", (Word("a\x1b\ud800b", {"clip_l": table(1)}),))
    for tool in ("photowords", "kohya"):
        formats.write(odd, tmp_path / "pw-mug.safetensors", tool)
        assert formats.read(tmp_path / "pw-mug.safetensors").texts == ("a\ufffd\ufffdb",)


def test_values_that_no_word_has_are_warned_about(tmp_path: Path) -> None:
    save_file({"emb_params": torch.full((1, 768), 1e30)}, tmp_path / "mug.safetensors")
    with pytest.warns(PhotowordsWarning, match=r"values as large as 1e\+30, .* the pictures may be black"):
        huge = formats.read(tmp_path / "mug.safetensors")
    with warnings.catch_warnings():  # once is enough, and not of a temporary name
        warnings.simplefilter("error")
        formats.write(huge, tmp_path / "pw-mug.safetensors", "kohya")
    save_file({"t5": torch.full((1, 4096), 300.0)}, tmp_path / "mug.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        formats.read(tmp_path / "mug.safetensors")


@pytest.mark.parametrize(("stem", "name"), [("été", "ete"), ("Ångström 2", "Angstrom_2"), ("2cups", "concept-2cups")])
def test_names_keep_their_letters(stem: str, name: str, tmp_path: Path) -> None:
    save_file({"emb_params": table(1)}, tmp_path / f"{stem}.safetensors")
    assert formats.read(tmp_path / f"{stem}.safetensors").name == name


def test_a_name_without_a_usable_letter_is_warned_about(tmp_path: Path) -> None:
    save_file({"<猫>": table(1)}, tmp_path / "猫.safetensors")
    with pytest.warns(PhotowordsWarning, match="so it is called {concept}; read it under a name of your own"):
        assert formats.read(tmp_path / "猫.safetensors").name == "concept"
