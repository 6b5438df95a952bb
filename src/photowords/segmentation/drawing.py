"""The mask drawn over the photo, for the user to see what was understood."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from photowords.segmentation.interface import Clicks
from photowords.segmentation.masks import to_array

OUTLINE = (255, 64, 160)
ON, OFF = (32, 178, 76), (222, 45, 38)
BOX = (255, 200, 0)
FINE = 4  # the dots are drawn this much larger and shrunk, so that they are round


def overlay(photo: Image.Image, mask: Image.Image, clicks: Clicks | None = None) -> Image.Image:
    """The photo with its background grey and dim and the object outlined in pink, RGB, in the photo's size.

    Clicks are dots: green with a plus on the object, red with a minus on the background; a box is yellow.
    """
    from scipy import ndimage

    pixels = np.asarray(photo.convert("RGB"), np.float32)
    inside = to_array(mask)
    unit = max(photo.size) / 256  # lengths grow with the picture
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    dim = 0.35 * (0.75 * grey[..., None] + 0.25 * pixels) + 28
    soft = ndimage.gaussian_filter(inside.astype(np.float32), 0.5)[..., None]
    drawn = pixels * soft + dim * (1 - soft)
    # White between the line and the background keeps the line visible on any colour.
    away = ndimage.distance_transform_edt(~inside) if inside.any() else np.full(inside.shape, np.inf)
    for width, colour in ((1.7 * unit, (255, 255, 255)), (1.1 * unit, OUTLINE)):
        line = np.clip(max(1.0, width) + 0.5 - away, 0, 1) * (away > 0)
        drawn += (np.array(colour, np.float32) - drawn) * line[..., None]
    picture = Image.fromarray(np.clip(drawn + 0.5, 0, 255).astype(np.uint8))
    if clicks is not None:
        _draw_clicks(picture, clicks, unit)
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
