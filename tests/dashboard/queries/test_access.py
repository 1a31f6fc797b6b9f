"""Who may change something: roles by address, and read-only databases."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats import rights
from csvcore.jobs import queue
from csvcore.jobs.specs import LeaveOutJob
from dashboard.queries import access, edits
from tests.support.database_at import at
from tests.support.world import contents

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
    assert access.role_of(user, ACCESS) == role


@given(st.emails())
def test_who_is_in_no_list_has_no_role(user: str) -> None:
    assert access.role_of(user.lower(), {"editors": [], "viewers": ["@only.example"]}) is None


CHANGES: dict[str, Callable[[Path], object]] = {
    "job": lambda path: edits.submit(at(path), LeaveOutJob("words", ("reading",))),
    "jobs": lambda path: edits.submit_compares(at(path), "words", "sides", ["reading"]),
    "import": lambda path: edits.submit_import(at(path), "words", "x.parquet", b"x"),
    "cancel": lambda path: edits.cancel(at(path), 1),
    "reveal": lambda path: edits.reveal(at(path), "words", ["sides"]),
    "split": lambda path: edits.save_split(at(path), "mine", {"ant": "train"}),
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
