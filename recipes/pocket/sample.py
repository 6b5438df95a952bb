"""Random pictures of the pocket world: which objects, looks and places there are, and how often."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from recipes.pocket.bank import is_held_out
from recipes.pocket.scenes import GROUND, SCENES, STYLES, VARIANTS
from recipes.pocket.sprites import LOOKS, OBJECTS, PATTERNS, TONES, Colour
from recipes.pocket.world import HUES, PLACES, SCALES, SIZES, Picture, Thing, colour_name

PAIRS = 0.25  # the share of pictures with two objects
PAIR_SIZES = SIZES[:2]
LOOK_SHARES = (0.40, 0.13, 0.13, 0.13, 0.09, 0.04, 0.04, 0.04)
STYLE_SHARES = (0.85, 0.05, 0.05, 0.05)
MARGIN = 0.015  # between an object and the frame, and twice that between two objects
LOWEST_FOOT = 0.62  # on a ground, things stand at least this far down


def random_colour(rng: np.random.Generator, tones: float) -> Colour:
    """Black or white with probability ``tones``; else a hue, mostly within a few degrees of its word."""
    if rng.random() < tones:
        return str(rng.choice(list(TONES)))
    if rng.random() < 0.35:  # the hues between the words are part of the world too
        return float(rng.uniform(0, 360))
    return float((HUES[str(rng.choice(list(HUES)))] + rng.normal(0, 6)) % 360)


def random_size(rng: np.random.Generator) -> float:
    """A size of ``SIZES``, large ones more often (their chance rises linearly): what is small is hardest to draw."""
    chance = np.arange(1, len(SIZES) + 1)
    return float(rng.choice(SIZES, p=chance / chance.sum()))


def scales(look: str, size: float) -> tuple[float, ...]:
    """The scales that a look has on a thing of this size (1.0, which says nothing, where none can be seen): a small
    thing's pattern is coarse, or else it would drown in the pixels."""
    found = SCALES.get(look, (1.0,))
    return found[2:] if look in PATTERNS and size <= 0.55 else found


def random_thing(rng: np.random.Generator, **fixed: Any) -> Thing:
    """A random thing in the middle that is no concept of the bank; ``fixed`` fields are kept as given."""
    while True:
        drawn: dict[str, Any] = {
            "object": str(rng.choice(list(OBJECTS))),
            "colour": random_colour(rng, 0.2),
            "look": str(rng.choice(LOOKS, p=LOOK_SHARES)),
            "second": random_colour(rng, 0.4),
            "size": random_size(rng),
            **fixed,
        }
        drawn.setdefault("scale", float(rng.choice(scales(drawn["look"], drawn["size"]))))
        thing = Thing(**drawn)
        if colour_name(thing.colour) != colour_name(thing.second) and not is_held_out(thing):
            return thing


def placed(rng: np.random.Generator, thing: Thing, scene: str) -> Thing:
    """The thing at a random place of the frame where it fits; on a ground it stands."""
    left, top, right, bottom = thing.moved(x=0.0, y=0.0).box()
    x = _between(rng, MARGIN - left, 1 - MARGIN - right)
    highest = max(MARGIN - top, LOWEST_FOOT - bottom) if scene in GROUND else MARGIN - top
    return thing.moved(x=x, y=_between(rng, highest, 1 - MARGIN - bottom))


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """A random one of the ``PLACES`` from ``low`` to ``high``; each of ``SIZES`` leaves at least one."""
    return float(rng.integers(math.ceil(low * PLACES), math.floor(high * PLACES) + 1)) / PLACES


def apart(one: Thing, other: Thing) -> bool:
    """Whether the boxes of two things do not touch."""
    a, b = one.box(), other.box()
    gaps = (a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3])
    return max(gaps) >= 2 * MARGIN


def random_picture(rng: np.random.Generator, count: int | None = None, **fixed: Any) -> Picture:
    """A random picture of one or two things (``count``; None: as often as ``PAIRS`` says).

    ``fixed`` fields of Picture are kept as given. Two things differ in object and in the word for their main colour.
    """
    count = count or (2 if rng.random() < PAIRS else 1)
    drawn: dict[str, Any] = {
        "scene": str(rng.choice(list(SCENES))),
        "scene_seed": int(rng.integers(VARIANTS)),
        "style": str(rng.choice(list(STYLES), p=STYLE_SHARES)),
        **fixed,
    }
    if count == 1:
        return Picture(things=(placed(rng, random_thing(rng), drawn["scene"]),), **drawn)
    return beside(rng, None, **drawn)


def beside(rng: np.random.Generator, thing: Thing | None = None, **fixed: Any) -> Picture:
    """A picture of two things that do not touch, the first of them like ``thing`` if one is given."""
    drawn: dict[str, Any] = {"scene": str(rng.choice(list(SCENES))), "scene_seed": int(rng.integers(VARIANTS)), **fixed}
    while True:
        first, second = (float(rng.choice(PAIR_SIZES)) for _ in range(2))
        one = random_thing(rng, size=first) if thing is None else thing.moved(size=first)
        other = random_thing(rng, size=second)
        if one.object == other.object or colour_name(one.colour) == colour_name(other.colour):
            continue
        for _ in range(20):
            one, other = placed(rng, one, drawn["scene"]), placed(rng, other, drawn["scene"])
            if apart(one, other):
                return Picture(things=(one, other), **drawn)
