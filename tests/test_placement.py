"""Where a large model's parts are while they work."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from photowords import backbones, images, pocket
from photowords.backbones import placement
from photowords.backbones.source import Source
from photowords.backbones.stable_diffusion import StableDiffusion
from photowords.errors import UserError
from photowords.initializers import start
from photowords.inversion import invert
from photowords.settings import InvertSettings
from photowords.starts import Words

GPU = torch.device("cuda", 0)


def test_small_models_stay_on_the_device_and_large_ones_go_by_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "_memory", lambda device: 24e9)
    gigabytes = 10**9
    assert placement._automatic([3 * gigabytes, gigabytes], GPU) == "none"
    assert placement._automatic([5 * gigabytes, 2 * gigabytes], GPU) == "none"
    assert placement._automatic([12 * gigabytes, 10 * gigabytes], GPU) == "model"
    assert placement._automatic([24 * gigabytes, 10 * gigabytes], GPU) == "sequential"
    assert placement._automatic([24 * gigabytes, 10 * gigabytes], torch.device("cpu")) == "none"


@pytest.mark.parametrize(("fast", "kind"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_gpu_is_chosen_and_never_fp16(fast: bool, kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: fast or including_emulation)
    device = backbones.choose_device()
    assert device.type == "cuda" and backbones.choose_dtype(device) is kind


def test_a_parts_size_is_in_bytes(tiny_folder: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(tiny_folder, torch_dtype=torch.bfloat16)
    parts = (pipe.unet, pipe.vae, pipe.text_encoder)
    assert sum(placement._sizes(pipe)) == 2 * sum(value.numel() for part in parts for value in part.parameters())


def test_an_offloaded_model_learns_and_draws_the_same(tiny_folder: Path) -> None:
    """With the CPU in the GPU's place: the parts go through the same hooks."""
    source = Source(tiny_folder, "sd", str(tiny_folder))
    photo, settings = images.load_photo(pocket.view("mug")), InvertSettings(steps=2, held_out=4, evaluate_every=1)
    found, hashes = [], []
    for how in ("none", "model"):
        model = StableDiffusion(source, torch.device("cpu"), torch.float32, how)
        begin = start(Words(words="red mug"), [], model, "mug")
        last = [*invert(model, begin, [photo], settings)][-1]
        prompt = model.encode_prompt([["a photo of a", *begin.refs]], begin.embeddings())
        assert last.held_out is not None
        found.append((last.concept.vectors("clip_l"), last.held_out, prompt["prompt_embeds"]))
        hashes.append(model.weights_hash())
        assert model.reconstruct(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 64, 64)
    assert all(torch.equal(plain, moved) for plain, moved in zip(*found, strict=True))
    assert hashes[0] == hashes[1], "the weights are the same ones"


def test_sequential_is_diffusers_own(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []
    monkeypatch.setattr(
        StableDiffusionPipeline, "enable_sequential_cpu_offload", lambda self, device: asked.append(device)
    )
    StableDiffusion(Source(tiny_folder, "sd", str(tiny_folder)), torch.device("cpu"), torch.float32, "sequential")
    assert asked == [torch.device("cpu")]


def test_offloading_without_a_gpu_is_refused() -> None:
    with pytest.raises(UserError, match="`offload` model spares a GPU's memory, but this is on the CPU"):
        backbones.load("pocket", "cpu", offload="model")
    with pytest.raises(UserError, match="must be one of auto, none, model, sequential"):
        backbones.load("pocket", "cpu", offload="half")
