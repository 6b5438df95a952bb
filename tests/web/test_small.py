"""Photos of runs that have not begun, small ones for lists, and askings that cannot be met."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords import jobs, pocket
from photowords.jobs import Job
from photowords.web import photos
from photowords.web.asked import prompt
from photowords.web.config import Config, prepare
from photowords.web.pictures import Pictures
from photowords.web.runs import Runs
from tests.web.browser import Server, apart


def waiting(runs: Path, photo: bytes) -> Path:
    """A job in a folder of its own that nobody begins."""
    folder = runs / "waits"
    (folder / jobs.FOLDER).mkdir(parents=True)
    jobs.photo(folder, 0).write_bytes(photo)
    Job("it", (("mug", True),)).write(folder)
    return folder


def test_a_photo_of_a_run_that_has_not_begun_can_be_taken_up(tmp_path: Path) -> None:
    config = Config(tmp_path, tmp_path)
    prepare(config)
    told = photos.keep_of_run(config, waiting(tmp_path, pocket.view("mug").read_bytes()))
    assert told["width"] == 256 and (config.photos / f"{told['photo']}.png").is_file()


@pytest.mark.parametrize("kind", [*photos.FORMATS, "MPO"])
def test_every_kind_of_photo_is_read(tmp_path: Path, kind: str) -> None:
    config, data = Config(tmp_path, tmp_path), io.BytesIO()
    prepare(config)
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    frames[0].save(data, kind, **({"save_all": True, "append_images": frames[1:]} if kind in ("GIF", "MPO") else {}))
    told = photos.keep(config, data.getvalue())
    assert told["warnings"] == (["the photo moves; its first picture is taken"] if kind == "GIF" else [])
    with Image.open(config.photos / f"{told['photo']}.png") as kept:
        (red, green, blue) = kept.convert("RGB").getpixel((20, 15))  # type: ignore[misc]
        assert kept.size == (40, 30) and red > 240 and green < 20 and blue < 20
    assert [path.suffix for path in config.photos.iterdir()] == [".png"]


def test_lists_show_small_photos(server: Server) -> None:
    large = io.BytesIO()
    Image.effect_noise((900, 600), 90).convert("RGB").save(large, "PNG")
    folder = waiting(server.runs, large.getvalue())
    (row,) = (one for one in server.found("/api/runs")["runs"] if one["run"] == folder.name)
    for _ in range(2):
        with Image.open(io.BytesIO(server.get(row["photo_url"]).body)) as small:
            assert small.size == (192, 128)
    whole = server.found(f"/api/runs/{folder.name}")
    with Image.open(io.BytesIO(server.get(whole["photos"][0]).body)) as photo:
        assert photo.size == (900, 600)
    server.asked(f"/api/runs/{folder.name}/delete", {})


def test_pictures_that_no_process_can_draw_have_failed(tmp_path: Path) -> None:
    config = Config(tmp_path, tmp_path)
    prepare(config)

    class Full:
        async def ask(self, *_: Any, **__: Any) -> Any:
            raise OSError(12, "Cannot allocate memory")

    async def draw() -> dict[str, Any] | None:
        pictures = Pictures(config, Runs(config), Full())  # type: ignore[arg-type]
        asked = prompt(["a mug"], Runs(config))
        name = pictures.ask(asked, ["a mug"], [0], None, None, negative="", settings={})
        await asyncio.sleep(0.1)
        return pictures.shown(pictures.find(name))

    told = apart(draw())
    assert told is not None and told["state"] == "failed" and "Cannot allocate memory" in told["error"]
