import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from csvcore import mapped, salience


@given(st.integers(1, 5), st.integers(1, 40), st.booleans())
def test_a_table_is_its_rows_in_float32_wherever_it_is(
    tmp_path_factory: pytest.TempPathFactory, n_rows: int, n_columns: int, in_file: bool
) -> None:
    rows = np.random.default_rng(n_columns).normal(size=(n_rows, n_columns))
    folder = tmp_path_factory.mktemp("tables") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        if in_file:
            patch.setattr(mapped, "LARGEST_IN_MEMORY", 0)
        made = mapped.table(iter(rows), rows.shape, folder)
    assert isinstance(made, np.memmap) == in_file
    assert made.dtype == np.float32
    assert_array_equal(made, rows.astype(np.float32))
    mapped.release(made)
    mapped.release(made[0])
    assert_array_equal(made, rows.astype(np.float32))
    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="tells memory on Linux")
def test_a_score_of_a_large_map_does_not_keep_it_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "LARGEST_IN_MEMORY", 0)
    n_rows, n_columns = 60, 500_000  # 120 MB
    row = np.random.default_rng(0).random(n_columns)
    nll = mapped.table((row * number for number in range(n_rows)), (n_rows, n_columns), tmp_path)
    before = _resident()
    score = salience.capability_score(np.ones(n_columns), nll, n_columns)
    assert _resident() - before < nll.nbytes / 3
    np.testing.assert_allclose(score, row.mean() * np.arange(n_rows), rtol=1e-6)


def _resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
