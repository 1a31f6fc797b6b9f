import errno
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from csvcore.collection.shards import Shard, Shards, address, divide
from csvcore.errors import CsvcoreError, InputError, StoreError
from csvcore.formats.manifest import Manifest
from csvcore.records import Document, TokenLosses
from tests.support.world import DOCS

RECIPE = {
    "weights": "w",
    "tokenizer": "t",
    "prefix": "auto",
    "dtype": "float32",
    "context": "whole",
    "engine": "transformers",
    "version": 2,
}
KEY, OTHER = "a" * 64, "b" * 64


def documents(texts: Sequence[str]) -> list[Document]:
    return [Document(f"d{i}", "s", text) for i, text in enumerate(texts)]


def losses(docs: Sequence[Document] = DOCS[:3], model: str = "m1") -> list[TokenLosses]:
    """One token a byte, with losses that differ."""
    rows = []
    for doc in docs:
        edges = np.arange(len(doc.text.encode()) + 1)
        nll = np.linspace(0.0, 3.0, edges.size - 1).astype(np.float32).astype(float)
        rows.append(TokenLosses(model, doc.doc_id, edges[:-1], edges[1:], nll, edges[1:]))
    return rows


def made(created: str, **more: Any) -> Manifest:
    return Manifest(created=created, dtype="float32", **more)


