from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import rankdata

from csvcore import synthetic
from csvcore.analysis.intervals import bootstrap_difference
from csvcore.errors import Cancelled
from csvcore.optimise import (
    FastConfig,
    HeadProblem,
    TokenTable,
    WeightResult,
    choose_heads,
    token_features,
)
from csvcore.optimise.gauss_newton import Heads, Solution, solve
from csvcore.optimise.passes import head_weights
from csvcore.records import Floats, Ints, Mask
from csvcore.scaling import fit_sigmoid_law, sigmoid_law
from csvcore.synthetic import World, make_world

CONFIG = FastConfig(strengths=(np.inf, 1e-3, 1e-4, 1e-5), members=1, max_steps=10)


@dataclass(frozen=True)
class Known:
    """A world and the part of it that a fit may see: train and validation models."""

    world: World
    n_train: int
    n_known: int
    table: TokenTable
    groups: dict[str, Mask]

    @property
    def run(self) -> Ints:
        return self.world.run[: self.n_known]

    def problem(self, task: int = 0) -> HeadProblem:
        train = np.arange(self.n_known) < self.n_train
        accuracy = self.world.accuracy[task, : self.n_known]
        pulls = {"all-token": 0, "source-token": 1}
        return HeadProblem(f"task {task}", self.world.gamma, accuracy, train, ~train, pulls)

    def choose(
        self, *problems: HeadProblem, config: FastConfig = CONFIG, groups: Sequence[str] = "012"
    ) -> list[WeightResult]:
        masks = {name: self.groups[name] for name in groups}
        return choose_heads(self.table, problems, masks, self.run, config)

    def test_errors(self, weight: Floats) -> Floats:
        """Squared errors on the models no fit has seen, of a law fitted on those that train."""
        world = self.world
        score, accuracy = world.nll.astype(float) @ weight / world.n_chars, world.accuracy[0]
        train = slice(self.n_train)
        law = fit_sigmoid_law(score[train], accuracy[train], world.gamma)
        predicted = sigmoid_law(score, law.alpha, law.beta, world.gamma)
        return np.asarray(np.square(predicted - accuracy)[self.n_known :])


def know(world: World, n_train: int, n_validation: int) -> Known:
    n_known, n_tokens = n_train + n_validation, world.source.size
    own = (world.source == 0) * 5.0 * 0.5 + 0.5  # mean 1
    table = TokenTable(
        *(token_features(world.hidden), world.nll[:n_known], world.source, 5),
        *(np.stack([np.ones(n_tokens), own]).astype(np.float32), world.n_chars),
    )
    groups = {str(f): world.family[:n_known] == f for f in range(world.family.max() + 1)}
    return Known(world, n_train, n_known, table, groups)


@pytest.fixture(scope="module")
def small() -> Known:
    return know(make_world(500, 6, 36, n_tasks=2, n_families=3, seed=4), 24, 6)


@pytest.fixture(scope="module")
def found(small: Known) -> WeightResult:
    [result] = small.choose(small.problem())
    return result


@pytest.mark.slow
def test_the_path_of_penalties_is_walked_to_its_end_where_its_middle_looks_useless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One source's losses shift by family, so stronger heads generalise worse than none (#16)."""
    monkeypatch.setattr(synthetic, "SHARE_SALIENT", 0.01)
    world = make_world(3000, 32, 60, n_families=6, seed=3)
    shift = np.random.default_rng(10).normal(0.0, 0.6, 6)[world.family]
    world.nll[:, world.source == 1] *= np.exp(shift)[:, None].astype(np.float32)
    known = know(world, 36, 12)
    [result] = known.choose(known.problem(), config=FastConfig(members=1), groups="012345")
    assert result.choice is not None
    figures = [entry.cv_error for entry in result.choice.tried if entry.pull == "all-token"]
    assert min(figures[1:4]) > figures[0]  # the middle of the path is worse than no head at all
    assert len(figures) == len(FastConfig().strengths)
    assert known.test_errors(result.weight).mean() < 2e-3  # the mean of all tokens: 1.9e-2


# A second opinion: every head fitted alone and judged by hand


def one_on(table: TokenTable, heads: Heads, before: Solution | None) -> Solution:
    """Fit one head alone, from the end at the strength before."""
    start = np.zeros((1, table.n_features)) if before is None else before
    return solve(table, heads, start, "exp", CONFIG.max_steps)


