"""The paper's claims, checked on the zoo's measurements.

A claim agrees if it holds on at least as large a share of tasks here as in the paper's numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

SISTERS = ("ebb", "flow")  # families of the zoo that differ in their data alone
APART = 0.1  # accuracy by which two models differ for Figure 1
FLOORS = 10.0  # multiple of the noise floor that counts as a real difference for Figure 2
GOOD_FIT = 0.8  # R2 on test models that counts as one curve for Figure 4
CLOSED_MSE = 1e-3  # for Figure 5; the text says 1e-4


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of the paper with its check here.

    where: its table or figure. printed: the paper's claim. measured: the result here. holds: the
    tasks on which it holds, out of `of`. share: share of tasks on which it holds in the paper's
    numbers, 1 if it prints none.
    """

    where: str
    printed: str
    measured: str
    holds: int
    of: int
    share: float = 1.0

    @property
    def verdict(self) -> str:
        """Return the verdict: agrees, in part, or does not agree."""
        if self.of and self.holds >= self.share * self.of - 1e-9:
            return "agrees"
        return "in part" if self.holds else "does not agree"


def table_1(splits: pd.DataFrame, printed: pd.DataFrame) -> list[Claim]:
    """Check the claims of Table 1 about CSV, all tokens and label tokens.

    Args:
        splits: task, split, method, test_mse, one row each.
        printed: the paper's Table 1: csv, all_token, label_token.
    """
    ours = _by_task(splits, "by-size")
    worst = printed["csv"].max()
    cases = (
        (
            "CSV's error is below that of all tokens",
            ours["csv"] < ours["all-token"],
            printed["csv"] < printed["all_token"],
            _times(ours["all-token"] / ours["csv"]),
            _times(printed["all_token"] / printed["csv"]),
        ),
        (
            "Label tokens are worse than all tokens",
            ours["label-token"] > ours["all-token"],
            printed["label_token"] > printed["all_token"],
            _times(ours["label-token"] / ours["all-token"]),
            _times(printed["label_token"] / printed["all_token"]),
        ),
        (
            f"CSV's test MSE is at most {worst:.1e}",
            ours["csv"] <= worst,
            printed["csv"] <= worst,
            _range(ours["csv"]),
            _range(printed["csv"]),
        ),
    )
    return [
        Claim(
            "Table 1",
            f"{statement}: {theirs.sum()} of {len(theirs)} tasks, {their_size}",
            f"{holds.sum()} of {len(holds)} tasks, {size}",
            int(holds.sum()),
            len(holds),
            float(theirs.mean()),
        )
        for statement, holds, theirs, size, their_size in cases
    ]


def figures(parts: Mapping[str, pd.DataFrame], zoo: pd.DataFrame) -> list[Claim]:
    """Check the measured claims of Figures 1 to 9.

    Args:
        parts: the tables of docs/evidence by name: splits, steps, mixes, highlights.
        zoo: one row a checkpoint and task: family, n_params, train_tokens, task, accuracy.
    """
    claims = [_figure_1(zoo)]
    if "splits" in parts:
        claims += _of_splits(parts["splits"])
    if "steps" in parts:
        wide = parts["steps"].pivot(index="task", columns="steps", values="test_mse")
        statement = "The families draw together as the weights are optimised"
        claims.append(_falls("Figure 6", statement, wide, "steps"))
    if "mixes" in parts:
        wide = parts["mixes"].pivot_table(
            index="task", columns="n_sources", values="test_mse", aggfunc="median"
        )
        statement = "More sources in the validation text predict better"
        claims += [
            _falls("Figure 8", statement, wide, "sources"),
            _own_source(parts["mixes"], wide),
        ]
    if "highlights" in parts:
        table = parts["highlights"]
        ratio = table["mean_results"] / table["mean_others"]
        claims.append(
            Claim(
                "Figure 9",
                "The tokens that need reasoning are the dark ones (one worked example)",
                f"Result tokens weigh more in {(ratio > 1).sum()} of {len(ratio)} sources, "
                f"{_times(ratio)}",
                int((ratio > 1).sum()),
                len(ratio),
            )
        )
    return claims


