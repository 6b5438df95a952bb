"""Trains the pocket's CLIP: pictures and texts in one space, apart from the diffusion model's text encoder.

``python -m recipes.pocket.clip`` writes ``build/pocket/clip``: an ordinary ``CLIPModel`` folder with its
tokenizer and image processor.

Two losses. The contrastive one matches texts, with attributes left out at random, to pictures. The
other lays the image space out: the cosine of two pictures is to be what ``layout`` says of their specs,
so that it falls smoothly with the hue and the pattern's scale and does not see place, size and tilt.
"""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from photowords.templates import OBJECT
from recipes.pocket import data, words
from recipes.pocket.autoencoder import tensor
from recipes.pocket.scenes import SCENES, STYLES
from recipes.pocket.training import Plan, device, options, train
from recipes.pocket.world import (
    COLOURS,
    EMBLEMS,
    OBJECTS,
    PATTERN_SCALES,
    PATTERNS,
    TONES,
    Colour,
    Spec,
    article,
    caption,
    colour_name,
)

PLAN = Plan(steps=900, batch=128, lr=2.5e-3, weight_decay=0.02, ema=0.995)
LAYOUT_WEIGHT = 6.0  # of the layout loss, against the contrastive one
HELD_OUT = 500

LOOKS = ("plain", *PATTERNS, "two-tone", *EMBLEMS)
FIELDS = (tuple(OBJECTS), COLOURS, LOOKS, COLOURS, tuple(SCENES), tuple(STYLES))
"""What a text can say: object, colour, look, second colour, scene, style."""
ANY = -1  # the text does not say
KEPT = (0.85, 0.6, 0.6, 0.8, 0.5, 0.5)  # how often a text with some left out still says each
SHARES = {"object": 0.28, "colour": 0.26, "second": 0.15, "look": 0.14, "scene": 0.12, "style": 0.05}
"""How much of two pictures' cosine each attribute decides."""


def _one_hot(number: int, count: int) -> list[float]:
    return [float(k == number) for k in range(count)]


def _colour_features(colour: Colour | None) -> list[float]:
    """Unit vector of 9: three harmonics of the hue (near hues are much alike, far ones are not), tones, none."""
    if colour is None or isinstance(colour, str):
        return [0.0] * 6 + _one_hot(-1 if colour is None else list(TONES).index(colour), 2) + [float(colour is None)]
    waves = [wave(k * math.radians(colour)) / math.sqrt(3) for k in (1, 2, 3) for wave in (math.cos, math.sin)]
    return waves + [0.0] * 3


def layout(spec: Spec) -> list[float]:
    """The place of a drawing in the image space, a unit vector."""
    low, high = (0.42, 0.65) if spec.look == "two-tone" else PATTERN_SCALES
    share = min(max((spec.scale - low) / (high - low), 0.0), 1.0) if spec.look in (*PATTERNS, "two-tone") else 0.5
    look = _one_hot(LOOKS.index(spec.look), len(LOOKS))
    turn = (math.cos(share * math.pi / 2), math.sin(share * math.pi / 2))
    parts = {
        "object": _one_hot(FIELDS[0].index(spec.object), len(OBJECTS)),
        "colour": _colour_features(spec.colour),
        "second": _colour_features(None if spec.look == "plain" else spec.second),
        "look": [value * part for value in look for part in turn],
        "scene": _one_hot(FIELDS[4].index(spec.scene), len(SCENES)),
        "style": _one_hot(FIELDS[5].index(spec.style), len(STYLES)),
    }
    return [value * math.sqrt(SHARES[name]) for name, part in parts.items() for value in part]


def codes(spec: Spec) -> list[int]:
    """The attributes as numbers, in the order of FIELDS; a plain drawing has no second colour."""
    second = "" if spec.look == "plain" else colour_name(spec.second)
    values = (spec.object, colour_name(spec.colour), spec.look, second, spec.scene, spec.style)
    return [field.index(value) if value else len(field) for field, value in zip(FIELDS, values, strict=True)]


