"""A team's dashboard: login by a real OpenID Connect provider, an allow-list, two roles."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from csvcore.jobs import queue
from tests.support.oidc import CLIENT, SECRET, Provider
from tests.support.world import contents

MAIN = "from csvcore.cli import main; main()"
ROOT = Path(__file__).parents[2]
SECONDS = 60_000
# Debian's nginx: /usr/sbin is not on every user's path
NGINX = os.environ.get("NGINX") or shutil.which("nginx", path="/usr/sbin:/usr/bin")
LOGIN = """
[auth]
redirect_uri = "{address}/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef"
client_id = "{client}"
client_secret = "{secret}"
server_metadata_url = "{issuer}/.well-known/openid-configuration"

[access]
editors = ["Ada@example.org"]
viewers = ["@team.example"]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider(free_port()) as provider:
        yield provider


@pytest.fixture(scope="module")
def team_db(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo with one fit, to work on."""
    return Path(shutil.copy(database, tmp_path_factory.mktemp("team") / "zoo.duckdb"))


@pytest.fixture(scope="module")
def serve_team(provider: Provider) -> Callable[..., AbstractContextManager[None]]:
    """Runs `csvcore dashboard --login` for a browser's address at a port."""

    @contextmanager
    def serve(database: Path, address: str, port: int) -> Iterator[None]:
        login = database.with_name(f"login-{port}.toml")
        login.write_text(
            LOGIN.format(address=address, client=CLIENT, secret=SECRET, issuer=provider.issuer)
        )
        log = database.with_name(f"team-{port}.log")
        where = ["--login", str(login), f"--port={port}"]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-c", MAIN, "--db", str(database), "dashboard", *where],
                stdout=stream,
                stderr=stream,
            )
        for _ in range(900):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1)
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        yield
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert "Traceback" not in log.read_text()

    return serve