def test_the_errors_of_every_penalty_are_those_of_heads_fitted_one_at_a_time(
    small: Known, found: WeightResult
) -> None:
    problem = small.problem()
    assert found.choice is not None
    tried = {(entry.pull, entry.strength): entry for entry in found.choice.tried}
    assert {pull for pull, _ in tried} == {"all-token", "source-token"}
    for row, pull in enumerate(("all-token", "source-token")):
        ends: dict[str, Solution] = {}
        for strength in CONFIG.strengths:
            entry = tried[pull, None if np.isinf(strength) else strength]
            errors = {}
            for name in ("", "0", "1", "2"):
                left_out = small.groups[name] if name else ~problem.train
                mask = problem.train & ~left_out
                heads = Heads(
                    *(problem.accuracy[None], (mask / mask.sum())[None], np.array([0.25])),
                    *(np.array([strength]), np.array([row])),
                )
                solution = ends[name] = one_on(small.table, heads, ends.get(name))
                score = solution.history[-1].score[0]
                law = fit_sigmoid_law(score[mask], problem.accuracy[mask], 0.25)
                wrong = sigmoid_law(score, law.alpha, law.beta, 0.25) - problem.accuracy
                judged = problem.train & left_out if name else problem.validation
                errors[name or "validation models"] = float(np.mean(wrong[judged] ** 2))
            assert entry.errors == pytest.approx(errors, rel=0.05, abs=1e-7)
            groups = np.mean([np.sqrt(entry.errors[name]) for name in "012"])
            figure = (groups + np.sqrt(entry.errors["validation models"])) / 2
            assert entry.cv_error == pytest.approx(figure, rel=1e-9)


def test_the_smallest_cv_error_is_chosen(small: Known, found: WeightResult) -> None:
    for result in (found, *small.choose(small.problem(1))):
        assert result.choice is not None
        figures = [entry.cv_error for entry in result.choice.tried]
        assert result.choice.chosen is result.choice.tried[int(np.argmin(figures))]
        assert len(set(figures)) == len(figures) == 8


def test_the_chosen_weights_are_those_of_a_head_fitted_alone_down_the_path(
    small: Known, found: WeightResult
) -> None:
    assert found.choice is not None
    chosen, problem = found.choice.chosen, small.problem()
    row = problem.pulls[chosen.pull]
    for name in ("", "0", "1", "2"):
        mask = problem.train & ~small.groups[name] if name else problem.train
        end = None
        for strength in CONFIG.strengths:
            heads = Heads(
                *(problem.accuracy[None], (mask / mask.sum())[None], np.array([0.25])),
                *(np.array([strength]), np.array([row])),
            )
            end = one_on(small.table, heads, end)
            if strength == (chosen.strength or np.inf):
                break
        assert end is not None
        weight = head_weights(small.table, end.theta, np.array([row]))[0].astype(float)
        ours = found.fold_weight[name] if name else found.weight
        assert_allclose(ours / ours.mean(), weight / weight.mean(), rtol=0.05, atol=0.02)
    assert list(found.fold_weight) == ["0", "1", "2"]


# What may influence what


def test_validation_accuracies_influence_the_choice_and_no_head(
    small: Known, found: WeightResult
) -> None:
    problem = small.problem()
    spoilt = np.where(problem.validation, 0.95 - 0.7 * problem.accuracy, problem.accuracy)
    [other] = small.choose(replace(problem, accuracy=spoilt))
    assert found.choice is not None and other.choice is not None
    assert other.choice.chosen != found.choice.chosen
    for one, two in zip(found.choice.tried, other.choice.tried, strict=False):
        assert one.errors["validation models"] != two.errors["validation models"]
        assert {**one.errors, "validation models": 0} == {**two.errors, "validation models": 0}
    higher = np.where(problem.validation, problem.accuracy + 0.1, problem.accuracy).clip(max=1.0)
    [same] = small.choose(replace(problem, accuracy=higher))  # not enough for another choice
    assert same.choice is not None
    assert same.choice.chosen.pull == found.choice.chosen.pull
    assert same.choice.chosen.strength == found.choice.chosen.strength
    for before, after in zip(found.trace, same.trace, strict=True):
        assert replace(before, validation_mse=None) == replace(after, validation_mse=None)
    assert found.trace[-1].validation_mse != same.trace[-1].validation_mse
    assert_array_equal(same.weight, found.weight)


def test_models_that_neither_train_nor_validate_have_no_influence(small: Known) -> None:
    problem = small.problem()
    left = np.arange(small.n_known) >= small.n_known - 2
    part = replace(problem, validation=problem.validation & ~left)
    results = []
    for value in (np.nan, 0.9):
        asked = replace(part, accuracy=np.where(left, value, problem.accuracy))
        results.append(small.choose(asked)[0])
    assert_array_equal(results[0].weight, results[1].weight)
    assert results[0].choice == results[1].choice
    assert results[0].trace == results[1].trace


