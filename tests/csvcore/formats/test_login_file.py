"""The login file: what is missing or unsafe is refused before anything starts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from csvcore.errors import InputError
from csvcore.formats import login_file

GOOD = {
    "redirect_uri": "https://lab.example.org/oauth2callback",
    "cookie_secret": "0" * 32,
    "client_id": "lab",
    "client_secret": "s",
    "server_metadata_url": "https://id.example.org/.well-known/openid-configuration",
}
ACCESS = 'editors = ["ada@example.org"]\nviewers = ["@example.org"]'


def text(access: str = ACCESS, **changed: str) -> str:
    entries = {name: value for name, value in (GOOD | changed).items() if value}
    lines = [f'{name} = "{value}"' for name, value in entries.items()]
    return "\n".join(["[auth]", *lines, "[access]", access])


def test_a_good_file_gives_the_name_that_browsers_know(write: Callable[..., Path]) -> None:
    assert login_file.read(write("login.toml", text())).host == "lab.example.org"
    here = text(redirect_uri="http://localhost:8501/oauth2callback")
    assert login_file.read(write("login.toml", here)).host == "localhost"


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        *((text(**{name: ""}), rf"\[auth\] has no {name}") for name in GOOD),
        (text(cookie_secret="short"), "cookie_secret has 5 characters, at least 32"),
        (text(redirect_uri="http://lab.example.org/oauth2callback"), "begin with https://"),
        (text(redirect_uri="https://lab.example.org/"), "with /oauth2callback behind it"),
        (text(redirect_uri="lab.example.org/oauth2callback"), "with /oauth2callback behind it"),
        (text(""), "lists nobody"),
        (text("editors = []"), "lists nobody"),
        (text('editors = "ada@example.org"'), "has lists editors and viewers, got editors"),
        (text('admins = ["ada@example.org"]'), "got admins"),
        (text('editors = ["ada"]'), "got 'ada'"),
        (text('editors = ["ada@"]'), "got 'ada@'"),
        (text('editors = ["*"]'), r"got '\*'"),
        (text('editors = ["@"]'), "got '@'"),
        (text('editors = ["a@b@c.example"]'), "got 'a@b@c.example'"),
        (text('editors = ["a b@c.example"]'), "got 'a b@c.example'"),
        (text('viewers = ["\u212a@c.example"]'), "got '\u212a@c.example'"),
        (text("trust_provider = true"), "lists nobody"),
        (text('viewers = ["@a.example"]\ntrust_provider = "yes"'), "true or false, got 'yes'"),
        (text(server_metadata_url="http://id.example.org/x"), "must begin with https://"),
        ("[auth]\n", r"\[auth\] has no redirect_uri"),
        ("", r"has no section \[auth\]"),
        (text().split("[access]")[0], r"has no section \[access\]"),
        ("[auth", "cannot be read as TOML"),
        (b"\xff", "cannot be read as TOML"),
    ],
)
def test_what_is_missing_or_unsafe_is_refused(
    write: Callable[..., Path], content: str | bytes, refusal: str
) -> None:
    with pytest.raises(InputError, match=refusal):
        login_file.read(write("login.toml", content))
