"""How each metric of pictures is measured: which prompts, against what, by which scorer."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL.Image import Image
from torch import Tensor

from photowords import clip, images, pocket
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.evaluation.protocol import Protocol
from photowords.generation import generate
from photowords.metrics import dino, frechet, perceptual, pixels, similarity
from photowords.pretrained import identity


class Measure(NamedTuple):
    """A metric with its scorer loaded: ``values()`` samples and scores, one number for each picture."""

    values: Callable[[], Tensor]
    prompts: Sequence[str]
    about: str


class Subject:
    """What is scored. Pictures and their embeddings are made once and kept."""

    def __init__(
        self,
        backbone: Backbone,
        concept: Concept,
        photos: Sequence[Image],
        protocol: Protocol,
        truth: Sequence[Image],
        sources: Mapping[str, str],
    ) -> None:
        if not photos:
            raise UserError(f"there is no photo to compare the pictures of {concept.name} with; give one")
        self.backbone, self.concept, self.protocol, self.sources = backbone, concept, protocol, sources
        self.photos, self.truth = photos, truth
        self.device = backbone.device
        self._pictures: dict[str, list[Image]] = {}
        self._embeddings: dict[tuple[Any, ...], Tensor] = {}

    def pictures(self, prompt: str, instead: str = "") -> list[Image]:
        """Samples of a prompt with the concept at ``{}``, or with other words instead."""
        text = prompt.replace("{}", instead or f"{{{self.concept.name}}}")
        if text not in self._pictures:
            concepts = [self.concept] if "{" in text else []
            seeds = range(self.protocol.samples)
            self._pictures[text] = generate(self.backbone, text, concepts, seeds, self.protocol.settings)
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

    def how(self, measure: Measure) -> str:
        """One line: what was sampled, and by what it was measured."""
        sampler, last = self.protocol.settings, self.protocol.samples - 1
        prompts = ", ".join(f'"{prompt}"' for prompt in measure.prompts)
        return (
            f"{prompts}, seeds 0 to {last}, {sampler.steps} steps, guidance {sampler.guidance:g}, scheduler "
            f"{sampler.scheduler}; {measure.about}"
        )


def _to_photos(load: Callable[[Subject], Any], truth: bool = False) -> Callable[[Subject], Measure]:
    """A distance (or likeness) of the reconstruction prompt's pictures and every photo, or every true view."""

    def prepare(subject: Subject) -> Measure:
        if truth and not subject.truth:
            raise UserError("psnr and ssim compare with true views, and none was given; add them with --truth")
        scorer = load(subject)

        def values() -> Tensor:
            pictures = subject.tensors(subject.pictures(subject.protocol.prompt))
            others = subject.tensors(subject.truth if truth else subject.photos)
            few = max(1, 2**20 // pictures[0, 0].numel())  # at once: VGG's maps of large pictures are large
            scores = [torch.cat([scorer(part, one[None]) for part in pictures.split(few)]) for one in others]
            return torch.stack(scores).mean(0)

        return Measure(values, [subject.protocol.prompt], getattr(scorer, "about", "compared in the model's size"))

    return prepare


def _reconstruction(subject: Subject, bundled: bool) -> Measure:
    scorer, about = _clip(subject, bundled)
    prompt = subject.protocol.prompt
    return Measure(
        lambda: similarity.to_images(subject.embedded(scorer, prompt), scorer.images(subject.photos)), [prompt], about
    )


def _editability(subject: Subject, bundled: bool, said: str = "") -> Measure:
    scorer, about = _clip(subject, bundled)

    def one(prompt: str) -> Tensor:
        text = scorer.texts([similarity.without_placeholders(prompt, said)])
        return similarity.to_text(subject.embedded(scorer, prompt), text)

    edits = subject.protocol.edits
    return Measure(lambda: torch.cat([one(prompt) for prompt in edits]), edits, about)


def _clip_t(subject: Subject) -> Measure:
    word = subject.protocol.class_word
    measure = _editability(subject, False, word)
    return measure._replace(about=f"{measure.about}; the text says {word!r} for the concept")


def _likeness(load: Callable[[Subject], tuple[Any, str]]) -> Callable[[Subject], Measure]:
    """DreamBench's: pictures of all edit prompts with every true view, or photo."""

    def prepare(subject: Subject) -> Measure:
        scorer, about = load(subject)
        edits, sources = subject.protocol.edits, subject.truth or subject.photos

        def values() -> Tensor:
            pictures = torch.cat([subject.embedded(scorer, prompt) for prompt in edits])
            return similarity.to_images(pictures, scorer.images(sources))

        return Measure(values, edits, f"{about}; with {'the true views' if subject.truth else 'the photos'}")

    return prepare


def _word_swap(subject: Subject, bundled: bool) -> Measure:
    old, equals, new = (part.strip() for part in subject.protocol.swap.partition("="))
    if not (old and equals and new):
        raise UserError("word-swap needs a word to swap; give it as --swap OLD=NEW")
    sentence, prompt = subject.concept.sentence, subject.protocol.prompt
    changed = re.sub(rf"\b{re.escape(old)}\b", lambda _: new, sentence, flags=re.IGNORECASE)
    if changed == sentence:
        raise UserError(f"{subject.concept.name} is {sentence!r}, which has no {old!r}; swap one of its words")
    scorer, about = _clip(subject, bundled)

    def values() -> Tensor:
        texts = scorer.texts([prompt.replace("{}", text) for text in (changed, sentence)])
        swapped = subject.embedded(scorer, prompt, f"{{{subject.concept.name}:{old}={new}}}")
        unswapped, alone = subject.embedded(scorer, prompt), subject.embedded(scorer, prompt, new)
        return similarity.word_swap(swapped, unswapped, alone, *texts).double()

    return Measure(values, [prompt], f"{about}; {old!r} becomes {new!r}")


def _clip(subject: Subject, bundled: bool) -> tuple[clip.Clip, str]:
    source = str(pocket.CLIP) if bundled else subject.sources.get("clip", subject.backbone.readers["clip"])
    if not bundled and is_pockets(source):
        raise UserError(
            "the pocket's CLIP gives scores of the pocket's own (pocket-clip-reconstruction and the like), never "
            "under a published name; give a published CLIP with --clip, or ask for the pocket's metrics"
        )
    scorer = clip.load(source, subject.device, "--clip")
    return scorer, f"the pocket's own CLIP, {identity(source)}" if bundled else f"CLIP {identity(source)}"


def _dino(subject: Subject, family: str) -> tuple[dino.Dino, str]:
    scorer = dino.load[family](subject.sources.get(family), subject.device)
    return scorer, scorer.about


@functools.lru_cache(maxsize=8)
def is_pockets(source: str) -> bool:
    """Whether a CLIP is the pocket's, wherever it was copied to."""
    file = Path(source) / "model.safetensors"
    return file.is_file() and images.sha256(file) == images.sha256(pocket.CLIP / "model.safetensors")


def _pixelwise(measure: Callable[[Tensor, Tensor, float], Tensor]) -> Callable[[Subject], Any]:
    return lambda subject: lambda pictures, others: measure(pictures, others, 2.0)


MEASURES: dict[str, Callable[[Subject], Measure]] = {
    "lpips-vgg": _to_photos(lambda s: perceptual.load["vgg"](s.sources.get("weights"), s.device)),
    "lpips-alex": _to_photos(lambda s: perceptual.load["alex"](s.sources.get("weights"), s.device)),
    "sifid": _to_photos(lambda s: frechet.load(s.sources.get("weights"), s.device)),
    "clip-reconstruction": functools.partial(_reconstruction, bundled=False),
    "clip-editability": functools.partial(_editability, bundled=False),
    "clip-i": _likeness(lambda s: _clip(s, False)),
    "clip-t": _clip_t,
    "dino": _likeness(lambda s: _dino(s, "dino")),
    "dinov2": _likeness(lambda s: _dino(s, "dinov2")),
    "psnr": _to_photos(_pixelwise(pixels.psnr), truth=True),
    "ssim": _to_photos(_pixelwise(pixels.ssim), truth=True),
    "word-swap": functools.partial(_word_swap, bundled=False),
    "pocket-lpips": _to_photos(lambda s: perceptual.PocketLPIPS(s.device)),
    "pocket-sifid": _to_photos(lambda s: frechet.PocketSIFID(s.device)),
    "pocket-clip-reconstruction": functools.partial(_reconstruction, bundled=True),
    "pocket-clip-editability": functools.partial(_editability, bundled=True),
    "pocket-word-swap": functools.partial(_word_swap, bundled=True),
}
"""Metric -> how it is measured, its scorer loaded before anything is sampled."""
