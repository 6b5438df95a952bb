"""An optional chat endpoint that shortens or restyles a caption.

It speaks the ``chat/completions`` protocol that OpenAI began and local servers share (llama.cpp, vLLM, Ollama...).
"""

from __future__ import annotations

import json
import math
import os
import re
import threading
import urllib.error
import urllib.request
import warnings
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, urlsplit

from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.fit import STOPWORDS
from photowords.naming import key

KEYS = ("PHOTOWORDS_REFINER_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the endpoint's key, first choice first; a local server needs none.

The second was not set for us, and an address may come with a study's file that others wrote: it goes to OpenAI alone.
"""
OPENAI = ("https", "api.openai.com", 443)

INSTRUCTION = (
    "You shorten captions of photos. Keep the object and how it looks: colour, pattern, material, parts. Leave out "
    "what lies around it, and add nothing that the caption does not say."
)
MOST_BYTES = 1_000_000  # of an answer


class _Failed(Exception):
    """Why there is no refined caption, in words that end a sentence about the endpoint and hold no secret."""


class _BadRequest(_Failed):
    """What was asked is not taken as it was asked."""


@dataclass(frozen=True)
class Refiner:
    """An OpenAI-compatible chat endpoint.

    The key comes from the environment alone: from PHOTOWORDS_REFINER_KEY or, where ``url`` is https://api.openai.com,
    from OPENAI_API_KEY (``KEYS``). It goes only to the host in ``url`` and into no message or file.

    Attributes:
        url: http or https. ``https://host`` and ``https://host/v1`` both mean ``https://host/v1/chat/completions``;
            to another path ``/chat/completions`` is added where it is missing; a query is kept.
        model: the name that the endpoint knows its model by.
        instruction: what to do with a caption; None shortens it. That the answer is one line of at most ``budget``
            words is always asked for.
        timeout: seconds for the whole exchange; for each of two, where a temperature of 0 is not taken.

    Raises UserError for a URL of another kind, one that holds a password, no model, and a timeout that is not positive.
    """

    url: str
    model: str
    instruction: str | None = None
    timeout: float = 20.0
    endpoint: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            url = urlsplit(self.url.strip())
            usable = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
        except ValueError:  # a port that is no number, a broken IPv6 address
            usable = False
        if not usable:
            raise UserError("the refiner's URL must look like http://localhost:8080/v1 or https://host/v1")
        if "@" in url.netloc:
            raise UserError(f"the refiner's URL must not hold a password; put the key into {KEYS[0]}")
        if not self.model.strip():
            raise UserError("the refiner's model has no name; give the one that the endpoint knows")
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise UserError(f"the refiner's timeout is {self.timeout} s, but it must be above 0")
        object.__setattr__(self, "endpoint", _endpoint(url))

    def refine(self, caption: str, budget: int) -> str | None:
        """The caption in at most ``budget`` words, on one line; None, after a PhotowordsWarning, when that fails.

        It fails when the endpoint refuses, is too slow, answers with an error, a redirect, something that is no chat
        completion, nothing, or more words than asked for.
        """
        try:
            try:
                answer = self._answer(self._question(caption, budget, temperature=0))
            except _BadRequest:  # as models that reason say of any temperature but their own
                answer = self._answer(self._question(caption, budget))
            return _one_line(answer, budget)
        except _Failed as error:
            warnings.warn(
                f"the refiner at {urlsplit(self.endpoint).netloc} {error}; the caption stays as it is",
                PhotowordsWarning,
                stacklevel=2,
            )
            return None

    def _question(self, caption: str, budget: int, **sampling: float) -> urllib.request.Request:
        rule = f"Answer with the new caption only: one line, at most {budget} words, without quotation marks."
        messages = [
            {"role": "system", "content": f"{self.instruction or INSTRUCTION} {rule}"},
            {"role": "user", "content": caption},
        ]
        body = json.dumps({"model": self.model, "messages": messages, **sampling}).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "photowords"}
        if key := self._key():
            if not (key.isascii() and key.isprintable()):  # http.client would say the key in its error
                raise _Failed("was not asked: its key holds characters that no HTTP header can")
            headers["Authorization"] = f"Bearer {key}"
        return urllib.request.Request(self.endpoint, body, headers, method="POST")

    def _key(self) -> str | None:
        """What the endpoint may be told."""
        url = urlsplit(self.endpoint)
        names = KEYS if (url.scheme, url.hostname, url.port or 443) == OPENAI else KEYS[:1]
        return next(filter(None, (os.environ.get(name, "").strip() for name in names)), None)

    def _answer(self, question: urllib.request.Request) -> bytes:
        """The body of the answer. In a thread of its own: a socket's timeout bounds each wait, not their sum."""
        result: list[bytes | _Failed] = []

        def ask() -> None:
            try:
                with _OPENER.open(question, timeout=self.timeout) as response:
                    result.append(response.read(MOST_BYTES + 1))
            except urllib.error.HTTPError as error:
                failed = _BadRequest if error.code == HTTPStatus.BAD_REQUEST else _Failed
                result.append(failed(_status(error.code)))
                error.close()
            except TimeoutError:
                pass  # told as silence below
            except (OSError, ValueError) as error:
                silent = isinstance(getattr(error, "reason", None), TimeoutError)
                if not silent:
                    result.append(_Failed(f"cannot be reached or breaks off ({_kind(error)})"))
            except Exception as error:  # http.client has kinds of its own for a broken answer
                result.append(_Failed(f"does not speak HTTP ({type(error).__name__})"))

        thread = threading.Thread(target=ask, daemon=True)  # left behind when it hangs; it keeps nothing from ending
        thread.start()
        thread.join(self.timeout)
        if not result:
            raise _Failed(f"did not answer within {self.timeout:g} s")
        if isinstance(result[0], _Failed):
            raise result[0]
        return result[0]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host, so it counts as an error."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _endpoint(url: SplitResult) -> str:
    path = url.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path = f"{path or '/v1'}/chat/completions"
    return url._replace(path=path, fragment="").geturl()


def _status(code: int) -> str:
    if 300 <= code < 400:
        return f"redirects to another address (HTTP {code}), where the key does not follow; give that address itself"
    meanings = {status.value: f" {status.phrase}" for status in HTTPStatus}
    advice = f"; its key is what {KEYS[0]} holds" if code == HTTPStatus.UNAUTHORIZED else ""
    return f"answered with an error (HTTP {code}{meanings.get(code, '')}){advice}"


def _kind(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or type(cause).__name__


def _one_line(body: bytes, budget: int) -> str:
    """The words of a chat completion. Raises _Failed when there are none, or more than ``budget``."""
    if len(body) > MOST_BYTES:
        raise _Failed("answered with more than a caption can be")
    try:
        text = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise _Failed("answered with something that is no chat completion") from None
    if not isinstance(text, str):
        raise _Failed("answered with something that is no chat completion")
    text = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL)  # some models reason aloud first
    lines = (" ".join("".join(c if c.isprintable() else " " for c in line).split()) for line in text.splitlines())
    lines = (line.strip(" \"'`*“”‘’«»") for line in lines)
    answer = next((line for line in lines if line and not line.endswith(":")), "")  # "Here is a shorter caption:"
    if all(key(word) in STOPWORDS | {""} for word in answer.split()):
        raise _Failed("answered with nothing")
    if len(answer.split()) > budget:
        raise _Failed(f"answered with {len(answer.split())} words where at most {budget} were asked for")
    return answer
