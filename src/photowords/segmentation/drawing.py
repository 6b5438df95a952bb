"""The mask drawn over the photo, for the user to see what was understood."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from photowords.segmentation.interface import Clicks
from photowords.segmentation.masks import to_array, to_image
from photowords.segmentation.superpixels import resized

OUTLINE = (255, 64, 160)
ON, OFF = (32, 178, 76), (222, 45, 38)
BOX = (255, 200, 0)
MOST = 1024  # the longer side at which the outline is found
FINE = 4  # the dots are drawn this much larger and shrunk, so that they are round


def overlay(photo: Image.Image, mask: Image.Image, clicks: Clicks | None = None) -> Image.Image:
    """The photo with its background grey and dim and the object outlined in pink, RGB, in the photo's size.

    Clicks are dots: green with a plus on the object, red with a minus on the background; a box is yellow.
    """
    from scipy import ndimage

    photo, mask = photo.convert("RGB"), to_image(to_array(mask))
    dim = Image.blend(photo.convert("L").convert("RGB"), photo, 0.25).point(lambda value: 0.35 * value + 28)
    picture = Image.composite(photo, dim, mask.filter(ImageFilter.GaussianBlur(0.5)))
    # A large photo's outline is thick, so it is found on a smaller mask: distances take much time and memory.
    inside = to_array(resized(mask, min(MOST, max(photo.size))))
    away = ndimage.distance_transform_edt(~inside) if inside.any() else np.full(inside.shape, np.inf)
    # White between the line and the background keeps the line visible on any colour.
    for width, colour in ((1.7, (255, 255, 255)), (1.1, OUTLINE)):
        line = np.clip(max(1.0, width * max(inside.shape) / 256) + 0.5 - away, 0, 1) * (away > 0)
        opacity = Image.fromarray(np.rint(line * 255).astype(np.uint8))
        picture.paste(colour, mask=opacity.resize(photo.size, Image.Resampling.BILINEAR))
    if clicks is not None:
        _draw_clicks(picture, clicks, max(photo.size) / 256)  # lengths grow with the picture
    return picture


def _draw_clicks(picture: Image.Image, clicks: Clicks, unit: float) -> None:
    if clicks.box is not None:
        ImageDraw.Draw(picture).rectangle(clicks.box, outline=BOX, width=max(1, round(unit)))
    radius = max(3.0, 4 * unit)
    side = 2 * round(radius) + 3
    for points, colour, bars in ((clicks.on, ON, 2), (clicks.off, OFF, 1)):
        dot = Image.new("RGBA", (side * FINE, side * FINE))
        pen, middle = ImageDraw.Draw(dot), side * FINE / 2
        for reach, fill in ((radius, (255, 255, 255)), (radius * 0.82, colour)):
            reach *= FINE
            pen.ellipse((middle - reach, middle - reach, middle + reach, middle + reach), fill=(*fill, 255))
        long, thick = radius * FINE * 0.5, radius * FINE * 0.14
        for reach_x, reach_y in ((long, thick), (thick, long))[:bars]:
            bar = (middle - reach_x, middle - reach_y, middle + reach_x, middle + reach_y)
            pen.rectangle(bar, fill=(255, 255, 255, 255))
        dot = dot.resize((side, side), Image.Resampling.LANCZOS)
        for x, y in points:
            picture.paste(dot, (round(x - side / 2), round(y - side / 2)), dot)
