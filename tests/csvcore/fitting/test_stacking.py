"""Laws of a dataset's stacks: what is held out is held out of every score, and the mix is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from csvcore.analysis.scores import candidate_label, mix_sentence
from csvcore.errors import InputError
from csvcore.figures.comparison import mix_figure
from csvcore.fitting import stacking
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, TaskModels, task_models
from csvcore.optimise import WeightResult
from csvcore.pipeline.dataset import load_dataset
from csvcore.records import Candidate, TraceStep
from tests.support.world import change

Given = Callable[..., tuple[Dataset, TaskModels]]
TRACE = (TraceStep(0, -1.0, 1.0, 0.1, None),)  # of learnt weights
CONFIG = FitConfig()


@pytest.fixture
def given(world_db: Path, tiny_lm: Path) -> Given:
    """The made-up world's `reading`."""

    def read(*statements: str) -> tuple[Dataset, TaskModels]:
        change(world_db, *statements)
        data = load_dataset(world_db, "words", "sides", str(tiny_lm))
        return data, task_models(data, "reading")

    return read


def stack_of(
    data: Dataset, chosen: TaskModels, csv: WeightResult, config: FitConfig = CONFIG
) -> Any:
    return stacking.fit_stacks(data, {"reading": chosen}, {"reading": csv}, ["reading"], config)[
        "reading"
    ]


def test_csv_is_scored_for_each_judge_by_weights_without_what_the_judge_holds_out(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, chosen = given()
    rng = np.random.default_rng(0)
    n_tokens = data.nll.shape[1]
    folds = {name: rng.uniform(size=n_tokens) for name in data.interval_groups()}
    csv = WeightResult("reading", rng.uniform(size=n_tokens), trace=TRACE, fold_weight=folds)
    seen = {}
    real = stacking.fit_stack

    def watched(names: Any, panel: Any, judged: Any, *rest: Any) -> Any:
        at = names.index("csv")
        seen.update({one.name: scores[at] for one, scores in zip(panel, judged, strict=True)})
        return real(names, panel, judged, *rest)

    monkeypatch.setattr(stacking, "fit_stack", watched)
    stack_of(data, chosen, csv)
    nll = data.nll[chosen.rows].astype(np.float64)
    assert seen.keys() == {*folds, "validation"}
    for name, score in seen.items():
        assert_allclose(score, nll @ folds.get(name, csv.weight) / data.n_chars, rtol=1e-6)


def test_learnt_weights_that_saw_every_group_are_no_candidate(given: Given) -> None:
    data, chosen = given()
    ones = np.ones(data.nll.shape[1])
    names = stack_of(data, chosen, WeightResult("reading", ones, trace=TRACE)).stack.names
    assert "csv" not in names
    assert "csv" in stack_of(data, chosen, WeightResult("reading", ones)).stack.names


def test_without_refitting_validation_models_judge_and_no_law_is_fitted_to_them(
    given: Given,
) -> None:
    data, chosen = given()
    csv = WeightResult("reading", np.ones(data.nll.shape[1]))
    known, panel = stacking.panel_of(data, chosen, FitConfig(refit="train"))
    assert (known == chosen.on("train")).all()
    assert not any((one.fitted & chosen.on("validation")).any() for one in panel)
    result = stack_of(data, chosen, csv, FitConfig(refit="train"))
    assert_allclose(result.score, result.train_score)
    assert_allclose(result.stack.laws.beta, result.train_laws.beta)


def test_one_run_that_nothing_validates_is_refused(given: Given) -> None:
    data, chosen = given(
        "UPDATE splits SET side = 'test' WHERE side = 'validation'",
        "UPDATE models SET family = 'one', n_params = 10, stage = 'stable', step = 1",
    )
    with pytest.raises(InputError, match="train models are one group and none validates; add a fa"):
        stacking.panel_of(data, chosen, CONFIG)


def test_a_mix_is_told_in_words_and_drawn_as_bars() -> None:
    mix = [
        Candidate("csv", 0.31, -2.0, 0.0),
        Candidate("probability:<b>", 0.30, -1.0, 0.0),
        Candidate("label-probability", 0.22, -1.0, 0.0),  # the same score
        Candidate("source:notes", 0.13, -3.0, 0.0),
        Candidate("compute", 0.04, -4.0, 0.0),
        Candidate("all-token", 0.0, -5.0, 0.0),
    ]
    assert mix_sentence(mix) == (
        "52% Answer probability of <b>, 31% CSV, 13% Loss of notes, 4% others"
    )
    assert candidate_label("rank-token") == "Tokens that rank models best"
    [bars] = mix_figure(mix).data
    assert list(bars.x) == [0.04, 0.13, 0.31, 0.52]
    assert bars.y[-1] == "Answer probability of &lt;b&gt;"
