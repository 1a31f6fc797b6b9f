"""Who may change something: roles by address, and read-only databases."""

import ast
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.errors import InputError, StoreError
from csvcore.formats import rights
from csvcore.jobs import queue
from csvcore.jobs.specs import ExamineJob, LeaveOutJob
from csvcore.jobs.uploads import Preview
from dashboard.queries import edits, roles
from tests.support.database_at import at
from tests.support.world import contents

DASHBOARD = Path(__file__).parents[3] / "dashboard"
ACCESS = {"editors": ["Ada@Example.org", "@lab.example"], "viewers": ["@example.org"]}


@pytest.mark.parametrize(
    ("user", "role"),
    [
        ("ada@example.org", "editor"), ("bob@lab.example", "editor"), ("bob@example.org", "viewer"),
        ("bob@sub.example.org", None), ("bob@example.org.evil.example", None),
        ("ada@example.org@evil.example", None), ("@example.org", None), ("example.org", None),
    ],
)  # fmt: skip
def test_a_role_follows_from_the_whole_address_or_its_whole_domain(
    user: str, role: str | None
) -> None:
    assert roles.role_of(user, ACCESS) == role


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        ({"email": "Ada@Example.ORG", "email_verified": True}, "ada@example.org"),
        ({"email": "ada@example.org", "email_verified": "true"}, "ada@example.org"),
        ({"email": "ada@example.org", "email_verified": False}, None),
        ({"email": "ada@example.org", "email_verified": "false"}, None),
        ({"email": "ada@example.org", "email_verified": None}, None),
        ({"email": "ada@example.org", "email_verified": 0}, None),
        ({"email": "ada@example.org"}, None),
        ({"email_verified": True}, None),
        ({"email": None, "email_verified": True}, None),
        ({"email": ["ada@example.org"], "email_verified": True}, None),
        ({"email": "ada@example.org ", "email_verified": True}, None),
        ({"email": "ada@example.org\n", "email_verified": True}, None),
        ({"email": "boo\u212a@example.org", "email_verified": True}, None),  # its k, in lower case
        ({"preferred_username": "ada@example.org", "email_verified": True}, None),
    ],
)
def test_an_address_is_one_that_the_provider_vouches_for(
    claims: dict[str, object], user: str | None
) -> None:
    assert roles.address_of(claims, {}) == user
    trusted = {"trust_provider": True}
    alone = {"email": "ada@example.org"}
    assert roles.address_of(claims, trusted) == ("ada@example.org" if claims == alone else user)


SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Makes the cookie of a login, as many days old as told; there is a login for two."""
    from streamlit.web.server.starlette import starlette_app_utils, starlette_websocket

    secrets = {"auth": {}, "access": {"editors": ["ada@x.example"], "viewers": ["bob@x.example"]}}
    monkeypatch.setattr(roles, "_secrets", lambda: secrets)
    monkeypatch.setenv(roles.LOGIN_VARIABLE, "1")
    monkeypatch.setattr(starlette_websocket, "get_cookie_secret", lambda: SECRET)

    def cookie(email: str, days: float = 0.0, secret: str = SECRET) -> dict[str, str]:
        claims = json.dumps({"email": email, "email_verified": True})
        now = time.time()
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: now - days * 86400)
            value = starlette_app_utils.create_signed_value(secret, "_streamlit_user", claims)
        return {"_streamlit_user": value.decode()}

    return cookie


def test_a_cookie_gives_a_role_unless_it_is_forged_or_expired(
    signed: Callable[..., dict[str, str]],
) -> None:
    assert roles.role_by_cookie(signed("Ada@x.example")) == "editor"
    assert roles.role_by_cookie(signed("bob@x.example", days=29)) == "viewer"
    assert roles.role_by_cookie(signed("bob@x.example", days=32)) is None
    assert roles.role_by_cookie(signed("eve@x.example")) is None
    assert roles.role_by_cookie(signed("ada@x.example", secret="another" * 6)) is None
    assert roles.role_by_cookie({"_streamlit_user": "x"}) is None
    assert roles.role_by_cookie({}) is None


@pytest.mark.parametrize("secrets", [{}, {"auth": {}}, {"access": "editors"}, {"access": {}}])
def test_without_lists_nobody_has_a_role(
    signed: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch, secrets: dict[str, Any]
) -> None:
    monkeypatch.setattr(roles, "_secrets", lambda: secrets)
    assert roles.role_by_cookie(signed("ada@x.example")) is None
    assert roles.role() is None


def test_a_login_that_was_needed_stays_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(roles.LOGIN_VARIABLE, "")
    monkeypatch.setattr(roles, "_secrets", dict)
    assert roles.role() == "editor"
    monkeypatch.setattr(roles, "_secrets", lambda: {"auth": {}})
    assert roles.role() is None
    monkeypatch.setattr(roles, "_secrets", dict)  # the file was removed, or is no TOML any more
    assert roles.role() is None


@pytest.mark.parametrize(("user", "ask"), [("bob@x.example", "Viewers"), ("eve@x.example", "View")])
@pytest.mark.usefixtures("signed")
def test_a_viewer_is_refused_every_change_at_its_door(
    world_db: Path, user: str, ask: str, monkeypatch: pytest.MonkeyPatch, idle: list[list[str]]
) -> None:
    monkeypatch.setattr(roles, "who", lambda: user)
    before = contents(world_db)
    for change in CHANGES.values():
        with pytest.raises(InputError, match=f"nothing was changed: {ask}"):
            change(world_db)
    assert contents(world_db) == before
    assert queue.recent(world_db) == []
    monkeypatch.setattr(roles, "who", lambda: "ada@x.example")
    CHANGES["job"](world_db)
    assert [job.who for job in queue.recent(world_db)] == ["ada@x.example"]


@given(st.emails())
def test_who_is_in_no_list_has_no_role(user: str) -> None:
    assert roles.role_of(user.lower(), {"editors": [], "viewers": ["@only.example"]}) is None


PREVIEW = Preview(Path("x"), ExamineJob("models", "m.csv", "x/m.csv", {}), "", [], [], 0, "")
CHANGES: dict[str, Callable[[Path], object]] = {
    "job": lambda path: edits.submit(at(path), LeaveOutJob("words", ("reading",))),
    "jobs": lambda path: edits.submit_compares(at(path), "words", "sides", ["reading"]),
    "cancel": lambda path: edits.cancel(at(path), 1),
    "reveal": lambda path: edits.reveal(at(path), "words", ["sides"]),
    "label": lambda path: edits.label_fit(at(path), "reading-1", "mine", "", pinned=True),
    "view": lambda path: edits.save_view(at(path), "mine", "fit", ""),
    "forget": lambda path: edits.remove_view(at(path), "mine"),
    "split": lambda path: edits.save_split(at(path), "mine", {"ant": "train"}),
    "bring": lambda path: edits.upload(at(path), "m.csv", path.with_name("m.csv"), "models", {}),
    "confirm": lambda path: edits.confirm(at(path), PREVIEW),
    "discard": lambda path: edits.discard(at(path), PREVIEW),
    "remove": lambda path: edits.remove(at(path), "models", ("ant",), ""),
    "mix": lambda path: edits.store_mix(at(path), ["words"], None, "mine"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", CHANGES)
def test_read_only_refuses_every_change_at_its_door(
    world_db: Path, what: str, monkeypatch: pytest.MonkeyPatch, idle: list[list[str]]
) -> None:
    monkeypatch.setenv(rights.VARIABLE, "1")
    before = contents(world_db)
    with pytest.raises(InputError, match="nothing was changed: The dashboard was started with"):
        CHANGES[what](world_db)
    assert contents(world_db) == before
    assert queue.recent(world_db) == []
    assert not queue.uploads_path(world_db).exists()


def test_every_function_that_changes_something_is_tested_here() -> None:
    named = {
        name
        for name, one in vars(edits).items()
        if callable(one) and getattr(one, "__module__", "") == edits.__name__
    }
    assert len(named) == len(CHANGES)


STORES = ("add_", "create", "perform")
WRITES = {"submit", "submit_spec", "submit_compares", "cancel", "finish", "claim"}


def test_no_page_writes_but_through_these_functions() -> None:
    """Nothing in `dashboard` but `edits` opens the database to write, or calls the queue to."""
    for file in sorted(DASHBOARD.rglob("*.py")):
        if file == DASHBOARD / "queries" / "edits.py":
            continue
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            owner = getattr(call.func.value, "id", "")
            if (owner, call.func.attr) == ("store", "connect"):
                assert any(word.arg == "read_only" for word in call.keywords), file
            assert not (owner == "queue" and call.func.attr in WRITES), file
            assert not (owner == "store" and call.func.attr.startswith(STORES)), file
            assert not (owner == "uploads" and call.func.attr != "previews"), file


def test_a_read_only_dashboard_leaves_no_file(
    app_on: Callable[[Path], AppTest], world_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(rights.VARIABLE, "1")
    for lock in world_db.parent.glob("*.lock"):
        lock.unlink()
    before = sorted(world_db.parent.iterdir()), world_db.stat().st_mtime_ns
    app = app_on(world_db).run()
    for page in ("models", "import_data", "collect", "fit", "forecast"):
        app.switch_page(f"dashboard/pages/{page}.py").run()
        assert not app.exception
    assert (sorted(world_db.parent.iterdir()), world_db.stat().st_mtime_ns) == before
    refused = pytest.raises(StoreError, match="and this process only reads; start it without")
    with refused, store.connect(world_db):
        pass


def test_a_read_only_page_says_so_and_offers_no_change(
    app_on: Callable[[Path], AppTest], world_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(rights.VARIABLE, "1")
    app = app_on(world_db).run()
    assert not app.exception
    [button] = [one for one in app.button if one.label == "Fit everything"]
    assert button.disabled
    assert any("started with" in one.value for one in app.sidebar.caption)


def test_a_reveal_and_a_job_carry_who(world_db: Path, idle: list[list[str]]) -> None:
    with store.connect(world_db) as db:
        store.add_reveal(db, "words", "sides", "ada@example.org")
        store.add_reveal(db, "words", "sides")
        store.add_reveal(db, "words", "sides", "bob@example.org")
        assert store.revealers(db, "words", "sides") == ["bob@example.org", "ada@example.org"]
        assert store.n_reveals(db, "words", "sides") == 3
    queue.submit_spec(world_db, LeaveOutJob("words", ("reading",)), "ada@example.org")
    queue.submit_spec(world_db, LeaveOutJob("words", ("adding",)))
    assert [job.who for job in queue.recent(world_db)] == [None, "ada@example.org"]
