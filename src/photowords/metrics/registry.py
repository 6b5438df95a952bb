"""Every metric, a row each: which way is better, in what range, of which pictures, how it is measured and by what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from photowords import clip, pocket
from photowords.errors import UserError
from photowords.metrics import dino, frechet, perceptual, pixels

Suite = Literal["published", "pocket"]
"""Whose networks measure: published ones, for pictures of the open world, or the pocket's own, for its drawings."""

Load = Callable[[str | None, torch.device | str], Any]
"""(folder, hub name or None for the default; device) -> a scorer that works there, and says ``about`` itself."""


@dataclass(frozen=True)
class Metric:
    """What a metric's number means.

    Attributes:
        name: unique; results and files say it.
        formula: what it is called where the suite is understood: "lpips" is lpips-vgg or pocket-lpips.
        suite: whose networks measure it; None where no network does.
        direction: "higher" or "lower": what is better.
        range: the values it can take, and the best one.
        compares: what with what.
        protocol: the definition, with its source.
        measure: what is done to the pictures (see ``evaluation.measures``); "run" for what a run's losses tell.
        prompts: what is drawn for it: all reconstruction prompts, the first of them, the edit prompts, or nothing.
        truth: whether it "needs" true views, takes them "instead" of the photos, or looks at none.
        load: its scorer; None for metrics of runs.
        source: the name under which users give that scorer's folder or hub name; None where they cannot.
    """

    name: str
    formula: str
    suite: Suite | None
    direction: Literal["higher", "lower"]
    range: str
    compares: str
    protocol: str
    measure: Literal["run", "pairs", "images", "text", "class text", "swap"]
    prompts: Literal["all", "first", "edits", "none"]
    truth: Literal["needs", "instead", "none"] = "none"
    load: Load | None = None
    source: str | None = None

    @property
    def arrow(self) -> str:
        """The direction as one sign, for the heads of tables."""
        return "↑" if self.direction == "higher" else "↓"


def _published_clip(source: str | None, device: torch.device | str) -> clip.Clip:
    assert source is not None  # every backbone names its own
    if clip.is_pockets(source):
        raise UserError(
            "the pocket's CLIP gives scores of the pocket's own (pocket-clip-reconstruction and the like), never "
            "under a published name; give a published CLIP as `clip`, or ask for the pocket's metrics"
        )
    return clip.load(source, device, "clip")


def _pockets_clip(_: str | None, device: torch.device | str) -> clip.Clip:
    return clip.load(str(pocket.CLIP), device)


_LOSS = Metric(
    name="held-out-loss",
    formula="held-out-loss",
    suite=None,
    direction="lower",
    range="0 upwards",
    compares="predicted with true noise, on the run's photos",
    protocol="equation 1 on fixed (t, noise, template) tuples that training never draws, stratified in t, on "
    "posterior-mean latents",
    measure="run",
    prompts="none",
)
_LPIPS = Metric(
    name="lpips-vgg",
    formula="lpips",
    suite="published",
    direction="lower",
    range="0 upwards; 0 is identical",
    compares="pictures from the reconstruction prompts with the photos",
    protocol="LPIPS v0.1, VGG16, published heads, native size (Zhang et al. 2018)",
    measure="pairs",
    prompts="all",
    load=perceptual.load["vgg"],
    source="weights",
)
_SIFID = replace(
    _LPIPS,
    name="sifid",
    formula="sifid",
    protocol="single-image FID on 192 Inception features before the second pooling, no resize (Shaham et al. 2019)",
    load=frechet.load,
)
_RECONSTRUCTION = Metric(
    name="clip-reconstruction",
    formula="clip-reconstruction",
    suite="published",
    direction="higher",
    range="-1 to 1",
    compares="pictures from the first reconstruction prompt with the photos",
    protocol="mean cosine of all pairs of image embeddings (Gal et al. 2022)",
    measure="images",
    prompts="first",
    load=_published_clip,
    source="clip",
)
_VIEWS = replace(
    _RECONSTRUCTION,
    name="clip-views",
    formula="clip-views",
    compares="pictures from the first reconstruction prompt with the true views, which training never saw",
    protocol="mean cosine of all pairs of image embeddings (photowords' own)",
    truth="needs",
)
_EDITABILITY = replace(
    _RECONSTRUCTION,
    name="clip-editability",
    formula="clip-editability",
    compares="edit prompts with their pictures",
    protocol="mean cosine of each edit prompt without its placeholder and its pictures (Gal et al. 2022)",
    measure="text",
    prompts="edits",
)
_LIKENESS = replace(
    _RECONSTRUCTION,
    name="clip-i",
    formula="clip-i",
    compares="pictures from the edit prompts with the photos, or with the true views where given",
    protocol="mean cosine of all pairs of CLIP image embeddings (DreamBench)",
    prompts="edits",
    truth="instead",
)
_DINO = replace(
    _LIKENESS,
    name="dino",
    formula="dino",
    protocol="mean cosine of all pairs of DINO ViT-S/16 class tokens (DreamBench)",
    load=dino.load["dino"],
    source="dino",
)
_SWAP = replace(
    _RECONSTRUCTION,
    name="word-swap",
    formula="word-swap",
    range="0 to 1, a share",
    compares="pictures before and after a swapped word",
    protocol="the new word shows by CLIP's text and the rest stays by CLIP's images, for each seed (photowords' own)",
    measure="swap",
)
_PSNR = Metric(
    name="psnr",
    formula="psnr",
    suite=None,
    direction="higher",
    range="about 0 dB upwards; infinite is identical",
    compares="pictures from the reconstruction prompts with the true views",
    protocol="10 log10(range^2 / mean squared error), mean over all pairs",
    measure="pairs",
    prompts="all",
    truth="needs",
    load=lambda *_: pixels.Pixelwise(pixels.psnr),
)


