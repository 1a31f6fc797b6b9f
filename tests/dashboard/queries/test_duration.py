"""Laws of the time that a fit is expected to take."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from csvcore import store
from csvcore.records import Fit
from dashboard.queries import duration

COLUMNS = ["method", "algorithm", "scorer", "steps", "penalty", "n_models", "n_chars", "seconds"]
KNOWN = pd.DataFrame(
    [
        ["csv", "fast", "tiny", 30, None, 10, 1000, 2.0],
        ["csv", "fast", "tiny", 30, 1e-4, 10, 1000, 0.1],
        ["csv", "paper", "tiny", 99, None, 10, 1000, 5.0],
        ["all-token", None, "tiny", None, None, 10, 1000, 0.01],
    ],
    columns=COLUMNS,
)
SIZE = duration.Size(n_chars=3000, n_models=20)


def test_earlier_fits_are_scaled_by_text_models_and_tasks() -> None:
    found = duration.expected(KNOWN, SIZE, 2, ["csv", "all-token"], "fast", "tiny", 0)
    assert found.seconds == pytest.approx(2.0 * 3 * 2 * 2)
    assert "based on 1 earlier fit;" in found.basis


def test_the_last_fits_alone_count_and_the_slowest_is_told() -> None:
    slow = KNOWN.iloc[:1].assign(seconds=[4.0])
    known = pd.concat([KNOWN.iloc[:1]] * (duration.LATEST - 1) + [slow] * 9, ignore_index=True)
    found = duration.expected(known, SIZE, 1, ["csv"], "fast", "tiny", 0)
    assert found.seconds == pytest.approx(2.0 * 3 * 2)
    assert f"based on {duration.LATEST} earlier fits" in found.basis
    assert found.basis.endswith("about 24 s at the slowest pace")


def test_the_papers_loop_is_scaled_by_its_steps_too() -> None:
    found = duration.expected(KNOWN, SIZE, 1, ["csv"], "paper", "tiny", 299)
    assert found.seconds == pytest.approx(5.0 * 3 * 2 * 3)


@pytest.mark.parametrize(("algorithm", "seconds"), [("fast", 8.0), ("paper", 46.0)])
def test_without_earlier_fits_the_benchmark_is_the_rule_and_says_so(
    algorithm: str, seconds: float
) -> None:
    there = duration.Size(n_chars=660_000, n_models=49)
    for known in (KNOWN, pd.DataFrame(columns=COLUMNS)):
        found = duration.expected(known, there, 6, ["csv"], algorithm, "other", 300)
        assert found.seconds == pytest.approx(6 * seconds)
        assert "estimated from the benchmark" in found.basis


def test_baselines_take_no_time() -> None:
    assert duration.expected(KNOWN, SIZE, 2, ["all-token"], "fast", "tiny", 0).seconds == 0.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "less than a second"),
        (12.3, "about 12 s"),
        (600, "about 10 min"),
        (9000, "about 2.5 h"),
    ],
)
def test_times_are_told_no_finer_than_they_are_known(seconds: float, words: str) -> None:
    assert duration.in_words(seconds) == words


def test_timings_are_those_of_the_stored_fits(make_fit: Callable[..., Fit], world_db: Path) -> None:
    paper = make_fit("reading", method="csv", algorithm="paper", steps=3)
    plain = make_fit("reading")
    with store.connect(world_db, read_only=True) as db:
        table = store.timings(db).set_index("method")
    assert list(store_columns(table)) == COLUMNS[1:]
    csv = table.loc["csv"]
    assert (csv["algorithm"], csv["scorer"], csv["steps"]) == ("paper", "tiny-gpt2", 3)
    assert csv["seconds"] == pytest.approx(paper.seconds)
    assert csv["n_models"] == paper.n_models["train"] + paper.n_models["validation"]
    assert csv["n_chars"] == paper.n_chars
    assert table.loc["all-token", "seconds"] == pytest.approx(plain.seconds)


def test_an_empty_database_has_no_timings(tmp_path: Path) -> None:
    store.create(tmp_path / "empty.duckdb")
    with store.connect(tmp_path / "empty.duckdb", read_only=True) as db:
        assert store.timings(db).empty


def store_columns(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table.columns]
