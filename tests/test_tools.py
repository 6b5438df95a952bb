"""Exports: each is loaded by its tool's own rule, says its sentence, and is refused where the tool could not use it."""

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from photowords import formats
from photowords.concept import Concept, Word
from photowords.errors import UserError
from photowords.formats import families
from photowords.prompts import parse
from photowords.settings import EXPORTS
from tests import tool_rules

SIZES = {"clip_l": (1, 2, 1), "clip_g": (1, 2, 1), "t5xxl": (2, 2, 3), "bert": (1, 3, 1)}
FAMILIES = {
    "sd1": families.SD1,
    "sd2": families.SD2,
    "sdxl": families.SDXL,
    "sd3": families.SD3,
    "flux": families.FLUX,
    "ldm": families.LDM,
}
USES = {
    "photowords": set(FAMILIES),
    "diffusers": {"sd1", "sd2", "sdxl", "flux"},
    "a1111": {"sd1", "sd2", "sdxl"},
    "kohya": {"sd1", "sd2", "sdxl"},
    "comfyui": {"sd1", "sd2", "sdxl", "sd3", "flux"},
    "invokeai": {"sd1", "sd2", "sdxl"},
    "onetrainer": {"sd1", "sd2", "sdxl", "sd3", "flux"},
    "original": {"sd1", "ldm"},
}


def concept(widths: dict[str, int], **provenance: Any) -> Concept:
    """Three words, the middle one frozen and longer, split differently by T5."""
    draw = torch.Generator().manual_seed(len(widths))
    words = [
        Word(text, {e: torch.randn(SIZES[e][i], width, generator=draw) for e, width in widths.items()}, i != 1)
        for i, text in enumerate(["red", "chequered", "mug"])
    ]
    return Concept("mug", tuple(words), {"step": 40, "backbone": "a model", **provenance})


def made_for(family: str, **provenance: Any) -> Concept:
    return concept(dict(FAMILIES[family].widths), **provenance)


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def same(tables: dict[str, Tensor], wanted: Concept) -> bool:
    return set(tables) == set(wanted.encoders) and all(torch.equal(tables[e], wanted.vectors(e)) for e in tables)


EVERY = [
    (tool, suffix, family)
    for tool, row in formats.TOOLS.items()
    for suffix in row.files
    for family in FAMILIES
    if family in USES[tool] and (suffix == ".safetensors" or tool == "original" or family in ("sd1", "sd2"))
]


def test_the_table_the_rules_and_the_command_line_name_the_same_tools() -> None:
    assert tuple(formats.TOOLS) == tuple(EXPORTS) == ("photowords", *tool_rules.RULES) == tuple(USES)


@pytest.mark.parametrize(("tool", "suffix", "family"), EVERY)
def test_every_export_passes_its_tools_rule_and_keeps_its_sentence(
    tool: str, suffix: str, family: str, tmp_path: Path
) -> None:
    start = made_for(family, sentence="red chequered mug")
    path = tmp_path / f"pw-mug{suffix}"
    formats.write(start, path, tool)
    first = path.read_bytes()
    if tool in tool_rules.RULES:
        assert same(dict(tool_rules.RULES[tool](path)), start)
    end = formats.read(path)
    assert same({encoder: end.vectors(encoder) for encoder in end.encoders}, start)
    assert end.name == "mug" and end.texts == ("red", "chequered", "mug")
    assert [word.trainable for word in end.words] == [True, False, True]
    assert [end.sizes(encoder) for encoder in start.encoders] == [[*SIZES[encoder]] for encoder in start.encoders]
    assert end.provenance == start.provenance
    swapped = parse("{mug:chequered=striped}", {"mug": end})
    assert " striped " in swapped, "a word of an exported file can be swapped"
    formats.write(end, path, tool)
    assert path.read_bytes() == first, "the same concept gives the same bytes, after a journey too"


@pytest.mark.parametrize("tool", tool_rules.ALSO)
@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_tools_without_a_form_of_their_own_are_served_by_another(tool: str, family: str, tmp_path: Path) -> None:
    rule, form = tool_rules.ALSO[tool]
    formats.write(made_for(family), tmp_path / "pw-mug.safetensors", form)
    assert same(dict(rule(tmp_path / "pw-mug.safetensors")), made_for(family))


