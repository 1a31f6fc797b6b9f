import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore.errors import InputError, OffsetsError
from csvcore.formats import loss_packs
from csvcore.formats.manifest import FORMAT, Manifest, PackManifest

# "ab cd" in ASCII and "猫が" in 6 bytes
SIZES = {"en": 5, "ja": 6}
ROWS: list[dict[str, Any]] = [
    {
        "model": "m1",
        "doc_id": "en",
        "byte_start": [0, 2],
        "byte_end": [2, 5],
        "nll": [1.5, 0.0],
        "token_id": [7, 8],
    },
    {
        "model": "m1",
        "doc_id": "ja",
        "byte_start": [0, 0, 1],
        "byte_end": [0, 1, 6],
        "nll": [0.25, 2.0, 4.0],
        "token_id": None,
    },
]


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=loss_packs.SCHEMA)


def parquet(folder: Path, data: pa.Table, manifest: object = None) -> Path:
    """A Parquet file as others would write it, without `loss_packs.write`."""
    if manifest is not None:
        text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        data = data.replace_schema_metadata({"csvcore.manifest": text})
    pq.write_table(data, folder / "pack.parquet")
    return folder / "pack.parquet"


# By hand


def test_a_pack_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "pack.parquet"
    loss_packs.write(path, table(*ROWS), "abc", {"m1": Manifest(dtype="float32")})
    pack = loss_packs.read(path)
    assert pack.table.to_pylist() == ROWS
    assert pack.manifest == PackManifest("abc", {"m1": Manifest(dtype="float32")})
    loss_packs.check_documents("pack", pack.table, SIZES)
    assert loss_packs.lengths(pack.table).tolist() == [2, 3]
    assert loss_packs.flat(pack.table, "nll").tolist() == [1.5, 0.0, 0.25, 2.0, 4.0]
    assert [file.name for file in tmp_path.iterdir()] == ["pack.parquet"]


def test_a_pack_without_manifest_and_token_ids_is_accepted_and_marked_so(tmp_path: Path) -> None:
    plain = table(*ROWS).drop_columns(["token_id"]).append_column("note", pa.array(["x", "y"]))
    pack = loss_packs.read(parquet(tmp_path, plain))
    assert pack.manifest is None
    assert pack.table.to_pylist() == [row | {"token_id": None} for row in ROWS]


def test_wider_types_of_other_writers_are_accepted(tmp_path: Path) -> None:
    wide = table(ROWS[0]).cast(
        pa.schema(
            [
                ("model", pa.large_string()),
                ("doc_id", pa.large_string()),
                ("byte_start", pa.large_list(pa.int64())),
                ("byte_end", pa.list_(pa.uint64())),
                ("nll", pa.list_(pa.float64())),
                ("token_id", pa.list_(pa.int64())),
            ]
        )
    )
    wide = wide.set_column(0, "model", wide["model"].dictionary_encode())
    pack = loss_packs.read(parquet(tmp_path, wide))
    assert pack.table.schema.equals(loss_packs.SCHEMA)
    assert pack.table.to_pylist() == [ROWS[0]]


def test_one_span_for_the_whole_document_and_empty_tokens_tile_it() -> None:
    whole = {"byte_start": [0], "byte_end": [5], "nll": [3.0], "token_id": None}
    empty = {"byte_start": [0, 0, 0, 5], "byte_end": [0, 0, 5, 5], "nll": [1.0] * 4}
    empty["token_id"] = [1, 2, 3, 4]
    loss_packs.check_documents("pack", table(ROWS[0] | whole), SIZES)
    loss_packs.check_documents("pack", table(ROWS[0] | empty), SIZES)


