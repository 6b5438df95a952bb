"""What the pictures of concepts are worth, drawn for all concepts at once: ``benchmarks.recipes`` judges by it.

A concept is a folder as the bank's: ``view_0.png`` the photo, ``view_1.png`` ... true views elsewhere, and
``spec.json`` with the views' captions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor

from photowords import images
from photowords.backbones import Backbone, Conditioning
from photowords.clip import Clip
from photowords.concept import Concept
from photowords.metrics import similarity
from photowords.metrics.perceptual import PocketLPIPS
from photowords.prompts import parse
from photowords.settings import GenerateSettings
from recipes.pocket import scorer

PATTERNS, COLOURS = ("striped", "dotted", "checkered"), ("red", "green", "blue", "yellow", "purple", "orange")
SEEDS, VIEWS = range(4), (1, 2)
PHOTO, SKETCH = "a photo of a {}", "a pencil sketch of a {}"


@dataclass(frozen=True)
class Subject:
    """A thing to learn.

    Attributes:
        views: the photo, and true views of it elsewhere.
        prompts: what the same views are called, with ``{}`` for the thing.
    """

    name: str
    views: tuple[Image, ...]
    prompts: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> Subject:
        told = json.loads((folder / "spec.json").read_text())
        told["captions"] = [re.sub(rf"\ban? {re.escape(told['description'])}", "a {}", c) for c in told["captions"]]
        views = tuple(images.load_photo(folder / f"view_{k}.png") for k in range(len(told["captions"])))
        return cls(folder.name, views, tuple(told["captions"]))


def swap(sentence: str) -> tuple[str, str]:
    """A word of a sentence and another of its kind: its pattern, else its first colour."""
    for kind in (PATTERNS, COLOURS):
        for word in sentence.split():
            if word in kind:
                return word, kind[(kind.index(word) + 1) % len(kind)]
    raise ValueError(f"{sentence!r} has no pattern and no colour to swap")


class Judge:
    """Draws and scores. What does not depend on what was learned is drawn once."""

    def __init__(self, backbone: Backbone, subjects: Sequence[Subject], sampler: GenerateSettings) -> None:
        self.backbone, self.subjects, self.sampler = backbone, subjects, backbone.settle(sampler)
        self.clip, self.lpips, self.second = Clip(backbone.readers["clip"]), PocketLPIPS(), scorer.load()
        self._views = [self.clip.images(subject.views) for subject in subjects]
        self._alone: dict[tuple[str, ...], list[list[Image]]] = {}

    def score(self, concepts: Sequence[Concept]) -> tuple[list[dict[str, float]], list[list[Image]]]:
        """For each concept, one for each subject, its scores and the pictures that they are of.

        photo, photo_lpips: "a photo of a {}" against the photo; views, views_lpips, views_second: the same scene as a
        true view's against that view, by CLIP, LPIPS and the recipe's independent scorer; edits: the pictures in other
        scenes and as a sketch against the text without the concept; swap: share of seeds in which a swapped word shows
        and the rest stays. CLIP's and the scorer's are cosines, the higher the better; LPIPS the lower.
        """
        swaps = [swap(concept.sentence) for concept in concepts]
        asked = [self._prompts(c, s, *pair) for c, s, pair in zip(concepts, self.subjects, swaps, strict=True)]
        drawn = self._draw(asked, concepts)
        new = tuple(pair[1] for pair in swaps)
        if new not in self._alone:
            alone = [[(PHOTO.format(word), seed) for seed in SEEDS] for word in new]
            self._alone[new] = self._draw(alone, concepts)
        rows = zip(self.subjects, concepts, swaps, drawn, self._alone[new], self._views, strict=True)
        return [self._scores(*row) for row in rows], drawn

    def _prompts(self, concept: Concept, subject: Subject, old: str, new: str) -> list[tuple[str, int]]:
        name = f"{{{concept.name}}}"
        texts = [PHOTO] * 4 + [subject.prompts[k] for k in VIEWS for _ in (0, 1)] + [SKETCH] * 2
        asked = [(text.replace("{}", name), seed) for text, seed in zip(texts, (*SEEDS, 0, 1, 0, 1, 0, 1), strict=True)]
        return asked + [(PHOTO.replace("{}", f"{{{concept.name}:{old}={new}}}"), seed) for seed in SEEDS]

    @torch.no_grad()
    def _draw(self, asked: Sequence[Sequence[tuple[str, int]]], concepts: Sequence[Concept]) -> list[list[Image]]:
        told, seeds = [], []
        for prompts, concept in zip(asked, concepts, strict=True):
            distinct = list(dict.fromkeys(text for text, _ in prompts))
            pieces = [parse(text, {concept.name: concept}) for text in distinct]
            rows = torch.tensor([distinct.index(text) for text, _ in prompts])
            told.append(self.backbone.encode_prompt(pieces, concept.embeddings()).pick(rows))
            seeds += [seed for _, seed in prompts]
        nothing = self.backbone.encode_negative_prompt([], {})
        flat = images.to_pil(self.backbone.sample(Conditioning.cat(told), nothing, seeds, self.sampler))
        each = iter(flat)
        return [[next(each) for _ in prompts] for prompts in asked]

    def _scores(
        self,
        subject: Subject,
        concept: Concept,
        pair: tuple[str, str],
        drawn: Sequence[Image],
        alone: Sequence[Image],
        views: Tensor,
    ) -> dict[str, float]:
        seen, size = self.clip.images(drawn), self.backbone.picture_size
        photo, elsewhere, sketch, swapped = seen.split([4, 4, 2, 4])
        texts = self.clip.texts([similarity.without_placeholders(subject.prompts[k]) for k in VIEWS] + [SKETCH[:-5]])
        truth = views[list(VIEWS)].repeat_interleave(2, 0)
        sentence = concept.sentence
        words = self.clip.texts([PHOTO.format(text) for text in (sentence.replace(*pair), sentence)])
        tensors = torch.cat([images.to_tensor(picture, size) for picture in drawn])
        real = torch.cat([images.to_tensor(subject.views[k], size) for k in (0, *VIEWS)])
        seconds = self.second(torch.cat([tensors[4:8], real[1:]]))
        return {
            "photo": float((photo @ views[0]).mean()),
            "photo_lpips": float(self.lpips(tensors[:4], real[:1]).mean()),
            "views": float((elsewhere * truth).sum(1).mean()),
            "views_lpips": float(self.lpips(tensors[4:8], real[1:].repeat_interleave(2, 0)).mean()),
            "views_second": float((seconds[:4] * seconds[4:].repeat_interleave(2, 0)).sum(1).mean()),
            "edits": float((torch.cat([elsewhere, sketch]) * texts.repeat_interleave(2, 0)).sum(1).mean()),
            "swap": float(similarity.word_swap(swapped, photo, self.clip.images(alone), *words).float().mean()),
        }


def means(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each score, over concepts."""
    return {name: sum(one[name] for one in scores) / len(scores) for name in scores[0]}
