"""Options that say which object of a photo is meant; mask, caption and invert share them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photowords.cli.options import a_name, a_path
from photowords.errors import UserError

if TYPE_CHECKING:
    from photowords.segmentation import Selection


def add_selection(command: argparse.ArgumentParser) -> None:
    """Which object in the photo."""
    # Else argparse takes -5,10 for an option, and its complaint says nothing of a point outside the photo.
    command._negative_number_matcher = re.compile(r"-[\d.]")
    group = command.add_argument_group("choosing the object (pixels of the photo, from its top left)")
    group.add_argument("--click", action="append", type=_point, metavar="X,Y", help="a point on it; may be repeated")
    group.add_argument(
        "--not", action="append", type=_point, metavar="X,Y", dest="off", help="a point beside it; may be repeated"
    )
    group.add_argument("--box", type=_box, metavar="X0,Y0,X1,Y1", help="a box around it")
    group.add_argument(
        "--mask",
        action="append",
        type=a_path,
        metavar="FILE",
        help="a picture of the photo's size, white on the object and black elsewhere; one for each photo",
    )
    group.add_argument(
        "--segmenter",
        type=a_name,
        metavar="NAME",
        help="folder or hub name of a SAM (default: a graph cut, no weights needed)",
    )


def _numbers(text: str, count: int, form: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
    return values


def _point(text: str) -> Any:
    return _numbers(text, 2, "a point; write it like 120,80")


def _box(text: str) -> Any:
    return _numbers(text, 4, "a box; write it like 20,30,200,180")


def selected(args: argparse.Namespace, photos: Sequence[Path]) -> list[Selection]:
    """The object in each photo, as the selection options say; empty where they say nothing.

    Raises UserError when they contradict each other or do not fit the photos.
    """
    clicked = args.click or args.off or args.box
    if args.mask and (clicked or args.segmenter):
        raise UserError("--mask is the object already; leave out --click, --not, --box and --segmenter")
    if args.segmenter and not clicked:
        raise UserError("--segmenter needs to know the object: add --click X,Y or --box X0,Y0,X1,Y1")
    if args.mask and len(args.mask) != len(photos):
        raise UserError(
            f"the number of masks is {len(args.mask)} and that of photos {len(photos)}; "
            "give one --mask for each photo, in their order"
        )
    if clicked and len(photos) != 1:
        raise UserError("clicks and boxes are for one photo; for several, give each its --mask (see: photowords mask)")
    if not (args.mask or clicked):
        return []
    from photowords import backbones, images, segmentation
    from photowords.segmentation import Selection

    if args.mask:
        sizes = [images.load_photo(photo).size for photo in photos]
        return [
            Selection(segmentation.load_mask(path, size), path.name)
            for path, size in zip(args.mask, sizes, strict=True)
        ]
    clicks = segmentation.Clicks(tuple(args.click or ()), tuple(args.off or ()), args.box)
    selector = segmentation.Selector(args.segmenter, str(backbones.choose_device(args.device)))
    return [selector.select(images.load_photo(photos[0]), clicks)]
