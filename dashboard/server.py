"""`streamlit run dashboard/server.py`: the dashboard behind a strict content security policy."""

import base64
import hashlib
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from csvcore.errors import InputError
from csvcore.formats.login_file import LOOPBACK
from csvcore.jobs import queue
from dashboard.queries import roles

HOSTS = ("localhost", "127.0.0.1")  # where server.allowedHosts says nothing


def inline_scripts() -> str:
    """Return the hashes of Streamlit's inline scripts, in the policy's syntax."""
    page = (files("streamlit") / "static" / "index.html").read_text(encoding="utf-8")
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    ]
    return " ".join(f"'sha256-{digest}'" for digest in digests)


POLICY = (
    f"default-src 'self'; script-src 'self' blob: {inline_scripts()}; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; form-action 'self'; frame-ancestors 'self'; base-uri 'self'; "
    "object-src 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class SecurityHeaders:
    """Middleware that adds HEADERS to every HTTP response."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an ASGI app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class OwnOrigin:
    """Middleware that refuses what another site's page asks for, WebSockets above all.

    A browser names the page's origin. It must have the very host and port that was asked: Streamlit
    also admits every other port of this machine, and asks a site for this machine's address.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an ASGI app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != headers.get("host"):
                refusal = PlainTextResponse("Requests of another site are refused.", 403)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class KnownHosts(TrustedHostMiddleware):
    """Middleware that refuses other host names, against DNS rebinding.

    The allowed names are `server.allowedHosts`. Streamlit checks them for websockets only, and
    skips the check if the option is empty.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an ASGI app, after the configuration was read."""
        hosts = st.get_option("server.allowedHosts") or HOSTS
        super().__init__(app, allowed_hosts=list(hosts), www_redirect=False)


class KnownUsers:
    """Middleware that keeps files of pages and figures of the server from strangers.

    Streamlit serves these to anybody who has a session, and the login page is one. It also keeps in
    memory whatever a session sends, whether a page has an uploader or not: only editors send files.
    """

    UPLOADS = "/_stcore/upload_file/"
    GUARDED = ("/media/", UPLOADS, "/_stcore/metrics")

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an ASGI app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        guarded = scope["type"] == "http" and any(part in scope["path"] for part in self.GUARDED)
        if guarded:
            role = roles.role_by_cookie(Request(scope).cookies)
            said = "Log in first." if role is None else "Viewers send no files; ask an editor."
            if role is None or (role != "editor" and self.UPLOADS in scope["path"]):
                await PlainTextResponse(said, 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class FirstPage:
    """Middleware that leads `/overview` to `/`, where Streamlit has its first page."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an ASGI app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redirect with the parameters, or pass the request on."""
        answer: ASGIApp = self._app
        if scope["type"] == "http" and scope["path"].rstrip("/").endswith("/overview"):
            parameters = scope["query_string"].decode("latin-1")
            up = "../" if scope["path"].endswith("/") else "./"
            answer = RedirectResponse(f"{up}?{parameters}" if parameters else up)
        await answer(scope, receive, send)


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Refuse to serve other machines without a login; say at the end which jobs go on.

    Raises:
        InputError: the address is not of this machine alone, and nobody would have to log in.
    """
    host = st.get_option("server.address")
    if host not in LOOPBACK and not roles.needs_login():
        raise InputError(
            f"server.address {host or 'is not set and'} opens the dashboard to other machines, "
            "which needs a login; start it by `csvcore dashboard`, see docs/team.md"
        )
    yield
    left = remaining(Path(os.environ.get("CSVCORE_DB", "csvcore.duckdb")))
    if left:
        sys.stderr.write(left + "\n")


def remaining(database: Path) -> str:
    """Return the live jobs in a sentence, and how to end them; empty without any."""
    if not queue.queue_path(database).exists():
        return ""
    jobs = queue.live(database)
    running = [job for job in jobs if job.status == "running"]
    if not running:
        return ""
    names = "; ".join(f"{job.job}: {job.spec.title}" for job in running)
    waiting = f", {len(jobs) - len(running)} more wait" if len(jobs) > len(running) else ""
    return (
        f"The worker goes on without the dashboard until its queue is empty ({names}{waiting}). "
        f"`kill {running[0].pid}` ends it; nothing stored is lost."
    )


app: Any = st.App(
    str(Path(__file__).parents[1] / "streamlit_app.py"),
    middleware=[
        Middleware(SecurityHeaders),
        Middleware(KnownHosts),
        Middleware(OwnOrigin),
        Middleware(KnownUsers),
        Middleware(FirstPage),
    ],
    lifespan=lifespan,
)