def test_tasks_chosen_together_come_out_as_chosen_alone(small: Known, found: WeightResult) -> None:
    together = small.choose(small.problem(1), small.problem())
    assert [result.task for result in together] == ["task 1", "task 0"]
    assert found.choice is not None and together[1].choice is not None
    assert together[1].choice.chosen.pull == found.choice.chosen.pull
    assert together[1].choice.chosen.strength == found.choice.chosen.strength
    assert_allclose(together[1].weight, found.weight, rtol=0.05, atol=0.02)


# Groups and evidence


def test_groups_that_leave_fewer_than_three_models_or_hold_none_are_skipped(small: Known) -> None:
    problem = small.problem()
    train = np.arange(small.n_known) < 7
    groups = {
        "none of train": problem.validation,
        "leaves two": np.arange(small.n_known) < 5,
        "leaves three": np.arange(small.n_known) < 4,
    }
    config = replace(CONFIG, strengths=(np.inf, 1e-2))
    [result] = choose_heads(small.table, [replace(problem, train=train)], groups, small.run, config)
    assert list(result.fold_weight) == ["leaves three"]
    assert result.choice is not None
    for entry in result.choice.tried:
        assert set(entry.errors) == {"leaves three", "validation models"}


def test_without_groups_validation_alone_decides_and_without_both_the_error_on_train(
    small: Known,
) -> None:
    problem = small.problem()
    [by_validation] = small.choose(problem, groups="")
    assert by_validation.choice is not None
    for entry in by_validation.choice.tried:
        assert set(entry.errors) == {"validation models"}
        assert entry.cv_error == pytest.approx(np.sqrt(entry.errors["validation models"]))
    blind = replace(problem, validation=np.zeros(small.n_known, dtype=bool))
    [by_train] = small.choose(blind, groups="")
    assert by_train.choice is not None
    assert all(entry.errors == {} for entry in by_train.choice.tried)
    assert by_train.choice.chosen.strength == 1e-5  # the weaker the penalty, the smaller it is
    assert by_train.choice.chosen.cv_error**2 == pytest.approx(by_train.trace[-1].train_mse)
    assert all(step.validation_mse is None for step in by_train.trace)
    [by_groups] = small.choose(blind)
    assert by_groups.choice is not None
    for entry in by_groups.choice.tried:
        assert entry.cv_error == pytest.approx(np.mean(np.sqrt(list(entry.errors.values()))))


def spread(result: WeightResult) -> Floats:
    """Standard deviation over the plain head and the draws, each scaled to mean 1."""
    assert result.draws is not None
    members = np.vstack([result.weight, result.draws])
    return np.asarray((members / members.mean(axis=1, keepdims=True)).std(axis=0))


def test_one_member_or_the_pull_alone_has_no_spread(small: Known, found: WeightResult) -> None:
    assert_array_equal(spread(found), 0.0)
    config = replace(CONFIG, strengths=(np.inf,), members=4)
    [pull] = small.choose(small.problem(), config=config)
    assert pull.choice is not None
    assert_allclose(spread(pull), 0.0, atol=1e-12)
    row = small.problem().pulls[pull.choice.chosen.pull]
    assert_allclose(pull.weight, small.table.pulls[row], rtol=1e-6)
    assert pull.step == 0


def test_members_are_repeatable_draws_around_the_plain_head(
    small: Known, found: WeightResult
) -> None:
    config = replace(CONFIG, members=4)
    results = [
        small.choose(small.problem(), config=replace(config, seed=seed))[0] for seed in (1, 1, 2)
    ]
    spreads = [spread(result) for result in results]
    assert_array_equal(spreads[0], spreads[1])
    assert not np.array_equal(spreads[0], spreads[2])
    for result in results:
        assert spread(result).max() > 0.01
        assert result.choice == found.choice  # the plain head's
        assert result.trace == found.trace
        assert_allclose(result.weight, found.weight, rtol=1e-6)  # draws do not move the weights


