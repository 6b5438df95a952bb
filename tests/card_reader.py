"""Reads A1111's picture cards by itself, byte by byte, as modules/textual_inversion/image_embedding.py does.

Written from the layout that the module has at 22ecb78b, and sharing nothing with the package's, which might misread
what it miswrites.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image


def entries(path: Path) -> Any:
    """A card's entries, of its pixels; the text, which A1111 takes where there is one, must say the same."""
    with Image.open(path) as picture:
        text = getattr(picture, "text", {}).get("sd-ti-embedding")
        said = of_pixels(np.array(picture.convert("RGB")))
    assert text is None or base64.b64decode(text) == said, "the text says something else than the pixels"
    return json.loads(said, object_hook=lambda d: torch.tensor(d["TORCHTENSOR"]) if "TORCHTENSOR" in d else d)


def of_pixels(pixels: Any) -> bytes:
    """The lower halves of the values left of the first black column, the upper halves of the last, a keystream off."""
    halves = pixels & 15
    black = [column for column in range(halves.shape[1]) if not halves[:, column].any()]
    low, high = (plain(part.flatten().tolist()) for part in (halves[:, : black[0]], halves[:, black[-1] + 1 :]))
    unpacker = zlib.decompressobj()  # what follows the data only fills the rows up
    return unpacker.decompress(bytes(upper << 4 | lower for lower, upper in zip(low, high, strict=True)))


def plain(halves: list[int]) -> list[int]:
    """Half bytes without the linear congruential generator's values that lie over them."""
    state, found = 0, []
    for half in halves:
        state = (1664525 * state + 1013904223) % 2**32
        found.append(half ^ state % 255 & 15)
    return found
