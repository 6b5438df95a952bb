"""Random weights under the published file names and keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTModel

from photowords.metrics import frechet, perceptual


def conv_state(model: torch.nn.Module, extra: str) -> dict[str, torch.Tensor]:
    """As a published file: the model's entries, and others that the metric has no use for."""
    return {**{key: value.half() for key, value in model.state_dict().items()}, extra: torch.zeros(3)}


def save_published(folder: Path) -> None:
    """Those of LPIPS and SIFID."""
    torch.save(conv_state(perceptual.VGG16(), "classifier.0.bias"), folder / "vgg16-397923af.pth")
    save_file(conv_state(perceptual.AlexNet(), "classifier.1.bias"), folder / "alexnet-owt-7be5be79.safetensors")
    for net, (kind, _) in perceptual.NETS.items():
        heads = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1) for i, c in enumerate(kind.channels)}
        torch.save(heads, folder / f"lpips_{net}.pth")
    stem = frechet.InceptionStem()
    for module in stem.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.1, 0.3)
    published = {k: v for k, v in conv_state(stem, "fc.bias").items() if not k.endswith("num_batches_tracked")}
    torch.save(published, folder / "inception_v3_google-0cc3c7bd.pth")


def save_dino(folder: Path, family: Any) -> Any:
    torch.manual_seed(0)
    common = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    if family == "dino":
        ViTModel(ViTConfig(**common, intermediate_size=32), add_pooling_layer=False).save_pretrained(folder)
    else:
        Dinov2Model(Dinov2Config(**{**common, "patch_size": 14})).save_pretrained(folder)
    return str(folder)
