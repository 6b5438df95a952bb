"""Does one click find the object? The embedded segmenter against drawn truth, and on real photos to look at.

``python -m benchmarks.click`` clicks on the concept bank (view 0) and on 30 freshly drawn pictures of two objects,
alternately on the left and on the right one, and prints the overlap (IoU) with the drawn masks and how often the
pocket's captioner names what was clicked. The click is the point deepest inside the drawn object (where a person
would click), and for comparison a point drawn at random from it.

``python -m benchmarks.click --photos DIR --out build/click`` answers the clicks of ``CLICKS`` on DreamBench's
photos (DIR/backpack/00.jpg, ...) and saves overlays to be looked at; nobody has drawn their masks.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photowords import pocket, segmentation
from photowords.errors import UserError
from photowords.images import load_photo, save_png, side_by_side
from photowords.initializers.captioner import Captioner
from photowords.segmentation import Clicks, Segmenter

Mask = NDArray[Any]

CLICKS = {
    "backpack/00.jpg": Clicks(on=((265, 230),)),
    "bear_plushie/00.jpg": Clicks(on=((318, 215),)),
    "can/00.jpg": Clicks(on=((255, 240),)),
    "cat/00.jpg": Clicks(on=((105, 270),)),
    "clock/00.jpg": Clicks(on=((216, 274),)),
    "colorful_sneaker/00.jpg": Clicks(on=((185, 300),)),
    "dog6/00.jpg": Clicks(on=((170, 320),)),
    "duck_toy/00.jpg": Clicks(on=((260, 290),)),
    "pink_sunglasses/00.jpg": Clicks(on=((244, 344),)),
    "rc_car/00.jpg": Clicks(on=((255, 330),)),
    "teapot/00.jpg": Clicks(on=((287, 197),)),
    "vase/00.jpg": Clicks(on=((151, 352),)),
    "backpack/03.jpg": Clicks(on=((358, 228),)),
    "bear_plushie/03.jpg": Clicks(on=((298, 310),)),
    "can/03.jpg": Clicks(on=((344, 228),)),
    "cat/03.jpg": Clicks(on=((257, 310),)),
    "clock/03.jpg": Clicks(on=((244, 290),)),
    "colorful_sneaker/03.jpg": Clicks(on=((257, 314),)),
    "dog6/03.jpg": Clicks(on=((254, 322),)),
    "duck_toy/03.jpg": Clicks(on=((257, 322),)),
    "pink_sunglasses/03.jpg": Clicks(on=((155, 246),)),
    "rc_car/03.jpg": Clicks(on=((233, 360),)),
    "teapot/03.jpg": Clicks(on=((262, 295),)),
    "vase/03.jpg": Clicks(on=((347, 336),)),
}
"""One click each, set by looking at the photo, before its mask was seen.

The segmenter's numbers were chosen on drawings and on photos 01 and 02 of each subject; photo 00 was looked at along
the way, photo 03 only once they stood.
"""

MORE = {
    "backpack/00.jpg": Clicks(on=((265, 230), (293, 366)), off=((187, 423),)),
    "can/00.jpg": Clicks(on=((255, 240), (254, 98)), off=((417, 378),)),
    "clock/00.jpg": Clicks(on=((216, 274),), off=((228, 338), (169, 262))),
    "teapot/00.jpg": Clicks(on=((287, 197),), off=((441, 254), (230, 310))),
}
"""All the clicks, two more, on the photos whose one click left something to mend."""


def drawn(pairs: int) -> Iterator[tuple[str, str, Image.Image, Mask, str]]:
    """Which set, a name, the picture, the true mask and the object's word; the bank first, then ``pairs`` pairs."""
    from recipes.pocket.bank import BANK, PICTURE, views
    from recipes.pocket.regions import left_to_right
    from recipes.pocket.sample import beside
    from recipes.pocket.world import draw, masks

    for name, (_, _, thing) in BANK.items():
        picture = load_photo(pocket.view(name))
        yield "bank", name, picture, masks(views(name)[0], picture.width)[0], thing.object
    for seed in range(pairs):
        spec = beside(np.random.default_rng([seed, 2]))
        which = spec.things.index(left_to_right(spec)[seed % 2])
        thing = spec.things[which]
        yield "two objects", f"{seed} {thing.object}", draw(spec, PICTURE), masks(spec, PICTURE)[which], thing.object


def deepest(mask: Mask) -> tuple[float, float]:
    """The point (x, y) inside a mask that is farthest from its outline; the first in reading order of several."""
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return float(x), float(y)


def anywhere(mask: Mask, seed: int) -> tuple[float, float]:
    """A point (x, y) of a mask, each as likely as another."""
    y, x = np.nonzero(mask)
    which = np.random.default_rng(seed).integers(len(x))
    return float(x[which]), float(y[which])


