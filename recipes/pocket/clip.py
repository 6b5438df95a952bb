"""Trains the pocket's CLIP: pictures and texts in one space, apart from the diffusion model's text encoder.

``python -m recipes.pocket.clip`` writes ``clip`` of the build folder: an ordinary ``CLIPModel`` folder with its
tokenizer and image processor.

Two losses. The contrastive one matches texts, with attributes left out at random, to pictures, of one object or two,
and to squares around one object. The other lays the image space out: the cosine of two pictures is to be what
``layout`` says of what they show, so that it falls smoothly with the hue and the pattern's scale and does not see
place and size.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from photowords.templates import OBJECT
from recipes.pocket import data, words
from recipes.pocket.regions import REGION, Regions, held_out, left_to_right
from recipes.pocket.scenes import SCENES, STYLES
from recipes.pocket.sprites import EMBLEMS, LOOKS, OBJECTS, PATTERNS, TONES, Colour
from recipes.pocket.training import Plan, device, options, train, warm_start
from recipes.pocket.world import (
    COLOURS,
    SCALES,
    SIZE,
    Picture,
    Thing,
    article,
    caption,
    colour_name,
)

PLAN = Plan(steps=1_000, batch=128, lr=2.5e-3, weight_decay=0.02, ema=0.995)
SHARES = (0.75, 0.25, 0.0)  # whole pictures, regions, cut-outs
LAYOUT_WEIGHT = 6.0  # of the layout loss, against the contrastive one

FIELDS = (tuple(OBJECTS), COLOURS, LOOKS, COLOURS)
"""What a text can say of a thing: object, colour, look, second colour."""
AROUND = (tuple(SCENES), tuple(STYLES))
ANY = -1  # the text does not say
KEPT = (0.85, 0.6, 0.6, 0.8, 0.5, 0.5)  # how often a text with some left out still says each
BARE = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # says what things there are and no more, as a choice among classes does
TEXTS = {None: 0.5, KEPT: 0.35, BARE: 0.15}  # their shares; None: texts that say all
SHARE = {"object": 0.28, "colour": 0.26, "second": 0.15, "look": 0.14, "scene": 0.12, "style": 0.05}
"""How much of two pictures' cosine each attribute decides."""


def _one_hot(number: int, count: int) -> list[float]:
    return [float(k == number) for k in range(count)]


def _colour_features(colour: Colour | None) -> list[float]:
    """Unit vector of 9: three harmonics of the hue (near hues are much alike, far ones are not), tones, none."""
    if colour is None or isinstance(colour, str):
        return [0.0] * 6 + _one_hot(-1 if colour is None else list(TONES).index(colour), 2) + [float(colour is None)]
    waves = [wave(k * math.radians(colour)) / math.sqrt(3) for k in (1, 2, 3) for wave in (math.cos, math.sin)]
    return waves + [0.0] * 3


def layout(picture: Picture, things: tuple[Thing, ...]) -> list[float]:
    """The place in the image space of a drawing that shows these things: a unit vector, of two things their mean."""
    rows = [_layout(picture, thing) for thing in things]
    mean = [sum(values) for values in zip(*rows, strict=True)]
    length = math.sqrt(sum(value**2 for value in mean))
    return [value / length for value in mean]


def _layout(picture: Picture, thing: Thing) -> list[float]:
    share = 0.5
    if thing.look in SCALES:
        low, *_, high = SCALES[thing.look]
        share = min(max((thing.scale - low) / (high - low), 0.0), 1.0)
    look = _one_hot(LOOKS.index(thing.look), len(LOOKS))
    turn = (math.cos(share * math.pi / 2), math.sin(share * math.pi / 2))
    parts = {
        "object": _one_hot(FIELDS[0].index(thing.object), len(OBJECTS)),
        "colour": _colour_features(thing.colour),
        "second": _colour_features(None if thing.look == "plain" else thing.second),
        "look": [value * part for value in look for part in turn],
        "scene": _one_hot(list(SCENES).index(picture.scene), len(SCENES)),
        "style": _one_hot(list(STYLES).index(picture.style), len(STYLES)),
    }
    return [value * math.sqrt(SHARE[name]) for name, part in parts.items() for value in part]


def codes(picture: Picture, things: tuple[Thing, ...]) -> list[int]:
    """What is true of a picture of these things, as numbers: FIELDS of the first and of the second thing, AROUND.

    A plain thing has no second colour, and a picture of one thing no second thing: both are the number after the last.
    """
    found: list[int] = []
    for thing in (*things, None)[:2]:
        if thing is None:
            found += [len(field) for field in FIELDS]
            continue
        second = "" if thing.look == "plain" else colour_name(thing.second)
        values = (thing.object, colour_name(thing.colour), thing.look, second)
        found += [field.index(value) if value else len(field) for field, value in zip(FIELDS, values, strict=True)]
    return [*found, AROUND[0].index(picture.scene), AROUND[1].index(picture.style)]


def drop(code: list[int], draw: random.Random, region: bool = False) -> list[int]:
    """The attributes that one text says: all of them, some, or the objects alone; the others are ANY. Of a region no
    scene."""
    said, keep = list(code), draw.choices(list(TEXTS), list(TEXTS.values()))[0]
    if keep:
        kept = [value if draw.random() < share else ANY for value, share in zip(code, (*keep[:4], *keep), strict=True)]
        for first in (0, 4):
            if kept[first + 2] in (ANY, 0):  # without a look there is no second colour to speak of
                kept[first + 2 : first + 4] = [ANY, ANY]
        said = kept[:4] + (kept[4:8] if code[4] < len(FIELDS[0]) else code[4:8]) + kept[8:]
    if region:
        said[8] = ANY
    return said


