"""Captioners, classifiers and CLIP: every family from a small random folder, in its real format and code path."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from PIL import Image, ImageDraw
from tokenizers import pre_tokenizers

from photowords import clip, pocket, pretrained
from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.images import load_photo
from photowords.initializers import captioner
from photowords.initializers.captioner import Captioner, caption
from photowords.initializers.classify import Classifier, classify
from photowords.initializers.florence import location
from photowords.segmentation import cut_out, object_box
from photowords.starts import Caption, Class, ClassRepeated

SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
VISION = {**SIZES, "image_size": 32, "patch_size": 16}
SQUARE = {"height": 32, "width": 32}


def bert() -> Any:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "mug", "tea", "##pot", "with", "gold"]
    return hf.BertTokenizer(vocab={word: i for i, word in enumerate(words)})


def bpe(kind: Any, **options: Any) -> Any:
    """A byte-level tokenizer that knows four words whole."""
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]
    vocab = {piece: i for i, piece in enumerate([*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    merges = []
    for word in ("Ġred", "Ġmug", "Ġgold", "Ġpot"):
        for end in range(1, len(word)):
            merges.append((word[:end], word[end]))
            vocab.setdefault(word[: end + 1], len(vocab))
    return kind(vocab=vocab, merges=list(dict.fromkeys(merges)), **options)


def save_blip(folder: Path) -> None:
    tokenizer = bert()
    ids = {"bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3, "pad_token_id": 0}
    config = hf.BlipConfig(
        text_config={**SIZES, **ids, "vocab_size": len(tokenizer), "encoder_hidden_size": 16}, vision_config=VISION
    )
    hf.BlipForConditionalGeneration(config).save_pretrained(folder)
    hf.BlipProcessor(hf.BlipImageProcessorPil(size=SQUARE), tokenizer).save_pretrained(folder)


def save_blip_2(folder: Path) -> None:
    specials = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    tokenizer = bpe(hf.GPT2Tokenizer, **specials)
    processor = hf.Blip2Processor(hf.BlipImageProcessorPil(size=SQUARE), tokenizer, num_query_tokens=4)
    opt = {"model_type": "opt", "hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1, "vocab_size": len(tokenizer)}
    config = hf.Blip2Config(
        vision_config=VISION,
        qformer_config={**SIZES, "encoder_hidden_size": 16, "vocab_size": 20},
        text_config={**opt, **ids, "word_embed_proj_dim": 16, "max_position_embeddings": 64},
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    hf.Blip2ForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)


def save_git(folder: Path) -> None:
    tokenizer = bert()
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "vocab_size": len(tokenizer)}
    hf.GitForCausalLM(hf.GitConfig(vision_config=VISION, **SIZES, **ids, max_position_embeddings=64)).save_pretrained(
        folder
    )
    shortest = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE)
    hf.GitProcessor(shortest, tokenizer).save_pretrained(folder)


def save_vit_gpt2(folder: Path) -> None:
    tokenizer = bpe(hf.GPT2Tokenizer)
    start = tokenizer.bos_token_id
    decoder = hf.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=len(tokenizer), n_positions=64)
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(hf.ViTConfig(**VISION), decoder)
    model = hf.VisionEncoderDecoderModel(config=config)
    for settings in (model.config, model.generation_config):
        settings.decoder_start_token_id = settings.pad_token_id = settings.eos_token_id = start
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    hf.ViTImageProcessorPil(size=SQUARE).save_pretrained(folder)


def save_florence_2(folder: Path) -> None:
    tokenizer = bpe(hf.BartTokenizer, extra_special_tokens={"image_token": "<image>"})
    tokenizer.add_tokens([f"<loc_{step}>" for step in range(1000)])
    bart = {
        "model_type": "bart",
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "max_position_embeddings": 64,
    }
    heads = {
        f"{half}_{what}": n for half in ("encoder", "decoder") for what, n in (("attention_heads", 2), ("ffn_dim", 16))
    }
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    vision = {"depths": (1, 1, 1, 1), "embed_dim": (8, 8, 8, 16), "num_heads": (1, 1, 1, 2), "num_groups": (1, 1, 1, 2)}
    config = hf.Florence2Config(
        vision_config={**vision, "window_size": 2, "projection_dim": 16, "max_position_embeddings": 10},
        text_config={**bart, **heads, **ids, "vocab_size": len(tokenizer)},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = hf.Florence2ForConditionalGeneration(config)
    model.generation_config.min_new_tokens = 4
    with torch.no_grad():  # untrained, it would end at once, or say places only
        words = tokenizer.convert_tokens_to_ids(["Ġred", "Ġmug", "Ġgold", "Ġpot"])
        table = model.get_input_embeddings().weight
        table[[i for i in range(len(tokenizer)) if i not in words]] *= 0.01
    model.save_pretrained(folder)
    pictures = hf.CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False)
    pictures.image_seq_length = 5
    hf.Florence2Processor(pictures, tokenizer).save_pretrained(folder)


SAVE = {
    "blip": save_blip,
    "blip-2": save_blip_2,
    "git": save_git,
    "vision-encoder-decoder": save_vit_gpt2,
    "florence2": save_florence_2,
}
CUT_OUT = [family for family in SAVE if family != "florence2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A random captioner of a family, made once."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family)
            torch.manual_seed(0)
            SAVE[family](made[family])
        return made[family]

    return make


@pytest.fixture
def mask(mug: Image.Image) -> Image.Image:
    """Some of the left half."""
    mask = Image.new("L", mug.size)
    ImageDraw.Draw(mask).ellipse((32, 64, 127, 191), fill=255)
    return mask


def asked(monkeypatch: pytest.MonkeyPatch, reader: Captioner) -> list[dict[str, Any]]:
    """What ``generate`` is given from now on."""
    calls: list[dict[str, Any]] = []
    generate = reader._model.generate

    def spy(**inputs: Any) -> Any:
        calls.append(inputs)
        return generate(**inputs)

    monkeypatch.setattr(reader._model, "generate", spy)
    return calls


def documented(family: str, folder: Path, picture: Image.Image) -> str:
    """The caption by the family's own classes, called as transformers' documentation says."""
    if family == "vision-encoder-decoder":
        model, decode = hf.VisionEncoderDecoderModel, hf.AutoTokenizer.from_pretrained(folder)
        inputs = hf.ViTImageProcessorPil.from_pretrained(folder)(images=picture, return_tensors="pt")
    else:
        model, kind, text = {
            "blip": (hf.BlipForConditionalGeneration, hf.BlipProcessor, {}),
            "blip-2": (hf.Blip2ForConditionalGeneration, hf.Blip2Processor, {}),
            "git": (hf.GitForCausalLM, hf.GitProcessor, {}),
            "florence2": (hf.Florence2ForConditionalGeneration, hf.Florence2Processor, {"text": "<CAPTION>"}),
        }[family]
        decode = kind.from_pretrained(folder)
        inputs = decode(images=picture, return_tensors="pt", **text)
    ids = model.from_pretrained(folder).eval().generate(**inputs, num_beams=3, max_new_tokens=30)
    said: str = decode.decode(ids[0], skip_special_tokens=True)
    return said.partition("<loc_")[0].strip()


@pytest.mark.parametrize("family", SAVE)
def test_every_family_captions(family: str, folder: Callable[[str], Path], mug: Image.Image) -> None:
    reader = Captioner(str(folder(family)))
    said = reader(mug)
    assert said == documented(family, folder(family), mug) == reader(mug)
    assert said and isinstance(said, str) and reader.revision is None


@pytest.mark.parametrize("family", SAVE)
def test_candidates_differ_and_are_the_same_again(family: str, folder: Callable[[str], Path], mug: Image.Image) -> None:
    reader = Captioner(str(folder(family)))
    state = torch.get_rng_state()
    said = reader.candidates(mug, 5, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    assert said == reader.candidates(mug, 5, seed=1)
    assert 1 < len(said) <= 5 and len({" ".join(text.lower().split()) for text in said}) == len(said)
    assert all(said) and reader.candidates(mug, 1)[0] == reader(mug)


def test_beams_come_likeliest_first(mug: Image.Image) -> None:
    reader = Captioner(str(pocket.CAPTIONER))
    said = reader.candidates(mug, 4)
    inputs = reader._prompter(mug, None)
    beams = reader._model.generate(
        **inputs,
        num_beams=4,
        num_return_sequences=4,
        max_new_tokens=30,
        output_scores=True,
        return_dict_in_generate=True,
    )
    scores = beams.sequences_scores.tolist()
    assert scores == sorted(scores, reverse=True) and len(said) == 4
    assert said == [reader._prompter.decode(ids).strip() for ids in beams.sequences]
    assert all("checkered mug" in text for text in said)


def test_sampling_fills_up_where_beams_agree(mug: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Captioner(str(pocket.CAPTIONER))
    calls: list[dict[str, Any]] = []

    def say(inputs: Any, **how: Any) -> list[str]:
        calls.append(how)
        return [f"mug {float(torch.rand(())):.9f}", "A  red mug", ""] if how.get("do_sample") else ["a red mug"] * 3

    monkeypatch.setattr(reader, "_say", say)
    first, again, other = (reader.candidates(mug, 3, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first[0] == "a red mug" and len(first) == 2
    assert calls[0]["num_beams"] == 3 and calls[1]["num_return_sequences"] > 3


@pytest.mark.parametrize("family", CUT_OUT)
def test_a_region_is_the_cut_out(
    family: str, folder: Callable[[str], Path], mug: Image.Image, mask: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Captioner(str(folder(family)))
    calls = asked(monkeypatch, reader)
    reader(cut_out(mug, mask))
    assert reader(mug, mask) == reader(cut_out(mug, mask))
    reader.candidates(mug, 2, mask=mask)
    reader(mug)
    alone, region, _, several, *_, whole = (call["pixel_values"] for call in calls)
    assert torch.equal(alone, region) and torch.equal(alone, several)
    assert not torch.equal(alone, whole)


def test_florence_is_told_the_box(
    folder: Callable[[str], Path], mug: Image.Image, mask: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Captioner(str(folder("florence2")))
    calls = asked(monkeypatch, reader)
    reader(mug)
    reader(mug, mask)
    whole, region = calls
    assert torch.equal(whole["pixel_values"], region["pixel_values"])
    whole_text, region_text = (reader._prompter._processor.decode(call["input_ids"][0]) for call in calls)
    assert whole_text.endswith("<s>What does the image describe?</s>")
    left, top, right, bottom = object_box(mask)
    assert (left, top) == (32, 64) and 127 <= right <= 128 and 191 <= bottom <= 192  # of 256 x 256
    steps = [int(edge * 1000 / 256) for edge in (left, top, right, bottom)]
    assert f"the region {''.join(f'<loc_{step}>' for step in steps)} describe?" in region_text
    known = reader._prompter._processor.tokenizer.convert_tokens_to_ids([f"<loc_{step}>" for step in steps])
    assert set(known) <= set(region["input_ids"][0].tolist()), "each corner is one token"


def test_florence_locations_stay_within_the_steps(mug: Image.Image) -> None:
    with pytest.raises(UserError, match="mask is 10x20 pixels"):
        location(mug, Image.new("L", (10, 20), 255))
    assert location(mug, Image.new("L", mug.size, 255)) == "<loc_0><loc_0><loc_999><loc_999>"


@pytest.mark.parametrize("read", [caption, classify])
def test_an_unusable_mask_is_refused(read: Any, pocket_model: Backbone, mug: Image.Image) -> None:
    with pytest.raises(UserError, match="mask is 10x20 pixels, but its photo is 256x256"):
        read(ClassRepeated(), [mug], pocket_model, Image.new("L", (10, 20), 255))
    with pytest.raises(UserError, match="mask is empty"):
        read(ClassRepeated(), [mug], pocket_model, Image.new("L", mug.size))


def test_the_box_that_florence_says_again_is_left_out(folder: Callable[[str], Path]) -> None:
    prompter = Captioner(str(folder("florence2")))._prompter
    ids = prompter._processor.tokenizer("</s><s> red mug<loc_52><loc_332><loc_932><loc_774></s>").input_ids
    assert prompter.decode(ids).strip() == "red mug"


def test_other_families_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    with pytest.raises(UserError, match=r"is a qwen2_5_vl model.*BLIP, BLIP-2, GIT, ViT\+GPT-2, Florence-2$"):
        Captioner(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "florence2", "auto_map": {}}')
    with pytest.raises(UserError, match="florence-community/Florence-2-base"):
        Captioner(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"captioner .* cannot be loaded .*; give a transformers folder"):
        Captioner(str(tmp_path))
    (tmp_path / "config.json").write_text('{"hidden_size": 3}')
    with pytest.raises(UserError, match=r"does not say in its config\.json what model it is"):
        Captioner(str(tmp_path))


@pytest.mark.parametrize(
    ("load", "name", "field"),
    [
        (Captioner, "Salesforce/blip-image-captioning-base", "captioner"),
        (Classifier, "google/vit-base-patch16-224", "classifier"),
        (clip.Clip, "openai/clip-vit-base-patch32", "reranker"),
    ],
)
def test_what_cannot_be_had_says_what_to_download(
    load: Any, name: str, field: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        load(name)
    assert str(caught.value).endswith(
        f"; download {name} on a machine with a network (hf download {name} --local-dir FOLDER) "
        f"and give FOLDER as `{field}`"
    )
    with pytest.raises(UserError, match=f"hf download {name} --revision 1234abc --local-dir FOLDER"):
        load(f"{name}@1234abc")


def test_a_cached_reader_is_loaded_without_a_network_and_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's client tried six times for each of its files, which took minutes."""
    commit = "0123456789abcdef" * 2 + "01234567"
    cache = tmp_path / "models--org--name"
    shutil.copytree(pocket.CAPTIONER, cache / "snapshots" / commit)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(commit)
    asked: list[str] = []

    class Session:
        def __getattr__(self, method: str) -> Any:
            asked.append(method)
            raise ConnectionError("no network")

    waited: list[float] = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.get_session", Session)
    monkeypatch.setattr("huggingface_hub.utils._http.get_session", Session)
    monkeypatch.setattr("time.sleep", waited.append)
    pretrained._unreachable.cache_clear()
    assert Captioner("org/name").revision == Captioner(f"org/name@{commit}").revision == commit
    with pytest.raises(UserError, match="the captioner 'org/other' cannot be loaded"):
        Captioner("org/other")
    assert (asked, waited) == (["head"], [])
    pretrained._unreachable.cache_clear()


