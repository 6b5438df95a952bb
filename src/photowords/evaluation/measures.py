"""How the pictures of a concept become a metric's values: what is drawn, and what is done to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from photowords import clip, images
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.evaluation.protocol import Protocol
from photowords.generation import generate
from photowords.metrics import Metric, dino, similarity
from photowords.prompts import parse


class Drawn:
    """The pictures of one concept under one protocol, and their embeddings. Each is made once and kept."""

    def __init__(
        self,
        backbone: Backbone,
        concept: Concept,
        photos: Sequence[Image],
        protocol: Protocol,
        truth: Sequence[Image],
    ) -> None:
        if not photos:
            raise UserError(f"there is no photo to compare the pictures of {concept.name} with; give one")
        self.backbone, self.concept, self.protocol = backbone, concept, protocol
        self.photos, self.truth = ([images.as_rgb(one) for one in pictures] for pictures in (photos, truth))
        self._pictures: dict[str, list[Image]] = {}
        self._embeddings: dict[tuple[Any, ...], Tensor] = {}

    def pictures(self, prompt: str, instead: str = "") -> list[Image]:
        """Samples of a prompt with the concept at ``{}``, or with other words instead; one for each seed."""
        text = prompt.replace("{}", instead or f"{{{self.concept.name}}}")
        if text not in self._pictures:
            concepts = [self.concept] if "{" in text else []
            self._pictures[text] = generate(self.backbone, text, concepts, self.protocol.seeds, self.protocol.settings)
        return self._pictures[text]

    def embedded(self, scorer: clip.Clip | dino.Dino, prompt: str, instead: str = "") -> Tensor:
        """The same as embeddings of unit length, (samples, d)."""
        key = (scorer, prompt, instead)
        if key not in self._embeddings:
            self._embeddings[key] = scorer.images(self.pictures(prompt, instead))
        return self._embeddings[key]

    def tensors(self, pictures: Sequence[Image]) -> Tensor:
        """Pictures as (n, 3, size, size) in [-1, 1], in the model's size."""
        return torch.cat([images.to_tensor(picture, self.backbone.picture_size) for picture in pictures])

    def others(self, metric: Metric) -> Sequence[Image]:
        """What the metric compares with: the photos, or true views."""
        if metric.truth == "needs" and not self.truth:
            raise UserError(f"{metric.name} compares with true views, and none was given; add them as `truth`")
        return self.photos if metric.truth == "none" or not self.truth else self.truth


def pairs(drawn: Drawn, metric: Metric, scorer: Any, prompt: str) -> Tensor:
    """Each picture's mean distance to, or likeness with, the pictures that the metric compares with."""
    pictures, others = drawn.tensors(drawn.pictures(prompt)), drawn.tensors(drawn.others(metric))
    few = max(1, 2**20 // pictures[0, 0].numel())  # at once: VGG's maps of large pictures are large
    scores = [torch.cat([scorer(part, one[None]) for part in pictures.split(few)]) for one in others]
    return torch.stack(scores).mean(0)


def to_images(drawn: Drawn, metric: Metric, scorer: Any, prompt: str) -> Tensor:
    """Each picture's mean cosine to the pictures that the metric compares with."""
    return similarity.to_images(drawn.embedded(scorer, prompt), scorer.images(drawn.others(metric)))


def to_text(drawn: Drawn, metric: Metric, scorer: Any, prompt: str) -> Tensor:
    """Each picture's cosine to its prompt, in which nothing, or the class word, stands for the concept."""
    said = drawn.protocol.class_word if metric.measure == "class text" else ""
    text = scorer.texts([similarity.without_placeholders(prompt, said)])
    return similarity.to_text(drawn.embedded(scorer, prompt), text)


def word_swap(drawn: Drawn, metric: Metric, scorer: Any, prompt: str) -> Tensor:
    """Whether a swapped word shows and the rest stays, for each seed: 1 or 0."""
    old, new, changed = swapped(drawn)
    sentence = drawn.concept.sentence
    texts = scorer.texts([prompt.replace("{}", text) for text in (changed, sentence)])
    after = drawn.embedded(scorer, prompt, f"{{{drawn.concept.name}:{old}={new}}}")
    before, alone = drawn.embedded(scorer, prompt), drawn.embedded(scorer, prompt, new)
    return similarity.word_swap(after, before, alone, *texts).double()


def swapped(drawn: Drawn) -> tuple[str, str, str]:
    """The protocol's old word, its new one, and the concept's sentence with it, as a prompt's swap puts it.

    Raises UserError where there is no swap, or the concept has no such word.
    """
    old, _, new = (part.strip() for part in drawn.protocol.swap.partition("="))
    if not (old and new):
        raise UserError("word-swap needs a word to swap; give it as `swap`: OLD=NEW")
    concept = drawn.concept
    pieces = parse(f"{{{concept.name}:{old}={new}}}", {concept.name: concept})
    said = [piece if isinstance(piece, str) else concept.texts[piece.word] for piece in pieces]
    changed = " ".join(" ".join(said).split())
    return old, new, changed


MEASURES: Mapping[str, Callable[[Drawn, Metric, Any, str], Tensor]] = {
    "pairs": pairs,
    "images": to_images,
    "text": to_text,
    "class text": to_text,
    "swap": word_swap,
}
"""``Metric.measure`` -> values of one prompt's pictures, (samples,)."""


def check(drawn: Drawn, metric: Metric) -> None:
    """Raise UserError where the metric lacks something, before anything is sampled."""
    drawn.others(metric)
    if metric.measure == "swap":
        swapped(drawn)


def values(drawn: Drawn, metric: Metric, scorer: Any) -> Tensor:
    """A metric's values, (prompts, samples): a row for each prompt that is drawn for it, a column for each seed."""
    measure = MEASURES[metric.measure]
    return torch.stack([measure(drawn, metric, scorer, prompt) for prompt in drawn.protocol.of(metric)])


def how(drawn: Drawn, metric: Metric, scorer: Any) -> str:
    """One line: what was sampled, with what it was compared, and by what."""
    sampler, last = drawn.protocol.settings, drawn.protocol.samples - 1
    prompts = ", ".join(f'"{prompt}"' for prompt in drawn.protocol.of(metric))
    scales = {"guidance": sampler.guidance, "true_cfg_scale": sampler.true_cfg_scale}
    guidance = ", ".join(f"{name} {scale:g}" for name, scale in scales.items() if scale is not None)
    told = [
        f"{prompts}, seeds 0 to {last}{' for each' if len(drawn.protocol.of(metric)) > 1 else ''}, {sampler.steps} "
        f"steps, {guidance}, scheduler {sampler.scheduler}",
        scorer.about,
    ]
    if metric.measure in ("pairs", "images"):
        others = drawn.others(metric)
        what = "photo" if others is drawn.photos else "true view"
        told.append(f"with {len(others)} {what}{'' if len(others) == 1 else 's'}")
    if metric.measure == "class text":
        told.append(f"the text says {drawn.protocol.class_word!r} for the concept")
    if metric.measure == "swap":
        old, new, _ = swapped(drawn)
        told.append(f"{old!r} becomes {new!r}")
    return "; ".join(told)
