"""Trains the pocket's classifier: which of the 40 objects a picture shows.

``python -m recipes.pocket.classifier`` writes ``build/pocket/classifier``: an ordinary
``ViTForImageClassification`` folder with its image processor.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

from recipes.pocket import data
from recipes.pocket.autoencoder import tensor
from recipes.pocket.training import Plan, device, options, train
from recipes.pocket.world import OBJECTS

PLAN = Plan(steps=900, batch=96, lr=2.5e-3, weight_decay=0.02, ema=0.995)
NAMES = tuple(OBJECTS)
HELD_OUT = 500


def build() -> ViTForImageClassification:
    """The untrained classifier, about 1.3M parameters."""
    config = ViTConfig(
        image_size=data.SIZE,
        patch_size=8,
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
    pictures, specs = data.load()
    labels = torch.tensor([NAMES.index(spec.object) for spec in specs])
    held_out, truth = pictures[:HELD_OUT], labels[:HELD_OUT]
    pictures, labels = pictures[HELD_OUT:], labels[HELD_OUT:].to(device())
    model = build()

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        index = torch.randint(len(pictures), (batch,), generator=generator)
        logits = model(pixel_values=tensor(pictures[index.numpy()])).logits.float()
        return F.cross_entropy(logits, labels[index.to(device())], label_smoothing=0.05)

    weights = train("classifier", model, loss, plan)
    model.float().load_state_dict(weights)
    model.half().save_pretrained(folder)
    size = {"height": data.SIZE, "width": data.SIZE}
    ViTImageProcessorPil(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(folder)

    saved = ViTForImageClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        found = saved(pixel_values=tensor(held_out).float().cpu()).logits.argmax(-1)
    print(f"top-1 on {HELD_OUT} unseen drawings {(found == truth).float().mean():.3f}")


if __name__ == "__main__":
    main()
