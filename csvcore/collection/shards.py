"""Shards of a collection: Parquet files with losses of one model on some documents.

A shard's name is a hash of everything its losses depend on: a stored shard is never scored again,
and a changed text, model or setting never matches an old shard. Writes are atomic. The folder may
be on any file system of fsspec.
"""

import errno
import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from filelock import FileLock, Timeout
from fsspec.implementations.local import LocalFileSystem

from csvcore.errors import InputError, StoreError
from csvcore.formats import atomic, loss_packs
from csvcore.formats.manifest import Manifest
from csvcore.records import Document, TokenLosses

COLLECTS = ".{}.collects.lock"  # one of each collection, held while it runs
SHARD_BYTES = 1 << 16  # text in one shard: seconds on a GPU, about a minute on two CPU cores


@dataclass(frozen=True, slots=True)
class Shard:
    """Documents that one model scores together, with the key of their file."""

    key: str
    docs: tuple[Document, ...]


def divide(docs: Sequence[Document], shard_bytes: int = SHARD_BYTES) -> list[tuple[Document, ...]]:
    """Divide documents into runs of at most shard_bytes of UTF-8; longer documents go alone.

    The cuts depend only on the texts, so they are the same for every model.
    """
    runs: list[list[Document]] = []
    left = 0
    for doc in docs:
        size = doc.n_bytes
        if not runs or size > left:
            runs.append([])
            left = shard_bytes
        runs[-1].append(doc)
        left -= size
    return [tuple(run) for run in runs]


def address(docs: Sequence[Document], recipe: Mapping[str, Any]) -> str:
    """Return the key of a shard: a hash over its texts and the settings of their losses."""
    content = [dict(recipe), [[doc.doc_id, doc.text] for doc in docs]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Shards:
    """A folder of shards."""

    def __init__(self, url: str) -> None:
        """Open a local path or any URL of fsspec, such as s3://bucket/losses."""
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise InputError(f"{url} is not a place for shards: {error}") from error
        self.url = url

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}.parquet"

    def missing(self, shards: Iterable[Shard]) -> list[Shard]:
        """Return the shards that are not stored intact."""
        return [shard for shard in shards if not self._is_whole(shard.key)]

    def _is_whole(self, key: str) -> bool:
        try:
            self.read(key)
        except (FileNotFoundError, InputError):
            return False
        except OSError as error:
            raise StoreError(f"shards cannot be read from {self.url}: {error}") from error
        return True

    @contextmanager
    def claimed(self, key: str) -> Iterator[bool]:
        """Hold a shard while it is scored; yield False if another process holds it.

        Only on this machine's own file system: elsewhere two processes may score one shard, with
        the same losses.

        Raises:
            StoreError: no lock can be made, as in a folder without the right to write.
        """
        with ExitStack() as held:
            try:
                self._hold(f".{key}.lock", held)
            except Timeout:
                yield False
                return
            yield True

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Say to others that this process collects, see `collected_now`."""
        self.collected_now()
        with ExitStack() as held:
            self._hold(COLLECTS.format(uuid.uuid4().hex), held)
            yield

    def _hold(self, name: str, held: ExitStack) -> None:
        """Take a lock in the folder until `held` ends; its file goes with it."""
        if not isinstance(self._fs, LocalFileSystem):
            return
        path = Path(self._root) / name
        lock = FileLock(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except OSError as error:
            if isinstance(error, Timeout):
                raise
            raise self._not_written(error) from error
        held.callback(lock.release)
        held.callback(path.unlink, missing_ok=True)

    def collected_now(self) -> bool:
        """Return whether a living process collects into this folder, if it is local.

        The locks of dead ones go.
        """
        if not isinstance(self._fs, LocalFileSystem):
            return False
        alive = False
        for path in Path(self._root).glob(COLLECTS.format("*")):
            try:
                with FileLock(path, timeout=0):
                    path.unlink(missing_ok=True)
            except OSError:  # it is held (Timeout is one), or another user's
                alive = True
        return alive

    def write(self, key: str, rows: Sequence[TokenLosses], manifest: Manifest) -> None:
        """Store losses of one model with their manifest.

        Raises:
            StoreError: there is no room, or no permission to write.
        """
        content = loss_packs.encode(loss_packs.loss_table(rows), "", {rows[0].model: manifest})
        try:
            if isinstance(self._fs, LocalFileSystem):
                _write_local(Path(self._path(key)), content)
            else:
                self._fs.pipe_file(self._path(key), content)  # object stores show it when whole
        except OSError as error:
            raise self._not_written(error) from error

    def _not_written(self, error: OSError) -> StoreError:
        reason = "no space is left" if error.errno == errno.ENOSPC else str(error)
        return StoreError(
            f"a shard cannot be written to {self.url}: {reason}; what is stored stays, "
            "make room or give another --shards and start again"
        )

    def read(self, key: str) -> loss_packs.Pack:
        """Read a stored shard.

        Raises:
            FileNotFoundError: it is not stored.
            InputError: it is damaged.
        """
        return loss_packs.decode(f"shard {key[:12]}", self._fs.cat_file(self._path(key)))

    def read_all(self, shards: Sequence[Shard], model: str) -> tuple[pa.Table, Manifest]:
        """Read the rows of all shards in order, and the manifest of the newest shard.

        Args:
            shards: all of a model.
            model: its current name; the shards may have been written under another.

        Raises:
            StoreError: a shard is missing.
            InputError: a shard is damaged.
        """
        try:
            packs = [self.read(shard.key) for shard in shards]
        except OSError as error:
            raise StoreError(
                f"shards of {model} are not in {self.url}, though they were written; every node "
                "has to reach the same --shards"
            ) from error
        table = pa.concat_tables([pack.table for pack in packs])
        table = table.set_column(0, "model", pa.array([model] * len(table), pa.string()))
        manifests = [manifest for pack in packs for manifest in pack.models.values()]
        return table, max(manifests, key=lambda manifest: manifest.created or "")


def _write_local(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.file(path) as building:
        building.write_bytes(content)
