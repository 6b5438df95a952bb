"""A study that nobody ran, whose numbers are known."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CONCEPTS = ("mug", "cat", "clock", "boat")
ARMS = {"star": "*", "class": "class", "caption": "caption"}
SEEDS = (0, 1)
STEPS = (0, 10, 25, 50, 100)
SCORED = (0, 25, 100)
BLOCKS: list[dict[str, Any]] = [
    {"kind": "curves", "title": "Convergence", "metrics": ["training-loss", "held-out-loss", "lpips"], "log": True},
    {"kind": "curves", "title": "By cost", "metrics": ["held-out-loss"], "x": "training-sample-steps"},
    {"kind": "table", "title": "Scores", "metrics": ["held-out-loss", "lpips"], "step": 100, "reference": "star"},
    {"kind": "reach", "title": "Cost", "metric": "held-out-loss", "reference": "star"},
    {"kind": "gallery", "title": "Gallery", "step": 100},
    {"kind": "frontier", "title": "Frontier", "x": "clip-editability", "y": "clip-reconstruction"},
    {"kind": "ablation", "title": "Seeds", "by": "seed", "metric": "held-out-loss", "step": 100},
    {"kind": "ablation", "title": "Starts", "by": "arm", "metric": "held-out-loss"},
]


def make(
    folder: Path,
    blocks: Any = BLOCKS,
    concepts: Any = CONCEPTS,
    arms: Any = ARMS,
    seeds: Any = SEEDS,
    steps: Any = STEPS,
    scored: Any = SCORED,
) -> Path:
    """A study that nobody ran: losses that fall, faster for later arms."""
    (folder / "trials").mkdir(parents=True)
    (folder / "photos").mkdir()
    ids = []
    for number, concept in enumerate(concepts):
        photo = ball(number)
        Image.fromarray(photo).save(folder / "photos" / f"{concept}.png")
        for place, arm in enumerate(arms):
            for seed in seeds:
                rng = np.random.default_rng((number, place, seed))
                record = invented(rng, (number, concept), (place, arm), seed, steps, scored)
                ids.append(record["id"])
                (folder / "trials" / f"{ids[-1]}.json").write_text(json.dumps(record, indent=1))
                strip = np.concatenate([np.clip(photo + rng.normal(0, 30, photo.shape), 0, 255)] * 4, axis=1)
                (folder / "pictures" / ids[-1]).mkdir(parents=True)
                Image.fromarray(strip.astype(np.uint8)).save(
                    folder / "pictures" / ids[-1] / f"step_{steps[-1]:06d}_0.png"
                )
    (folder / "plan.json").write_text(json.dumps(plan(blocks, concepts, arms, seeds, ids)))
    return folder


def ball(number: int) -> np.ndarray:
    """A photo, (64, 64, 3): a ball of a colour of its own before white."""
    colour = np.array([60 + 40 * number % 190, 200 - 45 * number % 190, 90])
    rows, columns = np.mgrid[:64, :64]
    inside = ((rows - 32) ** 2 + (columns - 32) ** 2 < 400)[..., None]
    return np.where(inside, colour, 235).astype(np.uint8)


def invented(
    rng: np.random.Generator, concept: tuple[int, str], arm: tuple[int, str], seed: int, steps: Any, scored: Any
) -> dict[str, Any]:
    """A trial's file; concept and arm are each a number and a name."""
    (number, thing), (place, init) = concept, arm
    rate = 0.02 * (1 + 1.5 * place) * (1 + 0.2 * rng.standard_normal())
    level = 0.08 + 0.012 * number - 0.003 * place

    def loss(step: int) -> float:
        return level + 0.03 * math.exp(-rate * step)

    points = [point(rng, place, rate, loss, step, step in scored) for step in steps]
    noise = rng.gamma(2, 0.5, steps[-1])
    digest = hashlib.sha256(f"{thing} {init} {seed}".encode()).hexdigest()[:8]
    return {
        "id": f"{thing}-{init}-s{seed}-{digest}",
        "concept": thing,
        "arm": init,
        "init": init,
        "seed": seed,
        "spec": {},
        "sentence": "*" if init == "star" else thing,
        "placeholders": 1 + 2 * (init == "caption"),
        "class": thing if init == "class" else None,
        "caption": f"a red {thing} | with $5 <b>" if init == "caption" else None,
        "training_loss": [round(float(3 * loss(s) * n), 8) for s, n in enumerate(noise)],
        "checkpoints": points,
        "how": {"pocket-lpips": "LPIPS's formula on the pocket's net"},
        "diverged": None,
        "picture_prompts": ["a photo of a {}"],
        "pictures_at": [steps[-1]],
    }


def point(
    rng: np.random.Generator, place: int, rate: float, loss: Callable[[int], float], step: int, is_scored: bool
) -> dict[str, Any]:
    """A checkpoint of a trial; random numbers are drawn for its scores whether they are kept or not."""

    def score(value: float, direction: str) -> dict[str, Any]:
        value = float(value + 0.01 * rng.standard_normal())
        return {"value": round(value, 8), "spread": 0.02, "samples": 4, "direction": direction}

    learned = 1 - math.exp(-rate * step)
    held_out = round(loss(step), 8)
    scores = {
        "pocket-lpips": score(0.4 - 0.2 * learned, "lower"),
        "pocket-clip-reconstruction": score(0.6 + 0.03 * place + 0.25 * learned, "higher"),
        "pocket-clip-editability": score(0.30 - 0.12 * learned**3 + 0.01 * place, "higher"),
    }
    return {
        "step": step,
        "sample_steps": 96 + step * 4,
        "training_sample_steps": step * 4,
        "held_out": {
            "mean": held_out,
            "difference": round(held_out - loss(0), 8),
            "standard_error": 0.001,
            "thirds": [0.2, 0.05, 0.01],
            "losses": [held_out],
        },
        "scores": scores if is_scored else {},
    }


def plan(blocks: Any, concepts: Any, arms: Any, seeds: Any, ids: list[str]) -> dict[str, Any]:
    return {
        "name": "synthetic",
        "question": "Which start is <better>?",
        "model": {"name": "pocket", "fingerprint": "abcdef123456", "dtype": "bfloat16", "device": "cpu"},
        "suite": "pocket",
        "threads": 1,
        "photowords": "0.1.0",
        "torch": "2.13.0",
        "seeds": list(seeds),
        "samples": 4,
        "trials": ids,
        "arms": [{"name": arm, "label": label, "init": arm, "settings": {"steps": 100}} for arm, label in arms.items()],
        "concepts": [{"name": concept, "photo": "0" * 64} for concept in concepts],
        "report": list(blocks),
    }


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "report" / "tables" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def trial(folder: Path, id_: str) -> dict[str, Any]:
    return json.loads((folder / "trials" / f"{id_}.json").read_text())


def edit(folder: Path, id_: str, change: Any) -> None:
    record = trial(folder, id_)
    change(record)
    (folder / "trials" / f"{id_}.json").write_text(json.dumps(record, indent=1))
