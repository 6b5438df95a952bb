"""What an export is called, says beside its vectors and shows, and how it is used."""

import base64
import dataclasses
import hashlib
import io
import json
import re
import shlex
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders import TextualInversionLoaderMixin
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizerFast

from photowords import formats, pocket
from photowords.concept import Concept, Word
from photowords.errors import PhotowordsWarning, UserError
from tests.test_tools import USES, concept, made_for, metadata, same


def test_words_of_a_long_name_have_names_of_their_own(tmp_path: Path) -> None:
    words = tuple(Word(text, {"clip_l": torch.ones(1, 768)}) for text in ("red", "mug" * 20))
    parts = formats.per_word(Concept("m" * 64, words), "diffusers")
    assert [part.name for part in parts] == ["m" * 58 + "-1-red", "m" * 29 + "-2-" + ("mug" * 20)[:32]]


def test_a_path_with_a_blank_is_quoted(tmp_path: Path) -> None:
    for tool in ("photowords", "kohya", "original"):
        steps = formats.use(made_for("sd1"), tmp_path / "my runs" / "pw-mug.safetensors", tool).steps
        typed = [word for step in steps for word in shlex.split(step.replace("'s ", "s "))]
        assert str(tmp_path / "my runs" / "pw-mug.safetensors") in typed, tool


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
        ("comfyui", "mug[v2]", "a name ends at white space, brackets"),
        ("comfyui", "mug<2>", "a name ends at white space, brackets"),
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
    assert colours and (len(colours) > 20) == pictured, "without a picture it is grey"
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


def test_kohya_is_given_all_words_of_a_prompt_at_once(tmp_path: Path) -> None:
    made = formats.export(made_for("sd1"), tmp_path / "pw-mug.safetensors", "kohya", per_word=True)
    names = " ".join(str(file) for file, _, _ in made.files)
    assert len(made.files) == 2
    assert all(told.steps[0].endswith(f"--textual_inversion_embeddings {names}") for _, _, told in made.files)


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
    assert all("--v2 --" in step and "--v_param" not in step for step in told("kohya", "sd2").steps)
    velocity = formats.use(made_for("sd2", prediction_type="v_prediction"), "pw-mug.safetensors", "kohya")
    assert all("--v2 --v_parameterization --" in step for step in velocity.steps)
    assert "num_vectors_per_token: 5" in told("original", "ldm").steps[0]
    assert told("original", "ldm", "pw-mug.pt").steps[1] == "scripts/txt2img.py --embedding_path pw-mug.pt"
    assert shlex.split(kohya[1])[-2:] == ["--token_string", "pw-mug"]
    for tool, place in (("comfyui", "models/embeddings"), ("a1111", "embeddings")):
        assert told(tool, "sd1").steps == [f"put it into the folder {place}"]


class Encoders(TextualInversionLoaderMixin):  # type: ignore[misc]  # diffusers is not read here
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
@pytest.mark.parametrize("name", ["mug", "My-Mug_2"])  # CLIP's tokenizers make a prompt's letters small
def test_the_lines_for_diffusers_run_as_they_are_printed(
    widths: dict[str, int], counts: tuple[int, ...], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = dataclasses.replace(concept(widths), name=name)
    monkeypatch.chdir(tmp_path)
    formats.write(start, "pw-mug.safetensors", "diffusers")
    use = formats.use(start, "pw-mug.safetensors", "diffusers")
    pipe = Encoders(*widths.values())
    exec("\n".join(use.steps), {"pipe": pipe})
    for part, encoder, count in zip(("", "_2"), start.encoders, counts, strict=False):
        reader, model = getattr(pipe, f"tokenizer{part}"), getattr(pipe, f"text_encoder{part}")
        prompt = pipe.maybe_convert_prompt(use.prompt, reader)
        ids = reader(prompt, add_special_tokens=False).input_ids[-count:]
        assert torch.equal(model.get_input_embeddings().weight[ids], start.vectors(encoder))


def test_diffusers_loads_a1111s_archive_too(tmp_path: Path) -> None:
    formats.write(dataclasses.replace(made_for("sd1"), name="Mug"), tmp_path / "pw-mug.pt", "a1111")
    pipe = Encoders(768)
    pipe.load_textual_inversion(str(tmp_path / "pw-mug.pt"))
    assert "<mug>" in pipe.tokenizer.get_vocab() and "<mug>_3" in pipe.tokenizer.get_vocab()


def test_headers_stay_small(tmp_path: Path) -> None:
    formats.write(made_for("sd1", settings={"steps": 100}), tmp_path / "pw-mug.safetensors", "kohya")
    assert load_file(tmp_path / "pw-mug.safetensors").keys() == {"emb_params"}
    assert len(json.dumps(metadata(tmp_path / "pw-mug.safetensors"))) < 4000
