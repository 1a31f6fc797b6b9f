"""Hostile names and requests of other sites: nothing foreign becomes a link or gets an answer."""

import random
from collections.abc import Iterator

from markdown_it import MarkdownIt
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from benchmarks.attacks.found import Bounds, Found, strike
from dashboard import server
from dashboard.widgets import text
from tests.support.links import active

PIECES = (
    "http://evil.example", "https://evil.example/x", "www.evil.example", "me@evil.example",
    "[x](http://evil.example)", "<http://evil.example>", "![x](http://evil.example/i.png)",
    "[x]: http://evil.example", "<img src=x onerror=alert(1)>", "<script>alert(1)</script>",
    "`", "``", "```", "\\", "\n", "~~", "**", "_", "&#x68;ttp://", "javascript:alert(1)",
    ":material/home:", "$x$", "|", "\u2028", "]", "(", "csvcore models",
)  # fmt: skip


def attack(n: int, left: Bounds, seed: int) -> Found:
    """Show n hostile names as pages do, and send requests of other sites to the server."""
    found, rng = Found("links"), random.Random(seed)
    markdown = MarkdownIt("commonmark")
    for name in _names(rng, n):
        if not left():
            break
        shown = strike(found, "a name", lambda name=name: _shown(name))  # type: ignore[misc]
        for words in shown or ():
            drawn = markdown.render(words)
            if active(words) or any(mark in drawn for mark in ("<a ", "<img", "<script")):
                found.links += 1
                found.note(f"a link is drawn from {words!r}")
    _requests(found)
    return found


def _names(rng: random.Random, n: int) -> Iterator[str]:
    for _ in range(n):
        yield "".join(rng.choice(PIECES) + rng.choice(["", " "]) for _ in range(rng.randint(1, 4)))


def _shown(name: str) -> list[str]:
    """Return a name as pages show it: literally, in a message, and in a message with a command."""
    return [
        text.plain(name),
        text.sentence(f"there is no corpus {name!r}; stored: {name}"),
        text.sentence(f"{name} is not stored; `csvcore import models FILE` first"),
    ]


def _requests(found: Found) -> None:
    app: ASGIApp = PlainTextResponse("inside")
    for layer in (server.OwnOrigin, server.KnownHosts):
        app = layer(app)
    client = TestClient(app, base_url="http://localhost:8501")
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
        {"origin": "null"},
        {"host": "evil.example"},
        {"host": "localhost.evil.example", "origin": "http://localhost:8501"},
    ):
        answer = strike(found, str(headers), lambda h=headers: client.get("/", headers=h))  # type: ignore[misc]
        if answer is not None and answer.text == "inside":
            found.links += 1
            found.note(f"a request of another site is answered: {headers}")
