"""Where the bundled pocket model's files lie. ``CARD.md`` beside this file says what it knows and how it was made."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
PIPELINE = HERE / "pipeline"  # a diffusers StableDiffusionPipeline folder
CAPTIONER = HERE / "captioner"  # a transformers BLIP folder
CLASSIFIER = HERE / "classifier"  # a transformers ViT folder
CLIP = HERE / "clip"  # a transformers CLIP folder, for scores
FEATURES = HERE / "features" / "model.safetensors"  # a small conv net, for scores (metrics/features.py)
BANK = HERE / "bank"  # twelve concepts, five true views each
SIDE = 128  # of the model's pictures, in pixels
SCENES = ("on the beach", "in the snow", "under water", "in front of a brick wall")  # some of those that it knows


def concepts() -> list[str]:
    """Names of the bank's concepts, sorted."""
    return sorted(folder.name for folder in BANK.iterdir() if folder.is_dir())


def view(concept: str, number: int = 0) -> Path:
    """The picture of a concept in one of its five scenes; view 0 is the photo to invert."""
    return BANK / concept / f"view_{number}.png"
