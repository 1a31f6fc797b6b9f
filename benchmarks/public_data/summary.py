"""How each method stands beside the best simple method of each case, chosen with hindsight.

A case is one task on one split. Its yardstick is the method of YARDSTICK with the smallest test
MSE, which no one could choose beforehand; a ratio below 1 to it is therefore a strict test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from csvcore.analysis.intervals import bootstrap_difference
from csvcore.cli.base import format_decimal, text_table
from csvcore.records import Floats
from csvcore.splits import WITHOUT

YARDSTICK = ("all-token", "label-token", "source-token", "best-source")
FLOOR = 1e-8  # of a test MSE in a ratio, so that one perfect prediction does not decide a mean
ALL = "all"
FAMILIES = "families left out"
SMALL_TO_LARGE = "small to large"
LARGER_TEST = ("small-to-large", "by-size")  # splits that test on the largest models


@dataclass(frozen=True, slots=True)
class Case:
    """One task on one split of one set, with the errors of every method on its test models.

    runs: (n_models,) the training run of each test model. mse and covered: test MSE and share of
    accuracies within their 90 % prediction intervals, by method. squared: (n_models,) squared
    errors by method, where they are known.
    """

    set: str
    split: str
    family: str | None
    task: str
    runs: tuple[tuple[str, ...], ...]
    mse: Mapping[str, float]
    squared: Mapping[str, Floats]
    covered: Mapping[str, float]

    @property
    def group(self) -> str:
        """Name of the split, one for all left-out families."""
        return FAMILIES if self.split.startswith(WITHOUT) else self.split


@dataclass(frozen=True, slots=True)
class Standing:
    """A method in one case, beside the yardstick.

    ratio and ratio_to_csv: of test MSEs. low and high: 90 % interval of the method's squared errors
    less the yardstick's, bootstrapped over training runs; None where the test models are one run.
    """

    method: str
    yardstick: str
    ratio: float
    ratio_to_csv: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A method over the cases of a scope: a set and a split, or all of them.

    ratio and ratio_to_csv: geometric means over cases. wins: cases with a ratio below 1. judged:
    cases with an interval; worse and better: those whose interval excludes 0. covered: share of
    n_covered predicted accuracies within their 90 % intervals.
    """

    set: str
    split: str
    method: str
    n_cases: int
    ratio: float
    ratio_to_csv: float | None
    wins: int
    judged: int
    worse: int
    better: int
    covered: float | None
    n_covered: int


def standings(case: Case) -> list[Standing]:
    """Return how each method stands in a case; none if the yardstick has no method there."""
    simple = [method for method in YARDSTICK if method in case.mse]
    if not simple:
        return []
    best = min(simple, key=lambda method: case.mse[method])
    return [
        Standing(
            method=method,
            yardstick=best,
            ratio=_ratio(mse, case.mse[best]),
            ratio_to_csv=_ratio(mse, case.mse["csv"]) if "csv" in case.mse else None,
            low=low,
            high=high,
        )
        for method, mse in case.mse.items()
        for low, high in [_interval(case, method, best)]
    ]


def _ratio(mse: float, other: float) -> float:
    return max(mse, FLOOR) / max(other, FLOOR)


def _interval(case: Case, method: str, best: str) -> tuple[float, float] | tuple[None, None]:
    if len(set(case.runs)) < 2 or method not in case.squared or best not in case.squared:
        return None, None
    return bootstrap_difference(
        case.squared[method], case.squared[best], case.runs, np.random.default_rng(0)
    )


def summarise(cases: Sequence[Case], set_name: str = ALL, split: str = ALL) -> list[Summary]:
    """Return every method's summary over some cases, the smallest ratio first.

    Args:
        cases: of the scope.
        set_name: the scope's set, or ALL.
        split: the scope's split, or a name for several.
    """
    found: dict[str, list[Standing]] = {}
    for case in cases:
        for standing in standings(case):
            found.setdefault(standing.method, []).append(standing)
    rows = []
    for method, own in found.items():
        judged = [(one.low, one.high) for one in own if one.low is not None]
        to_csv = [one.ratio_to_csv for one in own if one.ratio_to_csv is not None]
        covered, n_covered = coverage(cases, method)
        rows.append(
            Summary(
                set=set_name,
                split=split,
                method=method,
                n_cases=len(own),
                ratio=geometric_mean([one.ratio for one in own]),
                ratio_to_csv=geometric_mean(to_csv) if to_csv else None,
                wins=sum(one.ratio < 1 for one in own),
                judged=len(judged),
                worse=sum(low > 0 for low, _ in judged),
                better=sum(high is not None and high < 0 for _, high in judged),
                covered=covered,
                n_covered=n_covered,
            )
        )
    return sorted(rows, key=lambda row: row.ratio)


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return the geometric mean of positive ratios."""
    return float(np.exp(np.mean(np.log(ratios))))


def coverage(cases: Sequence[Case], method: str) -> tuple[float | None, int]:
    """Return the share of accuracies within a method's intervals, and of how many.

    Every test model of every case counts alike; the share is None where there are no intervals.
    """
    counted = [(case.covered[method], len(case.runs)) for case in cases if method in case.covered]
    if not counted:
        return None, 0
    shares, sizes = zip(*counted, strict=True)
    return float(np.average(shares, weights=sizes)), sum(sizes)


def every_scope(cases: Sequence[Case]) -> list[Summary]:
    """Summarise each split of each set, each set, the kinds of splits over all sets, and all."""
    rows = []
    for name in dict.fromkeys(case.set for case in cases):
        own = [case for case in cases if case.set == name]
        for group in dict.fromkeys(case.group for case in own):
            rows += summarise([case for case in own if case.group == group], name, group)
        rows += summarise(own, name)
    larger = [case for case in cases if case.split in LARGER_TEST]
    families = [case for case in cases if case.group == FAMILIES]
    rows += summarise(larger, ALL, SMALL_TO_LARGE) + summarise(families, ALL, FAMILIES)
    return rows + summarise(cases)


def text(cases: Sequence[Case]) -> str:
    """Return the summary as tables, one a scope; a set of one split has one, and so has one set."""
    scopes: dict[tuple[str, str], list[Summary]] = {}
    for row in every_scope(cases):
        scopes.setdefault((row.set, row.split), []).append(row)
    n_sets = len({case.set for case in cases})
    n_splits = {name: len({case.group for case in cases if case.set == name}) for name, _ in scopes}
    parts = [f"\n== summary; yardstick: the best of {', '.join(YARDSTICK)} in each case"]
    for (name, split), rows in scopes.items():
        repeats = n_sets == 1 if name == ALL else split != ALL and n_splits[name] == 1
        if repeats:
            continue
        title = "all sets" if name == ALL else name
        parts.append(f"\n{title}, {'all splits' if split == ALL else split}\n{table(rows)}")
    return "\n".join(parts)


def table(rows: Sequence[Summary]) -> str:
    """Return the summary of one scope as a text table."""
    header = [
        *("method", "cases", "MSE / yardstick", "MSE / CSV", "wins"),
        *("significantly worse", "significantly better", "covered"),
    ]
    cells = [
        [
            *(row.method, str(row.n_cases), f"{row.ratio:.2f}", format_decimal(row.ratio_to_csv)),
            *(str(row.wins), f"{row.worse} of {row.judged}", f"{row.better} of {row.judged}"),
            format_decimal(row.covered),
        ]
        for row in rows
    ]
    return text_table(header, cells)