def text_of(said: list[int], draw: random.Random) -> str:
    """A text that says these attributes and no others."""
    phrases = [_phrase(said[:4], draw)] + ([_phrase(said[4:8], draw)] if said[4] < len(FIELDS[0]) else [])
    phrase = " and ".join([phrases[0], *map(article, phrases[1:])])
    scene, style = (field[value] if value >= 0 else "" for field, value in zip(AROUND, said[8:], strict=True))
    if style:
        text = f"{STYLES[style]} {article(phrase)}"
    else:
        text = draw.choice(OBJECT).format(phrase) if draw.random() < 0.5 else phrase
    return f"{text} {SCENES[scene]}" if scene else text


def _phrase(said: list[int], draw: random.Random) -> str:
    values = (field[value] if 0 <= value < len(field) else "" for field, value in zip(FIELDS, said, strict=True))
    name, colour, look, second = values
    name = name or draw.choice(("thing", "object"))
    both = f"{colour} and {second}" if colour and second else colour or second
    if look in PATTERNS:
        phrase = f"{both} {look} {name}"
    elif look in EMBLEMS:
        phrase = f"{colour} {name} with {article(f'{second} {look}'.strip())}"
    elif look == "two-tone":
        phrase = f"{colour} {name} with {article(second)} base" if second else f"two-tone {colour} {name}"
    else:
        phrase = f"{colour} {name}"
    return " ".join(phrase.split())


def build(width: int) -> CLIPModel:
    """The untrained model, about 2.1M parameters; ``width`` is that of the common space."""
    vocabulary = words.tokenizer()
    ids = {name: getattr(vocabulary, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    common = {"projection_dim": width, "intermediate_size": 480, "hidden_act": "gelu"}
    text = {"vocab_size": len(vocabulary), "hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
    vision = {"image_size": SIZE, "patch_size": 16, "hidden_size": 160}
    config = CLIPConfig(
        text_config={**common, **ids, **text, "max_position_embeddings": words.CONTEXT},
        vision_config={**common, **vision, "num_hidden_layers": 5, "num_attention_heads": 5},
        projection_dim=width,
    )
    model = CLIPModel(config)
    # PyTorch's fused attention is slow backwards on CPUs: most of a step at this size.
    model.set_attn_implementation("eager")
    return model


def contrastive(logits: Tensor, said: Tensor, true: Tensor) -> Tensor:
    """Symmetric cross entropy of (texts, pictures) logits; other pictures of which a text is true do not count."""
    fits = ((said[:, None] == true[None]) | (said[:, None] == ANY)).all(-1)
    fits.fill_diagonal_(False)
    logits = logits.masked_fill(fits, -1e4)
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def main() -> None:
    plan = options(__doc__, PLAN)
    torch.manual_seed(0)
    folder = data.BUILD / "clip"
    draws = Regions(*data.load(data.drawn()), SHARES)
    vocabulary = words.tokenizer()
    model = build(len(layout(draws.specs[0], draws.specs[0].things)))
    if plan.warm:
        warm_start(model, CLIPModel.from_pretrained(Path(plan.warm) / "clip").state_dict())

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        shown = draws.batch(generator, batch)
        draw = random.Random(int(torch.randint(1 << 30, (), generator=generator)))
        pairs = list(zip(shown.sources, shown.things, strict=True))
        true = [codes(source, things) for source, things in pairs]
        said = [drop(code, draw, kind == REGION) for code, kind in zip(true, shown.kinds, strict=True)]
        places = torch.tensor([layout(source, things) for source, things in pairs]).to(device())
        how = {"padding": True, "truncation": True, "max_length": words.CONTEXT, "return_tensors": "pt"}
        tokens = vocabulary([text_of(code, draw) for code in said], **how).to(device())
        out = model(pixel_values=shown.pictures, **tokens)
        image, text = F.normalize(out.image_embeds.float(), dim=-1), F.normalize(out.text_embeds.float(), dim=-1)
        logits = model.logit_scale.float().exp().clamp(max=100) * text @ image.T
        away = (1 - (image * places).sum(-1)).mean()
        matched = contrastive(logits, torch.tensor(said).to(device()), torch.tensor(true).to(device()))
        return matched + LAYOUT_WEIGHT * away

    weights, done = train("clip", model, loss, plan)
    if not done:
        return
    model.float().load_state_dict(weights, strict=False)
    model.half().save_pretrained(folder)
    vocabulary.save_pretrained(folder)
    size = {"height": SIZE, "width": SIZE}
    CLIPImageProcessorPil(
        size={"shortest_edge": SIZE}, crop_size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(folder)

    saved = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    pictures, specs = held_out(None)
    first = list({caption(spec): number for number, spec in reversed(list(enumerate(specs)))}.items())
    rows = [number for _, number in first]
    tokens = vocabulary([text for text, _ in first], padding=True, return_tensors="pt")
    with torch.no_grad():
        out = saved(pixel_values=pictures[rows], **tokens)
    hits = (out.logits_per_text.argmax(-1) == torch.arange(len(first))).float()
    wanted = torch.tensor([layout(specs[number], left_to_right(specs[number])) for number in rows])
    pairs = torch.triu_indices(len(first), len(first), 1)
    cosines = torch.stack([(x @ x.T)[pairs[0], pairs[1]] for x in (out.image_embeds, wanted)])
    two = torch.tensor([len(specs[number].things) == 2 for number in rows])
    print(f"text to image top-1 among {len(first)} unseen drawings of distinct captions {hits.mean():.3f}")
    print(f"of one object {hits[~two].mean():.3f}, of two {hits[two].mean():.3f}")
    print(f"image cosines against the specs' layout: correlation {torch.corrcoef(cosines)[0, 1]:.3f}")


if __name__ == "__main__":
    main()
