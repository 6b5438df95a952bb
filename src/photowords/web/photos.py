"""Photos that the page sends: read by the library's own rules, kept as PNG under a name of ours."""

from __future__ import annotations

import hashlib
import io
import json
import re
import secrets
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from photowords import files, images, jobs, pocket
from photowords.errors import PhotowordsWarning, UserError
from photowords.web.answers import missing
from photowords.web.config import Config
from photowords.web.worker import Worker

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""What is opened, by Pillow's names of its readers (a phone's MPO is JPEG's). Others would be handed to programs, as
PostScript is."""
ID = re.compile(r"[0-9a-f]{16}")
MASK = re.compile(r"([0-9a-f]{16})\.mask\.[0-9a-f]{16}")
KEPT_DAYS = 14
SMALL = 192  # pixels: the side of a photo in a list, on a screen of two pixels to each
_one_at_a_time = threading.Lock()  # a photo at the limit takes hundreds of MB while it is read


def keep(config: Config, data: bytes) -> dict[str, Any]:
    """Read an uploaded photo and keep it; what the page needs to know of it.

    Raises UserError for what is no photo, or too large.
    """
    if not data:
        raise UserError("the photo is empty (0 bytes); choose it again")
    name = secrets.token_hex(8)
    with _one_at_a_time:
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS):  # reads the header only
                pass
        except Image.DecompressionBombError:
            raise UserError(f"the photo has too many pixels; shrink it to at most {images.LIMIT}") from None
        except Exception:  # UnidentifiedImageError, and what decoders raise on a damaged header
            raise UserError("that is not a photo that can be read; use a PNG, JPEG or WebP file") from None
        upload = config.photos / f"{name}.upload"
        files.write_bytes(upload, data)
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always", PhotowordsWarning)
                photo = images.load_photo(upload)
            images.save_png(photo, config.photos / f"{name}.png")
        except UserError as error:
            raise UserError(str(error).replace(str(upload), "the photo")) from None
        finally:
            upload.unlink(missing_ok=True)
    ours = [str(one.message) for one in said if issubclass(one.category, PhotowordsWarning)]
    return _told(name, photo, [message.replace(str(upload), "the photo") for message in ours])


def keep_bank(config: Config, concept: str) -> dict[str, Any]:
    """Take a photo of the bank as if it had been sent."""
    if concept not in pocket.concepts():
        raise missing("photo in the bank")
    return keep(config, pocket.view(concept).read_bytes())


def keep_of_run(config: Config, folder: Path) -> dict[str, Any]:
    """Take a run's first photo as if it had been sent, whatever its file's size. Raises Refused where it is gone."""
    places = (folder / "photos" / "0.png", jobs.photo(folder, 0))  # of a run, and of a job that has not begun
    kept = next((path for path in places if path.is_file()), None)
    if kept is None:
        raise missing("photo of that run")
    name, photo = secrets.token_hex(8), images.load_photo(kept)
    files.write_bytes(config.photos / f"{name}.png", kept.read_bytes())
    return _told(name, photo)


def _told(name: str, photo: Image.Image, said: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "photo": name,
        "width": photo.width,
        "height": photo.height,
        "url": f"/api/photos/{name}.png",
        "warnings": list(said),
    }


def small(config: Config, photo: Path) -> Path:
    """A photo as small as lists show it, made when it is first asked for."""
    told = photo.stat()
    name = hashlib.sha256(f"{photo} {told.st_mtime_ns} {told.st_size}".encode()).hexdigest()[:16]
    path = config.photos / f"{name}.small.png"
    if not path.is_file():
        with _one_at_a_time:
            picture = images.load_photo(photo)
        picture.thumbnail((SMALL, SMALL))
        images.save_png(picture, path)
    return path


def find(config: Config, name: object) -> Path:
    """Where a photo of that name lies. Raises Refused where there is none."""
    if not isinstance(name, str) or not ID.fullmatch(name) or not (config.photos / f"{name}.png").is_file():
        raise missing("photo")
    return config.photos / f"{name}.png"


async def mask(
    config: Config, worker: Worker, photo: Path, clicks: Mapping[str, Any] | None
) -> tuple[Path, dict[str, Any]] | None:
    """Where the mask of clicks on a photo lies, and what is known of it; None where nothing was clicked."""
    if clicks is None:
        return None
    digest = hashlib.sha256(json.dumps([config.segmenter, clicks]).encode()).hexdigest()[:16]
    path = photo.with_name(f"{photo.stem}.mask.{digest}.png")
    return path, await worker.ask("mask", photo=str(photo), clicks=clicks, out=str(path))


def bank() -> list[dict[str, str]]:
    """The bank's photos."""
    return [
        {"name": name, "title": name.replace("_", " "), "url": f"/api/bank/{name}.png"} for name in pocket.concepts()
    ]


def forget_old(config: Config) -> None:
    """Remove photos that nobody has used for long; runs have copies of theirs."""
    for path in config.photos.iterdir():
        if path.is_file() and time.time() - path.stat().st_mtime > KEPT_DAYS * 24 * 3600:
            path.unlink(missing_ok=True)
