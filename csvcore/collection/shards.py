"""Losses on their way to the database: one Parquet file for some documents of one model.

A shard's name is made of all that its losses depend on, so that one found under it need not be
scored again, and a changed text, model or setting never finds an old one. It appears whole or not
at all. The folder may be on any file system fsspec knows.
"""

import errno
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from csvcore.errors import InputError, StoreError
from csvcore.formats import atomic, loss_packs
from csvcore.formats.manifest import Manifest
from csvcore.records import Document, TokenLosses

SHARD_BYTES = 1 << 16  # text in one shard: seconds on a GPU, about a minute on two CPU cores


@dataclass(frozen=True, slots=True)
class Shard:
    """Documents of one model that are scored and stored together, and the name they go by."""

    key: str
    docs: tuple[Document, ...]


def divide(docs: Sequence[Document], shard_bytes: int = SHARD_BYTES) -> list[tuple[Document, ...]]:
    """Documents in runs of at most shard_bytes of UTF-8, one that is longer by itself.

    Where the cuts fall depends on the texts alone, so they are the same for every model.
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
    """Name of a shard: a hash over its texts and over what else decides their losses."""
    known = [dict(recipe), [[doc.doc_id, doc.text] for doc in docs]]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


class Shards:
    """A folder of shards."""

    def __init__(self, url: str) -> None:
        """A local path or any URL fsspec knows, such as s3://bucket/losses."""
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise InputError(f"{url} is not a place for shards: {error}") from error
        self.url = url

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}.parquet"

    def missing(self, shards: Iterable[Shard]) -> list[Shard]:
        """Those that are not stored whole."""
        return [shard for shard in shards if not self._is_whole(shard.key)]

    def _is_whole(self, key: str) -> bool:
        try:
            self.read(key)
        except (FileNotFoundError, InputError):
            return False
        except OSError as error:
            raise StoreError(f"shards cannot be read from {self.url}: {error}") from error
        return True

    def write(self, key: str, rows: Sequence[TokenLosses], made: Manifest) -> None:
        """Store losses of one model and how they were made.

        Raises:
            StoreError: there is no room, or no permission to write.
        """
        content = loss_packs.encode(loss_packs.loss_table(rows), "", {rows[0].model: made})
        try:
            if isinstance(self._fs, LocalFileSystem):
                _write_local(Path(self._path(key)), content)
            else:
                self._fs.pipe_file(self._path(key), content)  # object stores show it when whole
        except OSError as error:
            reason = "no space is left" if error.errno == errno.ENOSPC else str(error)
            raise StoreError(
                f"a shard cannot be written to {self.url}: {reason}; what is stored stays, "
                "make room or give another --shards and start again"
            ) from error

    def read(self, key: str) -> loss_packs.Pack:
        """A stored shard.

        Raises:
            FileNotFoundError: it is not stored.
            InputError: it is damaged.
        """
        return loss_packs.decode(f"shard {key[:12]}", self._fs.cat_file(self._path(key)))

    def read_all(self, shards: Sequence[Shard], model: str) -> tuple[pa.Table, Manifest]:
        """The rows of all shards in their order, and how the one written last was made.

        Args:
            shards: all of a model.
            model: its name by now; the shards may have been written under another.

        Raises:
            StoreError: a shard is not there.
            InputError: a shard is damaged.
        """
        try:
            found = [self.read(shard.key) for shard in shards]
        except OSError as error:
            raise StoreError(
                f"shards of {model} are not in {self.url}, though they were written; every node "
                "has to reach the same --shards"
            ) from error
        table = pa.concat_tables([pack.table for pack in found])
        table = table.set_column(0, "model", pa.array([model] * len(table), pa.string()))
        made = [manifest for pack in found for manifest in pack.models.values()]
        return table, max(made, key=lambda manifest: manifest.created or "")


def _write_local(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.file(path) as building:
        building.write_bytes(content)
