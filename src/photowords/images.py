"""Photos to tensors and back; the only module that knows how pictures are stored. PyTorch comes with the tensors."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from photowords.errors import PhotowordsWarning, UserError
from photowords.files import atomic

if TYPE_CHECKING:
    from torch import Tensor

OBJECT_FROM = 128  # of a mask's grey: from here on it is the object
OBJECT_SHARE = 0.78  # of a square's side, that an object in the middle of a photo usually takes
NEARLY = 0.85  # of a picture's side, from which on a square is all of it: cutting so little off gains nothing
ANIMATED = ("GIF", "PNG", "WEBP")  # not MPO: a phone's JPEG holds a second picture that nobody means
LEAST_SIDE = 8  # pixels; less than this shows nothing
MOST_PIXELS = 89_000_000  # just below where Pillow begins to warn; its own limit, the process's, is not ours to move
LIMIT = f"{MOST_PIXELS // 10**6} million pixels"
UNDRAWN = ("Ghostscript", "cannot find loader")  # in what Pillow says of a kind that it leaves to others
# What white may be in the modes of more than 8 bits: the first that the brightest pixel does not exceed.
WHITES = {"I;16": (65535,), "I": (255, 65535, 2**31 - 1), "F": (1, 255, 65535)}


def load_photo(path: Path | str) -> Image.Image:
    """Read a photo as 8-bit RGB, the right way up, on white where it is transparent; the first frame of several, with a
    warning where they move.

    Raises:
        UserError: the path is missing, a folder, empty, no image, damaged, wholly transparent, under 8 pixels on a
            side, or over 89 million pixels (found from the header, before any pixel is decoded).
    """
    path = Path(path)
    try:
        if not path.exists():
            raise UserError(f"{path} does not exist; give the path of a photo")
        if path.is_dir():
            raise UserError(f"{path} is a folder; give the path of one photo in it")
        if not path.is_file():
            raise UserError(f"{path} is a pipe or a device, but photos are read from files; save it as one first")
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty (0 bytes); copy the photo again")
        with Image.open(path) as image:  # reads the header only
            width, height = image.size
            if min(width, height) < LEAST_SIDE:
                raise UserError(f"{path} is {width}x{height} pixels, too small; use at least {LEAST_SIDE}x{LEAST_SIDE}")
            if width * height > MOST_PIXELS:
                raise UserError(f"{path} is {width}x{height} pixels, too large; shrink it to at most {LIMIT}")
            if image.format in ANIMATED and getattr(image, "n_frames", 1) > 1:
                warnings.warn(f"{path} moves; its first picture is taken", PhotowordsWarning, stacklevel=2)
            if image.has_transparency_data and image.convert("RGBA").getchannel("A").getbbox() is None:
                raise UserError(f"{path} is wholly transparent: there is nothing to see")
            return as_rgb(upright(image))
    except (UserError, PhotowordsWarning):  # which may be an error, where a program says so
        raise
    except Image.DecompressionBombError:  # from twice Pillow's limit on
        raise UserError(f"{path} has too many pixels to be opened; shrink it to at most {LIMIT}") from None
    except UnidentifiedImageError:
        raise UserError(f"{path} is not an image that can be read; use a PNG, JPEG or WebP file") from None
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    # Each decoder fails in its own way on a damaged file: OSError, SyntaxError, ValueError, struct.error, zlib.error.
    except Exception as error:
        if any(said in str(error) for said in UNDRAWN):
            raise UserError(f"{path} is drawn by a program that is not here ({error}); convert it to PNG") from error
        raise UserError(f"{path} is a damaged or cut-off image; copy it again or convert it to PNG") from error


def upright(image: Image.Image) -> Image.Image:
    """A picture as its file's EXIF says that it was held; as it is where those facts are damaged and it is not."""
    image.load()  # which says if it is
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # each of its own, as above
        return image


