"""Controls: starts that share one thing with the caption and lack another, so that a claim about it can be tested.

All but ``other-caption`` have exactly as many tokens as the caption, fitted as ``caption`` would, in each text encoder.
What each was made from is in the provenance; the random ones depend on ``how.seed`` alone.
"""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL.Image import Image

from photowords import images, pocket
from photowords.backbones import Backbone
from photowords.concept import Word
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.captioner import caption
from photowords.initializers.classify import classify
from photowords.initializers.fit import check_room, fit, fit_as
from photowords.initializers.found import Found
from photowords.initializers.noise import shared_vocabulary, with_noise
from photowords.starts import (
    Captioned,
    ClassRepeated,
    Counted,
    MultiStar,
    OtherCaption,
    RandomVectors,
    RandomWords,
    Shuffled,
)


def fitted_caption(how: Captioned, photos: Sequence[Image], backbone: Backbone, mask: Image | None = None) -> Found:
    """The sentence that ``caption`` starts from, and its provenance: what a control is measured by."""
    said = caption(how, photos, backbone, mask)
    noisy = with_noise(how, fit_as(how, said.text, backbone).text, backbone)
    return Found(noisy.text, {**said.provenance, **noisy.provenance})


def multi_star(how: MultiStar, photos: Sequence[Image], backbone: Backbone, mask: Image | None = None) -> Found:
    """``how.num_vectors`` stars, or as many as the caption has tokens: as many vectors, no words."""
    counts, provenance = _counts(how, photos, backbone, mask)
    return Found(" ".join("*" * max(counts.values())), provenance, counts=counts)


def random_vectors(how: RandomVectors, photos: Sequence[Image], backbone: Backbone, mask: Image | None = None) -> Found:
    """``how.num_vectors`` random vectors, or as many as the caption has tokens: the paper's other start (section 3).

    Each is a word without a text, one vector in every text encoder: normal, with the mean and the standard deviation
    that each coordinate has over the vocabulary. Raises UserError where so many leave no room for the templates.
    """
    counts, provenance = _counts(how, photos, backbone, mask)
    count = max(counts.values())
    check_room(" ".join("*" * count), backbone)
    generator = torch.Generator().manual_seed(how.seed)
    drawn = {}
    for encoder in backbone.text_encoders:
        vectors = backbone.vocabulary(encoder)[1]
        noise = torch.randn((count, vectors.shape[1]), generator=generator)
        drawn[encoder] = vectors.mean(0) + vectors.std(0) * noise
    words = (Word("", {encoder: table[i : i + 1] for encoder, table in drawn.items()}) for i in range(count))
    return Found("", {**provenance, "control_seed": how.seed}, tuple(words), counts)


def _counts(
    how: Counted, photos: Sequence[Image], backbone: Backbone, mask: Image | None
) -> tuple[Mapping[str, int], Mapping[str, Any]]:
    """How many vectors in each text encoder, and where the numbers come from."""
    if how.num_vectors is not None:
        return dict.fromkeys(backbone.text_encoders, how.num_vectors), {}
    said = fitted_caption(how, photos, backbone, mask)
    return _tokens(said.text, backbone), {**said.provenance, "made_from": said.text}


def _tokens(text: str, backbone: Backbone) -> dict[str, int]:
    """How many tokens a text has in each text encoder."""
    return {name: len(encoder.ids(text)) for name, encoder in backbone.text_encoders.items()}


def shuffled(how: Shuffled, photos: Sequence[Image], backbone: Backbone, mask: Image | None = None) -> Found:
    """The caption's words in another order: the words, no grammar. Only a caption of one word stays as it is."""
    said = fitted_caption(how, photos, backbone, mask)
    words, draw = said.text.split(), random.Random(how.seed)
    draw.shuffle(words)
    while words == said.text.split() and len(set(words)) > 1:
        draw.shuffle(words)
    return Found(" ".join(words), {**said.provenance, "made_from": said.text, "control_seed": how.seed})


def random_words(how: RandomWords, photos: Sequence[Image], backbone: Backbone, mask: Image | None = None) -> Found:
    """As many other words as the caption has tokens, each a token of its own: real words, wrong ones.

    Raises UserError when the vocabulary has too few.
    """
    said = fitted_caption(how, photos, backbone, mask)
    counts, own = _tokens(said.text, backbone), said.text.casefold()
    count = max(counts.values())
    others = [word for word in shared_vocabulary(backbone) if word not in own]  # nor inside a word: no "tea" in teapot
    if len(others) < count:
        raise UserError(f"{backbone.name} knows {len(others)} words beside the caption's, but {count} are wanted")
    words = random.Random(how.seed).sample(others, count)
    made = {"made_from": said.text, "control_seed": how.seed}
    return Found(" ".join(words), {**said.provenance, **made}, counts=counts)


def other_caption(how: OtherCaption, photos: Sequence[Image], backbone: Backbone, mask: Image | None = None) -> Found:
    """The fitted caption of another picture: a good sentence, the wrong picture.

    The picture is ``how.other``, or else the first view of a concept of the bundled bank, chosen by the seed among
    those whose caption differs from this photo's. The mask is for this photo alone. Warns when ``how.other`` has
    this photo's caption; raises UserError when the whole bank has.
    """
    own = fitted_caption(how, photos, backbone, mask).text
    if how.other is not None:
        said = fitted_caption(how, [how.other], backbone)
        if said.text == own:
            warnings.warn(
                f"the other picture has this photo's own caption, {own!r}: it is no control",
                PhotowordsWarning,
                stacklevel=2,
            )
        return Found(said.text, {**said.provenance, "own_caption": own, "made_from": "the other picture given"})
    bank = pocket.concepts()
    for name in random.Random(how.seed).sample(bank, len(bank)):
        said = fitted_caption(how, [images.load_photo(pocket.view(name))], backbone)
        if said.text != own:
            made = {"own_caption": own, "made_from": f"{name}, view 0 of the bank", "control_seed": how.seed}
            return Found(said.text, {**said.provenance, **made})
    raise UserError(f"every picture of the bank has this photo's own caption, {own!r}; give another picture")


def class_repeated(how: ClassRepeated, photos: Sequence[Image], backbone: Backbone, mask: Image | None = None) -> Found:
    """The class, again and again, to as many tokens as the caption has: the right word, no others.

    The last repeat is cut, inside a word if need be.
    """
    said, labelled = fitted_caption(how, photos, backbone, mask), classify(how, photos, backbone, mask)
    label, counts = fit(labelled.text, backbone, how.budget).text, _tokens(said.text, backbone)
    words: list[str] = []
    for word in itertools.islice(itertools.cycle(label.split()), max(counts.values())):
        if all(own >= counts[name] for name, own in _tokens(" ".join(words), backbone).items()):
            break
        words.append(word)
    told = {**said.provenance, **labelled.provenance, "made_from": label}
    return Found(" ".join(words), told, counts=counts)