@pytest.fixture(params=["path", "file://", "memory://"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place that is not there yet, for each kind of file system."""
    if request.param == "memory://":
        return f"memory://{uuid.uuid4()}/losses/"
    return f"{request.param if request.param != 'path' else ''}{tmp_path}/a folder/losses"


# By hand


def test_documents_fill_a_shard_up_to_its_bytes_and_a_longer_one_is_alone() -> None:
    docs = documents(["12345", "猫", "1", "a text much too long", "", "12345678"])
    cut = [[doc.text for doc in run] for run in divide(docs, 8)]
    assert cut == [["12345", "猫"], ["1"], ["a text much too long"], ["", "12345678"]]


def test_the_usual_shard_holds_65536_bytes() -> None:
    halves = documents(["x" * 32768] * 5)
    assert [len(run) for run in divide(halves)] == [2, 2, 1]


# Cutting


@given(st.lists(st.text(max_size=12), max_size=20), st.integers(1, 30))
def test_shards_hold_every_document_once_in_order_and_no_more_than_their_bytes(
    texts: list[str], shard_bytes: int
) -> None:
    docs = documents(texts)
    cut = divide(docs, shard_bytes)
    assert [doc for run in cut for doc in run] == docs
    sizes = [[len(doc.text.encode()) for doc in run] for run in cut]
    assert all(run and (sum(run) <= shard_bytes or len(run) == 1) for run in sizes)
    for before, after in pairwise(sizes):
        assert sum(before) + after[0] > shard_bytes  # none is cut short


@given(st.lists(st.text(max_size=12), max_size=20), st.integers(1, 30))
def test_where_documents_are_cut_depends_on_their_texts_alone(
    texts: list[str], shard_bytes: int
) -> None:
    docs = documents(texts)
    others = [Document(f"x{doc.doc_id}", "other", doc.text, ((0, 1),)) for doc in docs]
    assert [len(run) for run in divide(docs, shard_bytes)] == [
        len(run) for run in divide(others, shard_bytes)
    ]


# Names


@pytest.mark.parametrize("ingredient", RECIPE)
def test_a_shard_has_another_name_if_any_ingredient_changes(ingredient: str) -> None:
    assert address(DOCS, RECIPE | {ingredient: "changed"}) != address(DOCS, RECIPE)


def test_a_shards_name_does_not_depend_on_the_order_of_its_ingredients() -> None:
    assert address(DOCS, dict(reversed(RECIPE.items()))) == address(DOCS, RECIPE)


def test_a_shard_is_named_by_its_texts_and_their_ids_in_order() -> None:
    docs = list(DOCS)
    name = address(docs, RECIPE)
    for i, doc in enumerate(docs):
        for changed in (replace(doc, text=doc.text + " "), replace(doc, doc_id="other")):
            assert address([*docs[:i], changed, *docs[i + 1 :]], RECIPE) != name
        relabelled = replace(doc, source="other", answers=((0, 1),))  # no loss depends on these
        assert address([*docs[:i], relabelled, *docs[i + 1 :]], RECIPE) == name
    assert address(docs[::-1], RECIPE) != name
    assert address(docs[1:], RECIPE) != name


@given(st.lists(st.text(max_size=3), max_size=4), st.lists(st.text(max_size=3), max_size=4))
def test_two_shards_share_a_name_only_if_they_share_all_texts(
    one: list[str], other: list[str]
) -> None:
    same = address(documents(one), RECIPE) == address(documents(other), RECIPE)
    assert same == (one == other)


# There and back


def test_a_shard_comes_back_as_it_was_written(url: str) -> None:
    place, shard = Shards(url), Shard(KEY, DOCS[:3])
    assert place.missing([shard]) == [shard]
    place.write(KEY, losses(), made("2026-01-01", prefix={"rule": "bos"}))
    assert Shards(url).missing([shard, Shard(OTHER, DOCS[3:])]) == [Shard(OTHER, DOCS[3:])]
    pack = Shards(url).read(KEY)
    assert pack.models == {"m1": made("2026-01-01", prefix={"rule": "bos"})}
    for row, expected in zip(pack.table.to_pylist(), losses(), strict=True):
        assert (row["model"], row["doc_id"]) == ("m1", expected.doc_id)
        assert expected.token_id is not None
        for column in ("byte_start", "byte_end", "nll", "token_id"):
            assert row[column] == getattr(expected, column).tolist()


def test_all_shards_of_a_model_are_one_table_in_their_order(url: str) -> None:
    place = Shards(url)
    place.write(OTHER, losses(DOCS[3:]), made("2026-01-01T10:00:00+00:00", served="first"))
    place.write(KEY, losses(DOCS[:3]), made("2026-01-01T12:00:00+00:00", served="last"))
    table, how = place.read_all([Shard(KEY, DOCS[:3]), Shard(OTHER, DOCS[3:])], "m1")
    assert table["doc_id"].to_pylist() == [doc.doc_id for doc in DOCS]
    assert how.served == "last"


def test_a_shard_written_under_another_name_comes_back_under_the_present_one(url: str) -> None:
    place = Shards(url)
    place.write(KEY, losses(model="before"), made("2026-01-01"))
    place.write(OTHER, losses(DOCS[3:], model="after"), made("2026-01-01"))
    table, how = place.read_all([Shard(KEY, DOCS[:3]), Shard(OTHER, DOCS[3:])], "after")
    assert set(table["model"].to_pylist()) == {"after"}
    assert len(table) == len(DOCS)
    assert how.dtype == "float32"


def test_writing_a_shard_again_leaves_one(tmp_path: Path) -> None:
    place = Shards(str(tmp_path / "losses"))
    for _ in range(2):
        place.write(KEY, losses(), made("2026-01-01"))
    assert [file.name for file in (tmp_path / "losses").iterdir()] == [f"{KEY}.parquet"]


# Damage


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Shards, Path]:
    """A place with one shard, and the shard's file."""
    place = Shards(str(tmp_path))
    place.write(KEY, losses(), made("2026-01-01"))
    return place, tmp_path / f"{KEY}.parquet"


def test_a_truncated_shard_counts_as_missing(stored: tuple[Shards, Path]) -> None:
    place, file = stored
    content = file.read_bytes()
    for size in {*range(0, len(content), 97), 1, 4, len(content) - 8, len(content) - 1}:
        file.write_bytes(content[:size])
        assert place.missing([Shard(KEY, DOCS[:3])]), size


@pytest.mark.parametrize(
    "garbage", [b"", b"PAR1", b"\x00" * 4096, b"PAR1" + b"\xff" * 99 + b"PAR1"]
)
def test_garbage_in_place_of_a_shard_counts_as_missing_and_is_replaced(
    stored: tuple[Shards, Path], garbage: bytes
) -> None:
    place, file = stored
    file.write_bytes(garbage)
    assert place.missing([Shard(KEY, DOCS[:3])])
    place.write(KEY, losses(), made("2026-01-01"))
    assert not place.missing([Shard(KEY, DOCS[:3])])


@pytest.mark.parametrize("flip", [0x01, 0xFF])
def test_a_shard_with_a_wrong_byte_is_missing_or_its_losses_are_right(
    stored: tuple[Shards, Path], flip: int
) -> None:
    place, file = stored
    content = file.read_bytes()
    whole = place.read(KEY).table
    for at in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[at] ^= flip
        file.write_bytes(damaged)
        if not place.missing([Shard(KEY, DOCS[:3])]):
            found = place.read(KEY).table
            for column in ("doc_id", "byte_start", "byte_end", "nll"):
                assert found[column].equals(whole[column]), at


def test_what_a_killed_process_left_of_a_shard_is_not_read(tmp_path: Path) -> None:
    place = Shards(str(tmp_path))
    (tmp_path / f".{KEY}.parquet.123.part").write_bytes(b"PAR1")
    assert place.missing([Shard(KEY, DOCS[:3])])
    place.write(KEY, losses(), made("2026-01-01"))
    assert not place.missing([Shard(KEY, DOCS[:3])])


# No room, no permission, no such place


def full_at_open(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def refuse(path: Path, *mode: Any, **more: Any) -> Any:
        raise error

    monkeypatch.setattr(Path, "open", refuse)


def full_at_write(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    """The kernel's own refusal, by the device that is always full."""
    real = Path.open

    def devfull(path: Path, *mode: Any, **more: Any) -> Any:
        real(path, *mode, **more).close()
        return real(Path("/dev/full"), *mode, **more)

    monkeypatch.setattr(Path, "open", devfull)


def full_at_fsync(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def refuse(file: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", refuse)


def full_at_rename(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def refuse(path: Path, to: Path) -> Path:
        raise error

    monkeypatch.setattr(Path, "replace", refuse)


@pytest.mark.parametrize("full", [full_at_open, full_at_write, full_at_fsync, full_at_rename])
def test_a_full_disk_is_one_sentence_leaves_no_part_and_keeps_what_is_stored(
    stored: tuple[Shards, Path],
    monkeypatch: pytest.MonkeyPatch,
    full: Callable[[pytest.MonkeyPatch, OSError], None],
) -> None:
    place, file = stored
    content = file.read_bytes()
    for key in (OTHER, KEY):  # a new shard, and one that is there
        with monkeypatch.context() as patch:
            full(patch, OSError(errno.ENOSPC, "No space left on device"))
            with pytest.raises(StoreError, match="no space is left; what is stored st") as refusal:
                place.write(key, losses(), made("2026-01-02"))
        assert str(refusal.value).startswith(f"a shard cannot be written to {place.url}: ")
        assert "make room or give another --shards" in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert list(file.parent.iterdir()) == [file]
        assert file.read_bytes() == content


def test_a_full_object_store_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    place = Shards(f"memory://{uuid.uuid4()}")
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refuse)
    with pytest.raises(StoreError, match=r"memory://.*: no space is left; "):
        place.write(KEY, losses(), made("2026-01-01"))


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder_is_one_sentence_with_the_systems_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    full_at_open(monkeypatch, OSError(number, os.strerror(number), "x.part"))  # root may write all
    with pytest.raises(StoreError, match=os.strerror(number)) as refusal:
        Shards(str(tmp_path)).write(KEY, losses(), made("2026-01-01"))
    assert "\n" not in str(refusal.value)


def test_a_file_where_the_folder_should_be_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are my notes")
    for url in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "losses"):
        with pytest.raises(StoreError, match=r"a shard cannot be written to .*notes"):
            Shards(str(url)).write(KEY, losses(), made("2026-01-01"))
        with pytest.raises(CsvcoreError, match="notes"):
            Shards(str(url)).missing([Shard(KEY, DOCS[:3])])


def test_a_folder_that_may_not_be_read_is_refused_in_words(
    stored: tuple[Shards, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **more: Any) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    place, _ = stored
    monkeypatch.setattr(type(place._fs), "cat_file", refuse)
    with pytest.raises(CsvcoreError, match="Permission denied"):
        place.missing([Shard(KEY, DOCS[:3])])


def test_a_place_of_no_known_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"nowhere://x is not a place for shards: .*nowhere"):
        Shards("nowhere://x")


def test_a_place_whose_driver_is_not_installed_is_refused_with_its_name() -> None:
    fsspec.register_implementation(
        "csvcoretest", "no_such_package.fs", clobber=True, errtxt="Install no_such_package"
    )
    with pytest.raises(InputError, match="is not a place for shards: Install no_such_package"):
        Shards("csvcoretest://bucket/losses")


def test_a_damaged_shard_has_a_short_name_in_messages(tmp_path: Path) -> None:
    (tmp_path / f"{KEY}.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match=rf"^shard {KEY[:12]} is not a Parquet file"):
        Shards(str(tmp_path)).read(KEY)
