"""A run's own copies of its photos and masks, which it goes on with: what is gone or another file by then is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL.Image import Image

from photowords import images
from photowords.errors import UserError


def keep(folder: Path, photos: Sequence[Image], masks: Sequence[Image | None]) -> dict[str, Any]:
    """Write photos/0.png ... and masks/0.png ... into a folder that has both; their hashes, for ``settings.json``."""
    for part, pictures in (("photos", photos), ("masks", masks)):
        for number, picture in enumerate(pictures):
            if picture is not None:
                images.save_png(picture, folder / part / f"{number}.png")
    places = [folder / "masks" / f"{number}.png" if mask else None for number, mask in enumerate(masks)]
    return {"copies_sha256": _hashes(_photos(folder)), "masks_sha256": _hashes(places)}


def photos(folder: Path, about: Mapping[str, Any]) -> list[Image]:
    """The photos of a run, in order. Raises UserError where one is gone or another one."""
    if not (found := _photos(folder)):
        raise UserError(f"{folder} has lost its photo; put it back as {folder / 'photos' / '0.png'}")
    _check_same(folder / "photos", found, about.get("copies_sha256"))
    return [images.load_photo(path) for path in found]


def masks(folder: Path, about: Mapping[str, Any], made_with: Sequence[object] | None) -> list[Image | None]:
    """The mask of each photo, mode "L"; None for a photo without, as ``made_with`` says (None: no photo has one).

    Raises UserError for a mask that is gone, or another one.
    """
    made_with = [None] * len(_photos(folder)) if made_with is None else made_with
    places = [folder / "masks" / f"{number}.png" if facts else None for number, facts in enumerate(made_with)]
    found = [images.load_photo(path).convert("L") if path else None for path in places]
    _check_same(folder / "masks", places, about.get("masks_sha256"))
    return found


def _photos(folder: Path) -> list[Path]:
    """The files of a run's photos, in order; what else lies there is none of them."""
    found = [path for path in (folder / "photos").glob("*.png") if path.stem.isdigit()]
    return sorted(found, key=lambda path: int(path.stem))


def _hashes(places: Sequence[Path | None]) -> list[str | None]:
    return [images.sha256(path) if path else None for path in places]


def _check_same(part: Path, places: Sequence[Path | None], known: Sequence[str | None] | None) -> None:
    """Raise UserError where a file is another than it was; older runs do not say what theirs were."""
    if known and list(known) != _hashes(places):
        raise UserError(
            f"a picture in {part} is not the one that the run was begun with; put that back, or begin with the new one "
            "in another folder"
        )