def as_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode in RGB: white behind what is transparent, 16 bits and more scaled to 8; without the rest of
    its file's facts."""
    if image.mode.startswith(("I", "F")):  # I;16, I;16B, I;16L, I, F; Pillow's own conversion would clip them at 255
        grey = np.nan_to_num(np.asarray(image).astype(np.float64))
        kind = "I;16" if image.mode.startswith("I;16") else image.mode
        white = next((w for w in WHITES[kind] if grey.max() <= w), grey.max())
        image = Image.fromarray(np.rint(grey.clip(0) / white * 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    image.info = {}  # a CMYK colour profile or a place's coordinates must not be saved with the pixels
    return image


def object_box(mask: Image.Image) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of a mask's object, in pixels, right and bottom excluded; None where it is empty."""
    return mask.convert("L").point(lambda grey: 255 * (grey >= OBJECT_FROM)).getbbox()


def square_box(size: tuple[int, int], mask: Image.Image | None = None) -> tuple[int, int, int, int]:
    """The square of a picture to look at: its largest middle one, or the one around the mask's object.

    The object's longer side takes ``OBJECT_SHARE`` of the square's, unless that square would be ``NEARLY`` the largest
    or more: then the largest is taken. Either lies as near to the object's middle as the picture allows. Left, top,
    right and bottom in pixels; an empty mask is none.
    """
    box = object_box(mask) if mask else None
    left, top, right, bottom = box or (0, 0, *size)
    side = min(size)
    if box:
        around = max(LEAST_SIDE, round(max(right - left, bottom - top) / OBJECT_SHARE))
        if around < NEARLY * side:
            side = around
    x = min(max((left + right - side) // 2, 0), size[0] - side)
    y = min(max((top + bottom - side) // 2, 0), size[1] - side)
    return x, y, x + side, y + side


def coverage(mask: Image.Image, box: tuple[int, int, int, int]) -> Tensor:
    """The square ``box`` of a mask (grey) as a picture of shares: (1, 1, height, width), float32 in [0, 1]."""
    import torch

    return torch.from_numpy(np.array(mask.convert("L").crop(box), dtype=np.float32) / 255)[None, None]


def to_tensor(image: Image.Image, size: int, box: tuple[int, int, int, int] | None = None) -> Tensor:
    """Crop a square of an image, by default its middle, and resize it: (1, 3, size, size), float32 in [-1, 1].

    What is not RGB becomes it as ``load_photo``'s pictures do.
    """
    import torch

    image = as_rgb(image) if image.mode != "RGB" or image.has_transparency_data else image
    box = box or square_box(image.size)
    side = box[2] - box[0]
    # Pictures of the pocket world were shrunk by averaging whole blocks, so a drawing of it must be shrunk alike to be
    # met again exactly; where blocks are not whole, averaging would alias and Lanczos does not.
    filter_ = Image.Resampling.BOX if side % size == 0 else Image.Resampling.LANCZOS
    pixels = torch.from_numpy(np.array(image.crop(box).resize((size, size), filter_), dtype=np.float32))
    return (pixels / 127.5 - 1).permute(2, 0, 1)[None].contiguous()


def to_pil(tensor: Tensor) -> list[Image.Image]:
    """Pictures, (n, 3, h, w) in [-1, 1], as RGB images; values outside are clamped, and rounded to 8 bits."""
    import torch

    pixels = (tensor.detach().to("cpu", torch.float32).clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    return [Image.fromarray(picture) for picture in pixels.permute(0, 2, 3, 1).contiguous().numpy()]


def side_by_side(pictures: Sequence[Image.Image], gap: int = 4) -> Image.Image:
    """At least one picture in a row, tops level, ``gap`` white pixels between them, as one RGB image."""
    width = sum(picture.width for picture in pictures) + gap * (len(pictures) - 1)
    row = Image.new("RGB", (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + gap
    return row


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, 64 hexadecimal digits. Raises UserError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def save_png(image: Image.Image, path: Path | str) -> None:
    """Write a PNG file whole or not at all. Raises UserError where it cannot be written."""
    with atomic(path) as temporary:
        image.save(temporary, format="PNG")
