"""Uploads that are no photos, and requests that are nonsense: each gets one sentence and changes nothing."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from tests.web.browser import Server, harmless

PHOTO = "<photo>"
"""Stands for a photo that is there."""
SCRIPT = "<script>alert(1)</script>"
UP = "../../../../../../etc/passwd"
RUN = {"photos": [{"photo": PHOTO}], "words": [{"text": "mug", "trainable": True}], "name": "mug"}
pytestmark = pytest.mark.usefixtures("unharmed")


def png(width: int, height: int) -> bytes:
    """A PNG that says so in its header, and holds nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        parts.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(parts)


def picture(kind: str) -> bytes:
    data = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(data, kind)
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"hello", "not a photo"),
        (f"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'>{SCRIPT}</svg>".encode(), "not a photo"),
        (f"<html>{SCRIPT}</html>".encode(), "not a photo"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n(%pipe%id) (w) file\n", "not a photo"),
        (picture("EPS"), "not a photo"),
        (picture("PDF"), "not a photo"),
        (png(30_000, 30_000), "pixels"),
        (png(2**31 - 1, 2**31 - 1), "pixels"),
        (png(10_000, 9_999), "too large"),
        (png(1, 4000), "too small"),
        (picture("PNG")[:3000], "damaged"),
        (picture("JPEG")[:700], "damaged"),
        (picture("WEBP")[:300], "photo"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 3000, "not a photo"),
        (b"GIF89a" + b"\xff" * 200, "photo"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_no_photo_is_refused(server: Server, data: bytes, said: str) -> None:
    answer = server.post("/api/photos", data, Content_Type="image/png")
    assert answer.status == 400 and said in answer.json["error"], answer
    harmless(answer)


def test_an_upload_of_100_mb_is_refused_before_it_is_read(server: Server) -> None:
    answer = server.post("/api/photos", b"\0" * 1000, Content_Length=str(100_000_000), Content_Type="image/png")
    assert answer.status == 413 and "bytes" in answer.json["error"]
    harmless(answer)


def test_an_upload_that_says_no_length_is_cut(server: Server) -> None:
    chunk = f"{1_000_000:x}\r\n".encode() + b"\0" * 1_000_000 + b"\r\n"
    headers: dict[str, str | None] = {"Transfer_Encoding": "chunked", "Content_Length": None}
    answer = server.post("/api/photos", chunk * 40 + b"0\r\n\r\n", Content_Type="image/png", **headers)
    assert answer.status == 413
    harmless(answer)


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "application/json"),
        (b"[]", 400, "application/json"),
        (b"null", 400, "application/json"),
        (b"\xff\xfe", 400, "application/json"),
        (b"[" * 100_000, 400, "application/json"),
        (b'{"words": "\\ud800"}', 400, "application/json"),
        (b'{"a": NaN}', 400, "application/json"),
        (b'{"a": ' + b"1" * 150_000 + b"}", 400, "application/json"),
        (b"x" * 300_000, 413, "application/json"),
        (b"{}", 415, "text/plain"),
        (b"photo=1", 415, "application/x-www-form-urlencoded"),
        (b"--x\r\n\r\n", 415, "multipart/form-data; boundary=x"),
    ],
    ids=lambda value: repr(value[:14]) if isinstance(value, bytes) else None,
)
def test_what_is_no_json_is_refused(server: Server, body: bytes, status: int, kind: str) -> None:
    for path in ("/api/mask", "/api/sentence", "/api/runs", "/api/pictures"):
        answer = server.post(path, body, Content_Type=kind)
        assert answer.status == status, (path, answer)
        harmless(answer)


def filled(told: Any, photo: str) -> Any:
    """With the photo that is there in its place."""
    if isinstance(told, dict):
        return {key: filled(value, photo) for key, value in told.items()}
    if isinstance(told, list):
        return [filled(value, photo) for value in told]
    return photo if told == PHOTO else told


