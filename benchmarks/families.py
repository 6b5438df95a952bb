"""A rehearsal at full size: can this machine learn words in SD 1.5, SDXL, SD 3.5 medium and FLUX, and how fast?

``python -m benchmarks.families`` makes models of the published shapes with random weights, saves them as ordinary
folders, loads them as any user's, and takes ``--steps`` steps of an inversion of a three-word sentence at the model's
own picture size. It prints parameters, memory, and seconds by part. What does not fit into the free memory is made
with fewer layers, and the table says so. No number here says anything about pictures: the weights are noise. Tokenizers
are small ones, so a prompt's tokens differ from the real models'; its padded length, and so the cost, does not.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from PIL import Image
from torch import nn

from photowords import backbones
from photowords.backbones.pipeline import PipelineBackbone
from photowords.initializers import start
from photowords.inversion import invert
from photowords.inversion.problem import Problem
from photowords.settings import InvertSettings
from photowords.starts import Words
from tests.small_models import clip_tokenizer, t5_tokenizer

SHARE = 0.75
"""Of the free memory that weights and activations may fill."""
CLIP_L = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
CLIP_G = {
    "vocab_size": 49408,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}
T5_XXL = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}


def blank(make: Callable[[], nn.Module]) -> Any:
    """A module with random weights in bf16, without the minutes that its own initialisation takes."""
    with torch.device("meta"):
        module = make().to(torch.bfloat16)
    module = module.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.02, generator=generator)
            else:
                parameter.fill_(0.0)
        for part in module.modules():
            if "Norm" in type(part).__name__ and isinstance(weight := getattr(part, "weight", None), nn.Parameter):
                weight.fill_(1.0)
    return module


def clip(shape: dict[str, Any], projected: bool = False) -> Any:
    """A CLIP text encoder; a projection is the second encoder's, or both of the flow families'."""
    tokenizer = clip_tokenizer()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = transformers.CLIPTextConfig(**{"projection_dim": 768, **shape, **ends})
    kind = transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel
    return blank(lambda: kind(config))


def autoencoder(channels: int, side: int) -> Any:
    return blank(lambda: diffusers.AutoencoderKL(**VAE, latent_channels=channels, sample_size=side))


def sd15(fraction: float) -> Any:
    unet = blank(
        lambda: diffusers.UNet2DConditionModel(
            sample_size=64, cross_attention_dim=768, attention_head_dim=8, block_out_channels=(320, 640, 1280, 1280)
        )
    )
    scheduler = diffusers.PNDMScheduler(beta_schedule="scaled_linear", skip_prk_steps=True)
    parts = (autoencoder(4, 512), clip(CLIP_L), clip_tokenizer(), unet, scheduler, None, None)
    return diffusers.StableDiffusionPipeline(*parts, requires_safety_checker=False)


def sdxl(fraction: float) -> Any:
    unet = blank(
        lambda: diffusers.UNet2DConditionModel(
            sample_size=128,
            cross_attention_dim=2048,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(5, 10, 20),
            transformer_layers_per_block=(1, 2, 10),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
    )
    encoders = clip(CLIP_L), clip(CLIP_G, projected=True)
    tokenizers = clip_tokenizer(), clip_tokenizer(pad_token="!")
    scheduler = diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear")
    return diffusers.StableDiffusionXLPipeline(autoencoder(4, 1024), *encoders, *tokenizers, unet, scheduler)


def sd35_medium(fraction: float) -> Any:
    network = blank(
        lambda: diffusers.SD3Transformer2DModel(
            sample_size=128,
            patch_size=2,
            in_channels=16,
            out_channels=16,
            num_layers=max(1, round(24 * fraction)),
            num_attention_heads=24,
            attention_head_dim=64,
            caption_projection_dim=1536,
            joint_attention_dim=4096,
            pooled_projection_dim=2048,
            pos_embed_max_size=384,
            dual_attention_layers=tuple(range(max(1, round(13 * fraction)))),
            qk_norm="rms_norm",
        )
    )
    return diffusers.StableDiffusion3Pipeline(
        network,
        diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        autoencoder(16, 1024),
        clip(CLIP_L, projected=True),
        clip_tokenizer(),
        clip(CLIP_G, projected=True),
        clip_tokenizer(pad_token="!"),
        t5_xxl(fraction),
        t5_tokenizer(),
    )


def flux_dev(fraction: float) -> Any:
    network = blank(
        lambda: diffusers.FluxTransformer2DModel(
            guidance_embeds=True,
            num_layers=max(1, round(19 * fraction)),
            num_single_layers=max(1, round(38 * fraction)),
        )
    )
    return diffusers.FluxPipeline(
        diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        autoencoder(16, 1024),
        clip(CLIP_L),
        clip_tokenizer(),
        t5_xxl(fraction),
        t5_tokenizer(),
        network,
    )


def t5_xxl(fraction: float) -> Any:
    layers = max(1, round(24 * fraction))
    return blank(lambda: transformers.T5EncoderModel(transformers.T5Config(**{**T5_XXL, "num_layers": layers})))


MODELS: dict[str, tuple[Callable[[float], Any], float]] = {
    "sd15": (sd15, 6),
    "sdxl": (sdxl, 15),
    "sd35-medium": (sd35_medium, 26),
    "flux-dev": (flux_dev, 42),
}
"""Name -> how it is made from a fraction of its layers, and GB that it takes whole: weights, activations and slack."""


class Clock:
    """Seconds by part, and the highest memory of this process."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds[part] = round(time.perf_counter() - began, 2)


