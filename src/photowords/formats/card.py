"""A1111's picture cards: a PNG or WebP picture of the concept that carries the embedding itself.

The embedding is JSON, compressed with zlib. Its bytes' lower halves are the lower halves of the pixel values left of
the picture, the upper halves right of it, row by row; a black column stands on either side of the picture, and a fixed
pseudo-random sequence is laid over the data. PNG cards carry the same JSON once more, in base64, as the text
``sd-ti-embedding``. As in A1111's modules/textual_inversion/image_embedding.py.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

TEXT = "sd-ti-embedding"
SIDE = 512  # pixels of a card's picture
_MOST_PIXELS, _MOST_TEXT = 20_000_000, 16 << 20  # 75 vectors of SDXL are 3 MB of text on 100,000 pixels
_TENSOR = "TORCHTENSOR"
Bytes = NDArray[np.uint8]


class NoCard(Exception):
    """A picture like any other."""


def write(data: Mapping[str, Any], picture: Image.Image | None, title: str, format: str) -> bytes:
    """A card as a file's bytes, ``format`` "PNG" or "WEBP"; without a picture it is a grey one with its title."""
    text = json.dumps(data, default=_listed)
    packed = np.frombuffer(zlib.compress(text.encode(), 9), np.uint8)
    front = _framed(picture, title)
    left, right = (_hidden(halves.astype(np.uint8), front.height) for halves in (packed & 15, packed >> 4))
    card = Image.new("RGB", (left.shape[1] + right.shape[1] + front.width + 2, front.height))
    card.paste(Image.fromarray(left), (0, 0))
    card.paste(front, (left.shape[1] + 1, 0))
    card.paste(Image.fromarray(right), (left.shape[1] + front.width + 2, 0))
    info, buffer = PngInfo(), io.BytesIO()
    info.add_text(TEXT, base64.b64encode(text.encode()).decode())
    card.save(buffer, format, **({"pnginfo": info} if format == "PNG" else {"lossless": True}))
    return buffer.getvalue()


def read(data: bytes, from_pixels: bool = False) -> Mapping[str, Any]:
    """A card's entries, by its text where it has one unless they shall be read ``from_pixels``.

    Raises NoCard for a mere picture, and whatever the decoders raise for a damaged one.
    """
    with Image.open(io.BytesIO(data)) as picture:
        if picture.width * picture.height > _MOST_PIXELS:
            raise NoCard
        picture.load()  # PNG's texts may stand behind its pixels
        if (text := getattr(picture, "text", {}).get(TEXT)) and not from_pixels:
            found = base64.b64decode(text[: 2 * _MOST_TEXT])
        else:
            found = _unhidden(np.asarray(picture.convert("RGB")))
    entries = json.loads(found, object_hook=_tabled)
    if not isinstance(entries, dict):
        raise NoCard
    return entries


def check(data: bytes) -> None:
    """Raise ValueError unless the pixels alone hold what the card holds."""
    told, hidden = (read(data, from_pixels)["string_to_param"]["*"] for from_pixels in (False, True))
    if not torch.equal(told, hidden):
        raise ValueError("the card's pixels hold something else")


def _listed(value: Any) -> dict[str, Any]:
    return {_TENSOR: value.tolist()}


def _tabled(value: dict[str, Any]) -> Any:
    return torch.tensor(value[_TENSOR], dtype=torch.float32) if _TENSOR in value else value


def _noise(count: int) -> Bytes:
    """What is laid over the data: the lower halves of a linear congruential generator's values modulo 255."""
    states = np.array([1013904223], np.uint64)
    factor, term = 1664525, 1013904223  # of the step from a state to the one len(states) later
    while len(states) < count:
        states = np.concatenate([states, (states * np.uint64(factor) + np.uint64(term)) % np.uint64(2**32)])
        factor, term = factor**2 % 2**32, (factor + 1) * term % 2**32
    return (states[:count] % 255 & 15).astype(np.uint8)


def _hidden(halves: Bytes, height: int) -> Bytes:
    """Half bytes as pixels (height, width, 3), as many as are needed, filled up with the first ones again."""
    width = -(-len(halves) // (3 * height))
    halves = np.resize(halves, height * width * 3)
    # The upper halves are free; none is 0, since readers cut black edges off.
    shade = (halves % 12 + 2) << 4
    return (halves ^ _noise(len(halves)) | shade).astype(np.uint8).reshape(height, width, 3)


def _unhidden(pixels: Bytes) -> bytes:
    dark = pixels.min(axis=2) == 0
    rows, columns = (np.flatnonzero(~dark.all(axis=axis)) for axis in (1, 0))
    if not len(rows) or not len(columns):
        raise NoCard
    halves = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] & 15
    black = np.flatnonzero(halves.sum(axis=(0, 2)) == 0)
    if len(black) < 2 or not black[0] or black[-1] + 1 == halves.shape[1]:
        raise NoCard
    lower, upper = (part.reshape(-1) for part in (halves[:, : black[0]], halves[:, black[-1] + 1 :]))
    first = int(_noise(1)[0])
    # Else it is a mere picture with black columns: its data do not begin as zlib's do.
    if len(lower) != len(upper) or len(lower) > _MOST_TEXT or (upper[0] ^ first) << 4 | (lower[0] ^ first) != 0x78:
        raise NoCard
    noise = _noise(len(lower))
    packed = ((upper ^ noise) << 4 | (lower ^ noise)).tobytes()
    return zlib.decompressobj().decompress(packed, _MOST_TEXT)


def _framed(picture: Image.Image | None, title: str) -> Image.Image:
    """The card's front: the picture, square, with its title."""
    front = Image.new("RGB", (SIDE, SIDE), "#777777")
    if picture is not None:
        front.paste(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    draw = ImageDraw.Draw(front)
    draw.text((12, 12), title, "white", ImageFont.load_default(32), stroke_width=2, stroke_fill="black")
    return front
