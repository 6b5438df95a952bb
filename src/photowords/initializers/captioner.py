"""The papers' proposal: an image captioner's sentence."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError, reason
from photowords.initializers.hint import Hint, Start
from photowords.pretrained import portable_name, pretrained, revision
from photowords.prompts import sentence

BUDGET = 16
"""Tokens that a caption may have; what is longer is cut at a word, since it would fill the prompt."""


class Captioner:
    """A BLIP-type captioner from a transformers folder or hub name."""

    def __init__(self, source: str) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.source = source
        self._processor: Any = pretrained(AutoProcessor, source, "captioner")
        self._model: Any = pretrained(AutoModelForImageTextToText, source, "captioner", dtype=torch.float32).eval()
        self.revision = revision(source)

    @torch.no_grad()
    def __call__(self, photo: Image) -> str:
        """The caption of an RGB picture: the best of three beams. Raises UserError when the model is no captioner."""
        try:
            inputs = self._processor(images=photo, return_tensors="pt")
            ids = self._model.generate(pixel_values=inputs.pixel_values, num_beams=3, max_new_tokens=30)
            text: str = self._processor.decode(ids[0], skip_special_tokens=True)
        except Exception as error:  # other kinds of image-text model want other inputs, and say so in many ways
            raise UserError(
                f"the captioner {self.source!r} cannot caption a picture alone ({reason(error)}); "
                "use a BLIP-type captioner"
            ) from error
        return text.strip()


@functools.lru_cache(maxsize=2)
def load(source: str) -> Captioner:
    """The captioner of a folder or hub name, kept for the next photo."""
    return Captioner(source)


def caption(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """The sentence of the first photo's caption. Raises UserError for an empty caption or a missing captioner."""
    captioner = load(hint.captioner or backbone.readers["captioner"])
    said = captioner(photos[0])
    if not said:
        raise UserError(
            "the captioner said nothing about this photo; give the words yourself: --init words --words ..."
        )
    kept = text = sentence(said)
    while len(backbone.tokenize(kept)) > BUDGET and " " in kept:
        kept = kept.rsplit(" ", 1)[0]
    if kept != text:
        warnings.warn(f"the caption {text!r} was cut to {kept!r}, {BUDGET} tokens", PhotowordsWarning, stacklevel=2)
    return Start(
        kept, {"caption": said, "captioner": portable_name(captioner.source), "captioner_revision": captioner.revision}
    )
