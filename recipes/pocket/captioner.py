"""Trains the pocket's captioner: says the object and its look, "a red and white striped mug".

``python -m recipes.pocket.captioner`` writes ``build/pocket/captioner``: an ordinary
``BlipForConditionalGeneration`` folder with its processor.

It reads whole pictures in any scene and style, tight crops of the object, and objects cut out on white.
It never names the scene or the style.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil

from recipes.pocket import data, words
from recipes.pocket.autoencoder import tensor
from recipes.pocket.training import Plan, options, train
from recipes.pocket.world import COLOURS, EMBLEMS, OBJECTS, PATTERNS, Spec, article, cut_out, describe

PLAN = Plan(steps=1_450, batch=96, lr=2.5e-3, weight_decay=0.02, ema=0.995)
CUT_OUTS = 4_000  # drawn before training, from the first specs
CUT_SHARE, CROP_SHARE = 0.25, 0.4  # of a batch: cut out; then, of all, cropped to the object
HELD_OUT = 500
MAX_TOKENS = 16


def build() -> BlipForConditionalGeneration:
    """The untrained captioner, about 2.0M parameters."""
    vocabulary = words.tokenizer()
    end = vocabulary.eos_token_id
    # BLIP's text decoder starts at bos and stops at sep, not at eos.
    ids = {"bos_token_id": vocabulary.bos_token_id, "eos_token_id": end, "sep_token_id": end, "pad_token_id": end}
    text = {"vocab_size": len(vocabulary), "max_position_embeddings": words.CONTEXT, "intermediate_size": 480}
    vision = {"image_size": data.SIZE, "patch_size": 8, "hidden_size": 160, "intermediate_size": 480}
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


def cut_outs(specs: list[Spec]) -> np.ndarray:
    """The objects alone on white, uint8 (n, 64, 64, 3)."""
    return np.stack([np.asarray(cut_out(spec, 2 * data.SIZE).reduce(2)) for spec in specs])


def crop(pictures: Tensor, boxes: Tensor) -> Tensor:
    """Each picture (n, 3, 64, 64) cropped to a square (n, 3: centre x, y, side; fractions) and enlarged again."""
    x, y, side = boxes.unbind(1)
    zero = torch.zeros_like(x)
    # grid_sample's coordinates run from -1 to 1.
    rows = [torch.stack([side, zero, 2 * x - 1], 1), torch.stack([zero, side, 2 * y - 1], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False).to(pictures.dtype)


def boxes_around(specs: list[Spec]) -> Tensor:
    """The square around each object, (n, 3): centre x, centre y, side."""
    return torch.tensor([[spec.x, spec.y, spec.size] for spec in specs])


def read_attributes(text: str) -> dict[str, str]:
    """Object, colour, look and second colour as a caption says them; "" for what it does not say."""
    colours = [word for word in text.split() if word in COLOURS] + ["", ""]
    name = max((name for name in OBJECTS if f" {name} " in f" {text} "), key=len, default="")
    look = next((word for word in text.split() if word in (*PATTERNS, *EMBLEMS, "base")), "plain")
    return {"object": name, "colour": colours[0], "look": look, "second colour": colours[1]}


def accuracy(model: BlipForConditionalGeneration, pictures: Tensor, specs: list[Spec]) -> str:
    """The share of captions right in each attribute and in all words."""
    vocabulary, right, texts = words.tokenizer(), Counter[str](), []
    for part in pictures.split(100):
        ids = model.generate(pixel_values=part, max_new_tokens=MAX_TOKENS)
        texts += vocabulary.batch_decode(ids, skip_special_tokens=True)
    for text, spec in zip(texts, specs, strict=True):
        truth = article(describe(spec))
        found, wanted = read_attributes(text), read_attributes(truth)
        right.update(name for name in wanted if found[name] == wanted[name])
        right["all words"] += text == truth
    names = ("object", "colour", "look", "second colour", "all words")
    return ", ".join(f"{name} {right[name] / len(specs):.3f}" for name in names)


def main() -> None:
    plan = options(__doc__, PLAN)
    torch.manual_seed(0)
    folder = data.BUILD / "captioner"
    pictures, specs = data.load()
    held_out, unseen = pictures[:HELD_OUT], specs[:HELD_OUT]
    pictures, specs = pictures[HELD_OUT:], specs[HELD_OUT:]
    alone = cut_outs(specs[:CUT_OUTS])
    vocabulary = words.tokenizer()
    texts = [article(describe(spec)) for spec in specs]
    boxes = boxes_around(specs)
    model = build()

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        index = torch.randint(len(specs), (batch,), generator=generator)
        cut = math.ceil(batch * CUT_SHARE)
        index[:cut] %= len(alone)
        x = tensor(np.concatenate([alone[index[:cut].numpy()], pictures[index[cut:].numpy()]]))
        # Crops as a click gives: a margin of -5 to 25 percent, the object a little off the centre.
        jitter, margin, chance = torch.rand(3, batch, 2, generator=generator) - 0.5
        around = boxes[index].clone()
        around[:, :2] += 0.08 * jitter
        around[:, 2] *= 1.10 + 0.30 * margin[:, 0]
        whole = chance[:, 0] + 0.5 > CROP_SHARE
        around[whole] = torch.tensor([0.5, 0.5, 1.0])
        x = crop(x, around.to(x.device))
        ids = vocabulary([texts[i] for i in index.tolist()], padding=True, return_tensors="pt").to(x.device)
        # The end token is also the padding: only its first, which the attention mask keeps, is to be said.
        labels = ids.input_ids.masked_fill(ids.attention_mask == 0, -100)
        logits = model(pixel_values=x, **ids).logits[:, :-1].float()  # BLIP's own loss would stay in bfloat16
        return F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())

    weights = train("captioner", model, loss, plan)
    model.float().load_state_dict(weights, strict=False)
    model.half().save_pretrained(folder)
    vocabulary.save_pretrained(folder)
    size = {"height": data.SIZE, "width": data.SIZE}
    BlipImageProcessorPil(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(folder)

    saved = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    photos = [number for number, spec in enumerate(unseen) if spec.style == "photo"]
    shown = {"whole pictures": held_out, "cut-outs": cut_outs(unseen)}
    for name, group in shown.items():
        x = tensor(group).float().cpu()
        print(f"{name}, {HELD_OUT} unseen: {accuracy(saved, x, unseen)}")
        tight = crop(x[photos], boxes_around([unseen[i] for i in photos]) * torch.tensor([1, 1, 1.1]))
        print(f"{name}, {len(photos)} photos cropped: {accuracy(saved, tight, [unseen[i] for i in photos])}")


if __name__ == "__main__":
    main()
