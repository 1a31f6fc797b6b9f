from dataclasses import replace

import numpy as np
import pytest

from csvcore.errors import InputError
from csvcore.forecasting.answers import answer, target
from csvcore.forecasting.course import courses
from csvcore.forecasting.iso_accuracy import iso_accuracy
from csvcore.forecasting.outlook import outlooks
from csvcore.records import ModelCard
from tests.support.ladders import SIZES, TOKENS, known, planted_ladder

WEAK = replace(planted_ladder(), accuracy=planted_ladder().accuracy * 0.0 + 0.25)
AT = np.array([3.2e8]), np.array([3.2e9])


def test_families_that_agree_are_forecast_as_one_of_them() -> None:
    (one,) = outlooks(known("oak"), ["oak"], None)
    (two,) = outlooks(known("oak", "elm"), ["oak", "elm"], None)
    assert two.families == ("oak", "elm")
    assert two.predict(*AT).predicted == pytest.approx(one.predict(*AT).predicted)
    assert two.flags(3.2e8, 3.2e9) == one.flags(3.2e8, 3.2e9) == [[]]


@pytest.mark.parametrize("at", [(1.6e8, 3.2e9), (3.2e8, 3.2e9), (1e9, 1e11)])
def test_the_band_of_families_that_agree_is_that_of_each(at: tuple[float, float]) -> None:
    target = np.array([at[0]]), np.array([at[1]])
    (one,) = outlooks(known("oak"), ["oak"], None)
    (three,) = outlooks(known("oak", "elm", "ash"), ["oak", "elm", "ash"], None)
    band, own = three.predict(*target), one.predict(*target)
    for name in ("predicted", "low", "high"):
        assert getattr(band, name) == pytest.approx(getattr(own, name), abs=1e-9)


def test_a_family_that_several_targets_are_forecast_from_is_backtested_once() -> None:
    both = known("oak", "elm")
    model = ModelCard("", "oak", int(3.2e8), train_tokens=int(3.2e9))
    every, own = (target(both, model, names) for names in (("oak", "elm"), ("oak",)))
    assert answer(both, [every, own])[1] == answer(both, [every])[1]


def test_families_that_disagree_widen_the_interval_and_are_flagged() -> None:
    both = known("oak", elm=WEAK)
    (outlook,) = outlooks(both, ["oak", "elm"], None)
    band, (alone,) = outlook.predict(*AT), outlooks(both, ["oak"], None)
    own = alone.predict(*AT)
    assert band.high - band.low > own.high - own.low
    assert any(flag.startswith("families disagree: 0.2") for flag in outlook.flags(3.2e8, 3.2e9)[0])


def test_a_task_at_chance_and_a_far_horizon_are_flagged() -> None:
    (outlook,) = outlooks(known(elm=WEAK), ["elm"], None)
    near, far = outlook.flags(3.2e8, 3.2e9)[0], outlook.flags(1e12, 1e13)[0]
    assert near == ["near chance: no model of the ladder is clearly above it"]
    assert far[0].startswith("far beyond the backtest: 1.95e+07 times the ladder, of which ")


def test_families_of_one_size_each_are_taken_as_one_ladder() -> None:
    parts = {f"f{at}": planted_ladder(sizes=(size,)) for at, size in enumerate(SIZES)}
    every = known(**parts)
    (outlook,) = outlooks(every, list(parts), None)
    assert outlook.families == (" + ".join(parts),)
    assert outlook.flags(3.2e8, 3.2e9)[0][0].startswith("no family is a ladder by itself")
    (whole,) = outlooks(known("oak"), ["oak"], None)
    assert outlook.predict(*AT).predicted == pytest.approx(whole.predict(*AT).predicted, abs=1e-3)


def test_models_of_another_stage_are_left_out_and_named() -> None:
    every = known("oak")
    decayed = replace(every.cards[-1], stage="decayed")
    mixed = replace(every, cards=(*every.cards[:-1], decayed))
    (outlook,) = outlooks(mixed, ["oak"], None)
    assert decayed.model not in outlook.forecasters[0].ladder.names
    assert outlook.notes == ("models of the stage decayed are left out",)


