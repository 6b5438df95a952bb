"""Does a caption start help? The paper's claim on the bundled bank: 12 concepts x seeds x starts, 100 steps each.

``python benchmarks/bank.py`` runs every trial on the pocket model (one photo, batch 4, the defaults) in two
processes of one thread and writes ``build/bank.json``: held-out losses at steps 0, 25 and 100 and, for the
caption start, how alike the pictures in view 0's scene are to the four other true views, before and after learning.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from pathlib import Path
from typing import Any

SAMPLES = (100, 101, 102, 103)
STEPS = (0, 25, 100)


def trial(job: tuple[str, str, int]) -> dict[str, Any]:
    """One inversion; the backbone is loaded once a process."""
    import torch

    from photowords import backbones, clip, pocket
    from photowords.generation import generate
    from photowords.images import load_photo
    from photowords.initializers import start
    from photowords.inversion import invert
    from photowords.metrics import to_images
    from photowords.settings import InvertSettings

    torch.set_num_threads(1)
    concept_name, init, seed = job
    state = _STATE
    if not state:
        state.update(backbone=backbones.load("pocket"), clip=clip.load(str(pocket.CLIP)))
    backbone, encoder = state["backbone"], state["clip"]
    photo = load_photo(pocket.view(concept_name))
    concept = start(init, [photo], backbone, name="it")
    began = time.perf_counter()
    steps = list(invert(backbone, concept, [photo], InvertSettings(seed=seed)))
    seconds = time.perf_counter() - began
    held_out = {step.index: step.held_out.mean().item() for step in steps if step.held_out is not None}
    row: dict[str, Any] = {"concept": concept_name, "init": init, "seed": seed, "sentence": concept.sentence}
    row |= {"held_out": {step: held_out[step] for step in STEPS}, "seconds": seconds}
    if init == "caption":
        record = json.loads((pocket.BANK / concept_name / "spec.json").read_text())
        scene = record["captions"][0].split(record["description"])[1]
        truth = encoder.images([load_photo(pocket.view(concept_name, k)) for k in range(1, 5)])
        for when, shown in (("before", concept), ("after", steps[-1].concept)):
            pictures = generate(backbone, f"a photo of a {{it}}{scene}", [shown], SAMPLES)
            row[f"similarity_{when}"] = to_images(encoder.images(pictures), truth).mean().item()
    return row


_STATE: dict[str, Any] = {}


def paired(rows: list[dict[str, Any]], inits: list[str]) -> list[str]:
    """For each start and step: mean and spread over concepts, and in how many concepts the caption is lower."""
    concepts = sorted({row["concept"] for row in rows})

    def mean(concept: str, init: str, step: int) -> float:
        return statistics.mean(
            row["held_out"][step] for row in rows if row["concept"] == concept and row["init"] == init
        )

    lines = []
    for step in STEPS:
        caption = [mean(concept, "caption", step) for concept in concepts]
        for init in inits:
            other = [mean(concept, init, step) for concept in concepts]
            wins = sum(a < b for a, b in zip(caption, other, strict=True))
            versus = "" if init == "caption" else f", caption lower in {wins} of {len(concepts)}"
            spread = f"sd over concepts {statistics.stdev(other):.4f}"
            lines.append(f"step {step:3} {init:10} {statistics.mean(other):.4f} ({spread}){versus}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="seeds a concept, from 0 (default: 3)")
    parser.add_argument("--inits", default="caption,star", help="starts, by comma (default: caption,star)")
    parser.add_argument("--concepts", type=int, default=12, help="how many of the bank (default: all 12)")
    parser.add_argument("--out", type=Path, default=Path("build/bank.json"), help="where the trials go")
    args = parser.parse_args()
    from photowords import pocket

    inits = args.inits.split(",")
    names = pocket.concepts()[: args.concepts]
    jobs = [(name, init, seed) for name in names for seed in range(args.seeds) for init in inits]
    # Spawned, because torch's threads do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        rows = list(pool.imap_unordered(trial, jobs))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(rows, indent=1) + "\n")
    print("\n".join(paired(rows, inits)))
    scored = [row for row in rows if "similarity_after" in row]
    gains = [row["similarity_after"] - row["similarity_before"] for row in scored]
    before, after = (statistics.mean(row[f"similarity_{when}"] for row in scored) for when in ("before", "after"))
    error = statistics.stdev(gains) / len(gains) ** 0.5
    print(
        f"pocket-clip similarity to the true views: caption prompt {before:.4f}, learned {after:.4f}, "
        f"difference {statistics.mean(gains):+.4f} +- {error:.4f} (standard error over {len(gains)} trials), "
        f"higher in {sum(gain > 0 for gain in gains)} of {len(gains)}"
    )
    print(f"{len(rows)} trials, {statistics.mean(row['seconds'] for row in rows):.1f} s each on one thread")


if __name__ == "__main__":
    main()
