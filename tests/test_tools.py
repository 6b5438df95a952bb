"""Exports: each is loaded by its tool's own rule, says its sentence, and is refused where the tool could not use it."""

import base64
import hashlib
import io
import json
import re
import shlex
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import tool_rules
import torch
from diffusers.loaders import TextualInversionLoaderMixin
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizerFast

from photowords import formats, pocket
from photowords.cli import concept as cli
from photowords.concept import Concept, Word
from photowords.errors import PhotowordsWarning, UserError
from photowords.formats import families
from photowords.prompts import parse

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
    assert tuple(formats.TOOLS) == cli.TOOLS == ("photowords", *tool_rules.RULES) == tuple(USES)


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


# --- names ---


@pytest.mark.parametrize("name", ["mug", "concept", "my-cup_2", "Tea", "a"])
def test_the_default_name_is_typable_everywhere_and_no_word(name: str, tmp_path: Path) -> None:
    stem = formats.default_stem(name)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*[A-Za-z0-9]", stem) and "-" in stem
    assert formats.default_stem(stem) == stem
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tool, row in formats.TOOLS.items():
            if "sd1" in USES[tool]:
                formats.write(made_for("sd1"), tmp_path / f"{stem}{next(iter(row.files))}", tool)


@pytest.mark.parametrize(
    ("tool", "stem", "message"),
    [
        ("a1111", "mug (1)", "A1111 .and Forge. cannot be asked for 'mug .1.': .* call the file pw-mug_1"),
        ("a1111", "[mug]", "call the file pw-mug"),
        ("comfyui", "my mug", "a name ends at white space"),
        ("comfyui", "mug(1)", "a name ends at white space, brackets"),
        ("kohya", "mug", "may refuse 'mug': it takes no name that is a token of CLIP already.*call the file pw-mug"),
        ("kohya", "my mug", "white space"),
        ("invokeai", "mug+", "its prompts know names of plain letters"),
        ("invokeai", "été", "call the file pw-ete"),
        ("invokeai", "猫", "call the file pw-concept"),
    ],
)
def test_a_name_that_cannot_be_typed_is_refused(tool: str, stem: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        formats.write(made_for("sd1"), tmp_path / f"{stem}.safetensors", tool)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_a_word_is_warned_about_where_it_takes_the_words_place(tmp_path: Path) -> None:
    with pytest.warns(PhotowordsWarning, match="'mug': the embedding takes the place of this word in every prompt"):
        formats.write(made_for("sd1"), tmp_path / "mug.safetensors", "a1111")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tool in ("diffusers", "comfyui", "invokeai", "onetrainer"):  # there a name stands in marks of its own
            formats.write(made_for("sd1"), tmp_path / "mug.safetensors", tool)


# --- what is said beside the vectors ---


@pytest.mark.parametrize(
    ("family", "provenance", "architecture", "resolution", "prediction"),
    [
        ("sd1", {"prediction_type": "epsilon", "picture_size": 512}, "stable-diffusion-v1", "512x512", "epsilon"),
        ("sd2", {}, "stable-diffusion-v2-512", "512x512", None),
        ("sd2", {"prediction_type": "v_prediction"}, "stable-diffusion-v2-768-v", "768x768", "v"),
        ("sdxl", {}, "stable-diffusion-xl-v1-base", "1024x1024", None),
        ("sdxl", {"pipeline": "StableDiffusion3Pipeline"}, "stable-diffusion-3", "1024x1024", None),
        ("sd3", {"prediction_type": "flow_prediction"}, "stable-diffusion-3", "1024x1024", None),
        ("flux", {}, "flux-1", "1024x1024", None),
    ],
)
def test_modelspec(
    family: str, provenance: dict[str, Any], architecture: str, resolution: str, prediction: str | None, tmp_path: Path
) -> None:
    """Every key that ModelSpec 1.0.1 demands (https://github.com/Stability-AI/ModelSpec), and what it should have."""
    path = tmp_path / "pw-mug.safetensors"
    picture = Image.new("RGB", (300, 300), "red")
    formats.write(made_for(family, sentence="red mug", **provenance), path, "comfyui", picture)
    said = {key.removeprefix("modelspec."): text for key, text in metadata(path).items() if "modelspec." in key}
    assert said["sai_model_spec"] == "1.0.1" and said["title"] == "mug"
    assert said["architecture"] == f"{architecture}/textual-inversion"
    assert said["resolution"] == resolution and said.get("prediction_type") == prediction
    assert said["implementation"].startswith("https://github.com/")
    assert said["trigger_phrase"] == "embedding:pw-mug" and said["usage_hint"] == "a photo of embedding:pw-mug"
    assert said["is_negative_embedding"] == "false" and said["description"].startswith("red mug: ")
    data = path.read_bytes()
    content = data[8 + int.from_bytes(data[:8], "little") :]
    assert said["hash_sha256"] == f"0x{hashlib.sha256(content).hexdigest()}"
    kind, _, encoded = said["thumbnail"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (256, 256)


def test_a_file_without_a_sentence_stays_without(tmp_path: Path) -> None:
    save_file({"emb_params": torch.ones(2, 768)}, tmp_path / "a-1.safetensors")
    formats.write(formats.read(tmp_path / "a-1.safetensors"), tmp_path / "b-1.safetensors", "kohya")
    again = formats.read(tmp_path / "b-1.safetensors")
    assert again.texts == ("", "") and again.sentence == ""
    assert metadata(tmp_path / "b-1.safetensors")["modelspec.description"].startswith("an embedding: ")


# --- cards ---


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("pictured", [True, False])
def test_a_card_shows_the_picture_and_carries_the_vectors(suffix: str, pictured: bool, tmp_path: Path) -> None:
    picture = Image.open(pocket.view("mug")) if pictured else None
    path = tmp_path / f"pw-mug{suffix}"
    formats.write(made_for("sd1"), path, "a1111", picture)
    with Image.open(path) as card:
        assert card.height == 512 and card.width > 514 and ("sd-ti-embedding" in card.info) == (suffix == ".png")
        front = card.convert("RGB").crop(((card.width - 512) // 2, 300, (card.width + 512) // 2, 512))
        colours = front.getcolors(maxcolors=1 << 20)
    assert (len(colours) > 20) == pictured, "without a picture it is grey"
    bare = tmp_path / f"pw-bare{suffix}"
    Image.open(path).convert("RGB").save(bare, lossless=True)  # its text is gone; the pixels still tell
    assert same({"clip_l": formats.read(bare).vectors("clip_l")}, made_for("sd1"))


def test_cards_are_for_one_text_encoder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"for several text encoders A1111 .* wants .* ends in \.safetensors"):
        formats.write(made_for("sdxl"), tmp_path / "pw-mug.png", "a1111")


# --- per word ---


def test_a_file_for_each_word_that_was_learned(tmp_path: Path) -> None:
    parts = formats.per_word(made_for("sdxl"))
    assert [part.name for part in parts] == ["mug-1-red", "mug-3-mug"]
    assert [part.sentence for part in parts] == ["red", "mug"]
    assert torch.equal(parts[1].vectors("clip_g"), made_for("sdxl").words[2].vectors["clip_g"])
    odd = Concept("mug", (Word("☕", {"clip_l": torch.ones(1, 768)}), Word("été,", {"clip_l": torch.ones(1, 768)})))
    assert [part.name for part in formats.per_word(odd)] == ["mug-1", "mug-2-ete"]


# --- how to use it ---


def test_what_to_type_in_each_tool() -> None:
    def told(tool: str, family: str, path: str = "pw-mug.safetensors") -> formats.Use:
        return formats.use(made_for(family), path, tool)

    phrases = {tool: told(tool, "sd1").phrase for tool in formats.TOOLS}
    assert phrases == {
        "photowords": "{mug}",
        "diffusers": "<mug>",
        "a1111": "pw-mug",
        "kohya": "pw-mug",
        "comfyui": "embedding:pw-mug",
        "invokeai": "<pw-mug>",
        "onetrainer": "<mug>",
        "original": "*",
    }
    assert told("comfyui", "flux").tokens == {"clip_l": 4, "t5xxl": 7}
    kohya = told("kohya", "sd1").steps
    assert kohya[0] == "to draw: gen_img.py --textual_inversion_embeddings pw-mug.safetensors"
    assert "train_textual_inversion.py --weights pw-mug.safetensors --num_vectors_per_token 4" in kohya[1]
    assert "--sdxl" in told("kohya", "sdxl").steps[0] and "sdxl_train" in told("kohya", "sdxl").steps[1]
    assert "num_vectors_per_token: 5" in told("original", "ldm").steps[0]
    assert told("original", "ldm", "pw-mug.pt").steps[1] == "scripts/txt2img.py --embedding_path pw-mug.pt"
    assert shlex.split(kohya[1])


class Encoders(TextualInversionLoaderMixin):
    """A pipeline's text parts, with diffusers' own loader."""

    components: dict[str, Any] = {}
    hf_device_map, device, dtype = None, torch.device("cpu"), torch.float32

    def __init__(self, *widths: int) -> None:
        for name, width in zip(("", "_2"), widths, strict=False):
            sizes = {"hidden_size": width, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 900}
            config = CLIPTextConfig(**sizes, bos_token_id=0, eos_token_id=1)
            setattr(self, f"text_encoder{name}", CLIPTextModel(config))
            setattr(self, f"tokenizer{name}", CLIPTokenizerFast.from_pretrained(pocket.PIPELINE / "tokenizer"))


@pytest.mark.parametrize(
    ("widths", "counts"),
    [({"clip_l": 768}, (4,)), ({"clip_l": 768, "clip_g": 1280}, (4, 4)), ({"clip_l": 768, "t5xxl": 4096}, (4, 7))],
    ids=["sd1", "sdxl", "flux"],
)
def test_the_lines_for_diffusers_run_as_they_are_printed(
    widths: dict[str, int], counts: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = concept(widths)
    monkeypatch.chdir(tmp_path)
    formats.write(start, "pw-mug.safetensors", "diffusers")
    use = formats.use(start, "pw-mug.safetensors", "diffusers")
    pipe = Encoders(*widths.values())
    import safetensors

    exec("\n".join(use.steps), {"pipe": pipe, "safetensors": safetensors})
    for name, encoder, count in zip(("", "_2"), start.encoders, counts, strict=False):
        reader, model = getattr(pipe, f"tokenizer{name}"), getattr(pipe, f"text_encoder{name}")
        prompt = pipe.maybe_convert_prompt(use.prompt, reader)
        ids = reader(prompt, add_special_tokens=False).input_ids[-count:]
        assert torch.equal(model.get_input_embeddings().weight[ids], start.vectors(encoder))


def test_diffusers_loads_a1111s_archive_too(tmp_path: Path) -> None:
    formats.write(made_for("sd1"), tmp_path / "pw-mug.pt", "a1111")
    pipe = Encoders(768)
    pipe.load_textual_inversion(str(tmp_path / "pw-mug.pt"))
    assert "<mug>" in pipe.tokenizer.get_vocab() and "<mug>_3" in pipe.tokenizer.get_vocab()


def test_headers_stay_small(tmp_path: Path) -> None:
    formats.write(made_for("sd1", settings={"steps": 100}), tmp_path / "pw-mug.safetensors", "kohya")
    assert load_file(tmp_path / "pw-mug.safetensors").keys() == {"emb_params"}
    assert len(json.dumps(metadata(tmp_path / "pw-mug.safetensors"))) < 4000