def overlap(one: Mask, other: Mask) -> float:
    """Intersection over union, in [0, 1]."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def names(caption: str, thing: str) -> bool:
    """Whether a caption has an object's word or words."""
    return f" {thing} " in f" {caption} "


def summary(values: list[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    low = sum(value < 0.5 for value in values)
    return f"IoU {statistics.mean(values):.3f} (sd {spread:.3f}, least {min(values):.2f}, below 0.5: {low})"


def on_drawings(segmenter: Segmenter, pairs: int, out: Path | None) -> None:
    """Bars a and b: overlap with the drawn truth, and whether the cut-out's caption names the clicked object."""
    captioner: Callable[[Image.Image], str] = Captioner(str(pocket.CAPTIONER))
    rows: list[dict[str, Any]] = []
    for number, (kind, name, picture, truth, thing) in enumerate(drawn(pairs)):
        began = time.perf_counter()
        opened = segmenter.open(picture)
        row: dict[str, Any] = {"set": kind, "name": name, "open": time.perf_counter() - began}
        for rule, point in (("deepest", deepest(truth)), ("random", anywhere(truth, number))):
            clicks = Clicks(on=(point,))
            began = time.perf_counter()
            mask = opened(clicks)
            row |= {"click": time.perf_counter() - began, rule: overlap(np.asarray(mask) > 0, truth)}
            row[f"{rule} says"] = captioner(segmentation.cut_out(picture, mask))
            row[f"{rule} names"] = names(row[f"{rule} says"], thing)
            if out and rule == "deepest":
                save_png(segmentation.overlay(picture, mask, clicks), out / f"{kind} {name}.png")
        true = Image.fromarray(np.where(truth, 255, 0).astype(np.uint8))
        row["truth names"] = names(captioner(segmentation.cut_out(picture, true)), thing)
        row["whole names"] = names(captioner(picture), thing)
        rows.append(row)
        print(f"{kind:12} {name:16} IoU {row['deepest']:.3f}  random {row['random']:.3f}  {row['deepest says']!r}")
    for kind in ("bank", "two objects", "both"):
        some = [row for row in rows if kind in (row["set"], "both")]
        print(f"\n{kind}, {len(some)} pictures")
        for rule in ("deepest", "random"):
            said = sum(row[f"{rule} names"] for row in some)
            print(
                f"  one {rule:7} click: {summary([row[rule] for row in some])}; named {said} ({said / len(some):.0%})"
            )
        for key, what in (("truth names", "true mask"), ("whole names", "whole picture")):
            said = sum(row[key] for row in some)
            print(f"  {what}: named {said} ({said / len(some):.0%})")
    seconds = {key: statistics.mean(row[key] for row in rows) for key in ("open", "click")}
    print(f"\n{seconds['open']:.2f} s to open a picture, {seconds['click']:.2f} s a click")


def on_photos(segmenter: Segmenter, photos: Path, out: Path) -> None:
    """Bar c: overlays of one click on each photo, and of more clicks where those were recorded."""
    out.mkdir(parents=True, exist_ok=True)
    for kind, table in (("one", CLICKS), ("more", MORE)):
        drawings = []
        for name, clicks in table.items():
            photo = load_photo(photos / name)
            opened = segmenter.open(photo)
            began = time.perf_counter()
            try:
                mask = opened(clicks)
            except UserError as error:
                print(f"{kind} {name}: {error}")
                continue
            area = (np.asarray(mask) > 0).mean()
            print(f"{kind:4} {name:24} {time.perf_counter() - began:.2f} s, the object takes {area:.1%} of the photo")
            drawings.append(segmentation.overlay(photo, mask, clicks))
            save_png(drawings[-1], out / f"{name.replace('/', '_').removesuffix('.jpg')}_{kind}.png")
        rows = [side_by_side(drawings[i : i + 4]) for i in range(0, len(drawings), 4)]
        if rows:
            sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height + 4 for row in rows)), "white")
            for number, row in enumerate(rows):
                sheet.paste(row, (0, number * (row.height + 4)))
            save_png(sheet, out / f"all_{kind}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the segmenter: one click on drawings, overlays of photos.")
    parser.add_argument("--segmenter", help="a SAM folder or hub name (default: the embedded graph cut)")
    parser.add_argument("--pairs", type=int, default=30, help="pictures of two objects (default: 30)")
    parser.add_argument("--photos", type=Path, help="folder of DreamBench's photos: overlays instead of drawings")
    parser.add_argument("--out", type=Path, help="folder for overlays (default with --photos: build/click)")
    args = parser.parse_args()
    segmenter = segmentation.load(args.segmenter)
    if args.photos:
        on_photos(segmenter, args.photos, args.out or Path("build/click"))
        return
    from recipes.pocket.sprites import FONT, FONT_HELP

    if not FONT.exists():
        raise SystemExit(FONT_HELP)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
    on_drawings(segmenter, args.pairs, args.out)


if __name__ == "__main__":
    main()
