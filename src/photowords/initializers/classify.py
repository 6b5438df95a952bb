"""The papers' other start: an image classifier's label."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.initializers.hint import Hint, Start
from photowords.pretrained import portable_name, pretrained, revision


class Classifier:
    """Any transformers image classifier, from a folder or hub name."""

    def __init__(self, source: str) -> None:
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        self.source = source
        self._processor: Any = pretrained(AutoImageProcessor, source, "classifier")
        self._model: Any = pretrained(AutoModelForImageClassification, source, "classifier", dtype=torch.float32).eval()
        self.revision = revision(source)

    @torch.no_grad()
    def __call__(self, photo: Image) -> tuple[str, float]:
        """The likeliest label of an RGB picture, its first synonym only, and its probability."""
        logits = self._model(**self._processor(images=photo, return_tensors="pt")).logits[0]
        confidence, index = logits.softmax(-1).max(-1)
        return self._model.config.id2label[int(index)].split(",")[0].strip(), float(confidence)


@functools.lru_cache(maxsize=2)
def load(source: str) -> Classifier:
    """The classifier of a folder or hub name, kept for the next photo."""
    return Classifier(source)


def classify(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """The label of the first photo."""
    classifier = load(hint.classifier or backbone.readers["classifier"])
    label, confidence = classifier(photos[0])
    return Start(
        label,
        {
            "class_confidence": confidence,
            "classifier": portable_name(classifier.source),
            "classifier_revision": classifier.revision,
        },
    )
