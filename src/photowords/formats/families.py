"""Kinds of models as embedding files tell them apart: by their text encoders and the width of a vector in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from photowords.concept import Concept

CLIP_L, CLIP_G, T5, BERT = "clip_l", "clip_g", "t5xxl", "bert"

_STABILITY = "https://github.com/Stability-AI/generative-models"


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        title: as people call it.
        widths: text encoder -> numbers in a vector.
        architecture, implementation: as ModelSpec 1.0.1 and sd-scripts name them (library/sai_model_spec.py).
        resolution: side of its pictures in pixels.
    """

    title: str
    widths: Mapping[str, int]
    architecture: str
    implementation: str
    resolution: int


SD1 = Family("Stable Diffusion 1", {CLIP_L: 768}, "stable-diffusion-v1", _STABILITY, 512)
SD2 = Family("Stable Diffusion 2", {CLIP_L: 1024}, "stable-diffusion-v2-512", _STABILITY, 512)
SD2_V = Family("Stable Diffusion 2", {CLIP_L: 1024}, "stable-diffusion-v2-768-v", _STABILITY, 768)
SDXL = Family("SDXL", {CLIP_L: 768, CLIP_G: 1280}, "stable-diffusion-xl-v1-base", _STABILITY, 1024)
SD3 = Family("Stable Diffusion 3", {**SDXL.widths, T5: 4096}, "stable-diffusion-3", _STABILITY, 1024)
FLUX = Family("FLUX.1", {CLIP_L: 768, T5: 4096}, "flux-1", "https://github.com/black-forest-labs/flux", 1024)
LDM = Family("LDM text2im", {BERT: 1280}, "latent-diffusion", "https://github.com/CompVis/latent-diffusion", 256)
FAMILIES = (SD1, SD2, SDXL, SD3, FLUX, LDM)


def widths(concept: Concept) -> dict[str, int]:
    """Numbers in a vector of each text encoder."""
    return {encoder: concept.vectors(encoder).shape[1] for encoder in concept.encoders}


def family(concept: Concept) -> Family | None:
    """The family that a concept was made for; None for a model of other widths, as the pocket.

    Two are told apart by the provenance alone: SD 2's v-prediction, and Stable Diffusion 3 without T5 from SDXL.
    """
    found = next((family for family in FAMILIES if dict(family.widths) == widths(concept)), None)
    if found is SD2 and concept.provenance.get("prediction_type") == "v_prediction":
        return SD2_V
    if found is SDXL and concept.provenance.get("pipeline") == "StableDiffusion3Pipeline":
        return SD3
    return found
