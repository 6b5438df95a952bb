"""A batch in parts, one after the other or on several processes, is the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL.Image import Image
from torch import Tensor

from photowords import backbones, formats, pocket
from photowords.backbones import Backbone, Conditioning
from photowords.errors import PhotowordsWarning
from photowords.generation import generate
from photowords.initializers import start
from photowords.inversion import Problem, Step, invert
from photowords.settings import GenerateSettings, InvertSettings
from photowords.starts import Words

ROOT = Path(__file__).parents[1]
SETTINGS = InvertSettings(steps=3, batch=5, held_out=2, evaluate_every=3)
LEARN = """
import sys
from pathlib import Path
import torch
import torch.distributed as dist
from photowords import backbones, formats, images, pocket
from photowords.initializers import start
from photowords.inversion import invert
from photowords.settings import InvertSettings
from photowords.starts import Words

dist.init_process_group("gloo")
model, out = sys.argv[1:]
backbone, photo = backbones.load(model, "cpu", "fp32"), images.load_photo(pocket.view("mug"))
concept = start(Words(words="red mug"), [], backbone, "it")
*_, last = invert(backbone, concept, [photo], InvertSettings(steps=3, batch=5, held_out=2, evaluate_every=3))
formats.write(last.concept, Path(out) / f"{dist.get_rank()}.safetensors", "photowords")
torch.save((last.loss, last.gradient), Path(out) / f"{dist.get_rank()}.pt")
dist.destroy_process_group()
"""


@pytest.fixture
def own(tiny_folder: Path) -> Backbone:
    """A backbone that a test may change."""
    return backbones.load(str(tiny_folder), "cpu", "fp32")


def last_step(backbone: Backbone, photo: Image) -> Step:
    *_, last = invert(backbone, start(Words(words="red mug"), [], backbone, "it"), [photo], SETTINGS)
    return last


def learned(backbone: Backbone, photo: Image) -> Tensor:
    return last_step(backbone, photo).concept.vectors("clip_l")


FULL = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError(
        "MPS backend out of memory (MPS allocated: 8.81 GB, other allocations: 160 KB, max allowed: 9.07 GB)."
    ),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to"),
    MemoryError(),
)
"""How PyTorch says so on each kind of device, and Python."""


def small_memory(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, holds: Callable[[], int], full: Exception = FULL[0]
) -> list[int]:
    """A backbone whose device holds so many samples; the sizes that it is asked for."""
    predict, asked = backbone.predict, []

    def limited(noisy: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        asked.append(len(t))
        if len(t) > holds():
            raise full
        return predict(noisy, t, conditioning)

    monkeypatch.setattr(backbone, "predict", limited)
    monkeypatch.setattr(backbone, "at_once", None)
    return asked


@pytest.mark.parametrize("full", FULL, ids=["cuda", "mps", "cublas", "cpu", "python"])
def test_out_of_memory_splits_the_batch_and_says_so_once(
    tiny: Backbone, mug: Image, monkeypatch: pytest.MonkeyPatch, full: Exception
) -> None:
    whole = learned(tiny, mug)
    asked = small_memory(tiny, monkeypatch, lambda: 2, full)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PhotowordsWarning)
        parts = learned(tiny, mug)
    said = [str(one.message) for one in caught if "at once" in str(one.message)]
    assert said == [
        "the memory does not hold 5 samples at once; they are taken 2 by 2, which changes nothing but the time"
    ]
    assert asked == [2, 5, *[2, 2, 1] * 3, 2]
    assert torch.allclose(parts, whole, rtol=0, atol=1e-6)


def test_memory_for_less_than_one_sample_computes_its_activations_again(
    own: Backbone, mug: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = learned(own, mug)
    network: Any = own._network  # type: ignore[attr-defined]
    asked = small_memory(
        own, monkeypatch, lambda: 3 if network.is_gradient_checkpointing or not torch.is_grad_enabled() else 0
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PhotowordsWarning)
        parts = learned(own, mug)
    said = [str(one.message) for one in caught if "memory" in str(one.message)]
    assert "does not hold what a sample's gradient needs; that is computed twice instead of kept" in said[2]
    assert asked == [2, 5, 2, 1, 5, *[2, 2, 1] * 3, 2]
    assert len(said) == 4
    assert torch.allclose(parts, whole, rtol=0, atol=1e-6)


def test_memory_for_less_than_that_is_an_error(own: Backbone, mug: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = small_memory(own, monkeypatch, lambda: 0 if torch.is_grad_enabled() else 2)
    with warnings.catch_warnings(), pytest.raises(torch.OutOfMemoryError):
        warnings.simplefilter("ignore", PhotowordsWarning)
        learned(own, mug)
    assert asked == [2, 5, 2, 1, 5, 2, 1]


def test_held_out_losses_are_measured_in_parts_as_well(
    own: Backbone, mug: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = Problem(own, start(Words(words="red mug"), [], own, "it"), [mug], (), SETTINGS)
    vectors = {"clip_l": problem.trained("clip_l")}
    whole = problem.held_out(vectors)
    asked = small_memory(own, monkeypatch, lambda: 1)
    with pytest.warns(PhotowordsWarning, match="does not hold 2 samples at once; they are taken 1 by 1"):
        parts = problem.held_out(vectors)
    assert asked == [2, 1, 1]
    assert torch.allclose(parts, whole, rtol=0, atol=1e-6)


def test_the_held_out_prompts_are_read_in_parts_as_well(
    own: Backbone, mug: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = Problem(own, start(Words(words="red mug"), [], own, "it"), [mug], (), SETTINGS)
    vectors = {"clip_l": problem.trained("clip_l")}
    whole, encode, asked = problem.held_out(vectors), own.encode_prompt, []

    def limited(prompts: Any, embeddings: Any) -> Conditioning:
        asked.append(len(prompts))
        if len(prompts) > 13:
            raise FULL[0]
        return encode(prompts, embeddings)

    monkeypatch.setattr(own, "encode_prompt", limited)
    with pytest.warns(
        PhotowordsWarning, match=rf"hold {len(problem.held_out_prompts)} samples at once; they are taken"
    ):
        parts = problem.held_out(vectors)
    assert len(problem.held_out_prompts) > 20 and asked[0] == len(problem.held_out_prompts) == sum(
        n for n in asked if n <= 13
    )
    assert torch.allclose(parts, whole, rtol=0, atol=1e-6)


def test_pictures_are_drawn_in_parts_as_well(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = generate(own, "a mug", [], range(5), GenerateSettings(steps=2))
    draw, asked = own._draw, []

    def limited(prompt: Conditioning, *told: Any) -> Tensor:
        asked.append(len(prompt))
        if len(prompt) > 2:
            raise FULL[0]
        return draw(prompt, *told)

    monkeypatch.setattr(own, "_draw", limited)
    with pytest.warns(PhotowordsWarning, match="does not hold 5 samples at once; they are taken 2 by 2"):
        parts = generate(own, "a mug", [], range(5), GenerateSettings(steps=2))
    assert asked == [5, 2, 2, 1]
    pairs = [(np.asarray(one, int), np.asarray(other, int)) for one, other in zip(whole, parts, strict=True)]
    assert max(np.abs(one - other).max() for one, other in pairs) <= 1


def test_two_processes_learn_what_one_does(tiny_folder: Path, tmp_path: Path) -> None:
    """Five samples on two: three on one, two on the other."""
    script = tmp_path / "learn.py"
    script.write_text(LEARN)
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    subprocess.run([*torchrun, script, tiny_folder, tmp_path], env=environment, check=True, capture_output=True)
    one, other = (formats.read(tmp_path / f"{rank}.safetensors").vectors("clip_l") for rank in range(2))
    backbone = backbones.load(str(tiny_folder), "cpu", "fp32")
    from photowords import images

    single = last_step(backbone, images.load_photo(pocket.view("mug")))
    assert torch.equal(one, other)
    assert torch.allclose(one, single.concept.vectors("clip_l"), rtol=0, atol=1e-6)
    for rank in range(2):  # a tangent step does not tell how long its gradient was
        loss, gradient = torch.load(tmp_path / f"{rank}.pt")
        assert loss == pytest.approx(single.loss, rel=1e-5)
        assert single.gradient is not None and torch.allclose(gradient, single.gradient, rtol=1e-4)
