"""A database that may not be written opens without a trace; a backup is one state of it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from csvcore import store
from csvcore.errors import StoreError
from csvcore.jobs import queue
from csvcore.records import ModelCard
from tests.support.world import contents

NOBODY = 65534


@pytest.fixture
def shared(database: Path) -> Iterator[Path]:
    """A database of another user, in a folder that everybody may read."""
    folder = Path(tempfile.mkdtemp(prefix="csvcore-"))
    path = folder / "shared.duckdb"
    shutil.copy(database, path)
    path.chmod(0o444)
    folder.chmod(0o555)
    yield path
    folder.chmod(0o755)
    shutil.rmtree(folder)


def as_nobody(work: Callable[[], object]) -> object:
    """What a process of a user without rights makes of it: a text, or its error's."""
    reads, writes = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            if os.getuid() == 0:
                os.setuid(NOBODY)
            said = str(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writes, said.encode())
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as stream:
        said = stream.read()
    os.waitpid(pid, 0)
    return said


def models(path: Path) -> str:
    with store.connect(path, read_only=True) as db:
        return ", ".join(card.model for card in store.models(db))


@pytest.mark.worker
def test_a_read_only_database_opens_and_leaves_no_file(shared: Path) -> None:
    with duckdb.connect(str(shared)) as db:
        db.execute("INSERT INTO models (model, family) VALUES ('ant', 'f')")
    assert as_nobody(lambda: models(shared)) == "ant"
    assert as_nobody(lambda: queue.recent(shared)) == "[]"
    assert list(shared.parent.iterdir()) == [shared]


@pytest.mark.worker
def test_a_read_only_file_of_a_folder_with_rights_opens_too(shared: Path) -> None:
    shared.parent.chmod(0o777)
    assert as_nobody(lambda: models(shared)) == ""


def writing(path: Path) -> None:
    with store.connect(path) as db:
        store.add_models(db, [ModelCard("bee", "f")])


@pytest.mark.worker
def test_a_change_of_a_read_only_database_is_refused_with_the_way_out(shared: Path) -> None:
    assert as_nobody(lambda: writing(shared)) == (
        f"StoreError: {shared} is to be changed, and the file or its folder is read-only for this "
        "user; copy it to a folder of yours and name the copy with --db"
    )


@pytest.mark.worker
def test_an_older_read_only_database_is_refused_with_the_way_out(shared: Path) -> None:
    with duckdb.connect(str(shared)) as db:
        db.execute("ALTER TABLE reveals DROP COLUMN who")
        db.execute("DROP TABLE capabilities")
        db.execute("DROP TABLE factor_weights")
        db.execute("UPDATE meta SET schema_version = 6")
    said = str(as_nobody(lambda: models(shared)))
    assert "is of an older version, to be upgraded, and the file or its folder is read-only" in said
    assert contents(shared)["meta"] == [(6,)]


HOLDS = """
import sys, time
import duckdb
with duckdb.connect(sys.argv[1]) as db:
    print("has it", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.mark.worker
def test_a_reader_without_a_lock_file_waits_for_a_writer(shared: Path) -> None:
    holds = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(shared), "1.5"], stdout=subprocess.PIPE
    )
    assert holds.stdout is not None
    with holds.stdout:
        assert holds.stdout.readline() == b"has it\n"
        assert as_nobody(lambda: models(shared)) == ""
    assert holds.wait(30) == 0


# Backups


def test_a_backup_has_every_row_and_replaces_nothing(database: Path, tmp_path: Path) -> None:
    writing(database)
    store.backup(database, tmp_path / "copy.duckdb")
    assert contents(tmp_path / "copy.duckdb") == contents(database)
    with pytest.raises(StoreError, match="is there already and a backup replaces no file"):
        store.backup(database, tmp_path / "copy.duckdb")
    with pytest.raises(StoreError, match="there is no database"):
        store.backup(tmp_path / "none.duckdb", tmp_path / "other.duckdb")
    (tmp_path / "fresh.duckdb.wal").touch()  # of another file, whose changes would be read
    with pytest.raises(StoreError, match=r"fresh\.duckdb\.wal is there already and a backup repl"):
        store.backup(database, tmp_path / "fresh.duckdb")
    assert not list(tmp_path.glob(".*part*"))


IN_THE_LOG = """
import os, sys, duckdb
db = duckdb.connect(sys.argv[1])
db.execute("INSERT INTO models (model, family) VALUES ('late', 'f')")
os._exit(0)
"""


@pytest.mark.worker
def test_a_backup_has_what_a_killed_process_left_in_the_log(database: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", IN_THE_LOG, str(database)], check=True, timeout=60)
    link = tmp_path / "links" / "link.duckdb"
    link.parent.mkdir()
    link.symlink_to(database)
    store.backup(link, tmp_path / "links" / "copy.duckdb")
    assert models(tmp_path / "links" / "copy.duckdb") == "late"
    shutil.rmtree(link.parent)
    store.backup(database, tmp_path / "copy.duckdb")
    assert models(tmp_path / "copy.duckdb") == "late"
    assert sorted(path.name for path in tmp_path.iterdir() if "lock" not in path.name) == [
        "copy.duckdb", "results.duckdb", "results.duckdb.wal",
    ]  # fmt: skip


WRITER = """
import sys, time
from pathlib import Path
from csvcore import store
from csvcore.records import ModelCard
for i in range(20):
    time.sleep(0.15)
    with store.connect(Path(sys.argv[1])) as db:
        store.add_models(db, [ModelCard(f"{i}-a", "f"), ModelCard(f"{i}-b", "f")])
"""


@pytest.mark.worker
def test_backups_in_the_middle_of_writing_are_each_one_whole_state(
    database: Path, tmp_path: Path
) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(database)])
    sizes = []
    while writer.poll() is None:
        out = tmp_path / f"{len(sizes)}.duckdb"
        store.backup(database, out)
        names = [row[0] for row in contents(out)["models"]]
        sizes.append(len(names))
        assert sorted(names) == sorted(f"{i}-{x}" for i in range(len(names) // 2) for x in "ab")
    assert writer.wait() == 0
    assert len(set(sizes)) > 2
    assert sizes == sorted(sizes)
