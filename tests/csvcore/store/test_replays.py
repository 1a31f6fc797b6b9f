"""Laws of the replay of an optimisation, of what a running fit shows, and of their figures."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from csvcore.analysis import replay
from csvcore.errors import StoreError
from csvcore.figures import law, optimisation
from csvcore.fitting.config import FitConfig
from csvcore.jobs import queue
from csvcore.optimise import Look
from csvcore.optimise.algorithm_2 import stage_steps
from csvcore.pipeline.fit import fit
from csvcore.records import Fit, Glimpse, Replay, Side, TraceStep
from csvcore.store import replays

Run = Callable[..., Fit]
REPLAY = Replay(
    at=np.array([0.0, 10.0]),
    kept=1,
    alpha=np.array([-1.0, -2.0]),
    beta=np.array([0.5, 0.6]),
    models=("a", "<b>", "c"),
    score=np.array([[0.5, 0.7, 0.9], [0.6, 0.5, 0.4]], dtype=np.float32),
)
REPLAY_SIDES: dict[str, Side] = {"a": "train", "<b>": "train", "c": "validation"}
ACCURACY = {"a": 0.5, "<b>": 0.4, "c": 0.3}


def test_the_stages_run_from_the_first_step_to_the_last_and_are_few() -> None:
    assert stage_steps(300) >= {0, 1, 300}
    assert max(stage_steps(10_000)) == 10_000
    assert len(stage_steps(10_000)) <= 25
    assert stage_steps(2) == {0, 1, 2}


@pytest.mark.parametrize(
    "settings",
    [
        {"penalty": 1e-4},
        {"algorithm": "paper", "steps": 4},
        {"penalty": 1e-4, "mask_first_token": True},
    ],
    ids=["fast", "paper", "masked"],
)
def test_the_stage_that_was_kept_is_the_fit_itself(
    make_fit: Run, world_db: Path, settings: dict[str, object]
) -> None:
    record = make_fit("reading", method="csv", refit="train", **settings)
    found = replays.read(world_db, record.fit)
    assert found is not None
    score = {one.model: one.score for one in record.predictions}
    assert_allclose(found.score[found.kept], [score[name] for name in found.models], rtol=1e-5)
    assert (found.alpha[found.kept], found.beta[found.kept]) == (record.alpha, record.beta)
    accuracy = {one.model: one.accuracy for one in record.predictions}
    sides = {one.model: one.side for one in record.predictions}
    errors = replay.side_errors(found, record.gamma, accuracy, sides)
    assert {side: float(own[found.kept]) for side, own in errors.items()} == pytest.approx(
        record.mse, rel=1e-3, abs=1e-6
    )


def test_the_errors_of_a_replay_are_those_of_laws_that_saw_no_validation_model(
    make_fit: Run, world_db: Path
) -> None:
    record = make_fit("reading", method="csv", penalty=1e-4)
    found = replays.read(world_db, record.fit)
    assert found is not None
    accuracy = {one.model: one.accuracy for one in record.predictions}
    sides = {one.model: one.side for one in record.predictions}
    errors = replay.side_errors(found, record.gamma, accuracy, sides)
    assert errors["validation"][found.kept] == pytest.approx(record.mse["validation"], rel=1e-3)
    assert found.beta[found.kept] != record.beta


@pytest.mark.slow
def test_a_path_of_penalties_begins_at_the_baseline_and_one_that_stays_there_is_none(
    make_fit: Run, world_db: Path
) -> None:
    record = make_fit("adding", method="csv")
    found = replays.read(world_db, record.fit)
    assert record.choice is not None
    assert found is not None
    assert np.isinf(found.at[0])
    assert found.at[found.kept] == record.choice.chosen.strength == found.at[-1]
    stays = make_fit("reading", method="all-token")
    assert replays.read(world_db, stays.fit) is None


def test_the_replay_starts_at_all_tokens_alike(make_fit: Run, world_db: Path) -> None:
    plain = {one.model: one.score for one in make_fit("reading").predictions}
    record = make_fit("reading", method="csv", algorithm="paper", steps=3)
    found = replays.read(world_db, record.fit)
    assert found is not None
    assert found.at[0] == 0.0
    assert_allclose(found.score[0], [plain[name] for name in found.models], rtol=0.02)


def test_a_baseline_has_no_replay_and_a_damaged_one_is_none(make_fit: Run, world_db: Path) -> None:
    assert replays.read(world_db, make_fit("reading").fit) is None
    replays.write(world_db, "../t/csv", REPLAY)
    path = replays.replay_path(world_db, "../t/csv")
    assert path.parent.name == f"{world_db.name}.cache"
    found = replays.read(world_db, "../t/csv")
    assert found is not None
    assert asdict(found).keys() == asdict(REPLAY).keys()
    assert found.models == REPLAY.models
    assert_allclose(found.score, REPLAY.score)
    path.write_bytes(path.read_bytes()[:200])
    assert replays.read(world_db, "../t/csv") is None


def test_a_replay_with_any_byte_changed_or_cut_off_is_one_or_none(tmp_path: Path) -> None:
    database = tmp_path / "some.duckdb"
    replays.write(database, "x", REPLAY)
    path = replays.replay_path(database, "x")
    good = path.read_bytes()
    n_lost = 0
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 255]) + good[at + 1 :])
        n_lost += replays.read(database, "x") is None
        path.write_bytes(good[:at])
        assert replays.read(database, "x") is None
    assert n_lost > len(good) / 2


def test_errors_by_hand_and_only_of_the_models_that_are_given() -> None:
    errors = replay.side_errors(REPLAY, 0.0, {"a": 0.5, "c": 1.0}, REPLAY_SIDES)
    assert list(errors) == ["train", "validation"]
    assert errors["train"][0] == pytest.approx(0.0)  # a stands at beta, where accuracy is 0.5
    wrong = 1.0 / (1.0 + np.exp(2.0 * (0.4 - 0.6))) - 1.0
    assert errors["validation"][1] == pytest.approx(wrong**2, rel=1e-5)


def fit_of(choice: bool = False) -> Fit:
    from csvcore.records import Penalty, PenaltyChoice

    penalty = Penalty("all-token", None, 0.1, {})
    return Fit(
        *("t-csv-1", "words", "sides", "t<b>", "csv", -2.0, 0.6, 0.0, 10, 1.0),
        n_models={},
        mse={},
        noise_floor={},
        predictions=(),
        choice=PenaltyChoice(penalty, (penalty,)) if choice else None,
    )


def replayed(choice: bool = False, at: Replay = REPLAY) -> object:
    table = pd.DataFrame(
        {"model": list(REPLAY_SIDES), "split": REPLAY_SIDES.values(), "family": "f"}
    )
    table["accuracy"] = table["model"].map(ACCURACY)
    errors = replay.side_errors(at, 0.0, ACCURACY, REPLAY_SIDES)
    return optimisation.replay_figure(table, at, fit_of(choice), errors, {"f": "#123456"})


def test_every_frame_moves_the_same_traces_and_the_axes_stay() -> None:
    figure = replayed()
    assert [frame.name for frame in figure.frames] == ["0", "1"]
    for frame in figure.frames:
        assert len(frame.data) == len(frame.traces)
        for number, change in zip(frame.traces, frame.data, strict=True):
            told = change.to_plotly_json()
            assert {"x", "y"} & set(told) == set(told) - {"type"} != set()
            for axis in set(told) - {"type"}:
                assert len(told[axis]) == len(figure.data[number][axis])
    low, high = figure.layout.xaxis.range
    assert low < REPLAY.score.min() and REPLAY.score.max() < high
    (place,) = [k for k, trace in enumerate(figure.data) if trace.name == "f, train"]
    assert_allclose(figure.data[place].x, REPLAY.score[0][:2], rtol=1e-6)
    assert_allclose(figure.frames[1].data[place].x, [0.6, 0.5], rtol=1e-6)
    assert list(figure.data[place].text) == ["a", "&lt;b&gt;"]
    (slider,) = figure.layout.sliders
    assert [step.label for step in slider.steps] == ["0", "10, kept"]
    assert [step.args[0][0] for step in slider.steps] == ["0", "1"]


def test_penalties_are_named_from_the_baseline_on() -> None:
    figure = replayed(choice=True, at=replace(REPLAY, at=np.array([np.inf, 1e-4])))
    (slider,) = figure.layout.sliders
    assert [step.label for step in slider.steps] == ["baseline", "1e-04, kept"]
    assert slider.currentvalue.prefix == "penalty "


def test_axes_of_a_replay_name_their_units() -> None:
    for choice, last in ((False, "step"), (True, "penalty")):
        layout = replayed(choice).layout
        axes = (layout.xaxis, layout.yaxis, layout.yaxis2, layout.xaxis2)
        assert [axis.title.text for axis in axes] == [
            *(law.SCORE_AXIS, law.ACCURACY_AXIS, law.MSE_AXIS, last)
        ]


def test_buttons_read_on_every_page_and_under_the_pointer() -> None:
    (buttons,) = replayed().layout.updatemenus
    assert buttons.bgcolor.startswith("#")  # not of the page
    for ground in (buttons.bgcolor, "#F4FAFF"):
        assert contrast(buttons.font.color, ground) > 4.5


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG has it."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    share = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


# While it runs


TRACE = tuple(TraceStep(k, -1.0 - k, 0.5, 0.1 / (k + 1), 0.2 / (k + 1)) for k in range(1000))
GLIMPSE = Glimpse("t<b>", 0.25, TRACE, (0.4, 0.6), (0.9, 0.3), (False, True))


@pytest.fixture
def queued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, int]:
    """A claimed job."""
    monkeypatch.setattr(queue, "ensure_worker", lambda database: None)
    monkeypatch.setattr(queue, "REPORT_SECONDS", 0.0)
    database = tmp_path / "results.duckdb"
    number = queue.submit(database, "fit", {})
    assert queue.claim(database) is not None
    return database, number


@pytest.mark.parametrize("content", ['[{"a": 1}]', "[1]", "{", '[{"score": 1}]'])
def test_progress_that_is_none_is_called_damaged(queued: tuple[Path, int], content: str) -> None:
    database, number = queued
    report = queue.Reporter(*queued)
    report.watch(lambda: [GLIMPSE])
    report(1, 9, "optimising")
    with closing(sqlite3.connect(queue.queue_path(database))) as jobs, jobs:
        jobs.execute("UPDATE glimpses SET content = ?", [content])
    with pytest.raises(StoreError, match=f"is damaged \\(progress of job {number}\\)"):
        queue.glimpses(*queued)


def test_a_glimpse_is_there_while_a_job_runs_and_gone_when_it_ended(
    queued: tuple[Path, int],
) -> None:
    report = queue.Reporter(*queued)
    report(0, 9, "begins")
    assert queue.glimpses(*queued) == []
    report.watch(lambda: [GLIMPSE])
    report(1, 9, "optimising")
    [found] = queue.glimpses(*queued)
    assert replace(found, trace=()) == replace(GLIMPSE, trace=())
    assert (found.trace[0], found.trace[-1]) == (TRACE[0], TRACE[-1])
    assert len(found.trace) <= queue.SHOWN_STEPS + 1
    assert set(found.trace) <= set(TRACE)
    queue.finish(*queued, "done", "over")
    assert queue.glimpses(*queued) == []


def test_what_is_seen_is_asked_for_only_when_it_is_written(
    queued: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    report = queue.Reporter(*queued)
    report.watch(lambda: asked.append(1) or [])  # type: ignore[func-returns-value]
    report(1, 100)
    monkeypatch.setattr(queue, "REPORT_SECONDS", 60.0)
    report(2, 100)
    assert asked == [1]


@pytest.mark.parametrize("algorithm", ["fast", "paper"])
def test_a_running_fit_shows_train_and_validation_models_as_its_trace_has_them(
    world_db: Path, config: FitConfig, algorithm: str
) -> None:
    looks: list[Look] = []
    seen: list[Glimpse] = []

    def report(step: int, total: int, message: str) -> None:
        if looks and message.startswith("optimising"):
            seen.extend(looks[0]())

    used = replace(
        config, algorithm=algorithm, steps=3, penalty=None if algorithm == "paper" else 1e-4
    )
    wanted = [("reading", "csv")]
    [record] = fit(world_db, "words", "sides", wanted, used, report, watch=looks.append)
    last = seen[-1]
    assert last.trace[: len(record.trace)] == record.trace[: len(last.trace)]
    assert len(last.score) == record.n_models["train"] + record.n_models["validation"]
    known = {one.accuracy for one in record.predictions if one.side != "test"}
    assert set(last.accuracy) == known
    assert sum(last.validates) == record.n_models["validation"]


def test_the_live_figures_name_what_they_show() -> None:
    figure = optimisation.errors_so_far([GLIMPSE])
    assert [trace.name for trace in figure.data] == ["t&lt;b&gt;, train", "t&lt;b&gt;, validation"]
    assert figure.layout.yaxis.type == "log"
    figure = optimisation.law_so_far(GLIMPSE)
    assert {trace.name: list(trace.x) for trace in figure.data if trace.name != "law"} == {
        "train": [0.4],
        "validation": [0.6],
    }
    assert figure.layout.yaxis.title.text == "t&lt;b&gt;, accuracy, 0 to 1"
