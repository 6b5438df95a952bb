"""The one training loop that every part of the pocket model uses.

A part is a module and a loss of a batch that it draws itself. The loop owns what they share: bf16 compute with fp32
master weights (far faster than autocast on CPUs with bf16 units; on others fp32), the learning rate, averaged weights,
checkpoints that a killed run continues from.

Small parts are trained for ``steps`` steps, the rate falling over the last of them. A part whose time is not known
beforehand runs at a constant rate (``decay_share`` 0) for ``minutes`` at a time, in as many sessions as there are; a
last run with ``finish`` steps lets the rate fall to zero, in a checkpoint of its own, so that the constant run may go
on later.

Under ``torchrun`` each worker takes its share of the batch, and the gradients are averaged; each then steps its share
of the matrices and tells the others. On CPUs one worker of one thread for each core does more than one worker of many
threads, which wait for one another at every operation, above all when other programs run.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from photowords import files
from photowords.backbones import choose_dtype
from recipes.pocket import data
from recipes.pocket.graph import Graphed
from recipes.pocket.muon import Muon

Draw = Callable[[torch.Generator, int], tuple[Tensor, ...]]
CHECKPOINTS = Path(__file__).with_name("checkpoints")  # weights that travel with the source


@dataclass(frozen=True)
class Plan:
    """How long and how fast a part is trained; every field is a command-line option."""

    steps: int
    batch: int
    lr: float
    weight_decay: float = 0.01
    decay_share: float = 0.4  # the last share of the steps, over which the rate falls to zero
    ema: float = 0.999
    muon: int = 1  # 1: Muon for the hidden matrices, AdamW for the rest; 0: AdamW for all
    compile: int = 0  # 1: torch.compile, a quarter faster for the UNet; on CPUs it needs a C++ compiler
    graph: int = 1  # 1: on a GPU, whole steps as one CUDA graph, in parts that can; 0: kernel by kernel
    save_every: int = 500
    minutes: float = 0.0  # stop, to be continued, after so many; 0: never
    warm: str = (
        ""  # start from the trained pocket in this folder, as far as shapes agree; judge and scorer from their own
    )
    finish: int = 0  # let the rate fall to zero over so many steps from where the constant run stands, and end there
    within: float = 0.0  # end after so many minutes, not after ``steps``; the rate falls over the last of them

    @property
    def ends(self) -> bool:
        """Whether the rate falls to zero, so that what comes out may ship; a constant run is to be gone on with."""
        return bool(self.finish or self.decay_share)


def warm_start(model: nn.Module, trained: Mapping[str, Tensor]) -> None:
    """Take over what a trained model knows: every parameter of the same name and shape.

    A patch's kernel of half the side is spread out: then the reader sees at first what it would see of the picture at
    half the size.
    """
    taken = 0
    with torch.no_grad():
        for key, value in model.named_parameters():
            old = trained.get(key)
            if old is not None and old.ndim == 4 and [2 * side for side in old.shape[2:]] == list(value.shape[2:]):
                old = old.float().repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
            if old is not None and old.shape == value.shape:
                value.copy_(old)
                taken += value.numel()
    total = sum(value.numel() for value in model.parameters())
    print(f"starts from a trained model: {taken / 1e6:.2f}M of {total / 1e6:.2f}M parameters", flush=True)


def save_tracked(weights: Mapping[str, Tensor], file: Path) -> None:
    """Write weights that travel with the source, in half precision; an old file stays whole until then."""
    with files.atomic(file) as path:
        save_file({key: value.cpu().half().contiguous() for key, value in weights.items()}, path)
    file.chmod(0o644)  # safetensors writes for its owner alone


def workers() -> tuple[int, int]:
    """This worker's number and how many there are; (0, 1) without ``torchrun``."""
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        dist.init_process_group("gloo", timeout=timedelta(hours=2))  # one may wait long for the other's pictures
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def device() -> torch.device:
    """CUDA where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision() -> torch.dtype:
    """What parts compute in: bf16 where the device is fast at it."""
    return choose_dtype(device())


def noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise of a tensor's shape, on its device, in fp32; drawn there, where it costs nothing."""
    if like.device.type != "cpu":
        seed = int(torch.randint(1 << 62, (), generator=generator))
        generator = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, generator=generator, device=like.device)


