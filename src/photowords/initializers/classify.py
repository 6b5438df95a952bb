"""The papers' other start: an image classifier's label, or the word of a list that CLIP finds most like the photo."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from PIL.Image import Image

from photowords import clip
from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.found import Found
from photowords.initializers.region import seen
from photowords.pretrained import Kept, config, network, on, portable_name, pretrained, revision
from photowords.starts import Classified

SHOWN = 5  # labels that the provenance keeps, likeliest first


class Classifier:
    """Any transformers image classifier, from a folder or hub name; float32, works on ``device``."""

    def __init__(self, source: str, device: torch.device | str = "cpu") -> None:
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        self.source, self._device = source, device
        self._processor: Any = pretrained(AutoImageProcessor, source, "classifier", backend="pil")
        self._model: Any = network(AutoModelForImageClassification, source, "classifier")
        self.revision = revision(source)

    def __call__(self, picture: Image) -> tuple[str, float]:
        """The likeliest label of an RGB picture, its first synonym only, and its probability."""
        return self.labels(picture, 1)[0]

    @torch.no_grad()
    def labels(self, picture: Image, count: int = SHOWN) -> list[tuple[str, float]]:
        """At most ``count`` labels of an RGB picture, first synonyms only, and their probabilities, likeliest first."""
        inputs = self._processor(images=picture, return_tensors="pt").to(self._device)
        with on(self._device, self._model):
            logits = self._model(**inputs).logits[0].cpu()
        best = logits.softmax(-1).topk(min(count, len(logits)))
        names = self._model.config.id2label
        return [
            (names[index].split(",")[0].strip(), probability)
            for index, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]


class ZeroShot:
    """A CLIP that chooses among words: "a photo of a {word}" for each (Radford et al. 2021, section 3.1)."""

    def __init__(self, judge: clip.Clip, words: Sequence[str]) -> None:
        self.source, self.revision = judge.source, judge.revision
        self._judge = judge
        self._words = list(dict.fromkeys(word.strip() for word in words if word.strip()))

    def labels(self, picture: Image, count: int = SHOWN) -> list[tuple[str, float]]:
        """At most ``count`` words and their probabilities among all the words, likeliest first."""
        texts = self._judge.texts([f"a photo of a {word}" for word in self._words])
        cosines = texts @ self._judge.images([picture])[0]
        best = (self._judge.scale * cosines).softmax(-1).topk(min(count, len(self._words)))
        return [(self._words[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]


load = Kept(Classifier)
"""The classifier of a folder or hub name, kept for the next photo."""


def classify(how: Classified, photos: Sequence[Image], backbone: Backbone, mask: Image | None = None) -> Found:
    """The label of the first photo, or of the object that the mask cuts out of it.

    With ``how.labels`` it is one of those, chosen by CLIP; a ``how.class_name`` is the answer itself. Raises UserError
    for a missing reader, a CLIP without labels to choose from, and an unusable mask.
    """
    if how.class_name is not None:
        return Found(how.class_name, {"class_name": how.class_name})
    reader = _reader(backbone, how)
    ranked = reader.labels(seen(photos[0], mask))
    label, confidence = ranked[0]
    provenance = {
        "class_confidence": confidence,
        "class_candidates": [list(pair) for pair in ranked],
        "classifier": portable_name(reader.source),
        "classifier_revision": reader.revision,
    }
    return Found(label, provenance if mask is None else {**provenance, "region": True})


def _reader(backbone: Backbone, how: Classified) -> Classifier | ZeroShot:
    source = how.classifier or backbone.readers["classifier"]
    is_clip = how.classifier is not None and config(source, "classifier")["model_type"] == "clip"
    if not how.labels:
        if is_clip:
            raise UserError(
                f"the classifier {source!r} is a CLIP, which has no labels of its own; give it words as `labels`"
            )
        return load(source, backbone.device)
    if not is_clip:
        chosen = backbone.readers["clip"]
        if how.classifier is not None:
            warnings.warn(
                f"the classifier {source!r} has labels of its own, so the CLIP {portable_name(chosen)!r} chooses "
                "among yours",
                PhotowordsWarning,
                stacklevel=2,
            )
        source = chosen
    return ZeroShot(clip.load(source, backbone.device, "classifier"), how.labels)
