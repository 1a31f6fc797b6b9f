"""Rules of the search for a mix: equal budgets, the number of mixes, and their differences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from csvcore.records import Mix

FACTORS = (2.0, 0.5)  # by which the share of one source is changed to try another mix
MAX_CHANGES = 3  # rounds of such changes
SLACK = 0.05  # of the budget may be missing where sources have no more tokens
LEVEL = 0.9  # of the intervals
LEAST_FOLDS = 2  # for an interval


@dataclass(frozen=True, slots=True)
class MixDifference:
    """Error of a mix less that of the recommended one, in units of accuracy, with its 90 % CI.

    All are None where fewer than LEAST_FOLDS groups were left out.
    """

    difference: float | None
    low: float | None
    high: float | None

    @property
    def verdict(self) -> str:
        """Return whether the mix is distinguishable from the recommended one, in words."""
        if self.low is None or self.high is None:
            return "unknown"
        if self.low > 0.0:
            return "worse"
        return "better" if self.high < 0.0 else "not distinguishable"


def most_mixes(n_sources: int) -> int:
    """Return the number of mixes that a search tries at most."""
    return growing(n_sources) + MAX_CHANGES * len(FACTORS) * n_sources


def growing(n_sources: int) -> int:
    """Return the number of mixes with equal shares that a search tries at most."""
    return n_sources * (n_sources + 1) // 2


def is_full(n_tokens: int, available: int, budget_tokens: int) -> bool:
    """Return whether a mix has the budget, as far as whole documents go.

    After `fill` no further document fits, so less than one is missing; a mix whose sources have too
    few tokens (available) may lack SLACK of the budget.
    """
    return n_tokens > 0 and (n_tokens < available or n_tokens >= (1.0 - SLACK) * budget_tokens)


def fill(
    sizes: Mapping[str, Sequence[int]], shares: Mapping[str, float], budget: int
) -> dict[str, list[int]]:
    """Return the documents of each source that fill a budget in these shares, as far as possible.

    In order, every document that fits into the share of its source is taken. What then is missing,
    since a source has too few tokens or none that fits, is made up by the documents left, the
    largest that fits first.

    Args:
        sizes: tokens of the documents by source, in the order in which they are drawn.
        shares: positive, of the sources that are drawn from.
        budget: tokens of all together.

    Returns:
        indices into `sizes`, rising; their tokens are the budget at most.
    """
    whole = sum(shares.values())
    taken: dict[str, list[int]] = {}
    left = budget
    for source, share in shares.items():
        room = budget * share / whole
        taken[source] = []
        for at, size in enumerate(sizes[source]):
            if size <= room:
                taken[source].append(at)
                room -= size
                left -= size
    already = {source: set(rows) for source, rows in taken.items()}
    others = [
        (size, source, at)
        for source in shares
        for at, size in enumerate(sizes[source])
        if at not in already[source]
    ]
    for size, source, at in sorted(others, key=lambda one: -one[0]):
        if size <= left:
            taken[source].append(at)
            left -= size
    return {source: sorted(rows) for source, rows in taken.items()}


def differences(mixes: Sequence[Mix]) -> list[MixDifference]:
    """Return the difference of each mix to the first, the recommended one.

    The errors on each group left out, and on validation, are paired; the interval is Student's over
    these groups. It knows nothing of the choice of the best among many, so it is too narrow rather
    than too wide.
    """
    return [_difference(mix.errors, mixes[0].errors) for mix in mixes]


def _difference(errors: Sequence[float], best: Sequence[float]) -> MixDifference:
    if len(errors) != len(best) or len(errors) < LEAST_FOLDS:
        return MixDifference(None, None, None)
    each = np.array(errors) - np.array(best)
    mean = float(each.mean())
    half = float(student_t.ppf((1.0 + LEVEL) / 2.0, each.size - 1))
    half *= float(each.std(ddof=1) / np.sqrt(each.size))
    return MixDifference(mean, mean - half, mean + half)


def alike(mixes: Sequence[Mix]) -> int:
    """Return how many mixes are not distinguishable from the recommended one, itself left out."""
    return sum(one.verdict == "not distinguishable" for one in differences(mixes)[1:])


def sources_of(mixes: Iterable[Mix]) -> list[str]:
    """Return all sources of these mixes, in order."""
    return list(dict.fromkeys(source for mix in mixes for source in mix.shares))