def options(doc: str | None, plan: Plan) -> Plan:
    """Read a Plan from the command line, with a part's own defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in vars(plan).items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value, help=f"default: {value}")
    return Plan(**vars(parser.parse_args()))


def learning_rate(step: int, plan: Plan, since: int = 0, begin: int | None = None, minutes: float = 0.0) -> float:
    """Linear warm-up over 200 steps from ``since``, constant, then linear to zero over the last ``decay_share``.

    With ``begin``, linear to zero over the ``finish`` steps from there. ``minutes`` have passed so far.
    """
    warm = min(1.0, (step - since + 1) / 200)
    if begin is not None:
        return plan.lr * warm * max(0.0, 1 - (step - begin) / plan.finish)
    left = 1 - (minutes / plan.within if plan.within else step / plan.steps)
    return plan.lr * warm * min(1.0, max(0.0, left) / max(1e-9, plan.decay_share))


@dataclass
class _State:
    step: int  # the next one
    since: int  # where the optimisers began
    begin: int | None  # where the final fall of the rate began
    master: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizers: list[torch.optim.Optimizer]  # this worker's

    def load(self, file: Path) -> None:
        """Stand where a checkpoint of this machine was written; the moments, if as many workers kept them there."""
        saved = torch.load(file, map_location=device(), weights_only=True)
        self.step, self.since, self.begin = saved["step"], saved["since"], saved["begin"]
        for key in self.master:
            self.master[key].copy_(saved["master"][key])
            self.average[key].copy_(saved["average"][key])
        files = [_moments(file, rank) for rank in range(workers()[1])]
        kept = [torch.load(part, map_location=device(), weights_only=True) for part in files if part.exists()]
        if [moments["step"] for moments in kept] == [self.step] * len(files) and kept[0]["workers"] == len(files):
            for optimizer, state in zip(self.optimizers, kept[workers()[0]]["optimizers"], strict=True):
                # What a graph needs of them (a rate that is a tensor) is this run's, not that of the run which saved.
                own = [
                    {key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups
                ]
                optimizer.load_state_dict(state)
                for group, kept_own in zip(optimizer.param_groups, own, strict=True):
                    group.update(kept_own)
        else:
            self.since = self.step

    def save(self, file: Path) -> None:
        """To a temporary name, then renamed: a kill never leaves half a file. The first worker writes the weights."""
        rank, count = workers()
        file.parent.mkdir(parents=True, exist_ok=True)
        moments = [optimizer.state_dict() for optimizer in self.optimizers]
        parts = {_moments(file, rank): {"step": self.step, "workers": count, "optimizers": moments}}
        if rank == 0:
            parts[file] = {key: value for key, value in vars(self).items() if key != "optimizers"}
        for target, part in parts.items():
            torch.save(part, f"{target}.part")
            os.replace(f"{target}.part", target)


def _moments(file: Path, rank: int) -> Path:
    return file.with_name(f"{file.stem}-moments-{rank}.ckpt")


def train(
    name: str, model: nn.Module, loss: Callable[..., Tensor], plan: Plan, draw: Draw | None = None
) -> tuple[dict[str, Tensor], bool]:
    """Train; the averaged fp32 weights, and whether the plan is done (or has only run out of minutes).

    Continues from ``<name>.ckpt`` of the build folder, else starts. ``loss(generator, batch)`` draws its own batch from
    the generator and returns a scalar; the model it uses is ``model`` itself, which this function puts in
    ``precision()`` on the right device. Where ``draw(generator, batch)`` draws the tensors, ``loss`` is given these
    and reads nothing else: then a GPU may repeat the step by itself (``graph``).
    """
    started = last = time.time()
    rank, count = workers()
    model.to(device()).train()
    if device().type == "cuda" or precision() == torch.bfloat16:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Masters of matrices and convolutions are 2-D, (out, everything else), the shape that Muon works on.
    master = {
        key: value.detach().float().flatten(1).clone() if value.ndim > 1 else value.detach().float().clone()
        for key, value in model.named_parameters()
    }
    model.to(precision())
    live = dict(model.named_parameters())
    trainable = [key for key, value in live.items() if value.requires_grad]
    stepped = {key: master[key] for key in trainable}
    optimizers = make_optimizers(stepped, plan)
    state = _State(0, 0, None, master, {key: value.clone() for key, value in master.items()}, optimizers)
    checkpoint = data.BUILD / f"{name}{'-finish' if plan.finish else ''}.ckpt"
    resume(state, name, checkpoint, plan)
    end = plan.steps if state.begin is None else state.begin + plan.finish
    print(f"{name}: step {state.step} of {end}, worker {rank + 1} of {count}", flush=True)
    with torch.no_grad():
        for key in trainable:
            live[key].copy_(master[key].view_as(live[key]))

    def step(*drawn: Any) -> Tensor:
        # The fused attention's backward pass in bf16 is several times slower on CPUs than plain matrix products.
        plain = device().type == "cpu" and precision() == torch.bfloat16
        with sdpa_kernel(SDPBackend.MATH) if plain else nullcontext():
            value = loss(*drawn)
        model.zero_grad(set_to_none=True)
        value.backward()
        if count > 1:  # in what parts compute in, which is half of the bytes
            average([grad for key in trainable if (grad := live[key].grad) is not None], count)
        for key in trainable:
            gradient = live[key].grad
            master[key].grad = None if gradient is None else gradient.float().reshape(master[key].shape)
        learnt = [master[key] for key in trainable if master[key].grad is not None]
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        if count > 1:
            share_out([master[key] for key in hidden(stepped, plan)], count)
        with torch.no_grad():
            torch._foreach_copy_([live[k] for k in trainable], [master[k].view_as(live[k]) for k in trainable])
        return value.detach()

    repeated = Graphed(step) if draw and on_graph(plan) else step
    smooth, since = None, state.step
    in_time = True
    while state.step < end and in_time:
        generator = torch.Generator().manual_seed(1_000_003 * state.step + 7 + 500_009 * rank)
        minutes = agreed((time.time() - started) / 60, count)
        in_time = not plan.minutes or minutes < plan.minutes
        if plan.within and minutes >= plan.within:
            end = state.step + 1
        set_rate(optimizers, learning_rate(state.step, plan, state.since, state.begin, minutes))
        drawn = (generator, plan.batch // count)
        value = repeated(*(draw(*drawn) if draw else drawn))
        keep = min(plan.ema, (state.step + 1) / (state.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_([state.average[k] for k in trainable], [master[k] for k in trainable], 1 - keep)
        if state.step % 10 == 0 or smooth is None:
            item = value.item()
            smooth = item if smooth is None else 0.9 * smooth + 0.1 * item
        state.step += 1
        if state.step % 100 == 0 and rank == 0:
            rate = (state.step - since) * plan.batch / (time.time() - last)
            print(f"{name}: step {state.step}/{end} loss {smooth:.4f} {rate:.0f} samples/s", flush=True)
            since, last = state.step, time.time()
        if state.step % plan.save_every == 0 or state.step == end or not in_time:
            state.save(checkpoint)
    if rank:
        raise SystemExit  # the first worker does what is left to do
    return {key: state.average[key].view_as(live[key]) for key in state.average}, state.step >= end


def on_graph(plan: Plan) -> bool:
    """Whether steps are CUDA graphs, where the part can."""
    return bool(plan.graph) and device().type == "cuda" and workers()[1] == 1


def set_rate(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    """Of all groups; in place where it is a tensor, which a CUDA graph reads."""
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def step_of(file: Path) -> int:
    """The step at which a checkpoint was written."""
    return int(torch.load(file, map_location="cpu", weights_only=True, mmap=True)["step"])


def resume(state: _State, name: str, checkpoint: Path, plan: Plan) -> None:
    """Stand where the newest of the checkpoints says."""
    constant = data.BUILD / f"{name}.ckpt"
    if plan.warm and not plan.finish and (checkpoint.exists() or constant.exists()):
        print(f"{name}: goes on from its checkpoint in {data.BUILD}, not from {plan.warm}; remove it to begin anew")
    if checkpoint.exists():
        state.load(checkpoint)
    # A fall of the rate is gone on with, unless the constant run has gone on since it began.
    stale = plan.finish and checkpoint.exists() and constant.exists() and step_of(constant) != state.begin
    if constant.exists() and (stale or not checkpoint.exists()):
        state.load(constant)
    if plan.finish and state.begin is None:
        state.begin = state.step


def hidden(master: dict[str, Tensor], plan: Plan) -> list[str]:
    """The names of the hidden matrices, which Muon steps."""
    outer = ("embedding", "conv_in", "conv_out", "head", "class_token", "cls_token", "position")
    return [k for k, v in master.items() if plan.muon and v.ndim > 1 and not any(part in k for part in outer)]


def agreed(minutes: float, count: int) -> float:
    """The workers' clocks averaged: all of them are to end at one step."""
    if count == 1:
        return minutes
    clock = torch.tensor([minutes])
    dist.all_reduce(clock)
    return float(clock) / count