@pytest.mark.parametrize("tool", formats.TOOLS)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_tool_cannot_use_is_refused_in_a_sentence(tool: str, family: str, tmp_path: Path) -> None:
    path = tmp_path / f"pw-mug{next(iter(formats.TOOLS[tool].files))}"
    if family in USES[tool]:
        formats.write(made_for(family), path, tool)
        return
    title = FAMILIES[family].title
    with pytest.raises(UserError, match=rf"takes embeddings of .*, but the concept mug is of {title}") as caught:
        formats.write(made_for(family), path, tool)
    named = str(caught.value).rpartition("write it for ")[2].split(" or ")
    assert named == [other for other in USES if family in USES[other]]
    assert not path.exists()


def test_a_concept_of_the_pocket_goes_to_what_loads_any_model(tmp_path: Path) -> None:
    small = concept({"clip_l": 192}, backbone="pocket")
    formats.write(small, tmp_path / "pw-mug.safetensors", "diffusers")
    assert "modelspec.architecture" not in metadata(tmp_path / "pw-mug.safetensors")
    for tool in USES.keys() - {"photowords", "diffusers"}:
        with pytest.raises(UserError, match=r"is of pocket \(.*192 for clip_l\); write it for photowords or diffusers"):
            formats.write(small, tmp_path / "pw-mug.pt", tool)


def test_a_style_is_prompted_as_a_style(tmp_path: Path) -> None:
    start = made_for("sd1")
    settings = {"settings": {"learnable_property": "style"}}
    style = dataclasses.replace(start, provenance={**start.provenance, **settings})
    made = formats.export(style, tmp_path / "pw-ink.safetensors", "a1111")
    assert made.prompt == "a painting in the style of pw-ink"
    assert metadata(tmp_path / "pw-ink.safetensors")["modelspec.usage_hint"] == made.prompt


def test_encoders_of_unequal_numbers_are_refused_where_they_must_be_equal(tmp_path: Path) -> None:
    tables = {"clip_l": torch.ones(2, 768), "clip_g": torch.ones(3, 1280)}
    odd = Concept("mug", (Word("mug", tables),))
    for tool in ("a1111", "kohya", "invokeai"):
        with pytest.raises(UserError, match="it has 2 for clip_l, 3 for clip_g vectors; there must be as many in each"):
            formats.write(odd, tmp_path / "pw-mug.safetensors", tool)
    formats.write(odd, tmp_path / "pw-mug.safetensors", "comfyui")


def test_a1111s_archive_holds_what_its_checker_lets_in(tmp_path: Path) -> None:
    start = made_for("sd1")
    formats.write(start, tmp_path / "pw-mug.pt", "a1111")
    with zipfile.ZipFile(tmp_path / "pw-mug.pt") as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
    assert sorted(names) == ["data.pkl", "data/0", "version"]
    data = torch.load(tmp_path / "pw-mug.pt", weights_only=True)
    assert data["string_to_token"] == {"*": 265} and data["name"] == "<mug>" and data["step"] == 40
    torch.save(data, tmp_path / "usual.pt")  # as torch writes it: the rule has teeth
    with pytest.raises(tool_rules.Refused, match="bad file inside"):
        tool_rules.a1111(tmp_path / "usual.pt")


def test_forms_of_other_tools_fail_the_rules_that_they_should(tmp_path: Path) -> None:
    """As measured with the real loaders: a rule that lets everything pass would show nothing."""
    table = torch.ones(2, 768)
    for keys, refused in (
        ({"<mug>": table}, {"invokeai", "onetrainer"}),
        ({"emb_params": table}, {"diffusers", "onetrainer"}),
        ({"emp_params": table}, {"diffusers", "invokeai"}),
        ({"clip_l": table, "t5xxl": torch.ones(3, 4096)}, {"a1111", "invokeai", "onetrainer"}),
        ({"emb_params": torch.ones(2, 192)}, {"diffusers", "a1111", "kohya", "comfyui", "invokeai", "onetrainer"}),
    ):
        save_file(keys, tmp_path / "pw-mug.safetensors")
        seen = set()
        for tool in tool_rules.RULES.keys() - {"original"}:
            try:
                tool_rules.RULES[tool](tmp_path / "pw-mug.safetensors")
            except tool_rules.Refused:
                seen.add(tool)
        assert seen == refused
