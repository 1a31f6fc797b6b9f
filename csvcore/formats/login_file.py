"""The file of a dashboard's login: Streamlit's secrets.toml with `[auth]` and our `[access]`."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csvcore.errors import InputError

AUTH = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
LISTS = ("editors", "viewers")
TRUST = "trust_provider"  # though it does not say whether an address is verified
SHORTEST_SECRET = 32  # characters
ENTRY = re.compile(r"[!-?A-~]*@[!-?A-~]+")  # an address in ASCII, or a domain's
CALLBACK = "/oauth2callback"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Login:
    """Settings of a login file for the server: the host name that browsers use."""

    host: str


def read(path: Path) -> Login:
    """Read and check a login file.

    Raises:
        InputError: it cannot be read, or an entry is missing or unsafe.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as TOML: {error}") from error
    auth = _section(path, content, "auth")
    for name in AUTH:
        if not isinstance(auth.get(name), str) or not auth[name]:
            raise InputError(f"{path}: [auth] has no {name}; see docs/team.md")
    if len(auth["cookie_secret"]) < SHORTEST_SECRET:
        raise InputError(
            f"{path}: cookie_secret has {len(auth['cookie_secret'])} characters, at least "
            f"{SHORTEST_SECRET} are needed; `openssl rand -hex 32` makes one"
        )
    provider = urlsplit(auth["server_metadata_url"])
    if provider.scheme != "https" and provider.hostname not in LOOPBACK:
        raise InputError(
            f"{path}: server_metadata_url must begin with https://, since whoever answers in the "
            f"provider's place could name any user, got {auth['server_metadata_url']!r}"
        )
    _check_access(path, _section(path, content, "access"))
    return Login(_host(path, auth["redirect_uri"]))


def _section(path: Path, content: dict[str, Any], name: str) -> dict[str, Any]:
    section = content.get(name)
    if not isinstance(section, dict):
        raise InputError(f"{path} has no section [{name}]; see docs/team.md")
    return section


def _check_access(path: Path, access: dict[str, Any]) -> None:
    if not isinstance(access.get(TRUST, False), bool):
        raise InputError(f"{path}: {TRUST} is true or false, got {access[TRUST]!r}")
    for name, entries in access.items():
        if name == TRUST:
            continue
        if name not in LISTS or not isinstance(entries, list):
            raise InputError(f"{path}: [access] has lists editors and viewers, got {name}")
        for entry in entries:
            if not isinstance(entry, str) or not ENTRY.fullmatch(entry):
                raise InputError(
                    f"{path}: {name} lists addresses, or @example.org for a domain, got {entry!r}"
                )
    if not any(access.get(name) for name in LISTS):
        raise InputError(f"{path}: [access] lists nobody; add editors = [...] or viewers = [...]")


def _host(path: Path, redirect_uri: str) -> str:
    parts = urlsplit(redirect_uri)
    host = parts.hostname
    if not host or parts.path != CALLBACK or parts.scheme not in ("http", "https"):
        raise InputError(
            f"{path}: redirect_uri is the dashboard's address with {CALLBACK} behind it, "
            f"got {redirect_uri!r}"
        )
    if parts.scheme == "http" and host not in LOOPBACK:
        raise InputError(
            f"{path}: redirect_uri must begin with https://, since the login cookie is sent to "
            f"{host}; see docs/team.md for a reverse proxy"
        )
    return host