def _own_source(mixes: pd.DataFrame, wide: pd.DataFrame) -> Claim:
    """Check that all sources together beat the task's own source."""
    alone = mixes[(mixes["n_sources"] == 1) & mixes["has_own"]].groupby("task")["test_mse"].min()
    better = wide.iloc[:, -1].loc[alone.index] < alone
    return Claim(
        "Figure 8",
        "One should not rely on a single source",
        f"All sources beat the task's own alone, at as many tokens, on {better.sum()} of "
        f"{len(better)} tasks",
        int(better.sum()),
        len(better),
    )


def _figure_1(zoo: pd.DataFrame) -> Claim:
    """Check the gap between sister families at equal size and training tokens."""
    pair = zoo[zoo["family"].isin(SISTERS)].pivot_table(
        index=["task", "n_params", "train_tokens"], columns="family", values="accuracy"
    )
    gap = (pair[SISTERS[0]] - pair[SISTERS[1]]).abs().groupby("task").max()
    apart = int((gap > APART).sum())
    return Claim(
        "Figure 1",
        "At the same compute, two series with other data differ (HellaSwag, BBH)",
        f"{apart} of {len(gap)} tasks, at most {100 * gap.min():.0f} to {100 * gap.max():.0f} "
        "points apart",
        apart,
        len(gap),
    )


def _of_splits(splits: pd.DataFrame) -> list[Claim]:
    """Check the claims of Figures 2, 4 and 5."""
    size, closed = _by_task(splits, "by-size"), _by_task(splits, "closed-source")
    floor = splits[splits["split"] == "by-size"].groupby("task")["noise_floor"].first()
    off = size["all-token"] / floor
    csv = splits[(splits["split"] == "by-size") & (splits["method"] == "csv")]
    straight = csv.set_index("task")["r2"]
    small = closed["csv"] <= CLOSED_MSE
    return [
        Claim(
            "Figure 2",
            "At the same mean loss, models differ (MMLU, BBH)",
            f"All tokens are more than {FLOORS:.0f} times the noise floor off on "
            f"{(off > FLOORS).sum()} of {len(off)} tasks, {_times(off)}",
            int((off > FLOORS).sum()),
            len(off),
        ),
        Claim(
            "Figure 4",
            "One curve holds for all families, larger models included",
            f"R2 on the test models is at least {GOOD_FIT} on {(straight >= GOOD_FIT).sum()} of "
            f"{len(straight)} tasks, {straight.min():.2f} to {straight.max():.2f}",
            int((straight >= GOOD_FIT).sum()),
            len(straight),
        ),
        Claim(
            "Figure 5",
            "The curve predicts a series with other data, with an MSE of 1e-4",
            f"MSE is at most {CLOSED_MSE:.0e} on {small.sum()} of {len(small)} tasks, "
            f"{_range(closed['csv'])}",
            int(small.sum()),
            len(small),
        ),
    ]


def _falls(where: str, printed: str, wide: pd.DataFrame, what: str) -> Claim:
    """Check that the error falls from the first column to the last."""
    first, last = wide.iloc[:, 0], wide.iloc[:, -1]
    falls = int((last < first).sum())
    return Claim(
        where,
        printed,
        f"The error falls on {falls} of {len(wide)} tasks from {wide.columns[0]} to "
        f"{wide.columns[-1]} {what}, {_times(first / last)}",
        falls,
        len(wide),
    )


def _by_task(splits: pd.DataFrame, split: str) -> pd.DataFrame:
    rows = splits[splits["split"] == split]
    return rows.pivot(index="task", columns="method", values="test_mse")


def _times(ratio: pd.Series) -> str:
    return f"{ratio.min():.1f} to {ratio.max():.1f} times"


def _range(values: pd.Series) -> str:
    return f"{values.min():.1e} to {values.max():.1e}"