def drop(code: list[int], draw: random.Random) -> list[int]:
    """The attributes that one text says: half of the time all of them, else some are ANY."""
    if draw.random() < 0.5:
        return code
    said = [value if draw.random() < keep else ANY for value, keep in zip(code, KEPT, strict=True)]
    if said[2] in (ANY, 0):  # without a look there is no second colour to speak of
        said[2:4] = [ANY, ANY]
    return said


def text_of(said: list[int], draw: random.Random) -> str:
    """A text that says these attributes and no others."""
    name, colour, look, second, scene, style = (
        field[value] if 0 <= value < len(field) else "" for field, value in zip(FIELDS, said, strict=True)
    )
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
    phrase = " ".join(phrase.split())
    if style:
        text = f"{STYLES[style]} {article(phrase)}"
    else:
        text = draw.choice(OBJECT).format(phrase) if draw.random() < 0.5 else phrase
    return f"{text} {SCENES[scene]}" if scene else text


def build(width: int) -> CLIPModel:
    """The untrained model, about 2.1M parameters; ``width`` is that of the common space."""
    vocabulary = words.tokenizer()
    ids = {name: getattr(vocabulary, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    common = {"projection_dim": width, "intermediate_size": 480, "hidden_act": "gelu"}
    text = {"vocab_size": len(vocabulary), "hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
    vision = {"image_size": data.SIZE, "patch_size": 8, "hidden_size": 160}
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
    pictures, specs = data.load()
    true = torch.tensor([codes(spec) for spec in specs[HELD_OUT:]])
    places = torch.tensor([layout(spec) for spec in specs[HELD_OUT:]])
    vocabulary = words.tokenizer()
    model = build(places.shape[1])

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        index = torch.randint(len(true), (batch,), generator=generator)
        draw = random.Random(int(index[0]) * 1_000_003 + int(index[-1]))
        said = [drop(code, draw) for code in true[index].tolist()]
        tokens = vocabulary([text_of(code, draw) for code in said], padding=True, return_tensors="pt").to(device())
        out = model(pixel_values=tensor(pictures[HELD_OUT + index.numpy()]), **tokens)
        image, text = F.normalize(out.image_embeds.float(), dim=-1), F.normalize(out.text_embeds.float(), dim=-1)
        logits = model.logit_scale.float().exp().clamp(max=100) * text @ image.T
        away = (1 - (image * places[index].to(device())).sum(-1)).mean()
        return contrastive(logits, torch.tensor(said).to(device()), true[index].to(device())) + LAYOUT_WEIGHT * away

    weights = train("clip", model, loss, plan)
    model.float().load_state_dict(weights, strict=False)
    model.half().save_pretrained(folder)
    vocabulary.save_pretrained(folder)
    size = {"height": data.SIZE, "width": data.SIZE}
    CLIPImageProcessorPil(
        size={"shortest_edge": data.SIZE}, crop_size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(folder)

    saved = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    first = list({caption(spec): number for number, spec in reversed(list(enumerate(specs[:HELD_OUT])))}.items())
    tokens = vocabulary([text for text, _ in first], padding=True, return_tensors="pt")
    with torch.no_grad():
        out = saved(pixel_values=tensor(pictures[[number for _, number in first]]).float().cpu(), **tokens)
    hits = (out.logits_per_text.argmax(-1) == torch.arange(len(first))).float().mean()
    wanted = torch.tensor([layout(specs[number]) for _, number in first])
    pairs = torch.triu_indices(len(first), len(first), 1)
    cosines = torch.stack([(x @ x.T)[pairs[0], pairs[1]] for x in (out.image_embeds, wanted)])
    print(f"text to image top-1 among {len(first)} unseen drawings of distinct captions {hits:.3f}")
    print(f"image cosines against the specs' layout: correlation {torch.corrcoef(cosines)[0, 1]:.3f}")


if __name__ == "__main__":
    main()