def average(gradients: list[Tensor], count: int) -> None:
    """Average gradients over the workers, in place."""
    flat = torch.cat([value.flatten().cpu() for value in gradients])
    dist.all_reduce(flat)
    for value, part in zip(gradients, (flat / count).split([value.numel() for value in gradients]), strict=True):
        value.copy_(part.view_as(value))


def share_out(matrices: list[Tensor], count: int) -> None:
    """Every worker hears what the others have stepped: worker k steps each ``count``-th matrix from the k-th on."""
    for owner in range(count):
        own = matrices[owner::count]
        if not own:
            continue
        flat = torch.cat([value.flatten() for value in own]).cpu()
        dist.broadcast(flat, owner)
        for value, part in zip(own, flat.split([value.numel() for value in own]), strict=True):
            value.copy_(part.view_as(value))


def make_optimizers(master: dict[str, Tensor], plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for this worker's share of the hidden matrices; AdamW for embeddings, first and last layers, biases and
    norms, the same in every worker."""
    matrices = hidden(master, plan)
    rest = [k for k in master if k not in matrices]
    decayed = [master[k] for k in rest if master[k].ndim > 1]
    plain = [master[k] for k in rest if master[k].ndim <= 1]
    groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    rate = torch.tensor(plan.lr, device=device()) if on_graph(plan) else plan.lr
    adam = torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=rate, betas=(0.9, 0.99), fused=True, capturable=on_graph(plan)
    )
    rank, count = workers()
    own = [master[k] for k in matrices[rank::count]]
    if not own:
        return [adam]
    return [adam, Muon(own, lr=rate, weight_decay=plan.weight_decay, dtype=precision())]
