"""A step of ours beside a step of diffusers' own script, on the same model, picture, batch and resolution.

``python -m benchmarks.step --script .../examples/textual_inversion/textual_inversion.py`` saves the pocket, or with
``--model sd15`` or ``sdxl`` a model of that shape with random weights (whose script is textual_inversion_sdxl.py), as a
folder in fp32. Each arm takes its turns (A B A B) in a process of its own, both in fp32 and, where the device is fast
at it, in bf16: milliseconds a step (median, after warm-up) of the clock and of CPU, training sample-steps a second, and
peak memory. What the scripts take from torchvision, a flip and a cut, is stood in for. Without ``--script`` ours runs
alone.
"""

from __future__ import annotations

import argparse
import gc
import importlib.machinery
import itertools
import json
import random
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WARM_UP = 3
Now = tuple[float, float]
"""Seconds of the clock, and of CPU that this process has had: other programs disturb these less."""


def now() -> Now:
    return time.perf_counter(), time.process_time()


def save(name: str, folder: Path, side: int | None = None) -> int:
    """The model as an ordinary fp32 folder, for pictures of another ``side`` where that is asked for; returns it."""
    import torch
    from diffusers import StableDiffusionPipeline

    if name == "pocket":
        from photowords import pocket

        pipe = StableDiffusionPipeline.from_pretrained(pocket.PIPELINE, dtype=torch.float32, safety_checker=None)
    else:
        from benchmarks.shapes import MODELS

        pipe = MODELS[name][0](1.0).to(torch.float32)
    if side is not None:
        pipe.unet.register_to_config(sample_size=side // pipe.vae_scale_factor)
    pipe.save_pretrained(folder)
    own: int = pipe.unet.config.sample_size * pipe.vae_scale_factor
    del pipe
    gc.collect()  # its parts know each other, and the turns need the memory
    return own


def ours(folder: Path, photo: Path, steps: int, batch: int, dtype: str) -> list[Now]:
    """When each of our steps ended, and the CPU's time then."""
    from photowords import backbones, images
    from photowords.initializers import start
    from photowords.inversion import invert
    from photowords.settings import InvertSettings
    from photowords.starts import Words

    backbone, picture = backbones.load(str(folder), dtype=dtype), images.load_photo(photo)
    settings = InvertSettings(steps=steps, batch=batch, held_out=1, evaluate_every=steps)
    taken = invert(backbone, start(Words(words="mug"), [picture], backbone), [picture], settings)
    return [now() for _ in taken][1:-1]  # neither before the first nor with the held-out loss


def script(path: Path, arguments: Sequence[str]) -> list[Now]:
    """When each step of diffusers' script ended: it counts them on a progress bar, once their loss is read."""
    import transformers
    from tqdm import auto  # type: ignore[import-untyped]

    transformers.utils.is_torchvision_available()  # which remembers that there is none

    def flip(p: float) -> Callable[[Any], Any]:
        return lambda picture: picture.transpose(0) if random.random() < p else picture

    def place(picture: Any, size: tuple[int, int]) -> tuple[int, int, int, int]:
        (height, width), (tall, wide) = size, (picture.height, picture.width)
        return random.randint(0, tall - height), random.randint(0, wide - width), height, width

    def crop(picture: Any, top: int, left: int, height: int, width: int) -> Any:
        return picture.crop((left, top, left + width, top + height))

    stand_in: Any = types.ModuleType("torchvision")
    stand_in.transforms = types.SimpleNamespace(
        RandomHorizontalFlip=flip,
        RandomCrop=lambda size: types.SimpleNamespace(get_params=place),  # the script for SDXL asks where it cuts
        functional=types.SimpleNamespace(crop=crop),
    )
    stand_in.__spec__ = importlib.machinery.ModuleSpec("torchvision", None)
    sys.modules["torchvision"] = stand_in
    ends: list[Now] = []

    class Bar(auto.tqdm):  # type: ignore[misc]
        def set_postfix(self, *args: Any, **told: Any) -> None:
            ends.append(now())

    auto.tqdm = Bar
    sys.argv = [str(path), *arguments]
    runpy.run_path(str(path), run_name="__main__")
    return ends


def serve(arm: str, args: argparse.Namespace) -> None:
    """Be one turn of an arm: its steps' milliseconds and this process's memory, as a line of JSON."""
    import torch

    photo = next((args.folder / "photos").iterdir())
    if arm.startswith("ours"):
        ends = ours(args.folder / "model", photo, args.steps, args.batch, arm.partition(" ")[2])
    else:
        told = {
            "pretrained_model_name_or_path": args.folder / "model",
            "train_data_dir": photo.parent,
            "placeholder_token": "<thing>",
            "initializer_token": "a",
            "resolution": args.side,
            "train_batch_size": args.batch,
            "max_train_steps": args.steps,
            "learning_rate": 5e-4,
            "save_steps": 10**9,
            "checkpointing_steps": 10**9,
            "output_dir": args.folder / "out",
            "mixed_precision": {"fp32": "no"}.get(arm.partition(" ")[2], "bf16"),
        }
        ends = script(args.script, [f"--{name}={value}" for name, value in told.items()])
    wall, cpu = (
        [(end[clock] - begin[clock]) * 1e3 for begin, end in itertools.pairwise(ends)][WARM_UP:] for clock in (0, 1)
    )
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"ms": wall, "cpu": cpu, "MB": peak / 1e6}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", type=Path, help="diffusers' textual_inversion.py, or textual_inversion_sdxl.py")
    parser.add_argument("--model", choices=("pocket", "sd15", "sdxl"), default="pocket", help="(default: pocket)")
    parser.add_argument("--steps", type=int, default=30, help="of each turn (default: 30)")
    parser.add_argument("--batch", type=int, default=4, help="samples a step (default: 4)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each arm (default: 2)")
    parser.add_argument("--side", type=int, help="pixels of a picture's side (default: the model's own)")
    parser.add_argument(
        "--dtype", choices=("bf16", "fp32"), help="this precision alone (default: fp32, and bf16 where it is fast)"
    )
    for hidden, kind in (("--folder", Path), ("--serve", str)):
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.steps < WARM_UP + 3:  # neither the first nor the last is timed
        parser.error(f"--steps is {args.steps}, but it must be at least {WARM_UP + 3}")
    if args.serve:
        serve(args.serve, args)
        return
    with tempfile.TemporaryDirectory() as scratch:
        from PIL import Image

        folder = Path(scratch)
        side = save(args.model, folder / "model", args.side)
        (folder / "photos").mkdir()
        photo = folder / "photos" / "photo.png"
        Image.effect_noise((side, side), 60).convert("RGB").save(photo)
        compare(args, folder, side)


