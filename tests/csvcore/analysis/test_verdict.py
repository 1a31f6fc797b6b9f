"""Laws of the verdict: whether CSV is better than all others, significantly or not, everywhere."""

from collections.abc import Callable, Mapping
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
from csvcore.records import Floats, Side
from dashboard.queries import comparisons, database, edits
from dashboard.views import verdicts
from dashboard.widgets import text
from tests.support.database_at import at
from tests.support.rows import CARDS, FIT

TRUE = np.linspace(0.1, 0.9, 8)
TARGET = Target("t", "test", TRUE, [(str(i // 2),) for i in range(8)], None)
ONE_RUN = Target("t", "test", TRUE, [("a",)] * 8, None)
METHODS = ("all-token", "label-token", "source-token", "best-source")
RIVALS = (*METHODS, *(name for name in trivial() if name != "best-constant"))
OWN = ("stack", "csv")


def rows_of(target: Target, predicted: Mapping[str, Floats]) -> list[Comparison]:
    """Return the rows of these predictions, names with _ for -."""
    csv, stack = predicted.get("csv"), predicted.get("stack")
    return [
        judge(target, name.replace("_", "-"), values, csv, stack)
        for name, values in predicted.items()
    ]


def rows(**off: float) -> list[Comparison]:
    """Return methods that are off by so much on every model."""
    return rows_of(TARGET, {name: TRUE + by for name, by in off.items()})


def even(own: str, **off: float) -> list[Comparison]:
    """Return `own`, off on half of the runs, and others, off on the other half: nothing is sure."""
    half = np.arange(8) < 4
    return rows_of(
        TARGET, {name: TRUE + by * (half if name == own else ~half) for name, by in off.items()}
    )


@pytest.mark.parametrize("own", OWN)
def test_a_method_is_better_where_it_is_significantly_better_than_every_other(own: str) -> None:
    found = rows(**{own: 0.01}, sibling=0.2, compute=0.1, label_token=0.3)
    assert verdict(found) == Verdict(own, "better", "compute")


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("by", [0.19, 0.2, 0.21])
def test_it_is_level_with_the_best_of_those_that_differ_by_less_than_is_significant(
    own: str, by: float
) -> None:
    found = even(own, **{own: 0.2}, compute=by, sibling=0.3)
    assert verdict(found) == Verdict(own, "level", "compute")
    sure = rows(**{own: 0.2}, label_token=0.5)
    assert verdict([*found, sure[1]]) == Verdict(own, "level", "compute")


def test_without_an_interval_nothing_is_judged() -> None:
    found = rows_of(ONE_RUN, {"csv": TRUE + 0.05, "compute": TRUE + 0.1, "sibling": TRUE})
    said = verdict(found)
    assert said == Verdict("csv", "not judged", "sibling")
    assert verdict_label(said) == "not judged: models of one run"
    assert verdict_sentence(said) == (
        "CSV is not judged, because these models are of one run and a difference has no interval; "
        "Nearest checkpoint or smaller sibling has the smallest error of the others. Add models of "
        "another run."
    )
    told = verdicts.summary(pd.DataFrame({"side": ["test"], "csv_word": [said.word]}))
    assert told.endswith("another is significantly better on 0. Not judged: 1.")


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("rival", RIVALS)
def test_every_method_and_trivial_baseline_that_is_significantly_better_makes_it_worse(
    own: str, rival: str
) -> None:
    found = rows(**{own: 0.1, rival.replace("-", "_"): 0.05})
    assert verdict(found) == Verdict(own, "worse", rival)


def test_what_is_significantly_better_is_named_before_what_is_better_perhaps_by_chance() -> None:
    found = even("csv", csv=0.25, compute=0.1)
    sure = replace(found[1], method="label-token", mse=0.02, difference_high=-1e-3)
    assert found[1].mse < sure.mse < found[0].mse
    assert verdict([*found, sure]) == Verdict("csv", "worse", "label-token")


def test_csv_is_a_rival_of_the_stack_and_the_stack_none_of_csv() -> None:
    found = rows(csv=0.05, stack=0.2, sibling=0.3)
    assert verdict(found) == verdict(found, of="stack") == Verdict("stack", "worse", "csv")
    assert verdict(rows(csv=0.2, stack=0.01, sibling=0.3), of="csv") == Verdict(
        "csv", "better", "sibling"
    )


@pytest.mark.parametrize("side", ["test", "validation"])
def test_the_best_constant_is_never_a_rival(side: Side) -> None:
    assert verdict(rows(csv=0.1, best_constant=0.01), side) is None
    found = rows(csv=0.1, best_constant=0.01, sibling=0.3)
    assert verdict(found, side) == Verdict("csv", "better", "sibling")


def test_the_best_source_is_a_rival_on_test_and_left_out_where_it_was_chosen() -> None:
    found = rows(csv=0.1, best_source=0.01, sibling=0.3)
    assert verdict(found, "test") == Verdict("csv", "worse", "best-source")
    assert verdict(found, "validation") == Verdict("csv", "better", "sibling", ("best-source",))


def test_there_is_no_verdict_without_the_method_or_without_rivals() -> None:
    assert verdict(rows(sibling=0.1)) is None
    assert verdict(rows(csv=0.1)) is None
    assert verdict(rows(csv=0.1, stack=0.2), of="csv") is None
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
    assert (said.word == "better") == (best > errors["csv"])
    assert errors[said.rival] == best


def test_a_verdict_in_words_names_the_rival_and_whether_that_is_significant() -> None:
    better, level = Verdict("stack", "better", "compute"), Verdict("csv", "level", "compute")
    worse = Verdict("csv", "worse", "label-token")
    assert verdict_label(better) == "significantly better than all"
    assert verdict_label(level) == "level with Training compute"
    assert verdict_label(worse) == "Label tokens: significantly better"
    assert verdict_sentence(better) == (
        "Stack is significantly better than all other methods and trivial baselines; the closest "
        "is Training compute."
    )
    assert verdict_sentence(level) == (
        "CSV is level with Training compute: their errors differ by less than is significant, and "
        "no other method is significantly better."
    )
    assert verdict_sentence(worse) == ("CSV is not the best: Label tokens is significantly better.")
    assert verdict_sentence(replace(better, left_out=("best-source",))).endswith(
        " Best single source is left out: it was chosen on the validation models."
    )


def test_the_overview_counts_every_verdict_once() -> None:
    said = pd.DataFrame(
        {
            "side": ["test", "test", "validation", "test", None],
            "word": ["better", "level", "worse", "worse", None],
            "csv_word": ["level", "level", "better", "better", None],
        }
    )
    assert verdicts.summary(said) == (
        "Evaluated on test and validation models. Stack is significantly better than all others "
        "on **1 of 4** tasks and level on 1; another is significantly better on 2. CSV is "
        "significantly better than all others on **2 of 4** tasks and level on 2; another is "
        "significantly better on 0."
    )
    assert verdicts.summary(said[["side"]]).startswith("No verdict yet")


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
    edits.reveal(at(world_db), "words", ["sides"])
    decisions = {method: verdict(compared, of=method) for method in OWN}
    assert None not in decisions.values()
    said = {method: one for method, one in decisions.items() if one}
    sentences = [verdict_sentence(one) for one in said.values()]
    [row] = comparisons.verdicts(at(world_db), database.fits(at(world_db))).to_dict("records")
    assert (row["side"], row["word"], row["csv_word"]) == (
        "test",
        *(one.word for one in said.values()),
    )
    overview = open_at(app_on, world_db, "overview")
    table = next(one.value for one in overview.dataframe if "told" in one.value)
    assert table["told"].iloc[0].endswith(verdict_label(said["stack"]))
    assert table["csv_told"].iloc[0].endswith(verdict_label(said["csv"]))
    baselines = open_at(app_on, world_db, "baselines")
    shown = [one.value for one in baselines.markdown]
    assert all(f"**{text.plain(sentence)}**" in shown for sentence in sentences)
    fit = next(row.fit for row in compared if row.method == "csv")
    assert fit is not None
    page = report.fit_page(world_db, fit)[1]
    assert all(sentence in page for sentence in sentences)
    where = ["--corpus", "words", "--split", "sides", "--task", "adding", "--scorer", tiny_lm]
    made = invoke("compare", *where, "--members", "2", "--penalty", "1e-4")
    lines = made.stdout.splitlines()
    assert all(f"adding, verdict: {sentence}" in lines for sentence in sentences)


def test_on_validation_models_the_pages_say_that_the_best_source_is_left_out(
    compared: list[Comparison], world_db: Path, app_on: Callable[..., AppTest]
) -> None:
    assert "best-source" in {row.method for row in compared}
    fits = database.fits(at(world_db))
    found = comparisons.judgement(at(world_db), tuple(fits["fit"]))
    assert found.side == "validation"
    for said in found.verdicts.values():
        assert said.left_out == ("best-source",)
        assert said.rival != "best-source"
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