def test_a_name_can_be_pinned_to_a_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kind:
        @staticmethod
        def from_pretrained(source: str, **options: Any) -> Any:
            return source, options

    monkeypatch.setattr(pretrained, "unreachable", lambda: False)
    assert pretrained.pretrained(Kind, "org/name@v1", "captioner") == ("org/name", {"revision": "v1"})
    assert pretrained.pretrained(Kind, "org/name", "captioner", dtype=1) == ("org/name", {"dtype": 1})
    monkeypatch.setattr(pretrained, "unreachable", lambda: True)
    assert pretrained.pretrained(Kind, "org/name", "captioner") == ("org/name", {"local_files_only": True})


# --- the initializer ---


def test_candidates_are_ranked_by_likeness(
    pocket_model: Backbone, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = captioner.load(pocket_model.readers["captioner"])
    texts = ["a green elephant", "a teal and white checkered mug", "a red mug", "a yellow teddy bear"]
    calls = []

    def candidates(*arguments: Any) -> list[str]:
        calls.append(arguments)
        return texts

    monkeypatch.setattr(reader, "candidates", candidates)
    start = caption(Caption(candidates=4, seed=7), [mug], pocket_model)
    ranked = start.provenance["candidates"]
    assert calls == [(mug, 4, 7, None)]
    assert start.text == start.provenance["caption"] == "a teal and white checkered mug"
    assert [text for text, _ in ranked[:2]] == ["a teal and white checkered mug", "a red mug"]
    scores = [score for _, score in ranked]
    assert scores == sorted(scores, reverse=True) and -1 <= scores[-1] < scores[0] <= 1
    assert start.provenance["reranker"] == "clip" and start.provenance["reranker_revision"] is None
    json.dumps(start.provenance)


def test_the_reranker_can_be_chosen(pocket_model: Backbone, mug: Image.Image, clip_folder: Path) -> None:
    start = caption(Caption(candidates=3, reranker=str(clip_folder)), [mug], pocket_model)
    assert start.provenance["reranker"] == clip_folder.name and len(start.provenance["candidates"]) == 3
    with pytest.raises(UserError, match="is a blip model, but a CLIP is needed here; give a CLIP as `reranker`"):
        caption(Caption(candidates=3, reranker=str(pocket.CAPTIONER)), [mug], pocket_model)


@pytest.mark.parametrize("count", [0, -1, 51])
def test_too_few_or_many_candidates(count: int, pocket_model: Backbone, mug: Image.Image) -> None:
    with pytest.raises(UserError, match=f"`candidates` is {count}, but it must be a whole number from 1 to 50"):
        caption(Caption(candidates=count), [mug], pocket_model)


def test_the_region_is_captioned_ranked_and_remembered(
    pocket_model: Backbone, mug: Image.Image, mask: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = caption(Caption(), [mug], pocket_model)
    assert set(plain.provenance) == {"caption", "captioner", "captioner_revision"}
    region = caption(Caption(), [mug], pocket_model, mask)
    assert region.provenance["region"] is True
    assert region.text == captioner.load(pocket_model.readers["captioner"])(cut_out(mug, mask))
    judge = clip.load(pocket_model.readers["clip"])
    shown: list[Image.Image] = []
    monkeypatch.setattr(judge, "images", lambda pictures: shown.extend(pictures) or torch.ones(1, 87))
    caption(Caption(candidates=2), [mug], pocket_model, mask)
    assert len(shown) == 1 and shown[0].tobytes() == cut_out(mug, mask).tobytes()


# --- classifiers ---


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CLIP, saved with the processor that published ones have."""
    folder = tmp_path_factory.mktemp("tiny_clip")
    torch.manual_seed(0)
    tokenizer = hf.CLIPTokenizer.from_pretrained(pocket.CLIP)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**SIZES, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": 16, "projection_dim": 8}
    config = hf.CLIPConfig(text_config=text, vision_config={**VISION, "projection_dim": 8}, projection_dim=8)
    hf.CLIPModel(config).save_pretrained(folder)
    shortest = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE)
    hf.CLIPProcessor(shortest, tokenizer).save_pretrained(folder)
    return folder


NAMES = tuple(name.replace("_", " ") for name in pocket.concepts())


def test_clip_chooses_among_words(pocket_model: Backbone) -> None:
    for name in pocket.concepts():
        start = classify(Class(labels=(*NAMES, " ", NAMES[0])), [load_photo(pocket.view(name))], pocket_model)
        ranked = start.provenance["class_candidates"]
        assert start.text == ranked[0][0] == name.replace("_", " ")
        assert start.provenance["class_confidence"] == ranked[0][1] > 0.5
        assert len(ranked) == 5 and sum(probability for _, probability in ranked) <= 1 + 1e-6
    assert start.provenance["classifier"] == "clip"


def test_the_softmax_is_over_the_words(pocket_model: Backbone, mug: Image.Image) -> None:
    two = classify(Class(labels=("teapot", "mug")), [mug], pocket_model)
    judge = clip.load(pocket_model.readers["clip"])
    cosines = judge.texts(["a photo of a mug", "a photo of a teapot"]) @ judge.images([mug])[0]
    expected = float(torch.sigmoid(judge.scale * (cosines[0] - cosines[1])))
    assert two.text == "mug" and two.provenance["class_confidence"] == pytest.approx(expected, abs=1e-6)


def test_which_reader_chooses(pocket_model: Backbone, mug: Image.Image, clip_folder: Path) -> None:
    given = classify(Class(classifier=str(clip_folder), labels=NAMES), [mug], pocket_model)
    assert given.provenance["classifier"] == clip_folder.name
    with pytest.warns(PhotowordsWarning, match="has labels of its own, so the CLIP 'clip' chooses among yours"):
        classifier = Class(classifier=str(pocket.CLASSIFIER), labels=NAMES)
        assert classify(classifier, [mug], pocket_model).provenance["classifier"] == "clip"
    with pytest.raises(UserError, match=r"is a CLIP, which has no labels of its own; give it words as `labels`"):
        classify(Class(classifier=str(clip_folder)), [mug], pocket_model)
    for labels in ((" ",), ("teapot",), ("teapot", " teapot")):
        with pytest.raises(UserError, match="`labels` names no two words to choose from"):
            Class(labels=labels)


def test_the_classifier_keeps_its_five_best(pocket_model: Backbone, mug: Image.Image) -> None:
    start = classify(Class(), [mug], pocket_model)
    ranked = start.provenance["class_candidates"]
    probabilities = [probability for _, probability in ranked]
    assert len(ranked) == 5 and probabilities == sorted(probabilities, reverse=True)
    assert start.text == ranked[0][0] == "mug" and start.provenance["class_confidence"] == probabilities[0]
    assert "region" not in start.provenance
    json.dumps(start.provenance)


@pytest.mark.parametrize("labels", [(), NAMES], ids=["classifier", "clip"])
def test_the_region_is_classified(
    labels: tuple[str, ...], pocket_model: Backbone, mug: Image.Image, mask: Image.Image
) -> None:
    region = classify(Class(labels=labels), [mug], pocket_model, mask)
    alone = classify(Class(labels=labels), [cut_out(mug, mask)], pocket_model)
    assert region.provenance == {**alone.provenance, "region": True}


# --- CLIP itself ---


def test_clip_embeds_both_halves(clip_folder: Path) -> None:
    judge = clip.Clip(str(clip_folder))
    pictures = [load_photo(pocket.view(name)) for name in pocket.concepts()] * 3  # more than one batch
    images, texts = judge.images(pictures), judge.texts([f"a {name}" for name in NAMES] * 3)
    assert images.shape == texts.shape == (36, 8) and images.dtype == torch.float32
    assert torch.allclose(images.norm(dim=1), torch.ones(36)) and torch.allclose(texts.norm(dim=1), torch.ones(36))
    alone = torch.cat([judge.images([picture]) for picture in pictures[-6:]])
    assert torch.allclose(images[-6:], alone, atol=1e-6), "what else is in the batch does not matter"
    assert torch.allclose(texts[4:5], judge.texts([f"a {NAMES[4]}"]), atol=1e-6)
    assert judge.images([]).shape == judge.texts([]).shape == (0, 8)
    assert not images.requires_grad and (judge.source, judge.revision) == (str(clip_folder), None)


def test_clip_cuts_long_texts_at_its_context(clip_folder: Path) -> None:
    judge = clip.Clip(str(clip_folder))
    long, longer = judge.texts(["red " * 14 + "mug", "red " * 14 + "teapot " * 50])
    assert torch.allclose(long, longer, atol=1e-6)


# --- one loader ---


def test_one_clip_is_loaded_once_whoever_asks(clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = clip.load(str(clip_folder))
    monkeypatch.chdir(clip_folder.parent)
    others = [clip.load(str(clip_folder), "cpu", field) for field in ("reranker", "classifier", "clip")]
    assert all(other is first for other in [*others, clip.load(clip_folder.name, torch.device("cpu"))])


def test_an_identity_is_of_all_that_is_read(clip_folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(clip_folder, tmp_path / "here" / clip_folder.name)
    named = pretrained.identity(str(clip_folder), "CLIP")
    name, _, digest = named.partition(" ")
    assert name == clip_folder.name and len(digest) == 16 and pretrained.identity(str(copied), "CLIP") == named
    changed = {"preprocessor_config.json": True, "model.safetensors": True, "pytorch_model.bin": False, ".git": False}
    for file, counts in changed.items():
        other = shutil.copytree(clip_folder, tmp_path / file / clip_folder.name)
        with (other / file).open("ab") as end:
            end.write(b" ")
        assert (pretrained.identity(str(other), "CLIP") != named) is counts, file


def test_only_the_last_networks_are_kept() -> None:
    made: list[tuple[str, str]] = []

    def make(source: str, device: str, field: str = "") -> object:
        made.append((source, device))
        return object()

    load = pretrained.Kept(make)
    first = load("a")
    assert load("a") is first and load("b") is not first and load("a") is first
    load("b", "meta")  # on another device it is another network; "b" on the CPU was asked for longest ago
    assert load("a") is first and made == [("a", "cpu"), ("b", "cpu"), ("b", "meta")]
    load("b")
    assert made[3:] == [("b", "cpu")]


class Traveller(torch.nn.Module):
    """A network that says where it goes, and stays."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.moves: list[str] = []

    def to(self, device: Any) -> Any:  # type: ignore[override]  # as it is called here
        self.moves.append(str(device))
        self.weight = torch.nn.Parameter(torch.zeros(1, device=device))
        return self


def test_a_network_is_on_its_device_while_it_works_and_no_longer() -> None:
    net, other = Traveller(), Traveller()
    with pretrained.on("meta", net):
        assert net.moves == ["meta"]
        with pretrained.on(torch.device("meta"), net, other):  # which finds the first there already
            assert (net.moves, other.moves) == (["meta"], ["meta"])
        assert (net.moves, other.moves) == (["meta"], ["meta", "cpu"])
    assert net.moves == ["meta", "cpu"]
    with pretrained.on("cpu", net):
        assert net.moves == ["meta", "cpu"], "on the CPU nothing moves"
    with pytest.raises(ZeroDivisionError), pretrained.on("meta", net):
        raise ZeroDivisionError
    assert net.moves[-1] == "cpu", "nor does a failure leave it there"


@pytest.mark.parametrize("read", ["captioner", "classifier", "zero-shot", "reranker"])
def test_readers_run_where_the_backbone_runs(
    read: str, pocket_model: Backbone, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moving is only told here, for there is but a CPU: every network of a reader is asked to the backbone's device."""
    asked: list[str] = []

    @contextmanager
    def told(device: Any, *_: Any) -> Iterator[None]:
        asked.append(str(device))
        yield

    for module in ("clip", "initializers.captioner", "initializers.classify"):
        monkeypatch.setattr(sys.modules[f"photowords.{module}"], "on", told)
    backbone = copy.copy(pocket_model)
    backbone.device = torch.device("cpu", 0)  # another name of the same
    if read == "classifier":
        classify(Class(), [mug], backbone)
    elif read == "zero-shot":
        classify(Class(labels=("mug", "cat")), [mug], backbone)
    else:
        caption(Caption(candidates=2 if read == "reranker" else 1), [mug], backbone)
    assert asked and set(asked) == {"cpu:0"}


def test_networks_are_frozen(folder: Callable[[str], Path], clip_folder: Path) -> None:
    for model in (Captioner(str(folder("blip")))._model, Classifier(str(pocket.CLASSIFIER))._model):
        assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in clip.Clip(str(clip_folder))._model.parameters())


def test_python_users_are_told_nothing_of_torchvision() -> None:
    """Which nothing here needs; the command line has its own way."""
    code = """
import transformers
from photowords import backbones
level = transformers.logging.get_verbosity()
backbones.load("pocket", "cpu")
assert transformers.logging.get_verbosity() == level, "what else transformers says is heard as before"
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")
