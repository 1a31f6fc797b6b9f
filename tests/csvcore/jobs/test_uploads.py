import io
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore.errors import InputError
from csvcore.jobs import queue, uploads
from csvcore.jobs.specs import ExamineJob


@pytest.fixture(autouse=True)
def _idle(idle: list[list[str]]) -> None:
    """Nobody works off the queue."""


@given(st.text(max_size=150))
def test_a_safe_name_stays_in_its_folder(name: str) -> None:
    safe = uploads.safe_name(name)
    assert safe
    assert safe not in (".", "..", uploads.PREVIEW)
    assert not set(safe) & set("/\\\0\n")
    assert len(safe) <= uploads.LONGEST


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("models.csv", "models.csv"),
        ("C:\\data\\models.csv", "models.csv"),
        ("../../etc/passwd", "passwd"),
        ("a<b>.parquet", "a_b_.parquet"),
        ("..", "file"),
        (".preview.json", "preview.json"),
    ],
)
def test_names_by_hand(name: str, safe: str) -> None:
    assert uploads.safe_name(name) == safe


def test_what_is_brought_is_kept_byte_by_byte(database: Path) -> None:
    content = os.urandom(uploads.CHUNK + 5)
    file = uploads.keep(database, "x.parquet", io.BytesIO(content))
    assert file.read_bytes() == content
    assert file.parent.parent == queue.uploads_path(database)
    assert uploads.own(database, str(file), "losses") == file.resolve()


def test_a_file_of_this_machine_is_copied(database: Path, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("model")
    assert uploads.keep_path(database, tmp_path / "m.csv").read_text() == "model"
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="there is no file"):
            uploads.keep_path(database, path)


def test_a_failed_upload_leaves_nothing(database: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the connection was lost")

    with pytest.raises(OSError, match="lost"):
        uploads.keep(database, "x", Broken())
    assert list(queue.uploads_path(database).iterdir()) == []


def test_sweeping_keeps_what_waits_and_deletes_what_was_given_up(database: Path) -> None:
    files = [uploads.keep(database, "x", io.BytesIO(b"x")) for _ in range(4)]
    # In the queue, cancelled, just being written, and forgotten long ago.
    jobs = [queue.submit_spec(database, ExamineJob("models", "x", str(file))) for file in files[:2]]
    queue.cancel(database, jobs[1])
    then = time.time() - uploads.LEFT_SECONDS - 60
    os.utime(files[3].parent, (then, then))
    uploads.sweep(database)
    assert [file.exists() for file in files] == [True, False, True, False]


def test_previews_of_others_are_left_alone(database: Path) -> None:
    """A folder of uploads may have come with a database from elsewhere."""
    file = uploads.keep(database, "x", io.BytesIO(b"x"))
    for content in ("", "[]", "{}", '{"counts": 1}', '{"counts": [], "rows": [], "job": {"x": 1}}'):
        file.with_name(uploads.PREVIEW).write_text(content)
        assert uploads.previews(database) == []
