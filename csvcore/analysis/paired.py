"""Paired test of two models on the same items, with its power and smallest detectable difference.

Results of 0 and 1 are compared by McNemar's exact test, fractions by the paired t-test.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import binom, binomtest, norm, ttest_rel

from csvcore.analysis.task_noise import LEVEL, POWER
from csvcore.errors import InputError
from csvcore.records import Floats

TAIL = 1e-9  # probability that the sum over numbers of discordant items leaves out
STEPS = 16  # of the bisection for the detectable difference: 0.002 points


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Comparison of model a with model b on n_items common items; accuracies are fractions.

    only_a, only_b, both, neither: items that they solve; None where results are fractions.
    difference: accuracy_a - accuracy_b, with low and high of its 95 % interval, None where it is
    unknown. p: two-sided. detectable: smallest true difference that a test on as many items, which
    differ as often, finds with 80 % power; None where the results never differ and are fractions.
    spread: standard deviation of the difference on an item.
    """

    n_items: int
    accuracy_a: float
    accuracy_b: float
    only_a: int | None
    only_b: int | None
    both: int | None
    neither: int | None
    difference: float
    low: float | None
    high: float | None
    p: float
    test: Literal["exact McNemar test", "paired t-test"]
    detectable: float | None
    spread: float

    @property
    def is_distinguishable(self) -> bool:
        """Return whether the difference is significant at LEVEL."""
        return self.p <= LEVEL

    def power(self, difference: float) -> float | None:
        """Return the probability that the test on these items finds a true difference.

        None where it is unknown, see `detectable`.
        """
        if self.only_a is None or self.only_b is None:
            return t_power(self.n_items, self.spread, difference) if self.spread else None
        return mcnemar_power(self.n_items, self._discordant, difference)

    def items_needed(self, difference: float) -> int | None:
        """Return about how many items find a true difference with 80 % power, if that is known.

        Normal approximation: (1.96 + 0.84)² variance / difference².
        """
        if difference == 0.0:
            return None
        variance = self.spread**2
        if self.only_a is not None:
            variance = max(self._discordant, abs(difference)) - difference**2
        if variance <= 0.0:
            return None
        return int(np.ceil((_quantiles() / difference) ** 2 * variance))

    @property
    def _discordant(self) -> float:
        return ((self.only_a or 0) + (self.only_b or 0)) / self.n_items


def paired_test(a: Floats, b: Floats) -> PairedTest:
    """Compare the results of two models on the same items.

    Args:
        a: (n_items,) results of model a, 0 or 1 or fractions.
        b: (n_items,) results of model b, in the same order.

    Raises:
        InputError: they differ in length, or there are fewer than 2 items.
    """
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(f"results {a.shape} and {b.shape} must be one (n_items,) each")
    if a.size < 2:
        raise InputError(f"a paired test needs at least 2 common items, got {a.size}")
    binary = bool(np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all())
    return PairedTest(
        n_items=a.size,
        accuracy_a=float(a.mean()),
        accuracy_b=float(b.mean()),
        difference=float(a.mean() - b.mean()),
        spread=float(np.std(a - b, ddof=1)),
        **(_mcnemar(a == 1.0, b == 1.0) if binary else _t_test(a, b)),
    )


def _mcnemar(a: Any, b: Any) -> dict[str, Any]:
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(~a & b))
    low, high = agresti_min(only_a, only_b, a.size)
    discordant = only_a + only_b
    return {
        "only_a": only_a,
        "only_b": only_b,
        "both": int(np.sum(a & b)),
        "neither": int(np.sum(~a & ~b)),
        "low": low,
        "high": high,
        "p": float(binomtest(only_a, discordant).pvalue) if discordant else 1.0,
        "test": "exact McNemar test",
        "detectable": mcnemar_detectable(a.size, discordant / a.size),
    }


