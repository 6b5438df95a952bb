"""Controls: starts that share one thing with the caption and lack another, so that a claim about it can be tested.

All but ``other-caption`` have exactly as many tokens as the caption, fitted as ``caption`` would. What each was made
from is in the provenance; the random ones depend on ``hint.seed`` alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
import warnings
from collections.abc import Sequence

from PIL.Image import Image

from photowords import images, pocket
from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.captioner import caption
from photowords.initializers.classify import classify
from photowords.initializers.fit import count_tokens, fit
from photowords.initializers.hint import Hint, Start


def fitted_caption(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """The sentence that ``caption`` starts from, and its provenance: what a control is measured by."""
    said = caption(photos, backbone, hint)
    return Start(fit(said.text, backbone, hint.budget, hint.drop).text, said.provenance)


def multi_star(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """``hint.count`` stars, or as many as the caption has tokens: as many vectors, no words."""
    if hint.count is not None:
        if hint.count < 1:
            raise UserError(f"the number of stars is {hint.count}, but it must be at least 1")
        return Start(" ".join("*" * hint.count))
    said = fitted_caption(photos, backbone, hint)
    return Start(" ".join("*" * count_tokens(said.text, backbone)), {**said.provenance, "made_from": said.text})


def shuffled(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """The caption's words in another order: the words, no grammar. Only a caption of one word stays as it is."""
    said = fitted_caption(photos, backbone, hint)
    words, draw = said.text.split(), random.Random(hint.seed)
    draw.shuffle(words)
    while words == said.text.split() and len(set(words)) > 1:
        draw.shuffle(words)
    return Start(" ".join(words), {**said.provenance, "made_from": said.text, "control_seed": hint.seed})


def random_words(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """As many other words as the caption has tokens, each a token of its own: real words, wrong ones.

    Raises UserError when the vocabulary has too few.
    """
    said = fitted_caption(photos, backbone, hint)
    count, own = count_tokens(said.text, backbone), said.text.casefold()
    shared = set.intersection(*(set(backbone.vocabulary(encoder)[0]) for encoder in backbone.text_encoders))
    others = sorted(word for word in shared if word not in own)  # nor the inside of a word: no "tea" for a teapot
    if len(others) < count:
        raise UserError(f"{backbone.name} knows {len(others)} words beside the caption's, but {count} are wanted")
    words = random.Random(hint.seed).sample(others, count)
    return Start(" ".join(words), {**said.provenance, "made_from": said.text, "control_seed": hint.seed})


def other_caption(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """The fitted caption of another picture: a good sentence, the wrong picture.

    The picture is ``hint.other``, or else the first view of a concept of the bundled bank, chosen by the seed among
    those whose caption differs from this photo's. ``hint.drop`` and ``hint.mask`` are for this photo alone. Warns when
    ``hint.other`` has this photo's caption; raises UserError when the whole bank has.
    """
    own = fitted_caption(photos, backbone, hint).text
    there = dataclasses.replace(hint, mask=None, drop=())
    if hint.other is not None:
        said = fitted_caption([hint.other], backbone, there)
        if said.text == own:
            warnings.warn(
                f"the other picture has this photo's own caption, {own!r}: it is no control",
                PhotowordsWarning,
                stacklevel=2,
            )
        return Start(said.text, {**said.provenance, "own_caption": own, "made_from": "the other picture given"})
    bank = pocket.concepts()
    for name in random.Random(hint.seed).sample(bank, len(bank)):
        said = fitted_caption([images.load_photo(pocket.view(name))], backbone, there)
        if said.text != own:
            made = {"own_caption": own, "made_from": f"{name}, view 0 of the bank", "control_seed": hint.seed}
            return Start(said.text, {**said.provenance, **made})
    raise UserError(f"every picture of the bank has this photo's own caption, {own!r}; give another picture")


def class_repeated(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """The class, again and again, to as many tokens as the caption has: the right word, no others.

    The last repeat is cut, inside a word if need be. Raises UserError when no cut gives exactly that number.
    """
    said, labelled = fitted_caption(photos, backbone, hint), classify(photos, backbone, hint)
    label = fit(labelled.text, backbone, hint.budget).text
    count, repeats = count_tokens(said.text, backbone), itertools.cycle(label.split())
    words: list[str] = []
    while (left := count - count_tokens(" ".join(words), backbone)) > 0:
        word = next(repeats)
        if count_tokens(word, backbone) > left:
            cuts = [word[:end] for end in range(len(word) - 1, 0, -1) if count_tokens(word[:end], backbone) == left]
            if not cuts:
                raise UserError(f"the class {label!r} cannot be repeated to exactly the caption's {count} tokens")
            word = cuts[0]
        words.append(word)
    return Start(" ".join(words), {**said.provenance, **labelled.provenance, "made_from": label})
