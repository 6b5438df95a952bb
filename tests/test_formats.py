"""Reading embedding files: ours and other tools'; test_tools.py has the writing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from photowords import formats
from photowords.concept import Concept
from photowords.errors import UserError
from tests.embedding_files import NOT_ONE, SD1, SDXL, a1111, before_torch_1_12, concept, rinongal, table


def same(one: Concept, other: Concept) -> bool:
    pairs = [(one.vectors(encoder), other.vectors(encoder)) for encoder in one.encoders]
    return one.encoders == other.encoders and all(torch.equal(a, b) and b.dtype == torch.float32 for a, b in pairs)


def test_our_own_file_there_and_back(tmp_path: Path) -> None:
    for widths in (SD1, SDXL):
        formats.write(concept(5, widths), tmp_path / "a.safetensors")
        end = formats.read(tmp_path / "a.safetensors")
        assert same(concept(5, widths), end) and end.name == "mug" and end.texts == concept(5).texts
        assert end.provenance == concept(5).provenance
        assert [word.trainable for word in end.words] == [i != 1 for i in range(5)]
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "photowords/2" and metadata["name"] == "mug"
    word = {"text": "wörd1", "trainable": False, "tokens": {"clip_l": 1, "clip_g": 1}}
    assert json.loads(metadata["words"])[1] == word and json.loads(metadata["provenance"])["step"] == 40


@pytest.mark.parametrize(
    ("data", "form", "name"),
    [
        (a1111(), "A", "my_cup"),
        (a1111(name="42"), "A", "concept-42"),
        (a1111(name="*"), "A", "file-1"),
        (rinongal(), "B", "file-1"),
        (before_torch_1_12(), "B", "file-1"),
        ({"emb_params": table(2)}, "C", "file-1"),
        ({"<cat toy>": table(2)}, "D", "cat_toy"),
        ({"<mug>": table(2).half().float()}, "D", "mug"),
        ({"emp_params": table(2)}, "E", "file-1"),
        ({"<été>": table(2)}, "D", "ete"),
        ({"clip_l": table(2)}, "F", "file-1"),
    ],
)
def test_foreign_files_of_one_encoder(tmp_path: Path, data: dict[str, Any], form: str, name: str) -> None:
    tensors = {key: value for key, value in data.items() if isinstance(value, Tensor)}
    wanted = next(iter(tensors.values()), table(2))
    torch.save(data, tmp_path / "file-1.bin")
    read = formats.read(tmp_path / "file-1.bin")
    assert read.name == name and read.texts == ("", "") and read.encoders == ("clip_l",)
    assert read.provenance == {"source_format": form, "source_file": "file-1.bin"}
    assert torch.equal(read.vectors("clip_l"), wanted) and not read.vectors("clip_l").requires_grad
    assert formats.read(tmp_path / "file-1.bin", name="cup").name == "cup"
    if len(tensors) == len(data):
        save_file(data, tmp_path / "file-1.pt")  # the extension does not matter
        assert torch.equal(formats.read(tmp_path / "file-1.pt").vectors("clip_l"), wanted)


def test_half_precision_and_one_dimension(tmp_path: Path) -> None:
    row = table(1)[0].bfloat16()
    save_file({"<mug>": row}, tmp_path / "a.safetensors")
    assert torch.equal(formats.read(tmp_path / "a.safetensors").vectors("clip_l"), row.float()[None])


def test_sdxl_files(tmp_path: Path) -> None:
    pair = {"clip_g": table(2, 1280), "clip_l": table(2)}
    save_file(pair, tmp_path / "a.safetensors")
    read = formats.read(tmp_path / "a.safetensors")
    assert read.encoders == ("clip_l", "clip_g") and read.provenance["source_format"] == "F"
    assert torch.equal(read.vectors("clip_l"), pair["clip_l"])
    assert torch.equal(read.vectors("clip_g"), pair["clip_g"])
    save_file({**pair, "clip_g": table(3, 1280)}, tmp_path / "a.safetensors")
    (word,) = formats.read(tmp_path / "a.safetensors").words
    assert (word.tokens("clip_l"), word.tokens("clip_g")) == (2, 3), "not one a token: all of it is one word"


def test_the_two_files_of_diffusers_script_for_sdxl(tmp_path: Path) -> None:
    first, second = table(2), table(2, 1280)
    save_file({"<cat-toy>": first}, tmp_path / "learned_embeds.safetensors")
    save_file({"<cat-toy>": second}, tmp_path / "learned_embeds_2.safetensors")
    for file in ("learned_embeds.safetensors", "learned_embeds_2.safetensors"):
        read = formats.read(tmp_path / file)
        assert read.encoders == ("clip_l", "clip_g") and read.name == "cat-toy"
        assert torch.equal(read.vectors("clip_l"), first) and torch.equal(read.vectors("clip_g"), second)
    for name in ("learned_embeds", "learned_embeds_2"):  # as the script saves them on its way
        (tmp_path / f"{name}-steps-500.safetensors").write_bytes((tmp_path / f"{name}.safetensors").read_bytes())
    for name in ("learned_embeds", "learned_embeds_2"):
        assert formats.read(tmp_path / f"{name}-steps-500.safetensors").encoders == ("clip_l", "clip_g")
    save_file({"<dog>": first}, tmp_path / "learned_embeds.safetensors")  # of another concept
    assert formats.read(tmp_path / "learned_embeds.safetensors").encoders == ("clip_l",)
    assert formats.read(tmp_path / "learned_embeds_2.safetensors").encoders == ("clip_g",)
    (tmp_path / "learned_embeds.safetensors").write_bytes(b"{")
    assert formats.read(tmp_path / "learned_embeds_2.safetensors").encoders == ("clip_g",)
    save_file({"<t5>": table(3, 4096)}, tmp_path / "t5.safetensors")
    assert formats.read(tmp_path / "t5.safetensors").encoders == ("t5xxl",)


def test_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no concept.safetensors; give a finished run's folder or a file"):
        formats.read(tmp_path)
    formats.write(concept(2), tmp_path / "concept.safetensors")
    assert same(formats.read(tmp_path), concept(2))
    assert formats.read(str(tmp_path), name="cup").name == "cup"


def test_a_file_of_version_1_is_read_word_by_word(tmp_path: Path) -> None:
    notes = [{"word": piece, "learned": piece == "mug"} for piece in ("tea", "pot", "mug")]
    provenance = {"sentence": "teapot mug", "words": [["teapot", 0, 1], ["mug", 2, 2]], "step": 3}
    header = {"format": "photowords/1", "name": "pot", "placeholders": json.dumps(notes)}
    save_file({"text_encoder": table(3)}, tmp_path / "a", {**header, "provenance": json.dumps(provenance)})
    read = formats.read(tmp_path / "a")
    assert read.texts == ("teapot", "mug") and read.sizes("clip_l") == [2, 1]
    assert [word.trainable for word in read.words] == [False, True]
    assert torch.equal(read.vectors("clip_l"), table(3))
    assert read.provenance == {"sentence": "teapot mug", "step": 3}


# --- other tools' spellings of several text encoders ---

CLIP_L, CLIP_G, T5, BERT = table(2), table(2, 1280), table(3, 4096), table(2, 1280)


@pytest.mark.parametrize(
    ("tables", "wanted"),
    [
        ({"clip_l": CLIP_L, "t5": T5}, {"clip_l": CLIP_L, "t5xxl": T5}),  # OneTrainer, diffusers' FLUX script
        ({"clip_l": CLIP_L, "clip_g": CLIP_G, "t5xxl": T5}, {"clip_l": CLIP_L, "clip_g": CLIP_G, "t5xxl": T5}),
        ({"text_encoder": CLIP_L, "text_encoder_2": CLIP_G}, {"clip_l": CLIP_L, "clip_g": CLIP_G}),
        ({"text_encoder": CLIP_L, "text_encoder_2": T5}, {"clip_l": CLIP_L, "t5xxl": T5}),  # FLUX's pipeline
        (
            {"text_encoder": CLIP_L, "text_encoder_2": CLIP_G, "text_encoder_3": T5},
            {"clip_l": CLIP_L, "clip_g": CLIP_G, "t5xxl": T5},
        ),
        ({"text_encoders_0": CLIP_L, "text_encoders_1": CLIP_G}, {"clip_l": CLIP_L, "clip_g": CLIP_G}),
        ({"string_to_token": {"*": 1008}, "string_to_param": {"*": BERT}}, {"bert": BERT}),  # LDM, the original code
    ],
)
def test_spellings_of_text_encoders(tables: dict[str, Any], wanted: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(tables, tmp_path / "a.pt")
    read = formats.read(tmp_path / "a.pt")
    assert set(read.encoders) == set(wanted)
    assert all(torch.equal(read.vectors(encoder), rows) for encoder, rows in wanted.items())


@pytest.mark.parametrize("key", ["emp_params", "clip_l", "t5"])
def test_an_output_embedding_is_said_to_be_one(key: str, tmp_path: Path) -> None:
    """OneTrainer writes zeros under the key of the vectors themselves."""
    save_file({key: torch.zeros(2, 768), f"{key}_out": table(2)}, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=r"is an output embedding of OneTrainer, .* stands for no word"):
        formats.read(tmp_path / "a.safetensors")


def test_two_tables_for_one_text_encoder_are_none(tmp_path: Path) -> None:
    save_file({"t5": T5, "t5xxl": T5 + 1}, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=NOT_ONE):
        formats.read(tmp_path / "a.safetensors")