def _pockets(metric: Metric, load: Load, protocol: str) -> Metric:
    """The same formula on a network of the pocket's, under a name of its own."""
    name = f"pocket-{metric.formula}"
    return replace(metric, name=name, suite="pocket", protocol=protocol, load=load, source=None)


METRICS = {
    metric.name: metric
    for metric in (
        replace(
            _LOSS,
            name="training-loss",
            formula="training-loss",
            protocol="equation 1 on the batch of the step, before its update",
        ),
        _LOSS,
        replace(
            _LOSS,
            name="held-out-gain",
            formula="held-out-gain",
            direction="higher",
            range="any; above 0 is better than the start",
            compares="the start's held-out loss with the learned concept's",
            protocol="mean paired difference over the tuples, with its standard error, and by thirds of t",
        ),
        _LPIPS,
        replace(
            _LPIPS,
            name="lpips-alex",
            formula="lpips-alex",
            protocol="LPIPS v0.1, AlexNet, published heads, native size (Zhang et al. 2018)",
            load=perceptual.load["alex"],
        ),
        _SIFID,
        _RECONSTRUCTION,
        _VIEWS,
        _EDITABILITY,
        _LIKENESS,
        replace(
            _EDITABILITY,
            name="clip-t",
            formula="clip-t",
            protocol="mean cosine of each edit prompt, the class word in its placeholder's place, and its pictures "
            "(DreamBench)",
            measure="class text",
        ),
        _DINO,
        replace(
            _DINO,
            name="dinov2",
            formula="dinov2",
            protocol="the same with DINOv2; does not compare with dino",
            load=dino.load["dinov2"],
            source="dinov2",
        ),
        _PSNR,
        replace(
            _PSNR,
            name="ssim",
            formula="ssim",
            range="-1 to 1; 1 is identical",
            protocol="Gaussian window of 11 with sigma 1.5, mean over channels and all pairs (Wang et al. 2004)",
            load=lambda *_: pixels.Pixelwise(pixels.ssim),
        ),
        _SWAP,
        _pockets(
            _LPIPS,
            lambda _, device: perceptual.PocketLPIPS(device),
            "LPIPS's formula on the pocket's feature net, equal weights; compares with nothing published",
        ),
        _pockets(
            _SIFID,
            lambda _, device: frechet.PocketSIFID(device),
            "SIFID's formula on the pocket's feature net, 64 features; compares with nothing published",
        ),
        *(
            _pockets(metric, _pockets_clip, f"{metric.protocol}, by the pocket's CLIP")
            for metric in (_RECONSTRUCTION, _VIEWS, _EDITABILITY, _LIKENESS, _SWAP)
        ),
    )
}
"""Name -> metric. The pocket's nets give published formulas under the pocket's names, never under published ones."""


def resolve(name: str, suite: Suite) -> Metric:
    """The metric that a name means in a suite.

    That is the suite's own metric of this formula ("lpips" is lpips-vgg among the published and pocket-lpips among the
    pocket's; "sifid" and "pocket-sifid" likewise); else the metric of just this name. Raises UserError for neither.
    """
    own = (metric for metric in METRICS.values() if (metric.formula, metric.suite) == (name, suite))
    found = next(own, METRICS.get(name))
    if found is None:
        raise UserError(f"metric {name!r} is unknown; choose from {', '.join(metric_names())}")
    return found


def metric_names() -> list[str]:
    """Every name that ``resolve`` takes, formulas first."""
    return list(dict.fromkeys(name for metric in METRICS.values() for name in (metric.formula, metric.name)))
