"""What is no embedding is refused in one sentence, and nothing is half written."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from photowords import formats
from photowords.errors import UserError
from tests.embedding_files import NOT_ONE, a1111, concept, half, ours, table


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "does not exist; give an embedding's file or a run's folder"),
        (lambda p: p.touch(), r"is empty \(0 bytes\)"),
        (lambda p: p.write_text("a text, not an embedding"), NOT_ONE),
        (lambda p: save_file({"a": table(1), "b": table(1)}, p), NOT_ONE),
        (lambda p: save_file({}, p), NOT_ONE),
        (lambda p: save_file({"a": table(1).int()}, p), NOT_ONE),
        (lambda p: torch.save([table(1)], p), NOT_ONE),
        (lambda p: torch.save({"<a>": "b"}, p), NOT_ONE),
        (lambda p: torch.save({"string_to_param": 3}, p), NOT_ONE),
        (lambda p: torch.save(a1111(string_to_param={"*": table(1), "@": table(1)}), p), "holds 2 embeddings"),
        (lambda p: save_file({"emb_params": torch.zeros(1, 2, 3)}, p), r"shape \(1, 2, 3\), but an embedding's is"),
        (lambda p: save_file({"emb_params": torch.zeros(())}, p), r"shape \(\), but an embedding's is"),
        (lambda p: save_file({"emb_params": torch.zeros(0, 768)}, p), r"shape \(0, 768\), but an embedding's is"),
        (lambda p: save_file({"emb_params": torch.full((1, 4), torch.nan)}, p), "values that are not finite"),
        (lambda p: save_file({"emb_params": torch.full((4,), torch.inf)}, p), "values that are not finite"),
        (lambda p: (ours(p), half(p)), "damaged or cut-off safetensors file"),
        (lambda p: (torch.save(a1111(), p), half(p)), "damaged or cut-off torch file"),
        (lambda p: p.write_bytes(b"\x80\x02junk"), "damaged or cut-off torch file|refused"),
        (lambda p: ours(p, format="photowords/3"), "is of the form photowords/3, newer than photowords/2; upgrade"),
        (lambda p: ours(p, words="[3]"), "damaged photowords header"),
        (lambda p: ours(p, provenance="{"), "damaged photowords header"),
        (lambda p: ours(p, words="[]"), "names 0 tokens for 1 vectors of clip_l"),
        (lambda p: ours(p, name="1 2"), "the concept's `name` '1 2' cannot be used"),
    ],
)
def test_what_is_no_embedding_is_one_sentence(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "file.pt"
    make(path)
    with pytest.raises(UserError, match=message) as caught:
        formats.read(path)
    assert "\n" not in str(caught.value)


def test_a_whole_model_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "model.ckpt").open("wb") as file:
        file.truncate(2 << 30)  # a sparse file
    with pytest.raises(UserError, match=NOT_ONE):
        formats.read(tmp_path / "model.ckpt")


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    path, target = tmp_path / "evil.safetensors", tmp_path / "owned"
    data = {"emb_params": table(1), "more": Evil(target)}
    torch.save(data, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"refused because opening this pickle would run code .* to safetensors first"):
        formats.read(path)
    assert not target.exists()
    torch.load(io.BytesIO(path.read_bytes()), weights_only=False)
    assert target.exists(), "the file would have run its code"


def test_writing_fails_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pw-a.safetensors"
    with pytest.raises(UserError, match="there is no tool 'gimp'; choose one of photowords, diffusers"):
        formats.write(concept(1), path, "gimp")
    with pytest.raises(UserError, match=r"photowords wants a file whose name ends in .safetensors, not 'pw-a.bin'"):
        formats.write(concept(1), path.with_suffix(".bin"))
    with pytest.raises(UserError, match="is not a folder; make it first"):
        formats.write(concept(1), tmp_path / "no" / path.name)
    broken = concept(1).with_vectors({"clip_l": torch.full((1, 768), torch.nan)})
    with pytest.raises(UserError, match="the concept mug has values that are not finite"):
        formats.write(broken, path)
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    for tool in formats.TOOLS.keys() - {"original"}:
        with pytest.raises(UserError, match=r"cannot write .*: No space left on device; choose another place"):
            formats.write(concept(1), path, tool)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