def test_a_pack_read_part_by_part_is_never_in_memory_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyArrow kept the bytes of every row group until the end of the file (#20)."""
    rng, n_tokens, n_groups = np.random.default_rng(0), 100_000, 30
    edges = np.arange(n_tokens + 1, dtype=np.int32)
    path = tmp_path / "pack.parquet"
    with pq.ParquetWriter(path, loss_packs.SCHEMA) as writer:
        for number in range(n_groups):
            row = {"byte_start": edges[:-1], "byte_end": edges[1:], "nll": rng.random(n_tokens)}
            columns = {key: pa.array([values]) for key, values in row.items()}
            names = {"model": [f"m{number}"], "doc_id": ["a"]}
            token_id = pa.nulls(1, loss_packs.SCHEMA.field("token_id").type)
            whole = pa.table({**names, **columns, "token_id": token_id})
            writer.write_table(whole.cast(loss_packs.SCHEMA))
    monkeypatch.setattr(loss_packs, "TOKENS_AT_ONCE", 2 * n_tokens)
    before = pa.total_allocated_bytes()
    peak, models = 0, []
    for part in loss_packs.parts(path):
        peak = max(peak, pa.total_allocated_bytes() - before)
        models += part["model"].to_pylist()
    assert models == [f"m{number}" for number in range(n_groups)]
    assert peak < path.stat().st_size / 2


def test_a_failed_write_leaves_the_older_pack(tmp_path: Path) -> None:
    path = tmp_path / "pack.parquet"
    loss_packs.write(path, table(ROWS[0]), "abc", {})
    with pytest.raises(TypeError, match="not JSON serializable"):
        loss_packs.write(path, table(ROWS[1]), "abc", {"m1": Manifest(others={"key": object()})})
    assert loss_packs.read(path).table.to_pylist() == [ROWS[0]]


# Properties


@st.composite
def tilings(draw: st.DrawFn) -> pa.Table:
    """Rows of several models on one to three documents of 1 to 40 bytes, in any tokens."""
    rows = []
    for number, size in enumerate(draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))):
        for model in draw(st.sets(st.sampled_from("abc"), min_size=1)):
            cuts = sorted(draw(st.lists(st.integers(0, size), max_size=6)))
            edges = [0, *cuts, size]
            nll = draw(st.lists(st.floats(0.0, 50.0, width=32), min_size=7, max_size=7))
            rows.append(
                {
                    "model": model,
                    "doc_id": f"{number}:{size}",
                    "byte_start": edges[:-1],
                    "byte_end": edges[1:],
                    "nll": nll[: len(edges) - 1],
                    "token_id": draw(st.none() | st.just(edges[1:])),
                }
            )
    return table(*rows)


def sizes(data: pa.Table) -> dict[str, int]:
    return {doc_id: int(doc_id.split(":")[1]) for doc_id in data["doc_id"].to_pylist()}


@given(data=tilings())
def test_every_pack_of_tokens_that_tile_survives_a_file(
    tmp_path_factory: pytest.TempPathFactory, data: pa.Table
) -> None:
    path = tmp_path_factory.mktemp("packs") / "pack.parquet"
    loss_packs.write(path, data, "abc", {})
    back = loss_packs.read(path).table
    loss_packs.check_documents("pack", back, sizes(data))
    assert back.to_pylist() == data.to_pylist()
    assert loss_packs.flat(back, "nll").size == loss_packs.lengths(back).sum()


@given(tilings(), st.data())
def test_one_span_moved_by_one_byte_no_longer_tiles(data: pa.Table, draws: st.DataObject) -> None:
    rows = data.to_pylist()
    row = draws.draw(st.integers(0, len(rows) - 1))
    column = draws.draw(st.sampled_from(["byte_start", "byte_end"]))
    token = draws.draw(st.integers(0, len(rows[row]["nll"]) - 1))
    rows[row][column][token] += draws.draw(st.sampled_from([-1, 1]))
    message = f"pack: the spans of {rows[row]['doc_id']} by {rows[row]['model']} do not tile"
    with pytest.raises(OffsetsError, match=message):
        loss_packs.check_documents("pack", table(*rows), sizes(data))


# Refusals of what a file says in itself


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nll": [0.5, float("nan"), 1.0]}, "nll of token 1 of ja by m1 is nan; a negative log-"),
        ({"nll": [0.5, 1.0, -0.5]}, r"nll of token 2 of ja by m1 is -0\.5; .* not negative"),
        ({"nll": [float("inf"), 1.0, 1.0]}, "nll of token 0 of ja by m1 is inf; .* is finite"),
        ({"nll": [0.5, None, 1.0]}, "nll of token 1 of ja by m1 is nan"),
        ({"nll": None}, "the column nll has an empty cell"),
        ({"model": None}, "the column model has an empty cell"),
        ({"doc_id": "en"}, r"pack\.parquet: m1 on en stands there twice"),
    ],
)
def test_rows_that_cannot_be_losses_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    wrong = ROWS[1] | change
    for rows in ((ROWS[0], wrong), (wrong, ROWS[0])):
        with pytest.raises(InputError, match=message):
            loss_packs.read(parquet(tmp_path, table(*rows)))


