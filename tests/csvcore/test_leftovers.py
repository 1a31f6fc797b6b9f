"""Left-overs: what dead processes leave is found and removed, what a living one uses never is."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from csvcore import leftovers
from csvcore.collection.shards import Shards
from csvcore.doctor import look
from csvcore.formats import rights
from csvcore.jobs import queue, uploads
from csvcore.jobs.specs import ExamineJob, ImportJob


@pytest.fixture
def dead() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait(60)
    return process.pid


def put(path: Path, seconds_ago: float = 7200.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1000)
    moment = time.time() - seconds_ago
    os.utime(path, (moment, moment))
    return path


def names(database: Path) -> list[str]:
    return [leftover.path.name for leftover in leftovers.find(database)]


def beside(database: Path, what: str) -> Path:
    return database.with_name(f"{database.name}.{what}")


def test_unfinished_files_are_left_over_once_their_process_is_dead(
    database: Path, dead: int
) -> None:
    mine = os.getpid()
    for pid in (dead, mine):
        put(database.with_name(f".{database.name}.{pid}.part"))
        put(database.with_name(f".copy.duckdb.{pid}.part.wal"))
        put(beside(database, "cache") / f"0a-1b.hidden.{pid}.raw")
        put(beside(database, "shards") / f".0a.parquet.{pid}.part")
        put(beside(database, "uploads") / f".0a.parquet.{pid}.part")
        put(beside(database, "uploads") / "0b" / f".m.csv.{pid}.part")
    photo = f"IMG.{dead}.raw"  # of a camera
    for name in ("notes.part", ".x.part", f"x.{dead}.part", photo, ".x.1e3.part"):
        put(database.with_name(name))
    assert sorted(names(database)) == sorted(
        [
            f".{database.name}.{dead}.part", f".copy.duckdb.{dead}.part.wal",
            f"0a-1b.hidden.{dead}.raw", *[f".0a.parquet.{dead}.part"] * 2,
            f".m.csv.{dead}.part",
        ]
    )  # fmt: skip


def test_an_unfinished_file_that_grew_a_moment_ago_may_be_another_machines(
    database: Path, dead: int
) -> None:
    put(database.with_name(f".{database.name}.{dead}.part"), seconds_ago=60)
    assert names(database) == []


def test_an_upload_is_left_over_when_no_living_job_names_it(
    database: Path, dead: int, idle: list[list[str]]
) -> None:
    folder = beside(database, "uploads")
    files = [put(folder / f"{i}.parquet") for i in range(4)]
    put(folder / "fresh.parquet", seconds_ago=5)  # its job is submitted in a moment
    for file in files[:3]:
        queue.submit_spec(database, ImportJob("words", file.name, str(file)))
    first = queue.claim(database)  # runs in this process
    assert first is not None
    second = queue.claim(database)
    assert second is not None
    with queue._queue(database) as db:
        db.execute("UPDATE jobs SET pid = ? WHERE job = ?", [dead, second.job])
    assert names(database) == ["1.parquet", "3.parquet"]  # of a dead worker, and of no job


def test_an_upload_in_a_folder_is_left_over_once_nobody_is_asked_about_it(
    database: Path, idle: list[list[str]]
) -> None:
    folder = beside(database, "uploads")
    for name, ago in (("gone", 7200.0), ("asked", 7200.0), ("old", 90_000.0), ("fresh", 5.0)):
        put(folder / name / f"{name}.csv", ago)
        if name in ("asked", "old"):
            put(folder / name / uploads.PREVIEW, ago)
    looked_at = put(folder / "busy" / "busy.csv")
    queue.submit_spec(database, ExamineJob("models", "busy.csv", str(looked_at)))
    elsewhere = put(database.with_name("elsewhere") / "mine.csv")
    (folder / "link").symlink_to(elsewhere.parent)
    found = leftovers.find(database)
    assert [entry.path.name for entry in found] == ["gone.csv", uploads.PREVIEW, "old.csv"]
    assert len(list(leftovers.remove(found))) == 3
    assert sorted(path.name for path in folder.iterdir()) == ["asked", "busy", "fresh", "link"]
    assert elsewhere.exists()


COLLECTS = """
import sys, time
from csvcore.collection.shards import Shards
with Shards(sys.argv[1]).in_use():
    print("at it", flush=True)
    time.sleep(600)
"""


@pytest.mark.worker
def test_shards_are_left_over_when_no_collection_runs(database: Path) -> None:
    folder = beside(database, "shards")
    put(folder / "0a.parquet", seconds_ago=1)
    process = subprocess.Popen(
        [sys.executable, "-c", COLLECTS, str(folder)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"at it\n"
        try:
            assert names(database) == []
        finally:
            process.kill()
            process.wait(30)
    assert "0a.parquet" in names(database)
    with Shards(str(folder)).in_use(), Shards(str(folder)).in_use():
        assert names(database) == []


def test_what_was_written_again_is_not_removed(database: Path) -> None:
    folder = beside(database, "uploads")
    kept, gone = put(folder / "0.parquet"), put(folder / "1.parquet")
    found = leftovers.find(database)
    put(kept, seconds_ago=0)
    assert [leftover.path for leftover in leftovers.remove(found)] == [gone]
    assert kept.exists()
    assert not gone.exists()


def test_a_process_that_only_reads_finds_nothing_to_remove(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(beside(database, "uploads") / "0.parquet")
    monkeypatch.setenv(rights.VARIABLE, "1")
    assert names(database) == []


def test_doctor_lists_left_overs_and_removes_them_when_asked(
    database: Path, dead: int, invoke: Callable[..., Any]
) -> None:
    part = put(database.with_name(f".{database.name}.{dead}.part"))
    shards = [put(beside(database, "shards") / f"{i}.parquet") for i in range(5)]
    said = {check.what: check.said for check in look(database) if check.what.startswith("left")}
    assert said == {
        "left-over unfinished files": f"{part.name}, 0.0 MB, of processes that died; "
        "`csvcore doctor --clean` removes them",
        "left-over shards": "0.parquet, 1.parquet, 2.parquet and 2 more, 0.0 MB, of collections "
        "that are over; of those not stored the next `collect` begins anew; "
        "`csvcore doctor --clean` removes them",
    }
    assert part.exists()
    done = invoke("doctor", "--clean", db=database)
    assert done.exit_code == 0
    assert f"{part.name}, 0.0 MB, of processes that died; were removed" in done.output
    assert not part.exists()
    assert not any(shard.exists() for shard in shards)
    assert "left-over" not in invoke("doctor", db=database).output
