"""Who may ask: the host, the origin and the cookie of every request are looked at before anything else is."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photowords.web.config import LOOPBACK, Config

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    # Under "no-referrer" a browser would send the password's form with the origin "null".
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
COOKIE_SECONDS = 30 * 24 * 3600
LOGIN_BYTES = 2000
WRONG_PASSWORD_SECONDS = 1.0
LOGIN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>photowords</title>
<h1>photowords</h1>{said}<form method="post" action="/login"><label>Password
<input type="password" name="password" autofocus required></label> <button>Open</button></form></html>"""
CLOSED = "open the page with the address that photowords web printed, which holds its token"


class Guard:
    """Lets through to ``app`` what the page itself asks."""

    def __init__(self, app: ASGIApp, config: Config) -> None:
        self._app, self._config = app, config
        # A cookie is sent to every port of a host, so that its name tells servers apart.
        # A new password closes the page to those who knew the old one.
        digest = hashlib.sha256(f"{config.token}{config.password or ''}".encode()).hexdigest()
        self._cookie, self._value = f"photowords-{digest[:8]}", digest[8:]
        self._names = _names_of_this_machine() if config.is_open else ()
        self._login = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a web socket: none is spoken

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = await self._answer(scope, receive)
        await (answer or self._app)(scope, receive, send_with_headers)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        """What is said to a request that may not pass, or that opens the page; None to let it through."""
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return _refusal(421, "this server does not answer to that host")
        if method not in ("GET", "HEAD", "POST"):
            return _refusal(405, f"nothing here answers to {method[:20]}")
        origins = headers.getlist("origin")
        if (origins or method == "POST") and origins not in ([f"http://{hosts[0]}"], [f"https://{hosts[0]}"]):
            return _refusal(403, "only the page itself may ask for that")
        if path == "/login" and method == "POST" and self._config.password:
            return await self._log_in(receive)
        told = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if path == "/" and told:
            if len(told) == 1 and _same(told[0], self._config.token):
                return self._opened()
            return _closed(403, "that token is not this page's; " + CLOSED)
        if self._has_cookie(scope):
            return None
        if path == "/" and self._config.password:
            return HTMLResponse(LOGIN.format(said=""))
        return _closed(403, CLOSED) if path == "/" else _refusal(403, CLOSED)

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this machine, as far as it is to be reached. A foreign name that was made to
        point here is refused by that."""
        name = host.rsplit(":", 1)[0] if not host.endswith("]") and ":" in host else host
        name = name.strip("[]").lower()
        if name in LOOPBACK:
            return True
        if not self._config.is_open:
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _has_cookie(self, scope: Scope) -> bool:
        # Not by http.cookies, which takes none where one is odd: the cookies of other ports' servers come as well.
        return _same(HTTPConnection(scope).cookies.get(self._cookie, ""), self._value)

    def _opened(self) -> Response:
        answer = RedirectResponse("/", 303)
        # Not "strict", or a link to the page from a web page, as a notebook's terminal shows it, would end without the
        # cookie; what changes anything asks for the origin besides.
        answer.set_cookie(self._cookie, self._value, max_age=COOKIE_SECONDS, path="/", httponly=True, samesite="lax")
        return answer

    async def _log_in(self, receive: Receive) -> Response:
        async with self._login:  # one at a time, so that guessing is slow
            try:
                body = await asyncio.wait_for(_small_body(receive), 10)
            except TimeoutError:
                body = b""
            told = parse_qs(body.decode("utf-8", "replace")).get("password", [""])[0]
            if _same(told, self._config.password or ""):
                return self._opened()
            await asyncio.sleep(WRONG_PASSWORD_SECONDS)
        return HTMLResponse(LOGIN.format(said='<p role="alert">That is not the password.</p>'), 403)


def _names_of_this_machine() -> Sequence[str]:
    name = socket.gethostname().lower()
    return name, f"{name}.local", socket.getfqdn().lower()


def _same(told: str, right: str) -> bool:
    return hmac.compare_digest(told.encode(), right.encode())


async def _small_body(receive: Receive) -> bytes:
    body = b""
    while len(body) < LOGIN_BYTES:
        message = await receive()
        part: bytes = message.get("body", b"")
        body += part
        if message["type"] != "http.request" or not message.get("more_body"):
            return body
    return b""


def _refusal(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence, "field": None}, status, headers={"connection": "close"})


def _closed(status: int, sentence: str) -> Response:
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>photowords</title><p>To enter, {sentence}.'
    return HTMLResponse(page, status)
