"""What a notebook gets: frozen records that give their pandas table and their Plotly figure."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pandas as pd

from csvcore import frames, store
from csvcore.analysis.comparison import Comparison
from csvcore.errors import InputError
from csvcore.figures import comparison, law, panels
from csvcore.records import Fit, Forecast

Record = TypeVar("Record")
SHOWN_ROWS = 30  # of a table that a notebook shows by itself


@dataclass(frozen=True, slots=True, repr=False)
class Results(ABC, Generic[Record]):
    """Frozen records in order."""

    records: tuple[Record, ...]

    def __len__(self) -> int:
        """Number of records."""
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        """The records."""
        return iter(self.records)

    def __getitem__(self, at: int) -> Record:
        """One record."""
        return self.records[at]

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """One row a record."""

    @abstractmethod
    def figure(self) -> Any:
        """The records drawn, of Plotly."""

    def __repr__(self) -> str:
        """The table, shortened as pandas does."""
        return f"{type(self).__name__}:\n{self.table()!r}"

    def _repr_html_(self) -> str:
        return self.table().to_html(max_rows=SHOWN_ROWS)


@dataclass(frozen=True, slots=True, repr=False)
class Fits(Results[Fit]):
    """Stored fits; known and placed are their rows of `store.fits` and `store.predictions`."""

    known: pd.DataFrame = field(compare=False)
    placed: tuple[pd.DataFrame, ...] = field(compare=False)

    def table(self) -> pd.DataFrame:
        """One row a fit; columns of `store.fits`."""
        return self.known.copy()

    def predictions(self) -> pd.DataFrame:
        """One row a model and fit: fit, task, method and the columns of `store.predictions`."""
        parts = []
        for one, rows in zip(self.records, self.placed, strict=True):
            parts.append(rows.copy())
            for at, key in enumerate(("fit", "task", "method")):
                parts[-1].insert(at, key, getattr(one, key))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def figure(self) -> Any:
        """Accuracy against the capability score with the fitted law, a panel a fit.

        Raises:
            InputError: there are no fits.
        """
        if not self.records:
            raise InputError("there are no fits to draw; make some with lab.fit()")
        colours = law.family_colours(self.predictions()["family"].tolist())
        if len(self) == 1:
            figure = law.sigmoid_figure(self.placed[0], self[0], colours)
            return figure.update_layout(showlegend=True)
        pairs = zip(self.records, self.placed, strict=True)
        return panels.law_panels(
            [(f"{one.task}, {one.method}", rows, one) for one, rows in pairs], colours
        )


def read_fits(db: store.Connection, names: Iterable[str]) -> Fits:
    """Stored fits by their ids."""
    ids = list(names)
    stored = store.fits(db).drop(columns="config").set_index("fit", drop=False)
    known = stored.loc[ids].reset_index(drop=True)
    return Fits(
        tuple(store.fit(db, name) for name in ids),
        known,
        tuple(store.predictions(db, name) for name in ids),
    )


@dataclass(frozen=True, slots=True, repr=False)
class Comparisons(Results[Comparison]):
    """Every method and null on the same test models."""

    def table(self) -> pd.DataFrame:
        """One row a task and method, best first; columns are the fields of `Comparison`."""
        return frames.comparison_table(self).sort_values(["task", "mse"], ignore_index=True)

    def figure(self, task: str | None = None) -> Any:
        """Test error of every method with its 90 % interval, on one task.

        Raises:
            InputError: the task is not among them, or there are several and none is named.
        """
        known = list(dict.fromkeys(one.task for one in self))
        chosen = known[0] if task is None and len(known) == 1 else task
        if chosen not in known:
            raise InputError(f"name one task of {', '.join(known)}, got {task!r}")
        rows = [one for one in self if one.task == chosen]
        return comparison.baselines_figure(frames.comparison_table(rows), rows[0].noise_floor)


@dataclass(frozen=True, slots=True, repr=False)
class Forecasts(Results[Forecast]):
    """What a fit says of models that need no accuracy; known is `tables.forecast_table`."""

    fit: Fit
    known: pd.DataFrame = field(compare=False)

    def table(self) -> pd.DataFrame:
        """One row a model, best score first; columns of `tables.forecast_table`."""
        return self.known.copy()

    def figure(self) -> Any:
        """Predicted accuracy with its interval, over training tokens where they are known."""
        return comparison.forecast_figure(self.known, self.fit.gamma)
