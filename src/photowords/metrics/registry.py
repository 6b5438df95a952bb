"""Every metric by name: which way is better, in what range, of what, and how it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """What a metric's number means.

    Attributes:
        name: as ``--metrics`` takes it.
        direction: "higher" or "lower": what is better.
        range: the values it can take, and the best one.
        compares: what with what.
        protocol: the definition, with its source.
    """

    name: str
    direction: Literal["higher", "lower"]
    range: str
    compares: str
    protocol: str

    @property
    def arrow(self) -> str:
        """The direction as one sign, for the heads of tables."""
        return "↑" if self.direction == "higher" else "↓"


_PHOTOS = "pictures from the reconstruction prompt with the photos"
_EDITS = "pictures from the edit prompts with the photos, or with the true views where given"
_COSINE = "-1 to 1"
_RECONSTRUCTION = "mean cosine of all pairs of image embeddings (Gal et al. 2022)"
_EDITABILITY = "mean cosine of each edit prompt without its placeholder and its pictures (Gal et al. 2022)"
_SWAP = "the new word shows by CLIP's text and the rest stays by CLIP's images, for each seed (photowords' own)"

METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "held-out-loss",
            "lower",
            "0 upwards",
            "predicted with true noise, on the run's photos",
            "equation 1 on fixed (t, noise, template) tuples, stratified in t, on posterior-mean latents",
        ),
        Metric(
            "held-out-gain",
            "higher",
            "any; above 0 is better than the start",
            "the start's held-out loss with the learned concept's",
            "mean paired difference over the tuples, with its standard error, and by thirds of t",
        ),
        Metric(
            "lpips-vgg",
            "lower",
            "0 upwards; 0 is identical",
            _PHOTOS,
            "LPIPS v0.1, VGG16, published heads, native size (Zhang et al. 2018)",
        ),
        Metric(
            "lpips-alex",
            "lower",
            "0 upwards; 0 is identical",
            _PHOTOS,
            "LPIPS v0.1, AlexNet, published heads, native size (Zhang et al. 2018)",
        ),
        Metric(
            "sifid",
            "lower",
            "0 upwards; 0 is identical",
            _PHOTOS,
            "single-image FID on 192 Inception features before the second pooling, no resize (Shaham et al. 2019)",
        ),
        Metric("clip-reconstruction", "higher", _COSINE, _PHOTOS, _RECONSTRUCTION),
        Metric("clip-editability", "higher", _COSINE, "edit prompts with their pictures", _EDITABILITY),
        Metric("clip-i", "higher", _COSINE, _EDITS, "mean cosine of all pairs of CLIP image embeddings (DreamBench)"),
        Metric(
            "clip-t",
            "higher",
            _COSINE,
            "edit prompts with their pictures",
            "mean cosine of each edit prompt, the class word in its placeholder's place, and its pictures (DreamBench)",
        ),
        Metric(
            "dino", "higher", _COSINE, _EDITS, "mean cosine of all pairs of DINO ViT-S/16 class tokens (DreamBench)"
        ),
        Metric("dinov2", "higher", _COSINE, _EDITS, "the same with DINOv2; does not compare with dino"),
        Metric(
            "psnr",
            "higher",
            "about 0 dB upwards; infinite is identical",
            "pictures from the reconstruction prompt with the true views",
            "10 log10(range^2 / mean squared error), mean over all pairs",
        ),
        Metric(
            "ssim",
            "higher",
            "-1 to 1; 1 is identical",
            "pictures from the reconstruction prompt with the true views",
            "Gaussian window of 11 with sigma 1.5, mean over channels and all pairs (Wang et al. 2004)",
        ),
        Metric("word-swap", "higher", "0 to 1, a share", "pictures before and after a swapped word", _SWAP),
        Metric(
            "pocket-lpips",
            "lower",
            "0 upwards; 0 is identical",
            _PHOTOS,
            "LPIPS's formula on the pocket's feature net, equal weights; compares with nothing published",
        ),
        Metric(
            "pocket-sifid",
            "lower",
            "0 upwards; 0 is identical",
            _PHOTOS,
            "SIFID's formula on the pocket's feature net, 32 features; compares with nothing published",
        ),
        Metric("pocket-clip-reconstruction", "higher", _COSINE, _PHOTOS, f"{_RECONSTRUCTION}, by the pocket's CLIP"),
        Metric(
            "pocket-clip-editability",
            "higher",
            _COSINE,
            "edit prompts with their pictures",
            f"{_EDITABILITY}, by the pocket's CLIP",
        ),
        Metric(
            "pocket-word-swap",
            "higher",
            "0 to 1, a share",
            "pictures before and after a swapped word",
            f"{_SWAP}, by the pocket's CLIP",
        ),
    )
}
"""Name -> metric. The pocket's nets give published formulas under the pocket's names, never under published ones."""
