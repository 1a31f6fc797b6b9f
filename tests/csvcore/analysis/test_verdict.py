"""Laws of the verdict: whether CSV is better than all others, significantly or not, everywhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from csvcore import report
from csvcore.analysis.comparison import (
    Comparison,
    Target,
    Verdict,
    judge,
    judge_fits,
    verdict,
    verdict_label,
    verdict_sentence,
)
from csvcore.errors import InputError
from csvcore.fitting.config import FitConfig
from csvcore.methods import trivial
from csvcore.pipeline import compare
from csvcore.records import Side
from dashboard.queries import comparisons, database
from dashboard.views import verdicts
from dashboard.widgets import text
from tests.support.database_at import at
from tests.support.rows import CARDS, FIT

TRUE = np.linspace(0.1, 0.9, 8)
TARGET = Target("t", "test", TRUE, [(str(i // 2),) for i in range(8)], None)
ONE_RUN = Target("t", "test", TRUE, [("a",)] * 8, None)
METHODS = ("all-token", "label-token", "source-token", "best-source")
RIVALS = (*METHODS, *(name for name in trivial() if name != "best-constant"))


def rows(**off: float) -> list[Comparison]:
    """Return methods that are off by so much on every model; their names have _ for -."""
    csv = TRUE + off["csv"] if "csv" in off else None
    return [judge(TARGET, name.replace("_", "-"), TRUE + by, csv) for name, by in off.items()]


def even(**off: float) -> list[Comparison]:
    """Return `rows` off by so much on half of the runs and csv on the others: nothing is sure."""
    half = np.arange(8) < 4
    csv = TRUE + np.where(half, off["csv"], 0.0)
    return [
        judge(TARGET, name.replace("_", "-"), csv if name == "csv" else TRUE + by * ~half, csv)
        for name, by in off.items()
    ]


def test_csv_is_better_where_it_is_significantly_better_than_every_other() -> None:
    found = rows(csv=0.01, sibling=0.2, compute=0.1, label_token=0.3)
    assert verdict(found) == Verdict("better", "compute", True)


def test_csv_is_unsure_where_one_other_may_be_as_good_and_that_one_is_named() -> None:
    found = even(csv=0.2, compute=0.25) + rows(csv=0.01, sibling=0.21)[1:]
    assert verdict(found) == Verdict("unsure", "compute", False)
    assert verdict(rows(csv=0.1, compute=0.1)) == Verdict("unsure", "compute", False)


def test_without_an_interval_nothing_is_significant() -> None:
    one_run = [
        judge(ONE_RUN, name, TRUE + by, TRUE + 0.05)
        for name, by in (("csv", 0.05), ("compute", 0.1), ("sibling", 0.2))
    ]
    assert verdict(one_run) == Verdict("unsure", "compute", False)
    better = judge(ONE_RUN, "sibling", TRUE, TRUE + 0.05)
    assert verdict([*one_run[:2], better]) == Verdict("worse", "sibling", False)


@pytest.mark.parametrize("rival", RIVALS)
def test_every_method_and_null_with_a_smaller_error_makes_csv_worse(rival: str) -> None:
    key = rival.replace("-", "_")
    assert verdict(rows(csv=0.1, **{key: 0.05})) == Verdict("worse", rival, True)
    assert verdict(even(csv=0.25, **{key: 0.2})) == Verdict("worse", rival, False)


def test_what_is_significantly_better_is_named_before_what_is_better_perhaps_by_chance() -> None:
    found = even(csv=0.25, compute=0.1)
    sure = replace(found[1], method="label-token", mse=0.02, difference_high=-1e-3)
    assert found[1].mse < sure.mse < found[0].mse
    assert verdict([*found, sure]) == Verdict("worse", "label-token", True)


@pytest.mark.parametrize("side", ["test", "validation"])
def test_the_best_constant_is_never_a_rival(side: Side) -> None:
    assert verdict(rows(csv=0.1, best_constant=0.01), side) is None
    found = rows(csv=0.1, best_constant=0.01, sibling=0.3)
    assert verdict(found, side) == Verdict("better", "sibling", True)


def test_the_best_source_is_a_rival_on_test_and_left_out_where_it_was_chosen() -> None:
    found = rows(csv=0.1, best_source=0.01, sibling=0.3)
    assert verdict(found, "test") == Verdict("worse", "best-source", True)
    assert verdict(found, "validation") == Verdict("better", "sibling", True, ("best-source",))


def test_there_is_no_verdict_without_csv_or_without_rivals() -> None:
    assert verdict(rows(sibling=0.1)) is None
    assert verdict(rows(csv=0.1)) is None
    assert verdict(rows(csv=0.1, best_source=0.2), "validation") is None


@given(
    st.dictionaries(
        st.sampled_from(["csv", *(name.replace("-", "_") for name in RIVALS)]),
        st.floats(0, 0.5),
        min_size=1,
    )
)
def test_the_verdict_agrees_with_the_errors(off: dict[str, float]) -> None:
    found = rows(**off)
    said = verdict(found)
    errors = {row.method: row.mse for row in found}
    if said is None:
        assert "csv" not in errors or len(errors) == 1
        return
    best = min(value for name, value in errors.items() if name != "csv")
    assert (said.word == "worse") == (best < errors["csv"])
    assert (said.word == "better") <= (best > errors["csv"])
    assert errors[said.rival] == best


def test_a_verdict_in_words_names_the_rival_and_whether_that_is_significant() -> None:
    better, unsure = Verdict("better", "compute", True), Verdict("unsure", "compute", False)
    sure, perhaps = (Verdict("worse", "label-token", one) for one in (True, False))
    assert verdict_label(better) == "significantly better"
    assert verdict_label(unsure) == "better, not significant"
    assert verdict_label(sure) == "Label tokens significantly better"
    assert verdict_label(perhaps) == "Label tokens better, not significant"
    assert verdict_sentence(better) == (
        "CSV is significantly better than all other methods and trivial baselines; the closest is "
        "Training compute."
    )
    assert verdict_sentence(unsure) == (
        "CSV is better than all other methods and trivial baselines, but not significantly better "
        "than Training compute."
    )
    assert verdict_sentence(sure) == "CSV is not the best: Label tokens significantly better."
    assert verdict_sentence(perhaps) == "CSV is not the best: Label tokens better, not significant."
    assert verdict_sentence(replace(better, left_out=("best-source",))).endswith(
        " Best single source is left out: it was chosen on the validation models."
    )


def test_the_overview_counts_every_verdict_once_and_how_often_another_is_significantly_better() -> (
    None
):
    said = pd.DataFrame(
        {
            "side": ["test", "test", "validation", "test", None],
            "verdict": ["better", "unsure", "worse", "worse", None],
            "significant": [True, False, True, False, None],
        }
    )
    assert verdicts.summary(said) == (
        "Evaluated on test and validation models, CSV is significantly better than all other "
        "methods and trivial baselines on **1 of 4** tasks, better but not significantly on 1. "
        "Another has a smaller error on 2, significantly on 1."
    )
    assert verdicts.summary(said.iloc[4:]).startswith("No verdict yet")


@pytest.fixture
def compared(world_db: Path, config: FitConfig) -> list[Comparison]:
    """The made-up world with every method fitted on a task."""
    quick = replace(config, penalty=1e-4)
    return compare.compare(world_db, "words", "sides", ["adding"], quick)


def open_at(app_on: Callable[..., AppTest], path: Path, page: str) -> AppTest:
    app = app_on(path, seconds=120)
    app.query_params["task"] = "adding"
    app.switch_page(f"dashboard/pages/{page}.py").run()
    assert not app.exception
    return app


@pytest.mark.slow
def test_the_verdict_is_the_same_on_both_pages_in_the_report_and_in_the_terminal(
    compared: list[Comparison],
    world_db: Path,
    app_on: Callable[..., AppTest],
    invoke: Callable[..., Result],
    tiny_lm: Path,
) -> None:
    database.reveal(at(world_db), "words", ["sides"])
    said = verdict(compared)
    assert said is not None
    sentence = verdict_sentence(said)
    [row] = comparisons.verdicts(at(world_db), database.fits(at(world_db))).to_dict("records")
    assert (row["side"], row["verdict"], row["rival"]) == ("test", said.word, said.rival)
    overview = open_at(app_on, world_db, "overview")
    table = next(one.value for one in overview.dataframe if "verdict" in one.value)
    assert table["verdict"].iloc[0].endswith(verdict_label(said))
    baselines = open_at(app_on, world_db, "baselines")
    assert any(one.value == f"**{text.plain(sentence)}**" for one in baselines.markdown)
    fit = next(row.fit for row in compared if row.method == "csv")
    assert fit is not None
    assert sentence in report.fit_page(world_db, fit)[1]
    where = ["--corpus", "words", "--split", "sides", "--task", "adding", "--scorer", tiny_lm]
    made = invoke("compare", *where, "--members", "2", "--penalty", "1e-4")
    assert f"adding, verdict: {sentence}" in made.stdout.splitlines()


def test_on_validation_models_the_pages_say_that_the_best_source_is_left_out(
    compared: list[Comparison], world_db: Path, app_on: Callable[..., AppTest]
) -> None:
    assert "best-source" in {row.method for row in compared}
    fits = database.fits(at(world_db))
    found = comparisons.judgement(at(world_db), tuple(fits["fit"]))
    assert found.side == "validation"
    assert found.verdict is not None
    assert found.verdict.left_out == ("best-source",)
    assert found.verdict.rival != "best-source"
    told = "Best single source is left out: it was chosen on the validation models."
    for page in ("overview", "baselines"):
        app = open_at(app_on, world_db, page)
        words = [one.value.replace("\\", "") for one in (*app.markdown, *app.caption)]
        assert any(told in one for one in words), page


def test_methods_that_were_fitted_on_other_models_are_not_compared() -> None:
    other = replace(FIT, fit="reading-all-token-1", method="all-token")
    lacking = replace(other, predictions=other.predictions[:1])
    assert len(judge_fits([FIT, other], {card.model: card for card in CARDS})) > 1
    with pytest.raises(InputError, match="only the first has bee; fit every method of reading"):
        judge_fits([FIT, lacking], {card.model: card for card in CARDS})
