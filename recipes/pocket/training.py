"""The one training loop that every part of the pocket model uses.

A part is a module and a loss of a batch of indices. The loop owns what they share: bf16 compute with
fp32 master weights (far faster than autocast on CPUs with bf16 units), a warm-up / stable / decay
learning rate, averaged weights, checkpoints that a killed run continues from.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from recipes.pocket.data import BUILD

Loss = Callable[[torch.Generator, int], Tensor]


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
    compile: int = 0  # 1: torch.compile, a fifth faster for the UNet; on CPUs it needs a C++ compiler
    save_every: int = 500


def device() -> torch.device:
    """CUDA where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def options(doc: str | None, plan: Plan) -> Plan:
    """Read a Plan from the command line, with a part's own defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in vars(plan).items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value, help=f"default: {value}")
    return Plan(**vars(parser.parse_args()))


def learning_rate(step: int, plan: Plan) -> float:
    """Linear warm-up over 200 steps, constant, then linear to zero over the last ``decay_share``."""
    warm = min(1.0, (step + 1) / 200)
    left = (plan.steps - step) / max(1.0, plan.steps * plan.decay_share)
    return plan.lr * warm * min(1.0, left)


def train(name: str, model: nn.Module, loss: Loss, plan: Plan) -> dict[str, Tensor]:
    """Train and return the averaged fp32 weights. Continues from ``build/pocket/<name>.ckpt``.

    ``loss(generator, batch)`` draws its own batch from the generator and returns a scalar; the model
    it uses is ``model`` itself, which this function puts in bfloat16 on the right device.
    """
    model.to(device()).train()
    # Masters of matrices and convolutions are 2-D, (out, everything else), the shape that Muon works on.
    master = {
        key: value.detach().float().flatten(1).clone() if value.ndim > 1 else value.detach().float().clone()
        for key, value in model.named_parameters()
    }
    average = {key: value.clone() for key, value in master.items()}
    model.to(torch.bfloat16)
    live = dict(model.named_parameters())
    trainable = [key for key, value in live.items() if value.requires_grad]
    optimizers = make_optimizers({key: master[key] for key in trainable}, plan)
    checkpoint = BUILD / f"{name}.ckpt"
    start = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device(), weights_only=True)
        start = saved["step"]
        for key in master:
            master[key].copy_(saved["master"][key])
            average[key].copy_(saved["average"][key])
        for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        print(f"{name}: continues at step {start}", flush=True)
    with torch.no_grad():
        for key in trainable:
            live[key].copy_(master[key].view_as(live[key]))
    smooth, since, last = None, start, time.time()
    for step in range(start, plan.steps):
        generator = torch.Generator().manual_seed(1_000_003 * step + 7)
        # The fused attention's backward pass in bf16 is several times slower on CPUs than plain matrix products.
        with sdpa_kernel(SDPBackend.MATH) if device().type == "cpu" else nullcontext():
            value = loss(generator, plan.batch)
        model.zero_grad(set_to_none=True)
        value.backward()
        for key in trainable:
            gradient = live[key].grad
            master[key].grad = None if gradient is None else gradient.float().view_as(master[key])
        torch.nn.utils.clip_grad_norm_([master[k] for k in trainable if master[k].grad is not None], 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, plan)
            optimizer.step()
        with torch.no_grad():
            keep = min(plan.ema, (step + 1) / (step + 10))
            for key in trainable:
                live[key].copy_(master[key].view_as(live[key]))
            torch._foreach_lerp_([average[k] for k in trainable], [master[k] for k in trainable], 1 - keep)
        if step % 10 == 0:
            item = value.item()
            smooth = item if smooth is None else 0.9 * smooth + 0.1 * item
        if (step + 1) % 100 == 0:
            rate = (step + 1 - since) * plan.batch / (time.time() - last)
            print(f"{name}: step {step + 1}/{plan.steps} loss {smooth:.4f} {rate:.0f} samples/s", flush=True)
            since, last = step + 1, time.time()
        if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
            states = [optimizer.state_dict() for optimizer in optimizers]
            save({"step": step + 1, "master": master, "average": average, "optimizers": states}, checkpoint)
    return {key: average[key].view_as(live[key]) for key in average}


def make_optimizers(master: dict[str, Tensor], plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for hidden matrices; AdamW for embeddings, first and last layers, biases and norms."""
    outer = ("embedding", "conv_in", "conv_out", "head", "class_token", "cls_token", "position")
    hidden = [k for k, v in master.items() if plan.muon and v.ndim > 1 and not any(part in k for part in outer)]
    rest = [k for k in master if k not in hidden]
    decayed = [master[k] for k in rest if master[k].ndim > 1]
    plain = [master[k] for k in rest if master[k].ndim <= 1]
    groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    adam = torch.optim.AdamW([g for g in groups if g["params"]], lr=plan.lr, betas=(0.9, 0.99), fused=True)
    if not hidden:
        return [adam]
    matrices = [master[k] for k in hidden]
    # Its rate is scaled so that one learning rate serves both optimisers.
    muon = torch.optim.Muon(matrices, lr=plan.lr, weight_decay=plan.weight_decay, adjust_lr_fn="match_rms_adamw")
    return [adam, muon]


def save(state: object, path: Path) -> None:
    """torch.save to a temporary name, then rename: a kill never leaves half a checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, f"{path}.part")
    os.replace(f"{path}.part", path)
