"""Strangers, and paths that lead outside: each is refused, changes nothing, tells nothing, and the page goes on."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.web.browser import Server, harmless

EVIL = "http://evil.example"
SCRIPT = "<script>alert(1)</script>"
pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:80"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "localhost.evil.example:7870"}, 421),
        ({"Host": "192.168.0.7"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "[::2]:7870"}, 421),
        ({"Origin": EVIL}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Origin": "http://127.0.0.1:7870.evil.example"}, 403),
    ],
    ids=str,
)
def test_a_foreign_page_changes_nothing(server: Server, headers: dict[str, str | None], status: int) -> None:
    for path in ("/api/bank/mug", "/api/photos", "/api/runs", "/api/runs/x/delete"):
        answer = server.post(path, {}, **headers)
        assert answer.status == status, answer
        harmless(answer)


@pytest.mark.parametrize(
    "path", ["/", "/api/about", "/api/runs", "/api/events", "/static/main.js", "/api/bank/mug.png"]
)
@pytest.mark.parametrize("cookie", ["", "photowords=1", "photowords-00000000=x; a=b", "\x01=;;;", "x" * 5000], ids=len)
def test_nothing_is_told_without_the_token(server: Server, path: str, cookie: str) -> None:
    answer = server.ask("GET", path, cookie=cookie)
    assert answer.status == 403
    harmless(answer)


@pytest.mark.parametrize(
    "other", ["theme=dark", 'prefs={"dark": true}', "a b=c", "\x01=", "=", "photowords-00000000=x"]
)
def test_cookies_of_other_servers_keep_nobody_out(server: Server, other: str) -> None:
    """A browser sends what any port of this machine has set."""
    for cookie in (f"{other}; {server.cookie}", f"{server.cookie}; {other}"):
        assert server.ask("GET", "/api/about", cookie=cookie).status == 200


@pytest.mark.parametrize("token", ["", "x", "é", "a" * 4000, "%00", "{token}&token=x", "{token}x"])
def test_a_wrong_token_opens_nothing(server: Server, token: str) -> None:
    answer = server.ask("GET", f"/?token={token.format(token=server.token)}".replace("é", "%C3%A9"), cookie="")
    assert answer.status == 403 and "set-cookie" not in answer.headers
    harmless(answer)


def test_the_cookie_is_for_this_page_only(server: Server) -> None:
    cookie = server.ask("GET", f"/?token={server.token}", cookie="").headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and server.token.lower() not in cookie
    assert (server.runs / ".photowords" / "token").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "NONSENSE"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    answer = server.ask(method, "/api/runs", Origin=server.origin)
    assert answer.status == 405
    harmless(answer)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e%2fapp.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/static/.hidden.js",
        "/static/main.js%00.png",
        "/api/photos/..%2f..%2ftoken.png",
        "/api/photos/%2e%2e%2ftoken.png",
        "/api/photos/token.png",
        "/api/bank/..%2f..%2fpipeline.png",
        "/api/runs/..",
        "/api/runs/%2e%2e",
        "/api/runs/.photowords",
        "/api/runs/.photowords/files/token",
        "/api/runs/..%2f..%2fetc",
        "/api/runs/linked",
        "/api/runs/linked/files/photos/0.png",
        "/api/runs/real/files/photos/0.png",
        "/api/runs/real/files/settings.json",
        "/api/runs/real/files/../settings.json",
        "/api/runs/real/files/photos/../../settings.json",
        "/api/runs/real/files/photos%2f..%2f..%2f..%2fsecret.png",
        "/api/runs/real/files/overlay.png",
        "/api/runs/real/files/loss.png",
        "/api/runs/real%00/files/loss.png",
        "/api/runs/linked.zip",
        "/api/runs/..%2freal.zip",
        "/api/pictures/..%2f..",
        "/api/pictures/20260101-000000-00000000",
        "/api/pictures/20260101-000000-00000000/0.png",
        "/api/pictures/%2e%2e/0.png",
        "/api/studies/..",
        "/api/studies/.photowords",
        "/api/studies/real/files/report/../../secret.png",
        "/api/studies/..%2freal/files/report/report.html",
        f"/api/runs/{'x' * 3000}",
        f"/api/runs/{quote('字' * 150)}",
        f"/api/studies/{quote('字' * 150)}",
        "/api/runs/editor",
        "/api/runs/editor.zip",
        "/api/runs/%F0%9F%92%A3%ff%fe",
        f"/{SCRIPT}",
    ],
)
def test_no_path_leads_outside(server: Server, path: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    answer = server.get(path)
    assert answer.status in (400, 404), (path, answer)
    harmless(answer)
    assert b"never to be seen" not in answer.body and SCRIPT.encode() not in answer.body


@pytest.mark.parametrize("path", ["/api/runs/{}/stop", "/api/runs/{}/resume", "/api/runs/{}/delete"])
@pytest.mark.parametrize("name", ["..", "%2e%2e", ".photowords", "linked", "nothing", "..%2f..%2fetc"])
def test_no_other_folder_is_touched(server: Server, path: str, name: str) -> None:
    answer = server.post(path.format(name), {})
    assert answer.status == 404
    harmless(answer)


def test_html_in_a_run_comes_back_as_text(server: Server) -> None:
    """What a folder says is data: it is sent as JSON, which no browser takes for a page."""
    answer = server.get("/api/runs/real")
    assert answer.headers["content-type"] == "application/json" and answer.json["name"] == "<b>"
