"""Captioners: every family from a small random folder, in its real format and code path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from PIL import Image

from photowords import pocket
from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.initializers.captioner import Captioner, caption
from photowords.initializers.classify import classify
from photowords.initializers.florence import location
from photowords.segmentation import cut_out, object_box
from photowords.starts import ClassRepeated
from tests.small_readers import CUT_OUT, SAVE


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
