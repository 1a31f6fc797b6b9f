"""Packs that are checked as a whole, and read part by part afterwards."""

from pathlib import Path

import pyarrow as pa
import pytest

from csvcore.errors import InputError, OffsetsError
from csvcore.formats import checked_packs, loss_packs
from csvcore.formats.checked_packs import CheckedPack
from csvcore.formats.csv_tables import corpus_sha256
from csvcore.records import Corpus
from tests.support.world import DOCS, World, pack_rows, write_pack

CORPUS = Corpus("words", corpus_sha256(DOCS), list(DOCS))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_packs, "TOKENS_AT_ONCE", 20)


def check(path: Path) -> CheckedPack:
    return checked_packs.check(path, CORPUS, loss_packs.read_manifest(path))


@pytest.mark.usefixtures("small_parts")
def test_the_parts_are_the_whole(world: World, tmp_path: Path) -> None:
    path = write_pack(tmp_path / "p.parquet", pack_rows(world))
    pack = check(path)
    parts = list(pack.parts())
    assert len(parts) > 5
    assert pa.concat_tables(parts).to_pylist() == loss_packs.read(path).table.to_pylist()
    assert pack.n_rows == sum(map(len, parts))
    assert set(pack.models) == {row["model"] for row in pack_rows(world)}


@pytest.mark.usefixtures("small_parts")
def test_a_pair_that_stands_in_two_parts_is_refused(world: World, tmp_path: Path) -> None:
    rows = pack_rows(world, ["ant", "bee"])
    path = write_pack(tmp_path / "p.parquet", [*rows, rows[0]])
    with pytest.raises(InputError, match=f"ant on {rows[0]['doc_id']} stands there twice"):
        check(path)


@pytest.mark.usefixtures("small_parts")
def test_a_fault_in_the_last_part_is_found(world: World, tmp_path: Path) -> None:
    rows = pack_rows(world, ["ant", "bee"])
    rows[-1]["byte_end"][-1] += 1
    with pytest.raises(OffsetsError, match="do not tile"):
        check(write_pack(tmp_path / "p.parquet", rows))


def test_a_file_that_changed_since_its_check_is_refused(world: World, tmp_path: Path) -> None:
    path = write_pack(tmp_path / "p.parquet", pack_rows(world, ["ant"]))
    pack = check(path)
    write_pack(path, pack_rows(world, ["bee"]))
    with pytest.raises(InputError, match=r"p\.parquet changed while it was read"):
        list(pack.parts())
