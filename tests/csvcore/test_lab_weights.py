"""Weights of one's own in a notebook, and weights as coloured text."""

from typing import Any

import numpy as np
import pytest

from csvcore import store
from csvcore.errors import InputError
from csvcore.lab import Lab

pytestmark = pytest.mark.slow


def test_equal_weights_are_the_method_all_token(lab: Lab) -> None:
    [same] = lab.fit("reading", method="all-token")
    [own] = lab.fit("reading", weights=np.full(len(lab.tokens()), 7.0))
    assert (own.alpha, own.beta) == pytest.approx((same.alpha, same.beta))
    assert own.mse == pytest.approx(same.mse)
    assert own.residuals == pytest.approx(same.residuals)
    assert own.left_out == same.left_out


def test_weights_are_an_array_or_a_function_of_the_tokens(lab: Lab) -> None:
    tokens = lab.tokens()
    of_text = lab.fit("adding", weights=lambda table: table["text"].str.contains(r"\d"))
    of_array = lab.fit("adding", weights=tokens["text"].str.contains(r"\d").to_numpy())
    assert list(of_text) == list(of_array)
    shown = of_text.weights
    assert shown["text"].tolist() == tokens["text"].tolist()
    assert set(shown.loc[shown["weight"] > 0, "text"].str.contains(r"\d")) == {True}
    assert shown["weight"].abs().mean() == pytest.approx(1.0)


def test_a_fit_of_ones_own_weights_has_all_that_a_fit_has(lab: Lab) -> None:
    weight = np.arange(len(lab.tokens())) % 3 - 0.5
    fits = lab.fit(weights=weight)
    score = {one.task: {row.model: row.score for row in one.predictions} for one in fits}
    [row] = fits["reading"].predict(models=["jay"]).to_dict("records")
    assert row["score"] == pytest.approx(score["reading"]["jay"])
    assert fits["reading"].plot().data
    assert fits.summary().loc["fit"].tolist() == [one.fit for one in fits]
    assert fits.params["alpha_se"].notna().all()
    assert {one.fit for one in fits} <= {one.fit for one in lab.fits()}
    with store.connect(lab.database, read_only=True) as db:
        newest = store.newest(store.fits(db), "words", "sides")
    assert "given" not in set(newest["method"])  # no rival of the methods that are compared


@pytest.mark.parametrize(
    ("weights", "refusal"),
    [
        (np.ones(3), r"one number for each of the \d+ tokens that lab.tokens\(\) lists, got .*3,"),
        (lambda table: table["text"], "weights must be numbers: could not convert"),
        (lambda table: np.where(table.index < 2, np.nan, 1), "token 0 and 1 others are not"),
        (lambda table: np.zeros(len(table)), "weights are 0 for every token"),
    ],
)
def test_weights_that_are_none_are_refused(lab: Lab, weights: Any, refusal: str) -> None:
    with pytest.raises(InputError, match=refusal):
        lab.fit("reading", weights=weights)


def test_learnt_weights_may_be_pulled_towards_ones_own(lab: Lab) -> None:
    settings: dict[str, Any] = {"penalty": 1e-2, "members": 1}
    [usual] = lab.fit("adding", **settings)
    pulls: dict[str, Any] = {
        "digits": lambda table: table["text"].str.contains(r"\d"),
        "flat": lambda table: np.ones(len(table)),
    }
    [pulled] = lab.fit("adding", pulls=pulls, **settings)
    assert usual.choice is not None and pulled.choice is not None
    errors = {one.pull: one.cv_error for one in pulled.choice.tried if one.strength}
    assert errors.keys() == {one.pull for one in usual.choice.tried} | {"digits", "flat"}
    assert errors["flat"] == pytest.approx(errors["all-token"])
    assert pulled.fit != usual.fit
    [again] = lab.fit("adding", pulls=pulls, **settings)
    assert again.fit == pulled.fit


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"pulls": {"csv": np.ones}}, "a name that is no method's, got 'csv'"),
        ({"pulls": {"mine": lambda table: -np.ones(len(table))}}, "has negative weights"),
        ({"pulls": {"mine": np.ones(2)}}, "the pull 'mine' must be one number for each"),
        ({"pulls": {"mine": np.ones}, "method": "all-token"}, "all-token by the fast algorithm"),
        ({"pulls": {"mine": np.ones}, "algorithm": "paper"}, "csv by the paper algorithm"),
        ({"weights": np.ones, "method": "all-token"}, "take the place of a method and of pulls"),
        ({"weights": np.ones, "pulls": {"mine": np.ones}}, "take the place of a method"),
    ],
)
def test_pulls_that_no_fit_can_have_are_refused(
    lab: Lab, given: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(InputError, match=refusal):
        lab.fit("reading", **given)


def test_a_heatmap_shows_the_strongest_source_or_the_named_documents(lab: Lab) -> None:
    weight = np.where(lab.tokens()["doc_id"] == "note-2", 3.0, 0.1)
    fits = lab.fit("reading", weights=weight)
    shown = fits.heatmap()
    assert [one.doc.doc_id for one in shown.texts] == ["note-1", "note-2", "note-3"]
    assert "".join(shown.texts[1].cells.text) == lab.documents()["text"][4]
    of_one = fits.heatmap("sum-2", "note-2")
    assert [one.doc.doc_id for one in of_one.texts] == ["sum-2", "note-2"]
    assert np.ptp(of_one.texts[1].weight) == 0.0
    assert of_one.texts[1].weight[0] == pytest.approx(30 * of_one.texts[0].weight[0])
    assert of_one.scale == shown.scale


def test_a_heatmap_of_nothing_is_refused(lab: Lab) -> None:
    fits = lab.fit(method="all-token")
    with pytest.raises(InputError, match=r"shows one fit, these are 2; take one: fits\['task'\]"):
        fits.heatmap()
    with pytest.raises(InputError, match="the corpus has no document 'none'; lab"):
        fits["reading"].heatmap("none")
    with pytest.raises(InputError, match="the corpus has no source 'none'"):
        fits["reading"].heatmap(source="none")
    with pytest.raises(InputError, match="stack gives no token a weight"):
        lab.fit("reading", method="stack").heatmap()