def _t_test(a: Floats, b: Floats) -> dict[str, Any]:
    differences = a - b
    found = {"only_a": None, "only_b": None, "both": None, "neither": None, "test": "paired t-test"}
    if np.ptp(differences) == 0.0:  # without a spread there is a sign at most
        p = 1.0 if differences[0] == 0.0 else 0.5 ** (a.size - 1)
        return {**found, "low": None, "high": None, "p": p, "detectable": None}
    result = ttest_rel(a, b)
    low, high = result.confidence_interval(1.0 - LEVEL)
    spread = float(np.std(differences, ddof=1))
    return {
        **found,
        "low": float(low),
        "high": float(high),
        "p": float(result.pvalue),
        "detectable": _quantiles() * spread / float(np.sqrt(a.size)),
    }


def agresti_min(only_a: int, only_b: int, n_items: int) -> tuple[float, float]:
    """Return the 95 % interval of a difference of paired proportions.

    Agresti and Min (2005): the Wald interval after half an item is added to each of the four cells,
    so it has a width where no item differs. Its coverage is close to 95 % and seldom below.
    """
    n, a, b = n_items + 2.0, only_a + 0.5, only_b + 0.5
    centre = (a - b) / n
    error = np.sqrt(a + b - (a - b) ** 2 / n) / n
    half = float(norm.ppf(1.0 - LEVEL / 2.0) * error)
    return max(centre - half, -1.0), min(centre + half, 1.0)


def mcnemar_power(n_items: int, discordant: float, difference: float) -> float:
    """Return the exact power of McNemar's exact test at LEVEL.

    Args:
        n_items: common items.
        discordant: share of items that one model alone solves; at least |difference| is taken.
        difference: true difference of the accuracies.
    """
    share = max(discordant, abs(difference))
    if share == 0.0:
        return 0.0
    first = int(binom.ppf(TAIL, n_items, share))
    last = int(binom.isf(TAIL, n_items, share))
    n = np.arange(first, last + 1)  # numbers of discordant items
    least = np.asarray(binom.ppf(LEVEL / 2.0, n, 0.5))
    above = np.asarray(binom.cdf(least, n, 0.5)) > LEVEL / 2.0
    limit = least - above.astype(np.float64)  # at most so many of one side: significant
    win = (share + difference) / (2.0 * share)
    rejects = binom.cdf(limit, n, win) + binom.sf(n - limit - 1, n, win)
    return float(np.clip(np.sum(binom.pmf(n, n_items, share) * rejects), 0.0, 1.0))


def mcnemar_detectable(n_items: int, discordant: float) -> float | None:
    """Return the smallest true difference that `mcnemar_power` finds with POWER; None if none."""
    if mcnemar_power(n_items, discordant, 1.0) < POWER:
        return None
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        enough = mcnemar_power(n_items, discordant, middle) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high


def t_power(n_items: int, spread: float, difference: float) -> float:
    """Return the power of a paired t-test at LEVEL, by the normal approximation."""
    shift = difference * float(np.sqrt(n_items)) / spread
    limit = float(norm.ppf(1.0 - LEVEL / 2.0))
    return float(norm.cdf(shift - limit) + norm.cdf(-shift - limit))


def _quantiles() -> float:
    return float(norm.ppf(1.0 - LEVEL / 2.0) + norm.ppf(POWER))


def sentence(a: str, b: str, found: PairedTest) -> str:
    """Return the outcome of a paired test of models a and b in words."""
    points = f"{100 * found.difference:+.1f} points"
    if found.low is not None and found.high is not None:
        points += f", 95 % interval {100 * found.low:+.1f} to {100 * found.high:+.1f}"
    counted = (
        f"{a} minus {b} is {points}, p = {found.p:.2g}, {found.test} on {found.n_items:,} common "
        "items"
    )
    if found.is_distinguishable:
        better, worse = (a, b) if found.difference > 0 else (b, a)
        return f"{better} is better than {worse}: {counted}."
    seen = (
        f" A true difference of {100 * found.detectable:.1f} points would be found with 80 % power."
        if found.detectable is not None
        else " No difference would be found with 80 % power on so few items."
    )
    return f"{a} and {b} are not distinguishable: {counted}.{seen}"