@pytest.fixture(scope="module")
def team(team_db: Path, serve_team: Callable[..., AbstractContextManager[None]]) -> Iterator[str]:
    """The address of a team's dashboard."""
    port = free_port()
    with serve_team(team_db, f"http://127.0.0.1:{port}", port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def enter(browser: Browser, provider: Provider, team: str) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    yield page
    context.close()


def log_in(page: Page, address: str, provider: Provider, **user: object) -> None:
    provider.user = user
    page.goto(address)
    page.get_by_role("button", name="Log in").click()


def test_without_a_login_no_page_shows_anything(enter: Page, team: str) -> None:
    for path in ("", "/curves", "/collect?corpus=zoo"):
        enter.goto(team + path)
        expect(enter.get_by_role("button", name="Log in")).to_be_visible(timeout=SECONDS)
        assert not enter.get_by_text("Corpus", exact=True).count()
        assert "zoo" not in enter.inner_text("body")


def test_an_editor_reveals_and_starts_jobs_under_the_own_name(
    enter: Page, team: str, provider: Provider, team_db: Path
) -> None:
    log_in(enter, team, provider, email="ada@example.org", email_verified=True)
    expect(enter.get_by_text("ada@example.org, editor")).to_be_visible(timeout=SECONDS)
    enter.get_by_role("button", name="Reveal the test set").click()
    said = enter.get_by_text(re.compile(r"revealed once, by ada@.?example\.org"))
    expect(said.first).to_be_visible(timeout=SECONDS)
    assert [row[-1] for row in contents(team_db)["reveals"]] == ["ada@example.org"]
    enter.get_by_role("link", name=re.compile("Fit$")).first.click()
    start = enter.get_by_role("button", name="Start", exact=False).last
    expect(start).to_be_enabled(timeout=SECONDS)
    start.click()
    for _ in range(300):
        if jobs := queue.recent(team_db):
            break
        time.sleep(0.1)
    assert jobs[0].who == "ada@example.org"
    queue.cancel(team_db, jobs[0].job)
    enter.get_by_role("button", name="Log out").click()
    expect(enter.get_by_role("button", name="Log in")).to_be_visible(timeout=SECONDS)


def test_a_viewer_sees_all_and_changes_nothing(enter: Page, team: str, provider: Provider) -> None:
    log_in(enter, team, provider, email="bob@TEAM.example", email_verified=True)
    expect(enter.get_by_text("bob@team.example, viewer")).to_be_visible(timeout=SECONDS)
    expect(enter.get_by_text("Viewers start no jobs and change nothing")).to_be_visible()
    enter.get_by_role("link", name=re.compile("Fit$")).first.click()
    start = enter.get_by_role("button", name="Start", exact=False).last
    expect(start).to_be_disabled(timeout=SECONDS)


@pytest.mark.parametrize(
    "user",
    [
        {"email": "eve@example.org", "email_verified": True},
        {"email": "ada@example.org", "email_verified": False},
        {"email": "ada@example.org"},
        {"email": "ada@example.org.evil.example", "email_verified": True},
        {"email": "x@evil.team.example", "email_verified": True},
        {"email": "ada@example.org", "email_verified": "no"},
        {"email": "k@TEAM.example"},
        {"email": "boo\u212a@team.example", "email_verified": True},
        {"name": "ada@example.org", "email_verified": True},
    ],
)
def test_a_stranger_sees_nothing(
    enter: Page, team: str, provider: Provider, user: dict[str, object]
) -> None:
    log_in(enter, team, provider, **user)
    expect(enter.get_by_text("not among those who may come in")).to_be_visible(timeout=SECONDS)
    assert "zoo" not in enter.inner_text("body")


def test_a_cookie_of_ones_own_making_is_nobody(enter: Page, team: str, provider: Provider) -> None:
    forged = "2|1:0|10:1700000000|15:_streamlit_user|8:e30=|" + "0" * 64
    enter.context.add_cookies([{"name": "_streamlit_user", "value": forged, "url": team}])
    enter.goto(team)
    expect(enter.get_by_role("button", name="Log in")).to_be_visible(timeout=SECONDS)


def test_who_is_taken_off_the_list_loses_the_page_without_a_restart(
    enter: Page, team: str, provider: Provider, team_db: Path
) -> None:
    log_in(enter, team, provider, email="carl@team.example", email_verified=True)
    expect(enter.get_by_text("carl@team.example, viewer")).to_be_visible(timeout=SECONDS)
    assert enter.request.get(f"{team}/media/none.html").status == 404  # may ask, it is not there
    [login] = team_db.parent.glob("login-*.toml")
    before = login.read_text()
    try:
        login.write_text(before.replace("@team.example", "bob@team.example"))
        gone = enter.get_by_text("not among those who may come in")
        for _ in range(20):
            time.sleep(1)
            enter.get_by_role("link", name=re.compile("Models")).first.click()
            if gone.count():
                break
        expect(gone).to_be_visible(timeout=SECONDS)
        assert enter.request.get(f"{team}/media/none.html").status == 403
    finally:
        login.write_text(before)
        time.sleep(3)  # Streamlit looks at the file every second


def test_a_stranger_neither_uploads_nor_fetches(enter: Page, team: str) -> None:
    enter.goto(team)
    expect(enter.get_by_role("button", name="Log in")).to_be_visible(timeout=SECONDS)
    file = {"name": "x.parquet", "mimeType": "application/octet-stream", "buffer": b"x"}
    for answer in (
        enter.request.put(f"{team}/_stcore/upload_file/session/file", multipart={"file": file}),
        enter.request.get(f"{team}/media/0123.html"),
        enter.request.get(f"{team}/_stcore/metrics"),
    ):
        assert (answer.status, answer.text()) == (403, "Log in first.")


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Callable[[int, int], None]]:
    """Start nginx with the configuration of docs/team.md; for a port and the dashboard's."""
    if NGINX is None:
        pytest.skip("there is no nginx on this machine")
    text = (ROOT / "docs" / "team.md").read_text(encoding="utf-8")
    [documented] = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-keyout", tmp_path / "lab.key", "-out", tmp_path / "lab.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    started: list[subprocess.Popen[bytes]] = []

    def start(listens: int, behind: int) -> None:
        server = documented.replace("/etc/ssl/certs", str(tmp_path))
        server = server.replace("/etc/ssl/private", str(tmp_path)).replace("lab.example.org", "_")
        server = server.replace("443", f"127.0.0.1:{listens}").replace("8501", str(behind))
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/pid; error_log stderr;\nevents {{}}\nhttp {{ access_log "
            f"off;\n" + "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in
            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")) + server + "}\n"
        )  # fmt: skip
        started.append(subprocess.Popen([NGINX, "-c", tmp_path / "nginx.conf"]))

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def test_behind_the_documented_proxy_a_user_logs_in(
    browser: Browser,
    provider: Provider,
    team_db: Path,
    serve_team: Callable[..., AbstractContextManager[None]],
    proxy: Callable[[int, int], None],
) -> None:
    outside, inside = free_port(), free_port()
    address = f"https://localhost:{outside}"
    proxy(outside, inside)
    with serve_team(team_db, address, inside):
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        log_in(page, address, provider, email="bob@team.example", email_verified=True)
        expect(page.get_by_text("bob@team.example, viewer")).to_be_visible(timeout=SECONDS)
        assert page.url.startswith(address)
        assert all(cookie["secure"] for cookie in context.cookies())
        context.close()
