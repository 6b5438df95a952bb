"""Photos of every kind, and what is none."""

import hashlib
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from photowords import images
from photowords.errors import UserError
from photowords.inversion import views
from photowords.segmentation import object_box


def noise(height: int = 16, width: int = 16) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def png_header(width: int, height: int) -> bytes:
    """A 1-bit PNG that claims its size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")
    )


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    photo = images.load_photo(tmp_path / "a.jpg")
    assert (photo.mode, photo.size) == ("RGB", (16, 16))
    assert np.abs(np.array(photo)[8, 8].astype(int) - (255, 0, 0)).max() <= 3


def test_sixteen_bit_png_is_scaled(tmp_path: Path) -> None:
    grey = np.zeros((16, 16), np.uint16)
    grey[:8], grey[8:] = 65535, 257 * 100
    Image.fromarray(grey).save(tmp_path / "a.png")
    photo = images.load_photo(tmp_path / "a.png")
    assert photo.getpixel((0, 0)) == (255, 255, 255)
    assert photo.getpixel((0, 15)) == (100, 100, 100)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [((0, 65535), np.int32, 255), ((0, 200), np.int32, 200), ((0, 0.5), np.float32, 128), ((-3, 1e6), np.float32, 255)],
)
def test_wide_tiffs_are_scaled(tmp_path: Path, values: tuple[float, float], kind: type, expected: int) -> None:
    grey: np.ndarray = np.full((16, 16), values[0], kind)
    grey[:8] = values[1]
    Image.fromarray(grey).save(tmp_path / "a.tif")
    photo = images.load_photo(tmp_path / "a.tif")
    assert photo.getpixel((0, 0)) == (expected,) * 3
    assert photo.getpixel((0, 15)) == (0, 0, 0)


def test_transparency_is_white(tmp_path: Path) -> None:
    palette = Image.new("P", (16, 16), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(1, (0, 0, 16, 8))
    palette.save(tmp_path / "p.png", transparency=0)
    photo = images.load_photo(tmp_path / "p.png")
    assert (photo.getpixel((3, 3)), photo.getpixel((3, 12))) == ((0, 0, 255), (255, 255, 255))
    Image.new("RGBA", (16, 16), (0, 0, 0, 51)).save(tmp_path / "a.png")
    assert images.load_photo(tmp_path / "a.png").getpixel((0, 0)) == (204, 204, 204)
    Image.new("LA", (16, 16), (10, 1)).save(tmp_path / "la.png")
    assert images.load_photo(tmp_path / "la.png").getpixel((0, 0)) == (254, 254, 254)


def test_grey_and_one_bit(tmp_path: Path) -> None:
    Image.new("L", (16, 16), 77).save(tmp_path / "l.png")
    assert images.load_photo(tmp_path / "l.png").getpixel((0, 0)) == (77, 77, 77)
    Image.new("1", (16, 16), 1).save(tmp_path / "1.png")
    assert images.load_photo(tmp_path / "1.png").getpixel((0, 0)) == (255, 255, 255)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert images.load_photo(tmp_path / "a.gif").getpixel((0, 0)) == (255, 0, 0)


def test_exif_turns_the_photo_upright(tmp_path: Path) -> None:
    photo = Image.new("RGB", (32, 16), "black")
    photo.paste("white", (0, 0, 16, 16))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise: what is left is then above
    photo.save(tmp_path / "a.jpg", exif=exif, quality=95)
    upright = images.load_photo(tmp_path / "a.jpg")
    assert upright.size == (16, 32)
    red = np.asarray(upright)[..., 0]
    assert red[4, 8] > 250 and red[28, 8] < 5
    assert upright.info == {} and not upright.getexif()


def cut(path: Path, kind: str) -> None:
    noise(64, 64).save(path, format=kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "does not exist; give the path"),
        (lambda p: p.mkdir(), "is a folder; give"),
        (lambda p: p.touch(), r"is empty \(0 bytes\)"),
        (lambda p: p.write_text("not a picture at all"), "is not an image that can be read"),
        (lambda p: Image.new("RGB", (1, 1)).save(p), "is 1x1 pixels, too small; use at least 8x8"),
        (lambda p: Image.new("RGB", (100, 7)).save(p), "is 100x7 pixels, too small"),
        (lambda p: cut(p, "PNG"), "damaged or cut-off image"),
        (lambda p: cut(p, "JPEG"), "damaged or cut-off image"),
        (lambda p: p.write_bytes(png_header(12_000, 10_000)), "12000x10000 pixels, too large; .* 89 million"),
        (
            lambda p: p.write_bytes(png_header(30_000, 30_000)),
            "too many pixels to be opened; .* 89 million",
        ),
    ],
    ids=["missing", "folder", "empty", "text", "1x1", "thin", "cut png", "cut jpeg", "large", "bomb"],
)
def test_what_is_no_photo_is_one_sentence(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "photo.png"
    make(path)
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings(), pytest.raises(UserError, match=message) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        images.load_photo(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_pillows_own_limit_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the whole process's: two threads that lifted and restored it in turn would leave it lifted."""
    noise().save(tmp_path / "a.png")
    limit, seen = Image.MAX_IMAGE_PIXELS, []
    rgb, resize = images.as_rgb, Image.Image.resize
    monkeypatch.setattr(images, "as_rgb", lambda image: seen.append(Image.MAX_IMAGE_PIXELS) or rgb(image))

    def crop(*arguments: Any) -> Image.Image:
        seen.append(Image.MAX_IMAGE_PIXELS)
        return resize(*arguments)

    monkeypatch.setattr(Image.Image, "resize", crop)
    open_ = Image.open
    monkeypatch.setattr(Image, "open", lambda path: seen.append(Image.MAX_IMAGE_PIXELS) or open_(path))
    images.to_tensor(images.load_photo(tmp_path / "a.png"), 8)
    assert seen == [limit] * 3