def test_checkpoints_of_one_run_are_drawn_together(small: Known) -> None:
    config, problem = replace(CONFIG, members=3), small.problem()
    whole = replace(small.world, run=np.arange(36) // small.n_train)
    [one_run] = replace(small, world=whole).choose(problem, config=config)
    # one run of all that train: whatever is drawn, the shares are equal; the rest is polishing
    [usual] = small.choose(problem, config=config)
    assert spread(one_run).mean() < 0.1 * spread(usual).mean()


@pytest.mark.parametrize("members", [1, 3])
def test_weights_are_positive(small: Known, members: int) -> None:
    config = replace(CONFIG, members=members, activation="softplus")
    for result in small.choose(small.problem(), small.problem(1), config=config):
        assert (result.weight > 0).all()


def test_the_trace_begins_with_the_pull_alone_and_ends_with_what_was_chosen(
    small: Known, found: WeightResult
) -> None:
    problem, first, last = small.problem(), found.trace[0], found.trace[-1]
    assert found.choice is not None
    pull = small.table.pulls[problem.pulls[found.choice.chosen.pull]].astype(float)
    for step, weight in ((first, pull), (last, None)):
        if weight is None:
            chosen = found.choice.chosen
            assert step.validation_mse == pytest.approx(chosen.errors["validation models"])
            continue
        score = small.table.nll.astype(float) @ weight / small.table.n_chars
        law = fit_sigmoid_law(score[problem.train], problem.accuracy[problem.train], 0.25)
        wrong = sigmoid_law(score, law.alpha, law.beta, 0.25) - problem.accuracy
        assert step.train_mse == pytest.approx(law.mse, rel=1e-3)
        assert (step.alpha, step.beta) == pytest.approx((law.alpha, law.beta), rel=1e-2)
        assert step.validation_mse == pytest.approx(
            float(np.mean(wrong[problem.validation] ** 2)), rel=1e-2
        )
    assert [step.step for step in found.trace] == list(range(len(found.trace)))
    assert found.step == last.step > 0
    assert last.train_mse < first.train_mse


def test_a_head_that_had_too_few_steps_says_so(small: Known) -> None:
    for max_steps, converged in ((1, False), (60, True)):
        config = replace(CONFIG, strengths=(np.inf, 1e-4), max_steps=max_steps)
        [result] = small.choose(small.problem(), config=config)
        assert result.choice is not None and result.choice.chosen.strength == 1e-4
        assert result.converged is converged


def test_progress_never_falls_or_passes_the_total_and_the_caller_can_stop(small: Known) -> None:
    seen: list[tuple[int, int]] = []

    def report(step: int, total: int) -> None:
        seen.append((step, total))
        if step >= 12:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        choose_heads(small.table, [small.problem()], small.groups, small.run, CONFIG, report)
    assert len({total for _, total in seen}) == 1
    assert [step for step, _ in seen] == sorted(step for step, _ in seen)
    assert 12 <= seen[-1][0] <= seen[-1][1]


# Planted worlds


@cache
def planted(seed: int) -> tuple[Known, WeightResult]:
    known = know(make_world(20_000, 32, 60, seed=seed), 38, 11)
    problem = replace(known.problem(), pulls={"all-token": 0})
    [result] = known.choose(problem, config=FastConfig(), groups="01234")
    return known, result


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_planted_tokens_have_the_largest_weights(seed: int) -> None:
    known, result = planted(seed)
    salient = known.world.salient[0]
    n_yes, n_no = salient.sum(), (~salient).sum()
    area = (rankdata(result.weight)[salient].sum() - n_yes * (n_yes + 1) / 2) / (n_yes * n_no)
    assert area >= 0.95


@pytest.mark.slow
def test_unseen_models_are_predicted_almost_as_by_one_who_knows_the_planted_tokens() -> None:
    ratios = []
    for seed in (0, 1, 2):
        known, result = planted(seed)
        ours = known.test_errors(result.weight).mean()
        ratios.append(ours / known.test_errors(known.world.salient[0].astype(float)).mean())
        assert ours < known.test_errors(np.ones(20_000)).mean() / 10
    # Of 16 such worlds the median was 1.4, and two were above 3: the draw of 38 models matters.
    assert np.median(ratios) <= 2


@pytest.mark.slow
def test_where_nothing_is_planted_csv_is_rarely_surely_better_than_all_token() -> None:
    better = 0
    for seed in range(20):
        known = know(make_world(600, 8, 60, signal=False, seed=seed), 38, 11)
        config = FastConfig(members=1, max_steps=10)
        problem = replace(known.problem(), pulls={"all-token": 0})
        [result] = known.choose(problem, config=config, groups="01234")
        _, high = bootstrap_difference(
            known.test_errors(result.weight),
            known.test_errors(np.ones(600)),
            known.world.run[known.n_known :].tolist(),
            np.random.default_rng(seed),
        )
        better += high < 0
    # 5 % each if the interval is right, 10 % if, of a few runs, it is too short; more than four of
    # 20 would then come about with probability 0.04
    assert better <= 4
