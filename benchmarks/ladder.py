"""A step of ours, one technique after the other: what each is worth on this device.

``python -m benchmarks.ladder --model sd15`` prints milliseconds a step (median, after warm-up), kernels a step (on the
CPU: operations), on CUDA the share of the arithmetic floor, and how far each gradient is from fp32's. ``--model`` is
the pocket, or a model of SD 1.5's or SDXL's shapes with random weights. A CUDA graph holds the network's part of a step
alone, forward and backward; the text's, a hundredth of its arithmetic but about a seventh of its kernels, stays
outside, since it changes with the templates.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.step import WARM_UP, save
from photowords import backbones
from photowords.backbones import Backbone, Conditioning
from photowords.initializers import start
from photowords.inversion import Problem
from photowords.inversion.loss import Batch, denoising_loss
from photowords.settings import InvertSettings
from photowords.starts import Words
from recipes.pocket.graph import Graphed

FLOOR = {"sd15": 1.669e12 / 790e12}
"""Seconds a sample that the network's operations take at an H200's 790 dense TFLOP/s in bf16, forward and backward."""


class Rung(NamedTuple):
    """One way to compute the same step.

    Attributes:
        dtype: of the network.
        last: whether channels are last in memory.
        compiled: whether the network is compiled.
        graph: whether the network's part is one CUDA graph.
    """

    name: str
    dtype: str
    last: bool = False
    compiled: bool = False
    graph: bool = False


RUNGS = (
    Rung("fp32", "fp32"),
    Rung("bf16", "bf16"),
    Rung("+ channels last", "bf16", last=True),
    Rung("+ one CUDA graph", "bf16", last=True, graph=True),
    Rung("compiled, no graph", "bf16", last=True, compiled=True),
    Rung("compiled + graph", "bf16", last=True, compiled=True, graph=True),
)


def network_gradient(backbone: Backbone, names: Sequence[str], *drawn: Tensor) -> Tensor:
    """The gradient of a batch's mean loss in its conditioning's tensors, flat. Reads nothing back, as a graph needs.

    ``drawn``: latents, noise, timesteps and weights as a ``Batch`` has them, then the conditioning's tensors by name.
    """
    latents, noise, t, weight, *told = drawn
    leaves = [tensor.detach().requires_grad_() for tensor in told]
    batch = Batch(latents, noise, t, weight, torch.empty(0))  # which prompts these are is in the conditioning
    loss = denoising_loss(backbone, batch, Conditioning(dict(zip(names, leaves, strict=True)))).mean()
    found = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return torch.cat([slope.flatten() for slope in found])


def step_of(rung: Rung, folder: Path, picture: Image.Image, batch: int) -> Callable[[], Tensor]:
    """A step as the rung makes it, always of the same draws: its gradient in all rows that learn, flat in fp32."""
    backbone: Any = backbones.load(str(folder), dtype=rung.dtype)
    backbone._network.to(memory_format=torch.channels_last if rung.last else torch.contiguous_format)
    if rung.compiled:
        backbone._network.compile()
    concept = start(Words(words="mug"), [picture], backbone)
    problem = Problem(backbone, concept, [picture], (), InvertSettings(batch=batch, held_out=1))
    rows = {name: problem.trained(name).requires_grad_() for name in concept.encoders}
    drawn = problem.draw(1)
    names = list(problem.conditioning(problem.vectors(rows), drawn).tensors)

    def network(*drawn: Tensor) -> Tensor:
        return network_gradient(backbone, names, *drawn)

    run = Graphed(network) if rung.graph else network

    def step() -> Tensor:
        told = list(problem.conditioning(problem.vectors(rows), drawn).tensors.values())
        flat = run(drawn.latents, drawn.noise, drawn.t, drawn.weight, *(tensor.detach() for tensor in told))
        slopes = [part.view_as(one) for part, one in zip(flat.split([x.numel() for x in told]), told, strict=True)]
        learning = [(one, slope) for one, slope in zip(told, slopes, strict=True) if one.requires_grad]
        found = torch.autograd.grad([one for one, _ in learning], list(rows.values()), [slope for _, slope in learning])
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return torch.cat([one.flatten() for one in found]).float()

    return step


def climb(folder: Path, picture: Image.Image, batch: int, steps: int, floor: float | None) -> None:
    """Time every rung that this device has, and print a line for each; one that fails says why and costs itself."""
    cuda = torch.cuda.is_available()
    exact: Tensor | None = None
    for rung in (rung for rung in RUNGS if cuda or not (rung.graph or rung.compiled)):
        gc.collect()  # parts of a model know each other, and the next rung's peak is to be its own
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            gradient, told = measure(step_of(rung, folder, picture, batch), steps, batch, floor)
        except Exception as error:  # a graph that cannot be captured, no compiler, no memory
            print(f"{rung.name:18} failed: {type(error).__name__}: {str(error).strip().splitlines()[:1]}", flush=True)
            continue
        exact = gradient if exact is None else exact
        off = ((gradient - exact).norm() / exact.norm()).item()
        print(f"{rung.name:18} {told}, gradient off by {off:.1e}", flush=True)


def measure(step: Callable[[], Tensor], steps: int, batch: int, floor: float | None) -> tuple[Tensor, str]:
    """The gradient of a step, and its milliseconds, the device's own among them, kernels and memory in words."""
    cuda = torch.cuda.is_available()
    for _ in range(WARM_UP + 1):  # the graph is captured after the warm-up
        gradient = step().clone()
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    with profile(activities=[ProfilerActivity.CUDA] if cuda else [ProfilerActivity.CPU]) as seen:
        step()
    found, seconds = seen.key_averages(), statistics.median(times)
    kernels = sum(e.count for e in found if (e.self_device_time_total if cuda else e.key.startswith("aten::")))
    told = f"{seconds * 1e3:8.1f} ms a step, {kernels:5} {'kernels' if cuda else 'operations'}"
    if cuda:
        own = sum(e.self_device_time_total for e in found) / 1e3
        told += f" of {own:.1f} ms, peak {torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
        told += f", {floor * batch / seconds:.0%} of the floor" if floor else ""
    return gradient, told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("pocket", "sd15", "sdxl"), default="pocket", help="(default: pocket)")
    parser.add_argument("--steps", type=int, default=30, help="timed on each rung (default: 30)")
    parser.add_argument("--batch", type=int, default=4, help="samples a step (default: 4)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        side = save(args.model, Path(scratch))
        picture = Image.effect_noise((side, side), 60).convert("RGB")
        climb(Path(scratch), picture, args.batch, args.steps, FLOOR.get(args.model))


if __name__ == "__main__":
    main()
