"""Loss packs on disk that were checked as a whole, and are read part by part afterwards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from csvcore.errors import InputError
from csvcore.formats import loss_packs
from csvcore.formats.manifest import Manifest, PackManifest
from csvcore.records import Corpus

State = tuple[int, int, int]  # inode, size and time of change of a file


@dataclass(frozen=True, slots=True)
class CheckedPack:
    """A loss pack whose rows were all checked against a corpus.

    corpus: name and hash of the one it scores. models: all in it. made_how: the manifests of those
    that have one. state: of the file that was checked.
    """

    path: Path
    corpus: str
    corpus_sha256: str
    models: tuple[str, ...]
    n_rows: int
    made_how: Mapping[str, Manifest]
    state: State

    def parts(self) -> Iterator[pa.Table]:
        """Yield the rows as `loss_packs.parts`.

        Raises:
            InputError: the file is not the one that was checked.
        """
        self._refuse_changed()
        yield from loss_packs.parts(self.path)
        self._refuse_changed()

    def _refuse_changed(self) -> None:
        if _state(self.path) != self.state:
            raise InputError(f"{self.path.name} changed while it was read; repeat the import")


def check(path: Path, corpus: Corpus, manifest: PackManifest | None) -> CheckedPack:
    """Read a whole pack, in bounded memory, and check every row of it.

    Args:
        path: the file.
        corpus: that the pack scores.
        manifest: of the file, see `loss_packs.read_manifest`.

    Raises:
        InputError, OffsetsError: see `loss_packs.decode` and `loss_packs.check_documents`.
    """
    state = _state(path)
    n_bytes = corpus.n_bytes
    places = {doc_id: place for place, doc_id in enumerate(n_bytes)}
    numbers: dict[str, int] = {}  # of models, as they come
    seen: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    for table in loss_packs.parts(path):
        loss_packs.check_documents(path.name, table, n_bytes)
        model = [numbers.setdefault(name, len(numbers)) for name in table["model"].to_pylist()]
        place = [places[doc_id] for doc_id in table["doc_id"].to_pylist()]
        seen.append(np.array(model, dtype=np.int64) * len(places) + place)
    keys, counts = np.unique(np.concatenate(seen), return_counts=True)
    if (counts > 1).any():
        number, place_of_it = divmod(int(keys[counts > 1][0]), len(places))
        model_name, doc_id = list(numbers)[number], list(places)[place_of_it]
        raise InputError(f"{path.name}: {model_name} on {doc_id} stands there twice")
    made_how = {} if manifest is None else manifest.models
    return CheckedPack(
        path, corpus.name, corpus.sha256, tuple(sorted(numbers)), keys.size, made_how, state
    )


def _state(path: Path) -> State:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