MASKS: list[Any] = [
    {"photo": UP, "clicks": [{"x": 1, "y": 1}]},
    {"photo": {"a": 1}, "clicks": [{"x": 1, "y": 1}]},
    {"photo": PHOTO},
    {"photo": PHOTO, "clicks": "all"},
    {"photo": PHOTO, "clicks": [1]},
    {"photo": PHOTO, "clicks": [{"x": "1; rm -rf /", "y": 1}]},
    {"photo": PHOTO, "clicks": [{"x": True, "y": 1}]},
    {"photo": PHOTO, "clicks": [{"x": float("nan"), "y": 1}]},
    {"photo": PHOTO, "clicks": [{"x": 1e308, "y": -1}]},
    {"photo": PHOTO, "clicks": [{"x": 10**400, "y": 1}]},
    {"photo": PHOTO, "clicks": [{"x": 1, "y": 1}] * 1000},
    {"photo": PHOTO, "box": [1, 2, 3]},
    {"photo": PHOTO, "box": [100, 100, 1, 1]},
    {"photo": PHOTO, "box": ["a", "b", "c", "d"]},
]
SENTENCES: list[Any] = [
    {"photo": PHOTO},
    {"photo": PHOTO, "start": "caption"},
    {"photo": PHOTO, "start": {"kind": UP}},
    {"photo": PHOTO, "start": {"kind": "caption", "captioner": UP}},
    {"photo": PHOTO, "start": {"kind": "caption", "refiner": "http://169.254.169.254/", "refiner_model": "x"}},
    {"photo": PHOTO, "start": {"kind": "class", "classifier": "evil/model"}},
    {"photo": PHOTO, "start": {"kind": "caption", "candidates": 10**9}},
    {"photo": PHOTO, "start": {"kind": "other-caption", "other": UP}},
    {"photo": PHOTO, "start": {"kind": "words", "words": "x" * 10_000}},
    {"photo": PHOTO, "start": {"kind": "caption", "__class__": "x"}},
]
RUNS: list[Any] = [
    {},
    {**RUN, "photos": []},
    {**RUN, "photos": [{"photo": UP}]},
    {**RUN, "photos": [UP]},
    {**RUN, "photos": [{"photo": PHOTO}] * 100},
    {**RUN, "name": "../../escape"},
    {**RUN, "name": SCRIPT},
    {**RUN, "name": "-rf"},
    {**RUN, "name": "a" * 200},
    {**RUN, "name": "mug\n--out=/etc"},
    {**RUN, "name": ["mug"]},
    {**RUN, "words": []},
    {**RUN, "words": [{"text": "mug", "trainable": False}]},
    {**RUN, "words": [{"text": "a {mug}"}]},
    {**RUN, "words": [{"text": "mug\u202egum"}]},
    {**RUN, "words": [{"text": "mug\x00"}]},
    {**RUN, "words": [{"text": "x" * 5000}]},
    {**RUN, "words": [{"text": "a b c d"}] * 60},
    {**RUN, "words": ["mug"]},
    {**RUN, "settings": {"steps": -1}},
    {**RUN, "settings": {"steps": 10**12}},
    {**RUN, "settings": {"steps": "10; touch /etc/x"}},
    {**RUN, "settings": {"out": UP}},
    {**RUN, "settings": {"model": UP}},
    {**RUN, "settings": {"lr": float("inf")}},
    {**RUN, "settings": {"evaluate_at": [1] * 10_000}},
    {**RUN, "settings": ["steps"]},
    {**RUN, "settings": {"background_weight": 0.5}},
    {**RUN, "samples": 10**6},
    {**RUN, "samples_at": UP},
]
PICTURES: list[Any] = [
    {},
    {"prompt": []},
    {"prompt": "a photo"},
    {"prompt": ["x" * 100_000]},
    {"prompt": ["a"] * 1000},
    {"prompt": [{"run": UP}]},
    {"prompt": [{"run": ".photowords", "use": "learned"}]},
    {"prompt": [{"run": "linked", "use": "learned"}]},
    {"prompt": ["{mug}"]},
    {"prompt": ["a"], "negative": "{mug}"},
    {"prompt": ["a\x1b[2J"]},
    {"prompt": ["a"], "seeds": []},
    {"prompt": ["a"], "seeds": [-1]},
    {"prompt": ["a"], "seeds": [2**40]},
    {"prompt": ["a"], "seeds": list(range(1000))},
    {"prompt": ["a"], "seeds": ["0"]},
    {"prompt": ["a"], "settings": {"batch": 4}},
    {"prompt": ["a"], "settings": {"steps": 10**9}},
    {"prompt": ["a"], "settings": {"scheduler": UP}},
    {"prompt": ["a"], "photo": UP},
    {"prompt": ["a"], "photo": PHOTO, "clicks": "all"},
    {"prompt": ["a"], "photo": PHOTO, "clicks": [{"x": 900, "y": 3}]},
]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        *(("/api/mask", one) for one in MASKS),
        *(("/api/sentence", one) for one in SENTENCES),
        *(("/api/runs", one) for one in RUNS),
        *(("/api/pictures", one) for one in PICTURES),
    ],
    ids=lambda value: str(value)[:60],
)
def test_nonsense_gets_one_sentence(server: Server, photo: str, path: str, told: Any) -> None:
    answer = server.post(path, filled(told, photo))
    assert 400 <= answer.status < 500, answer
    assert "\n" not in answer.json["error"] and len(answer.json["error"]) > 10
    harmless(answer)