@pytest.mark.parametrize("column", ["model", "doc_id", "byte_start", "byte_end", "nll"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    path = parquet(tmp_path, table(*ROWS).drop_columns([column]))
    with pytest.raises(InputError, match=rf"pack\.parquet lacks the column {column}$"):
        loss_packs.read(path)


@pytest.mark.parametrize(
    ("column", "values"),
    [("nll", [["a"]]), ("byte_start", [3]), ("byte_end", [[2**40]]), ("byte_end", [[0.5]])],
)
def test_a_column_of_the_wrong_type_is_refused(
    tmp_path: Path, column: str, values: list[object]
) -> None:
    data = table(ROWS[0])
    data = data.set_column(data.column_names.index(column), column, pa.array(values))
    with pytest.raises(InputError, match="a column has the wrong type: "):
        loss_packs.read(parquet(tmp_path, data))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"format": "csvcore-losspack/2"}, "must be an object of format csvcore-losspack/1"),
        ({"corpus_sha256": "abc"}, "must be an object of format csvcore-losspack/1"),
        (["csvcore-losspack/1"], "must be an object of format csvcore-losspack/1"),
        ({"format": FORMAT, "models": {"ant": "oops"}}, "how losses of 'ant' were made"),
        (b"{", r"csvcore\.manifest is not JSON"),
        (b"\xff", r"csvcore\.manifest is not JSON"),
    ],
)
def test_a_manifest_of_another_format_is_refused(
    tmp_path: Path, manifest: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        loss_packs.read(parquet(tmp_path, table(*ROWS), manifest))


def test_a_file_that_is_not_there_or_no_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file .*pack\.parquet"):
        loss_packs.read(tmp_path / "pack.parquet")
    for content in (b"", b"model,doc_id\n", b"PAR1 is how it begins"):
        (tmp_path / "pack.parquet").write_bytes(content)
        with pytest.raises(InputError, match=r"pack\.parquet is not a Parquet file that can be"):
            loss_packs.read(tmp_path / "pack.parquet")


def test_a_damaged_pack_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "pack.parquet"
    rng = np.random.default_rng(0)
    rows = [
        ROWS[0] | {"model": f"m{i}", "nll": rng.exponential(size=2).tolist()} for i in range(99)
    ]
    loss_packs.write(path, table(*rows), "abc", {})
    sound = path.read_bytes()
    footer = len(sound) - 8 - int.from_bytes(sound[-8:-4], "little")
    for position in (4, footer):  # 4 is the first page's header
        damaged = bytearray(sound)
        damaged[position : position + 8] = bytes(255 - byte for byte in sound[position:][:8])
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="is not a Parquet file that can be read") as refusal:
            loss_packs.read(path)
        assert "\n" not in str(refusal.value)


# Refusals of what only the corpus can tell


def test_a_document_the_corpus_does_not_have_is_named() -> None:
    with pytest.raises(InputError, match="pack: the document 'ja' is not in the corpus"):
        loss_packs.check_documents("pack", table(*ROWS), {"en": 5})


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ([0, 3], [2, 6]),  # a gap
        ([0, 2], [3, 6]),  # an overlap
        ([1, 3], [3, 6]),  # not from 0
        ([0, 3], [3, 5]),  # not to the end
        ([0, 3], [3, 7]),  # beyond the end
        ([0, 4], [4, 2]),  # backwards
        ([0, 1], [1, 2]),  # characters, of which "猫が" has 2
        ([0, None], [3, 6]),
        ([0, 3], [3, None]),
    ],
    ids=str,
)
def test_spans_that_do_not_tile_the_bytes_are_refused(start: list[int], end: list[int]) -> None:
    row = {"model": "m", "doc_id": "ja", "byte_start": start, "byte_end": end, "nll": [1.0, 1.0]}
    message = (
        "pack: the spans of ja by m do not tile its 6 bytes; they must run from 0 to the end "
        "without gap or overlap, in UTF-8 bytes, not characters"
    )
    with pytest.raises(OffsetsError, match=message):
        loss_packs.check_documents("pack", table(ROWS[0], row), SIZES)


def test_a_document_without_tokens_is_refused() -> None:
    none = {"model": "m", "doc_id": "ja", "byte_start": [], "byte_end": [], "nll": []}
    for rows in ([none], [ROWS[0], none], [none, ROWS[0]]):
        with pytest.raises(OffsetsError, match="the spans of ja by m do not tile its 6 bytes"):
            loss_packs.check_documents("pack", table(*rows), SIZES)


def test_a_token_id_that_is_missing_in_a_list_is_refused(tmp_path: Path) -> None:
    file = parquet(tmp_path, table(ROWS[0] | {"token_id": [7, None]}, ROWS[1]))
    with pytest.raises(InputError, match=r"pack.parquet: the column token_id has an empty entry"):
        loss_packs.read(file)


@pytest.mark.parametrize("column", ["byte_start", "byte_end", "token_id"])
def test_spans_and_losses_of_other_lengths_are_refused(column: str) -> None:
    row = ROWS[1] | {column: [0, 6]}
    with pytest.raises(OffsetsError, match=f"pack: {column} of ja and its nll differ in length"):
        loss_packs.check_documents("pack", table(ROWS[0], row), SIZES)
