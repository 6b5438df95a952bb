"""The refiner against a small server on this machine: what it sends, and that no failure stops anything."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.request import OpenerDirector, Request

import pytest
from PIL import Image

from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.captioner import caption
from photowords.initializers.refiner import KEYS, Refiner
from photowords.starts import Caption
from tests.small_server import SECRET, Reply, Server, drip, drip_headers, gibber, hang_up, say, send


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("red striped mug", "red striped mug"),
        ('  "a red mug"\n', "a red mug"),
        ("Here is a shorter caption:\n\n**a red mug**\nIt keeps the colour.", "a red mug"),
        ("<think>the object is\na mug</think>\n“red mug”", "red mug"),
        ("red\tmug\x07", "red mug"),
        ("eins zwei drei vier fünf", "eins zwei drei vier fünf"),
    ],
)
def test_a_good_answer_is_one_line(server: Server, content: str, expected: str) -> None:
    server.reply = say(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Refiner(server.url, "small").refine("a photo of a red mug on a table", 5) == expected


def test_it_asks_for_the_caption_under_the_budget(server: Server) -> None:
    Refiner(server.url, "small").refine("a photo of a red mug", 7)
    Refiner(server.url, "small", instruction="Say it like a poet.").refine("a photo of a red mug", 7)
    (path, _, plain), (_, _, restyled) = server.asked
    assert path == "/v1/chat/completions"
    assert plain["model"] == "small" and plain["temperature"] == 0
    assert plain["messages"][1] == {"role": "user", "content": "a photo of a red mug"}
    assert "at most 7 words" in plain["messages"][0]["content"] and "shorten" in plain["messages"][0]["content"]
    assert restyled["messages"][0]["content"].startswith("Say it like a poet. ")
    assert "at most 7 words" in restyled["messages"][0]["content"]


def test_a_model_that_takes_no_temperature_is_asked_without(server: Server) -> None:
    """As OpenAI's reasoning models are, which answer 400."""

    def picky(handler: BaseHTTPRequestHandler) -> None:
        send(b"{}", 400)(handler) if "temperature" in server.asked[-1][2] else say("red mug")(handler)

    server.reply = picky
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Refiner(server.url, "thinker").refine("a photo of a red mug", 7) == "red mug"
    assert ["temperature" in body for _, _, body in server.asked] == [True, False]
    server.reply = send(b"{}", 400)
    with pytest.warns(PhotowordsWarning, match="HTTP 400 Bad Request.; the caption stays as it is"):
        assert Refiner(server.url, "small").refine("a mug", 7) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"OPENAI_API_KEY": "other"}, None),
        ({"OPENAI_API_KEY": "other", "PHOTOWORDS_REFINER_KEY": SECRET + "\n"}, f"Bearer {SECRET}"),
        ({"OPENAI_API_KEY": "other", "PHOTOWORDS_REFINER_KEY": " "}, None),
    ],
)
def test_the_key_comes_from_the_environment(
    server: Server, environment: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Refiner(server.url, "small").refine("a mug", 5) == "red mug"
    assert server.asked[0][1].get("Authorization") == expected


@pytest.mark.parametrize(
    ("url", "ours", "expected"),
    [
        ("https://api.openai.com", "", "Bearer other"),
        ("https://API.OpenAI.com:443/v1", "", "Bearer other"),
        ("https://api.openai.com/v1", SECRET, f"Bearer {SECRET}"),
        ("http://api.openai.com/v1", "", None),
        ("https://api.openai.com:8443/v1", "", None),
        ("https://api.openai.com.evil.org/v1", "", None),
        ("https://evil.org/api.openai.com/v1", "", None),
        ("https://evil.org/v1", SECRET, f"Bearer {SECRET}"),
    ],
)
def test_openais_own_key_goes_to_openai_alone(
    url: str, ours: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str | None] = []

    def caught(_: object, request: Request, **__: object) -> None:
        sent.append(request.get_header("Authorization"))
        raise OSError("nobody is asked")

    monkeypatch.setenv("OPENAI_API_KEY", "other")
    monkeypatch.setenv("PHOTOWORDS_REFINER_KEY", ours)
    monkeypatch.setattr(OpenerDirector, "open", caught)
    with pytest.warns(PhotowordsWarning, match="cannot be reached"):
        Refiner(url, "small").refine("a mug", 5)
    assert sent == [expected]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (
            send(f"no such key: {SECRET}".encode(), 401),
            r"HTTP 401 Unauthorized.; its key is what PHOTOWORDS_REFINER_KEY",
        ),
        (send(b"{}", 500), r"HTTP 500 Internal Server Error"),
        (send(b"{}", 599), r"HTTP 599\)"),
        (send(b"<html>not JSON</html>"), "no chat completion"),
        (send(b"\xff\xfe\x00"), "no chat completion"),
        (send(b"[" * 100_000), "no chat completion"),
        (send(b"[]"), "no chat completion"),
        (send(b'{"choices": []}'), "no chat completion"),
        (send(b'{"choices": [{"message": {"content": null}}]}'), "no chat completion"),
        (send(b""), "no chat completion"),
        (send(b" " * 1_000_001), "more than a caption can be"),
        (say(""), "answered with nothing"),
        (say(' "..." \n'), "answered with nothing"),
        (say("Sure:"), "answered with nothing"),
        (say("The"), "answered with nothing"),
        (say("one two three four five six"), "6 words where at most 5"),
        (gibber, "does not speak HTTP"),
        (hang_up, "does not speak HTTP|cannot be reached or breaks off"),
    ],
)
def test_a_bad_answer_keeps_the_caption(
    server: Server, reply: Reply, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOTOWORDS_REFINER_KEY", SECRET)
    server.reply = reply
    with pytest.warns(PhotowordsWarning, match=f"the refiner at 127.0.0.1:.*{why}.*; the caption stays") as caught:
        assert Refiner(server.url, "small").refine("a red mug", 5) is None
    assert SECRET not in str(caught[0].message) and "\n" not in str(caught[0].message)


def test_the_timeout_bounds_the_whole_exchange(server: Server) -> None:
    def silence(handler: BaseHTTPRequestHandler) -> None:
        server.over.wait(5)

    for reply in (silence, drip, drip_headers):
        server.reply = reply
        start = time.monotonic()
        with pytest.warns(PhotowordsWarning, match=r"did not answer within 0\.3 s"):
            assert Refiner(server.url, "small", timeout=0.3).refine("a red mug", 5) is None
        assert time.monotonic() - start < 1


def test_nobody_there(server: Server) -> None:
    server.close()
    with pytest.warns(PhotowordsWarning, match=r"cannot be reached .*; the caption stays"):
        assert Refiner(server.url, "small").refine("a red mug", 5) is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_does_not_carry_the_key_away(server: Server, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOWORDS_REFINER_KEY", SECRET)
    elsewhere = Server()

    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", elsewhere.url)
        handler.end_headers()

    server.reply = redirect
    with pytest.warns(PhotowordsWarning, match=f"redirects to another address .HTTP {status}."):
        assert Refiner(server.url, "small").refine("a red mug", 5) is None
    elsewhere.close()
    assert len(server.asked) == 1 and not elsewhere.asked


def test_a_key_that_no_header_can_hold_is_not_said(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOWORDS_REFINER_KEY", SECRET + "\nx")
    with pytest.warns(PhotowordsWarning, match="key holds characters") as caught:
        assert Refiner(server.url, "small").refine("a red mug", 5) is None
    assert SECRET not in str(caught[0].message) and not server.asked


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://localhost:8080", "http://localhost:8080/v1/chat/completions"),
        ("http://localhost:8080/", "http://localhost:8080/v1/chat/completions"),
        ("https://host/v1/", "https://host/v1/chat/completions"),
        ("https://host/v1/chat/completions", "https://host/v1/chat/completions"),
        ("https://host/openai/api?version=2", "https://host/openai/api/chat/completions?version=2"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1/chat/completions"),
    ],
)
def test_where_a_url_leads(url: str, endpoint: str) -> None:
    assert Refiner(url, "small").endpoint == endpoint


@pytest.mark.parametrize("url", ["", "localhost:8080", "file:///etc/passwd", "ftp://host", "http://", "http://host:x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UserError, match="must look like http"):
        Refiner(url, "small")


def test_a_password_in_the_url_is_refused_and_not_said() -> None:
    with pytest.raises(UserError, match="must not hold a password; put the key into PHOTOWORDS_REFINER_KEY") as caught:
        Refiner(f"https://me:{SECRET}@host/v1", "small")
    assert SECRET not in str(caught.value)
    for timeout in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UserError, match="timeout is"):
            Refiner("http://host", "small", timeout=timeout)


def test_the_caption_is_refined(server: Server, pocket_model: Backbone, mug: Image.Image, tmp_path: Path) -> None:
    raw = caption(Caption(), [mug], pocket_model)
    server.reply = say("shiny mug")
    refined = caption(Caption(refiner=server.url, refiner_model="small", budget=3), [mug], pocket_model)
    assert refined.text == "shiny mug"
    assert refined.provenance == {**raw.provenance, "refined": "shiny mug", "refiner": "small"}
    assert server.asked[0][2]["messages"][1]["content"] == raw.provenance["caption"]
    assert "at most 3 words" in server.asked[0][2]["messages"][0]["content"]
    local = Caption(refiner=server.url, refiner_model=str(tmp_path))  # some servers call a model by its folder
    assert caption(local, [mug], pocket_model).provenance["refiner"] == tmp_path.name
    server.reply = send(b"{}", 500)
    with pytest.warns(PhotowordsWarning, match="the caption stays as it is"):
        assert caption(Caption(refiner=server.url, refiner_model="small"), [mug], pocket_model) == raw
