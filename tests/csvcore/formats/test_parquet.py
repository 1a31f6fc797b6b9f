import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore.errors import InputError
from csvcore.formats import footer, loss_packs, parquet
from csvcore.formats.parquet import UPLOAD, Budget

ROW = {
    "model": pa.array(["m"]),
    "doc_id": pa.array(["d"]),
    "byte_start": pa.array([[0, 2]], pa.list_(pa.int32())),
    "byte_end": pa.array([[2, 5]], pa.list_(pa.int32())),
    "nll": pa.array([[1.0, 2.0]], pa.list_(pa.float32())),
}


def content(table: pa.Table, **more: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **more)
    return out.getvalue()


PACK = content(pa.table(ROW | {"nested": pa.array([{"a": [1, 2], "b": "x"}])}))


# Footers


@given(st.integers(0, 60), st.integers(1, 20), st.sampled_from(["zstd", "none", "snappy"]))
def test_a_footer_says_the_same_as_pyarrow(n_rows: int, group: int, compression: str) -> None:
    table = pa.table({"a": range(n_rows), "b": [[i] * (i % 3) for i in range(n_rows)]})
    file = content(table, row_group_size=group, compression=compression)
    theirs = pq.read_metadata(io.BytesIO(file))
    columns = [
        (theirs.row_group(g).column(c), g)
        for g in range(theirs.num_row_groups)
        for c in range(theirs.num_columns)
    ]
    assert footer.chunks(file) == [
        footer.Chunk(c.path_in_schema.split(".")[0], c.num_values, c.total_uncompressed_size, g)
        for c, g in columns
    ]


@given(st.integers(0, len(PACK) - 1), st.integers(1, 255))
def test_a_wrong_byte_is_refused_or_read_and_never_ends_the_process(at: int, flip: int) -> None:
    damaged = bytearray(PACK)
    damaged[at] ^= flip
    try:
        pack = loss_packs.decode("x", bytes(damaged))
    except InputError:
        return
    assert len(pack.table) == 1


@given(st.binary(max_size=300))
def test_any_footer_is_read_or_refused(noise: bytes) -> None:
    file = b"PAR1" + noise + len(noise).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(InputError, match="x is not a Parquet file that can be read: "):
        loss_packs.decode("x", file)


# Budgets


def test_zero_width_tokens_beyond_the_budget_are_refused_before_they_are_read() -> None:
    """The issue's file, a tenth of it: some kB unfold to millions of tokens."""
    check = """
import io, resource, sys
from csvcore.errors import InputError
from csvcore.formats import loss_packs
from csvcore.formats.parquet import Budget
content = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    loss_packs.decode("small.parquet", content, Budget(9, 5_000_000, 2**30, "y"))
except InputError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    n = 6_000_000
    ends = pa.array([0, n], pa.int32())
    zeros = pa.ListArray.from_arrays(ends, pa.array(np.zeros(n, np.int32)))
    file = content(pa.table(ROW | {"byte_start": zeros, "byte_end": zeros}), compression="zstd")
    assert len(file) < 30_000
    done = subprocess.run(
        [sys.executable, "-c", check], input=file, capture_output=True, check=True
    )
    said, n_mb = done.stdout.decode().splitlines()
    assert said.startswith("small.parquet has 12,000,004 values, at most 5,000,000 are taken here;")
    assert int(n_mb) < 20


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (Budget(2, 99, 999, "y"), "x has 6 columns, at most 2 are taken here; y"),
        (Budget(9, 7, 9999, "y"), "x has 8 values, at most 7 are taken here; y"),
        (Budget(9, 99, 20, "y"), r"x has \d+ bytes once it is read, at most 20 are taken"),
    ],
)
def test_a_budget_names_what_is_too_much(budget: Budget, said: str) -> None:
    with pytest.raises(InputError, match=said), parquet.opened("x", PACK, ROW, budget):
        raise AssertionError("it was opened")


def test_columns_that_are_not_read_do_not_count() -> None:
    with parquet.opened("x", PACK, ["model"], Budget(9, 1, 99, "y")) as file:
        assert file.read(["model"]).to_pydict() == {"model": ["m"]}


def test_a_column_that_nobody_reads_may_hold_anything(write: Callable[[str, bytes], Path]) -> None:
    date = pa.array([2**62], pa.int64()).view(pa.timestamp("us"))  # no date of Python
    path = write("x.parquet", content(pa.table(ROW | {"when": date})))
    assert len(loss_packs.read(path).table) == 1


# Types and names


@pytest.mark.parametrize(
    ("column", "entries"),
    [
        ("nll", pa.array([[True, False]])),
        ("nll", pa.array([["1.5", "2"]])),
        ("byte_end", pa.array([["2", "5"]])),
        ("byte_end", pa.array([[2.0, 5.0]])),
        ("byte_start", pa.array([[False, True]])),
        ("model", pa.array([7])),
        ("doc_id", pa.array([b"d"])),
    ],
)
def test_a_column_of_another_type_is_never_converted(column: str, entries: pa.Array) -> None:
    with pytest.raises(InputError, match=rf"a column has the wrong type: {column} must hold"):
        loss_packs.decode("x", content(pa.table(ROW | {column: entries})))


def test_names_of_a_pack_are_composed() -> None:
    pack = loss_packs.decode("x", content(pa.table(ROW | {"model": pa.array(["cafe\u0301"])})))
    assert pack.table["model"].to_pylist() == ["caf\u00e9"]


def test_names_that_are_no_utf8_are_refused() -> None:
    raw = pa.array([b"\xff\xfe"], pa.binary())
    name = pa.Array.from_buffers(pa.string(), 1, raw.buffers())
    with pytest.raises(InputError, match="x: the column model cannot be read: it is not UTF-8"):
        loss_packs.decode("x", content(pa.table(ROW | {"model": name})))


def test_an_upload_takes_what_a_page_can_show() -> None:
    assert len(loss_packs.decode("x", PACK, UPLOAD).table) == 1
