"""What the readers say of a photo, before anything is learned from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.initializers import start
from photowords.inversion.views import shown
from photowords.starts import Class, Start


@dataclass(frozen=True)
class Description:
    """A photo in words.

    Attributes:
        concept: at step 0, whose words an inversion would learn.
        labelled: the concept of the classifier's answer.
    """

    concept: Concept
    labelled: Concept

    @property
    def said(self) -> str:
        """What the captioner said, before it became a sentence; "" where none was asked."""
        return str(self.concept.provenance.get("caption") or "")

    @property
    def candidates(self) -> list[list[Any]]:
        """Text and score of each caption that was asked for, where there were several."""
        return list(self.concept.provenance.get("candidates", []))

    @property
    def confidence(self) -> float | None:
        """How sure the classifier is, in [0, 1]; None where it was not asked."""
        return self.labelled.provenance.get("class_confidence")


def describe(how: Start, label: Start, photo: Image, backbone: Backbone, mask: Image | None = None) -> Description:
    """Ask the readers of a photo's middle square, which is what an inversion learns by itself, or of the object that
    the mask shows in the photo. Raises UserError as ``start`` does."""
    photo = shown(photo, mask)
    concept = start(how, [photo], backbone, mask=mask)
    labelled = concept if isinstance(how, Class) else start(label, [photo], backbone, mask=mask)
    return Description(concept, labelled)