def rehearse(name: str, steps: int, batch: int, folder: Path) -> dict[str, Any]:
    """Make, save, load and learn; what it took, as plain JSON values."""
    make, whole = MODELS[name]
    free = torch.cuda.mem_get_info()[0] / 1e9 if torch.cuda.is_available() else _free_memory()
    fraction = min(1.0, SHARE * free / whole)
    clock = Clock()
    with clock("make and save"):
        make(fraction).save_pretrained(folder)
    with clock("load"):
        backbone = backbones.load(str(folder), "auto", "bf16")
    assert isinstance(backbone, PipelineBackbone)
    side = backbone.picture_size
    photo = Image.effect_noise((side, side), 60).convert("RGB")
    concept = start(Words(words="red tea kettle"), [], backbone)
    settings = InvertSettings(steps=steps, batch=batch, held_out=1, evaluate_every=steps)
    with clock("encode the photo"):
        problem = Problem(backbone, concept, [photo], (), settings)
    drawn = problem.draw(1)
    vectors = {encoder: concept.vectors(encoder) for encoder in concept.encoders}
    with torch.no_grad(), clock("encode a prompt"):
        told = backbone.encode_prompt(problem.prompts[:1], concept.embeddings(vectors)).repeat(batch)
    with torch.no_grad(), clock("predict"):
        backbone.predict(drawn.latents, drawn.t, told)
    ends, losses = [time.perf_counter()], []
    for step in invert(backbone, concept, [photo], settings):
        ends.append(time.perf_counter())
        losses.append(step.loss)
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _peak_memory()
    return {
        "model": name,
        "layers": "all" if fraction == 1 else f"{fraction:.0%} of them, for want of memory",
        "picture": side,
        "batch": batch,
        "device": str(backbone.device),
        "threads": torch.get_num_threads(),
        "parameters": {
            part: sum(p.numel() for p in module.parameters())
            for part, module in backbone._pipe.components.items()
            if isinstance(module, nn.Module)
        },
        "seconds": clock.seconds,
        "seconds a step": [round(end - begin, 2) for begin, end in itertools.pairwise(ends[1:-1])],
        "losses": losses[1:],
        "peak GB": round(peak / 1e9, 1),
    }


def _free_memory() -> float:
    """GB that a new program may take on this machine."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) * 1024 / 1e9
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["sd15", "sdxl"], help="(default: sd15 sdxl)")
    parser.add_argument("--steps", type=int, default=3, help="of the inversion (default: 3)")
    parser.add_argument("--batch", type=int, default=1, help="samples a step (default: 1)")
    parser.add_argument("--scratch", type=Path, help="where the models' folders are made for the time being")
    args = parser.parse_args()
    for name in args.models:
        with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
            print(json.dumps(rehearse(name, args.steps, args.batch, Path(scratch) / name), indent=1), flush=True)


if __name__ == "__main__":
    main()
