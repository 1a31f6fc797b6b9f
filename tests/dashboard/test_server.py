"""Laws of the server: it answers to its own names alone and admits no foreign script."""

import asyncio
import os
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from streamlit import net_util

from csvcore.errors import InputError
from csvcore.jobs import queue
from csvcore.jobs.specs import LeaveOutJob
from dashboard import server
from dashboard.queries import roles


@pytest.fixture
def client() -> TestClient:
    return TestClient(server.app, base_url="http://127.0.0.1:8501")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8501", "127.0.0.1.evil.example", ""]
)
def test_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 400
    assert "streamlit" not in answer.text.lower()


def test_a_foreign_host_gets_no_websocket(client: TestClient) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("/_stcore/stream", headers={"host": "evil.example"}),
    ):
        pass
    assert refused.value.status_code == 400


FOREIGN = [
    "http://evil.example", "http://127.0.0.1:8502", "http://localhost:8501", "http://127.0.0.1",
    "http://127.0.0.1:8501.evil.example", "http://x@127.0.0.1:8501", "null", "",
]  # fmt: skip


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_another_site_or_port_gets_no_websocket(
    client: TestClient, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net_util, "get_external_ip", lambda: pytest.fail("the internet was asked"))
    monkeypatch.setattr(net_util, "get_internal_ip", lambda: pytest.fail("a site was asked"))
    asked = {"origin": origin, "host": "127.0.0.1:8501"}
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("/_stcore/stream", headers=asked),
    ):
        pass
    assert refused.value.status_code == 403
    assert client.get("/", headers={"origin": origin}).status_code == 403


def test_its_own_page_is_answered(client: TestClient) -> None:
    own = {"origin": "http://127.0.0.1:8501"}
    assert client.get("/_stcore/health", headers=own).status_code != 403
    assert client.get("/_stcore/health").status_code != 403


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost"])
def test_its_own_names_are_served_under_the_policy(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    scripts = re.search(r"script-src ([^;]*)", policy)
    assert scripts is not None
    assert "unsafe" not in scripts[1]
    assert "http" not in scripts[1]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_policy_names_every_script_inside_streamlits_page(client: TestClient) -> None:
    page = client.get("/").text
    inside = [tag for tag in re.findall(r"<script([^>]*)>", page) if "src=" not in tag]
    assert len(server.inline_scripts().split()) == len(inside)


def test_without_configured_hosts_the_server_still_answers_to_this_machine_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server.st, "get_option", lambda name: [])
    alone = server.KnownHosts(server.app)
    assert alone.allowed_hosts == ["localhost", "127.0.0.1"]


@pytest.mark.parametrize(
    ("asked", "led_to"),
    [
        ("/overview", "./"),
        ("/overview/", "../"),
        ("/overview?task=facts&fit=a%2Fb", "./?task=facts&fit=a%2Fb"),
    ],
)
def test_the_overview_has_an_address_by_its_name(
    client: TestClient, asked: str, led_to: str
) -> None:
    answer = client.get(asked, follow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["location"] == led_to
    assert client.get(asked).status_code == 200
    assert client.get("/curves", follow_redirects=False).status_code == 200


def test_the_server_says_at_its_end_what_goes_on(database: Path, idle: list[list[str]]) -> None:
    assert server.remaining(database) == ""
    queue.submit_spec(database, LeaveOutJob("words", ("reading",)))
    assert server.remaining(database) == ""  # it waits; the worker takes it or the next start
    queue.claim(database)
    queue.submit_spec(database, LeaveOutJob("words", ("adding",)))
    assert server.remaining(database) == (
        "The worker goes on without the dashboard until its queue is empty (1: Leave one family "
        f"out, on reading, 1 more wait). `kill {os.getpid()}` ends it; nothing stored is lost."
    )


@pytest.mark.parametrize("path", ["/media/0a.html", "/_stcore/metrics", "/_stcore/upload_file/a/b"])
def test_who_may_not_come_in_gets_no_file_of_a_page(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    assert client.get(path).status_code in (200, 404, 405)  # no login is needed here
    monkeypatch.setattr(roles, "role_by_cookie", lambda cookies: None)
    refused = client.get(path)
    assert (refused.status_code, refused.text) == (403, "Log in first.")
    assert client.get("/_stcore/health").status_code == 200
    assert client.get("/").status_code == 200  # the login page
    monkeypatch.setattr(roles, "role_by_cookie", lambda cookies: "editor")
    assert client.get(path).status_code in (200, 404, 405)


def test_a_viewer_sends_no_file_even_without_a_page(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles, "role_by_cookie", lambda cookies: "viewer")
    refused = client.put("/_stcore/upload_file/a/b", files={"file": b"x"})
    assert (refused.status_code, refused.text) == (403, "Viewers send no files; ask an editor.")
    assert client.get("/media/0a.html").status_code == 404


async def _start() -> None:
    async with server.lifespan(None):
        pass


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "lab.example.org", "", None])
def test_the_server_does_not_start_for_other_machines_without_a_login(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str | None
) -> None:
    monkeypatch.setenv("CSVCORE_DB", str(tmp_path / "none.duckdb"))
    monkeypatch.setattr(server.st, "get_option", lambda name: host)
    with pytest.raises(InputError, match="opens the dashboard to other machines, which needs a"):
        asyncio.run(_start())
    monkeypatch.setattr(roles, "needs_login", lambda: True)
    asyncio.run(_start())
    monkeypatch.setattr(roles, "needs_login", lambda: False)
    monkeypatch.setattr(server.st, "get_option", lambda name: "127.0.0.1")
    asyncio.run(_start())