def compare(args: argparse.Namespace, folder: Path, side: int) -> None:
    """Turns of all arms, and what they come to beside the script's faster one."""
    import torch

    from photowords.backbones import choose_device, choose_dtype

    # Where bf16 is not the device's own, a step in it can take a hundred times as long.
    fast = ("fp32",) if choose_dtype(choose_device()) == torch.float32 else ("bf16", "fp32")
    dtypes = (args.dtype,) if args.dtype else fast
    arms = [f"{who} {dtype}" for who in ("ours", *(["script"] if args.script else [])) for dtype in dtypes]
    taken: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
    given = ["--steps", args.steps, "--batch", args.batch, "--folder", folder, "--side", side]
    given += ["--script", args.script] if args.script else []
    for _ in range(args.rounds):
        for arm in arms:
            words = [sys.executable, "-m", "benchmarks.step", *map(str, given), "--serve", arm]
            run = subprocess.run(words, capture_output=True, text=True, check=False)
            if run.returncode:
                sys.exit(f"{arm}: {run.stderr.strip().splitlines()[-1]}")
            taken[arm].append(json.loads(run.stdout.splitlines()[-1]))
    ms = {arm: statistics.median(itertools.chain(*(turn["ms"] for turn in turns))) for arm, turns in taken.items()}
    cpu = {arm: statistics.median(itertools.chain(*(turn["cpu"] for turn in turns))) for arm, turns in taken.items()}
    beside = [arm for arm in arms if arm.startswith("script")] or arms[-1:]
    for arm, turns in taken.items():
        rate, peak = args.batch / ms[arm] * 1e3, max(turn["MB"] for turn in turns)
        ratios = min(ms[one] for one in beside) / ms[arm], min(cpu[one] for one in beside) / cpu[arm]
        print(
            f"{arm:12} {ms[arm]:8.1f} ms a step, {rate:6.1f} sample-steps/s, x{ratios[0]:.2f}; "
            f"{cpu[arm]:8.1f} ms of CPU, x{ratios[1]:.2f}; peak {peak:.0f} MB"
        )


if __name__ == "__main__":
    main()
