"""The papers' proposal: an image captioner's sentence, of the whole photo or of the region that was clicked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from photowords import clip
from photowords.backbones import Backbone
from photowords.errors import UserError, reason
from photowords.initializers.florence import FlorencePrompter
from photowords.initializers.found import Found
from photowords.initializers.refiner import Refiner
from photowords.initializers.region import seen
from photowords.pretrained import Kept, config, network, on, portable_name, pretrained, revision
from photowords.starts import Captioned

BEAMS = 3
LONGEST = 30  # tokens


class PicturePrompter:
    """The inputs of a captioner that is shown a picture and nothing else: a region is cut out on white."""

    def __init__(self, source: str, config: Mapping[str, Any]) -> None:
        from transformers import AutoImageProcessor, AutoTokenizer

        self._processor: Any = pretrained(AutoImageProcessor, source, "captioner", backend="pil")
        self._tokenizer: Any = pretrained(AutoTokenizer, source, "captioner")

    def __call__(self, picture: Image, mask: Image | None) -> Mapping[str, Any]:
        """What ``generate`` takes."""
        return {"pixel_values": self._processor(images=seen(picture, mask), return_tensors="pt").pixel_values}

    def decode(self, ids: Tensor) -> str:
        """The words of an answer."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text


FAMILIES: dict[str, tuple[str, Callable[[str, Mapping[str, Any]], PicturePrompter | FlorencePrompter]]] = {
    "blip": ("BLIP", PicturePrompter),
    "blip-2": ("BLIP-2", PicturePrompter),
    "git": ("GIT", PicturePrompter),
    "vision-encoder-decoder": ("ViT+GPT-2", PicturePrompter),
    "florence2": ("Florence-2", FlorencePrompter),
}
"""model_type of config.json -> what the family is called, and how it is asked."""
KNOWN = ", ".join(name for name, _ in FAMILIES.values())


class Captioner:
    """A captioner from a transformers folder or hub name, of any of ``FAMILIES``; float32, works on ``device``.

    Raises UserError when it cannot be had, or is of another family.
    """

    def __init__(self, source: str, device: torch.device | str = "cpu") -> None:
        from transformers import AutoModelForImageTextToText

        self.source, self._device = source, device
        settings = config(source, "captioner")
        family = settings["model_type"]
        if family not in FAMILIES:
            raise UserError(
                f"the captioner {source!r} is a {family} model, which cannot be used as a captioner here; "
                f"choose one of the families {KNOWN}"
            )
        self._prompter = FAMILIES[family][1](source, settings)
        self._model: Any = network(AutoModelForImageTextToText, source, "captioner")
        self.revision = revision(source)

    def __call__(self, picture: Image, mask: Image | None = None) -> str:
        """The caption of an RGB picture, or of the region that a mask shows: the best of three beams.

        Raises UserError when the model cannot do it, and for an empty mask or one of another size.
        """
        return self._say(self._prompter(picture, mask), num_beams=BEAMS)[0]

    def candidates(self, picture: Image, count: int, seed: int = 0, mask: Image | None = None) -> list[str]:
        """At most ``count`` different captions: the beams, likeliest first, then sampled ones where beams agree.

        The same seed gives the same captions on one kind of device. Fewer come when the captioner has no more to say.
        Raises UserError as a call does.
        """
        inputs = self._prompter(picture, mask)
        said = _distinct(self._say(inputs, num_beams=max(BEAMS, count), num_return_sequences=count))
        if len(said) < count:
            with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
                torch.manual_seed(seed)
                sampled = self._say(inputs, do_sample=True, num_beams=1, top_p=0.95, num_return_sequences=4 * count)
            said = _distinct([*said, *sampled])
        return said[:count]

    @torch.no_grad()
    def _say(self, inputs: Mapping[str, Any], **how: Any) -> list[str]:
        try:
            shown = {name: value.to(self._device) for name, value in inputs.items()}
            with on(self._device, self._model):
                answers = self._model.generate(**shown, max_new_tokens=LONGEST, **how).cpu()
            return [self._prompter.decode(ids).strip() for ids in answers]
        except Exception as error:  # a damaged or mismatched folder fails in many ways
            raise UserError(
                f"the captioner {self.source!r} cannot caption a picture alone ({reason(error)}); use another "
                f"captioner, of the families {KNOWN}"
            ) from error


def _distinct(texts: Sequence[str]) -> list[str]:
    """In order, without empty ones and those that differ only in case and spaces from an earlier one."""
    first: dict[str, str] = {}
    for text in filter(None, texts):
        first.setdefault(" ".join(text.lower().split()), text)
    return list(first.values())


load = Kept(Captioner)
"""The captioner of a folder or hub name, kept for the next photo."""


def caption(how: Captioned, photos: Sequence[Image], backbone: Backbone, mask: Image | None = None) -> Found:
    """The caption of the first photo, or of its masked region, in the captioner's own words or in the refiner's.

    With ``how.candidates`` above 1 it is the one of several that CLIP finds most like the picture.
    Raises UserError for an empty caption, a missing reader, an unusable mask and an unusable refiner.
    """
    refiner = None
    if how.refiner is not None and how.refiner_model is not None:
        refiner = Refiner(how.refiner, how.refiner_model, how.refiner_instruction)
    captioner = load(how.captioner or backbone.readers["captioner"], backbone.device)
    photo = photos[0]
    provenance: dict[str, Any] = {}
    if how.candidates == 1:
        said = captioner(photo) if mask is None else captioner(photo, mask)
    else:
        several = captioner.candidates(photo, how.candidates, how.seed, mask)
        judge = clip.load(how.reranker or backbone.readers["clip"], backbone.device)
        ranked = rank(judge, seen(photo, mask), several)
        said = ranked[0][0] if ranked else ""
        provenance = {
            "candidates": ranked,
            "reranker": portable_name(judge.source),
            "reranker_revision": judge.revision,
        }
    if not said:
        raise UserError("the captioner said nothing about this photo; give the words yourself as `words`")
    provenance |= {
        "caption": said,
        "captioner": portable_name(captioner.source),
        "captioner_revision": captioner.revision,
    }
    if mask is not None:
        provenance["region"] = True
    if refiner and (refined := refiner.refine(said, how.budget)):
        return Found(refined, {**provenance, "refined": refined, "refiner": portable_name(refiner.model)})
    return Found(said, provenance)


def rank(judge: clip.Clip, picture: Image, texts: Sequence[str]) -> list[list[Any]]:
    """[text, score] of each text, the one most like the picture first; score is CLIP's cosine, in [-1, 1].

    CLIP is given "a photo of ..." because it learned from such sentences (CLIPScore, Hessel et al. 2021, prefixes too).
    """
    embedded = judge.texts([f"a photo of {text}" for text in texts])
    scores = (embedded @ judge.images([picture])[0]).tolist()
    ranked = sorted(zip(texts, scores, strict=True), key=lambda pair: -pair[1])
    return [[text, score] for text, score in ranked]
