"""The process that has the models: which it takes for a photo, and how long it keeps it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from photowords import backbones
from photowords.web.work import Work
from tests.web.browser import Server
from tests.web.test_page import FEW, WORDS, drawn, ended


def test_a_model_is_kept_however_its_precision_is_asked_for(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    load = backbones.load

    def counted(*asked: Any) -> Any:
        loaded.append(asked)
        return load(*asked)

    monkeypatch.setattr(backbones, "load", counted)
    monkeypatch.chdir(tiny_folder.parent)
    work = Work(tiny_folder.name, "cpu", "auto", None)
    drawing = work._load(tiny_folder.name)
    dtype = str(drawing.dtype).removeprefix("torch.")
    for asked in ((tiny_folder.name, None), (drawing.source, dtype), (drawing.source, None)):
        assert work._load(*asked) is drawing
    assert len(loaded) == 1
    other = work._load(drawing.source, "float16")
    assert other is not drawing and len(loaded) == 2


def test_a_thing_in_a_strange_photo_is_of_the_pockets_world(mug: Image.Image, tmp_path: Path) -> None:
    """Its sentence, the picture of its plain words and its run are of one model: that of what was selected."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8)
    photo, data = Image.fromarray(noise), io.BytesIO()
    photo.paste(mug, (20, 20))
    photo.save(data, "PNG")
    server = Server(tmp_path / "runs", ()).start()  # --model auto
    try:
        name = server.post("/api/photos", data.getvalue(), Content_Type="image/png").json["photo"]
        selected = {"photo": name, "clicks": [], "box": [40, 40, 256, 256]}
        assert server.asked("/api/sentence", {**selected, "start": {"kind": "class"}})["sentence"]
        told = drawn(server, {"prompt": ["a photo of a mug"], **selected, "settings": {"steps": 1}})
        assert (told["state"], told["model"]) == ("done", "pocket"), told["error"]
        job = {"photos": [selected], "words": WORDS, "name": "mug", "settings": {**FEW, "steps": 1}, "samples": 0}
        run = server.asked("/api/runs", job)["run"]
        told = server.until(f"/api/runs/{run}", ended)
        assert (told["state"], told["model"]) == ("done", "pocket"), told["error"]
        said = server.refused("/api/runs", {**job, "photos": [{"photo": name}]})  # at once, not when its turn comes
        assert "or go on regardless with photowords web --model pocket" in said
        assert len(server.found("/api/runs")["runs"]) == 1
    finally:
        server.end()
