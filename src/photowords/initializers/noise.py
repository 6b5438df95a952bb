"""Imperfect captions, made on purpose: what is a start from the caption worth where the captioner is wrong?"""

from __future__ import annotations

import random

import torch

from photowords.backbones import Backbone
from photowords.initializers.fit import STOPWORDS
from photowords.initializers.found import Found
from photowords.naming import key
from photowords.prompts import words_in
from photowords.starts import Captioned
from photowords.templates import PROPERTIES, templates

NEAREST = 5
"""Of so many near words one is drawn."""
TEMPLATE_WORDS = {*words_in(" ".join(template for learned in PROPERTIES for template in templates(learned)))}
"""No captioner says them of a thing."""


def with_noise(how: Captioned, sentence: str, backbone: Backbone) -> Found:
    """The sentence with some of its content words replaced, and the provenance that says which.

    Each content word (none of ``STOPWORDS``) is replaced with the probability ``how.caption_noise``, or just
    ``how.wrong_words`` of them are (all, where there are fewer). In its place comes one of the ``NEAREST`` words of
    the vocabulary, by the cosine of the first text encoder's vectors: a colour for a colour, mostly, for words that are
    used alike lie near each other. It is no little word, none of the templates' or the sentence's, and no other form of
    the word ("mugs"). "a" and "an" follow it. The draws depend on ``how.seed`` and the sentence alone, so photos have
    their own.
    """
    if not (how.caption_noise or how.wrong_words):
        return Found(sentence)
    words, draw = sentence.split(), random.Random(f"{how.seed} {sentence}")
    content = [place for place, word in enumerate(words) if key(word) and key(word) not in STOPWORDS]
    if how.wrong_words:
        places = sorted(draw.sample(content, min(how.wrong_words, len(content))))
    else:
        places = [place for place in content if draw.random() < how.caption_noise]
    replaced = []
    for place in places:
        old = words[place]
        if near := near_words(key(old), {key(word) for word in (*sentence.split(), *words)}, backbone):
            words[place] = _in_place(old, draw.choice(near))
            replaced.append([old, words[place]])
            if place and words[place - 1].lower() in ("a", "an"):
                words[place - 1] = "an" if key(words[place])[0] in "aeiou" else "a"
    asked = {"wrong_words": how.wrong_words} if how.wrong_words else {"caption_noise": how.caption_noise}
    return Found(
        " ".join(words), {**asked, "caption_noise_seed": how.seed, "without_noise": sentence, "replaced": replaced}
    )


def near_words(word: str, taken: set[str], backbone: Backbone) -> list[str]:
    """The ``NEAREST`` words that could stand for a word, the nearest first; fewer where the vocabulary has no more."""
    name, encoder = next(iter(backbone.text_encoders.items()))
    allowed = set(shared_vocabulary(backbone)) - taken - STOPWORDS - TEMPLATE_WORDS
    listed, vectors = backbone.vocabulary(name)
    mean = vectors.mean(0)
    cosines = torch.cosine_similarity(vectors - mean, (encoder.word_vectors(word).mean(0) - mean)[None])
    ordered = (listed[i] for i in cosines.argsort(descending=True, stable=True).tolist())
    return [w for w in ordered if w in allowed and w not in word and word not in w][:NEAREST]


def shared_vocabulary(backbone: Backbone) -> list[str]:
    """The words that are one token in every text encoder, sorted."""
    return sorted(set.intersection(*(set(backbone.vocabulary(encoder)[0]) for encoder in backbone.text_encoders)))


def _in_place(old: str, new: str) -> str:
    """The new word between the punctuation that is glued to the old one."""
    bare = old[old.casefold().find(key(old)) :][: len(key(old))]
    return old.replace(bare, new, 1)
