"""Trains the pocket's captioner: says the object and its look, "a red and white striped mug"; of two objects, both.

``python -m recipes.pocket.captioner`` writes ``captioner`` of the build folder: an ordinary
``BlipForConditionalGeneration`` folder with its processor.

It reads whole pictures in any scene and style, squares around one object, and objects cut out on white. It names two
objects from left to right, and never the scene or the style.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil

from recipes.pocket import data, words
from recipes.pocket.autoencoder import tensor
from recipes.pocket.regions import Regions, alone, crop, held_out, left_to_right, square
from recipes.pocket.sprites import EMBLEMS, OBJECTS, PATTERNS
from recipes.pocket.training import Plan, options, train, warm_start
from recipes.pocket.world import COLOURS, SIZE, Thing, article, cut_out, describe

PLAN = Plan(steps=1_500, batch=96, lr=2.5e-3, weight_decay=0.02, ema=0.995)
SHARES = (0.45, 0.30, 0.25)  # whole pictures, regions, cut-outs
MAX_TOKENS = 26


def build() -> BlipForConditionalGeneration:
    """The untrained captioner, about 2.1M parameters."""
    vocabulary = words.tokenizer()
    end = vocabulary.eos_token_id
    # BLIP's text decoder starts at bos and stops at sep, not at eos.
    ids = {"bos_token_id": vocabulary.bos_token_id, "eos_token_id": end, "sep_token_id": end, "pad_token_id": end}
    text = {"vocab_size": len(vocabulary), "max_position_embeddings": words.CONTEXT, "intermediate_size": 480}
    vision = {"image_size": SIZE, "patch_size": 16, "hidden_size": 160, "intermediate_size": 480}
    # BLIP's default range for the vision tower is 1e-10, meant for loading weights: it would hardly learn from it.
    # The default epsilon of the norms is zero in half precision.
    common = {"initializer_range": 0.04, "layer_norm_eps": 1e-6}
    config = BlipConfig(
        text_config={**common, **ids, **text, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
        vision_config={**common, **vision, "num_hidden_layers": 5, "num_attention_heads": 5},
        initializer_range=0.04,
    )
    model = BlipForConditionalGeneration(config)
    model.generation_config.update(**ids, max_new_tokens=MAX_TOKENS)
    return model


def sentence_of(things: tuple[Thing, ...]) -> str:
    """What the captioner is to say of things, named in the order given."""
    return " and ".join(article(describe(thing)) for thing in things)


def read_attributes(text: str) -> dict[str, str]:
    """Object, colour, look and second colour as a caption of one thing says them; "" for what it does not say."""
    colours = [word for word in text.split() if word in COLOURS] + ["", ""]
    name = max((name for name in OBJECTS if f" {name} " in f" {text} "), key=len, default="")
    look = next((word for word in text.split() if word in (*PATTERNS, *EMBLEMS, "base")), "plain")
    return {"object": name, "colour": colours[0], "look": look, "second colour": colours[1]}


def accuracy(model: BlipForConditionalGeneration, pictures: Tensor, things: list[tuple[Thing, ...]]) -> str:
    """The share of captions right in all words and, of one thing, in each attribute."""
    vocabulary, right, texts = words.tokenizer(), Counter[str](), []
    for part in pictures.split(100):
        ids = model.generate(pixel_values=part, max_new_tokens=MAX_TOKENS)
        texts += vocabulary.batch_decode(ids, skip_special_tokens=True)
    for text, shown in zip(texts, things, strict=True):
        truth = sentence_of(shown)
        if len(shown) == 1:
            found, wanted = read_attributes(text), read_attributes(truth)
            right.update(name for name in wanted if found[name] == wanted[name])
        right["all words"] += text == truth
    return ", ".join(f"{name} {count / len(things):.3f}" for name, count in right.items())


def main() -> None:
    plan = options(__doc__, PLAN)
    torch.manual_seed(0)
    folder = data.BUILD / "captioner"
    draws = Regions(*data.load(data.drawn()), SHARES)
    vocabulary = words.tokenizer()
    model = build()
    if plan.warm:
        warm_start(model, BlipForConditionalGeneration.from_pretrained(Path(plan.warm) / "captioner").state_dict())

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        shown = draws.batch(generator, batch)
        texts = [sentence_of(things) for things in shown.things]
        ids = vocabulary(texts, padding=True, return_tensors="pt").to(shown.pictures.device)
        # The end token is also the padding: only its first, which the attention mask keeps, is to be said.
        labels = ids.input_ids.masked_fill(ids.attention_mask == 0, -100)
        # BLIP's own loss would stay in bfloat16.
        logits = model(pixel_values=shown.pictures, **ids).logits[:, :-1].float()
        return F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())

    weights, done = train("captioner", model, loss, plan)
    if not done:
        return
    model.float().load_state_dict(weights, strict=False)
    model.half().save_pretrained(folder)
    vocabulary.save_pretrained(folder)
    size = {"height": SIZE, "width": SIZE}
    BlipImageProcessorPil(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(folder)

    saved = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    pictures, specs = held_out()
    for count, name in ((1, "one object"), (2, "two objects")):
        rows = [n for n, spec in enumerate(specs) if len(spec.things) == count]
        whole = accuracy(saved, pictures[rows], [left_to_right(specs[n]) for n in rows])
        print(f"{name}, {len(rows)} unseen photos: {whole}")
        things = [specs[n].things[-1] for n in rows]
        boxes = torch.tensor([square(thing) for thing in things]) * torch.tensor([1, 1, 1.1])
        regions = accuracy(saved, crop(pictures[rows], boxes), [(thing,) for thing in things])
        print(f"squares around one of them: {regions}")
    things = [alone(spec.things[0]).things[0] for spec in specs]
    cut = tensor(np.stack([np.asarray(cut_out(thing)) for thing in things])).float().cpu()
    print(f"cut-outs: {accuracy(saved, cut, [(thing,) for thing in things])}")


if __name__ == "__main__":
    main()