def test_a_model_without_anything_known_is_refused() -> None:
    with pytest.raises(InputError, match="no model of ash has losses, an accuracy"):
        outlooks(known("oak"), ["ash"], None)


def test_a_named_model_is_forecast_from_its_family_and_its_run_from_its_checkpoints() -> None:
    every = known("oak", elm=WEAK)
    later = ModelCard("oak-late", "oak", int(SIZES[-1]), int(TOKENS[-1] * 2), step=10**7)
    new = replace(later, model="oak-new", n_params=int(SIZES[-1] * 2))
    other = replace(new, model="ash-new", family="ash")
    targets = [target(every, card, ()) for card in (later, new, other)]
    assert [one.run is not None for one in targets] == [True, False, False]
    assert [one.families for one in targets] == [("oak",), ("oak",), ("elm", "oak")]
    rows, backtest = answer(every, targets)
    assert [row.model for row in rows] == ["oak-late", "oak-new", "ash-new"]
    assert all(row.low <= row.predicted <= row.high for row in rows)
    assert all(0 <= row.coverage <= 1 and row.n > 0 for row in backtest)


def test_tokens_for_an_accuracy_give_that_accuracy_back() -> None:
    (outlook,) = outlooks(known("oak"), ["oak"], None)
    points = iso_accuracy(outlook, "reading", 0.85)
    assert points
    n, d = (
        np.array([getattr(one, key) for one in points], dtype=float)
        for key in ("n_params", "train_tokens")
    )
    assert outlook.predict(n, d).predicted[0] == pytest.approx(0.85, abs=0.01)
    assert (np.diff(d) <= 0).all()  # larger models need fewer tokens
    assert [one.flops for one in points] == pytest.approx(6 * n * d, rel=1e-6)
    assert iso_accuracy(outlook, "reading", 1.0) == []


def test_a_run_below_its_promise_is_told_since_when() -> None:
    ladder = planted_ladder(noise=0.003)
    run = ladder.of_run("run 1.6e+08")
    low = ladder.accuracy.copy()
    low[0, run[2:]] -= 0.2
    behind = known(oak=replace(ladder, accuracy=low))
    (course,) = courses(behind, ["oak"], None, "oak 160000000", float(TOKENS[-1] * 2))
    assert course.behind_since == int(TOKENS[2])
    assert [round(one.difference, 1) for one in course.lag[2:]] == [-0.2] * 4
    assert course.tokens[-1] == pytest.approx(TOKENS[-1] * 2)
    assert (course.low <= course.predicted).all() and (course.predicted <= course.high).all()
    assert course.measured
    (well,) = courses(known(oak=ladder), ["oak"], None, "oak 160000000", float(TOKENS[-1] * 2))
    assert well.behind_since is None and well.leaves_chance is None


def test_a_run_without_accuracies_is_forecast_from_its_losses() -> None:
    every = known("oak")
    run = "oak 160000000"
    own = [card.model for card in every.runs()[run]]
    hidden = {key: entry for key, entry in every.accuracies.items() if key[0] not in own[:3]}
    early = replace(
        every,
        accuracies={key: entry for key, entry in hidden.items() if key[0] not in own},
        in_split=every.in_split - set(own),
        cards=tuple(
            replace(card, stage="later") if card.model in own[3:] else card for card in every.cards
        ),
    )
    (course,) = courses(early, ["oak"], None, run, float(TOKENS[-1]))
    assert not course.measured
    truth = planted_ladder().accuracy[0, planted_ladder().of_run("run 1.6e+08")]
    assert course.known_accuracy == pytest.approx(truth[:3], abs=0.01)
    assert course.predicted[-1] == pytest.approx(truth[-1], abs=0.02)
    assert course.low[-1] <= truth[-1] <= course.high[-1]


def test_a_run_without_other_runs_is_refused() -> None:
    alone = known(oak=planted_ladder(sizes=(1e7,)))
    with pytest.raises(InputError, match="needs other runs: 6 models of 2 sizes or more"):
        courses(alone, ["oak"], None, "oak 10000000", 1e10)
