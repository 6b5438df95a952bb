"""Trains the pocket's classifier: which of the objects a picture, a region or a cut-out shows.

``python -m recipes.pocket.classifier`` writes ``classifier`` of the build folder: an ordinary
``ViTForImageClassification`` folder with its image processor. Of two objects it may name either.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

from recipes.pocket import data
from recipes.pocket.regions import Regions, crop, held_out, square
from recipes.pocket.sprites import OBJECTS
from recipes.pocket.training import Plan, options, train, warm_start
from recipes.pocket.world import SIZE

PLAN = Plan(steps=900, batch=96, lr=2.5e-3, weight_decay=0.02, ema=0.995)
SHARES = (0.45, 0.30, 0.25)  # whole pictures, regions, cut-outs
NAMES = tuple(OBJECTS)


def build() -> ViTForImageClassification:
    """The untrained classifier, about 1.4M parameters."""
    config = ViTConfig(
        image_size=SIZE,
        patch_size=16,
        hidden_size=160,
        intermediate_size=480,
        num_hidden_layers=5,
        num_attention_heads=5,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.04,  # the default suits widths four times this one
        layer_norm_eps=1e-6,  # the default is zero in half precision
        id2label=dict(enumerate(NAMES)),
        label2id={name: number for number, name in enumerate(NAMES)},
    )
    model = ViTForImageClassification(config)
    # PyTorch's fused attention is slow backwards on CPUs: most of a step at this size.
    model.set_attn_implementation("eager")
    return model


def main() -> None:
    plan = options(__doc__, PLAN)
    torch.manual_seed(0)
    folder = data.BUILD / "classifier"
    draws = Regions(*data.load(data.drawn()), SHARES)
    model = build()
    if plan.warm:
        warm_start(model, ViTForImageClassification.from_pretrained(Path(plan.warm) / "classifier").state_dict())

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        shown = draws.batch(generator, batch)
        truth = torch.zeros(batch, len(NAMES))
        for row, things in zip(truth, shown.things, strict=True):
            for thing in things:
                row[NAMES.index(thing.object)] = 1 / len(things)
        logits = model(pixel_values=shown.pictures).logits.float()
        smooth = 0.95 * truth.to(logits.device) + 0.05 / len(NAMES)
        return -(smooth * logits.log_softmax(-1)).sum(-1).mean()

    weights, done = train("classifier", model, loss, plan)
    if not done:
        return
    model.float().load_state_dict(weights)
    model.half().save_pretrained(folder)
    size = {"height": SIZE, "width": SIZE}
    ViTImageProcessorPil(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(folder)

    saved = ViTForImageClassification.from_pretrained(folder, dtype=torch.float32).eval()
    pictures, specs = held_out(None)
    boxes = torch.tensor([square(spec.things[0]) for spec in specs]) * torch.tensor([1, 1, 1.1])
    with torch.no_grad():
        for name, shown in (("whole drawings", pictures), ("squares around one object", crop(pictures, boxes))):
            found = saved(pixel_values=shown).logits.argmax(-1).tolist()
            right = [
                NAMES[k] in [t.object for t in (s.things if shown is pictures else s.things[:1])]
                for k, s in zip(found, specs, strict=True)
            ]
            print(f"top-1 on {len(specs)} unseen {name} {sum(right) / len(right):.3f}")


if __name__ == "__main__":
    main()