@pytest.mark.parametrize("grey", [1, 127])
def test_the_object_begins_at_128(grey: int) -> None:
    """A soft edge, or a stray grey pixel, is background for all who ask where the object is."""
    mask = Image.new("L", (256, 256))
    mask.paste(255, (100, 100, 150, 150))
    box = images.square_box(mask.size, mask)
    mask.putpixel((5, 200), grey)
    assert images.square_box(mask.size, mask) == box == (93, 93, 157, 157)
    assert object_box(mask) == (100, 100, 150, 150)
    assert views.square(Image.new("RGB", mask.size), mask) == box
    faint = Image.new("L", (256, 256), grey)
    assert images.square_box(faint.size, faint) == (0, 0, 256, 256), "an empty mask is none"
    with pytest.raises(UserError, match="the mask is empty"):
        object_box(faint)


def test_a_name_that_is_too_long_is_one_sentence() -> None:
    with pytest.raises(UserError, match="a" * 300):
        images.load_photo("a" * 300)


def test_to_tensor_and_back_is_exact() -> None:
    photo = noise()
    tensor = images.to_tensor(photo, 16)
    assert tensor.shape == (1, 3, 16, 16) and tensor.dtype == torch.float32 and tensor.is_contiguous()
    assert torch.equal(tensor[0, :, 3, 5], torch.tensor(photo.getpixel((5, 3))) / 127.5 - 1)
    assert tensor.min() >= -1 and tensor.max() <= 1
    (back,) = images.to_pil(tensor)
    assert np.array_equal(np.array(back), np.array(photo))


def test_to_tensor_reads_other_modes_as_photos_are_read() -> None:
    for white in (Image.new("RGBA", (16, 16), (255, 0, 0, 0)), Image.new("L", (16, 16), 255)):
        assert torch.equal(images.to_tensor(white, 8), torch.ones(1, 3, 8, 8))


def test_to_tensor_takes_the_middle_square() -> None:
    photo = Image.new("RGB", (48, 16), "black")
    photo.paste("white", (16, 0, 32, 16))
    for size in (8, 16, 11, 64):
        tensor = images.to_tensor(photo, size)
        assert tensor.shape == (1, 3, size, size)
        assert tensor.min() == 1


def test_to_tensor_averages_whole_blocks() -> None:
    photo = noise(64, 64)
    blocks = np.array(photo, np.float64).reshape(16, 4, 16, 4, 3).mean((1, 3)) / 127.5 - 1
    ours = images.to_tensor(photo, 16)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - blocks).max() <= 1.01 / 127.5  # Pillow rounds to 8 bits along each axis


def test_to_pil_clamps_and_rounds() -> None:
    values = torch.tensor([-5.0, -1, 0.0, 0.999, 1, 7]).view(1, 1, 1, 6).expand(2, 3, 1, 6)
    pictures = images.to_pil(values)
    assert len(pictures) == 2 and pictures[1].size == (6, 1)
    assert np.array(pictures[1])[0, :, 2].tolist() == [0, 0, 128, 255, 255, 255]


def test_side_by_side() -> None:
    row = images.side_by_side([Image.new("RGB", (8, 8)), Image.new("RGB", (6, 4))])
    assert row.size == (18, 8)
    assert [row.getpixel(at) for at in ((7, 7), (8, 0), (12, 3), (12, 4))] == [
        (0,) * 3,
        (255,) * 3,
        (0,) * 3,
        (255,) * 3,
    ]


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"photo")
    assert images.sha256(tmp_path / "a") == hashlib.sha256(b"photo").hexdigest()
    with pytest.raises(UserError, match="cannot be read: No such file"):
        images.sha256(tmp_path / "b")


def test_save_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, path = noise(), tmp_path / "a.png"
    images.save_png(photo, path)
    first = path.read_bytes()
    assert np.array_equal(np.array(images.load_photo(path)), np.array(photo))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"cannot write .*a\.png: No space left on device"):
        images.save_png(Image.new("RGB", (8, 8)), path)
    assert path.read_bytes() == first and list(tmp_path.iterdir()) == [path]
