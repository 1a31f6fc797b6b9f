"""Results of the notebook API: frozen records with a pandas table and a Plotly figure."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Protocol, TypeVar, overload

import numpy as np
import pandas as pd

from csvcore import frames, methods, salience, store
from csvcore.analysis.comparison import Comparison
from csvcore.errors import InputError
from csvcore.figures import comparison, law, notebook, panels
from csvcore.figures.forecast import backtest_figure
from csvcore.figures.scales import weight_scale
from csvcore.forecasting.answers import BacktestRow, ForecastRow
from csvcore.formats.dataframes import File
from csvcore.records import Document, Fit, Floats, Ints, ModelPrediction
from csvcore.scaling import standard_errors

Record = TypeVar("Record")
WITH_LAW = ("learnt", "weights", "given", "score")  # kinds of method with a law of one score
SHOWN_ROWS = 30  # of a table that a notebook shows by itself


@dataclass(frozen=True, slots=True, repr=False)
class Results(ABC, Generic[Record]):
    """Frozen records in order."""

    records: tuple[Record, ...]

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        """Return the records."""
        return iter(self.records)

    def __getitem__(self, at: int) -> Record:
        """Return a record."""
        return self.records[at]

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """Return a row for each record."""

    @abstractmethod
    def figure(self) -> Any:
        """Draw the records as a Plotly figure."""

    def plot(self, *args: str) -> Any:
        """Draw the records as a Plotly figure; another name of `figure`."""
        return self.figure(*args)

    def __repr__(self) -> str:
        """Return the table as text, shortened by pandas."""
        return f"{type(self).__name__}:\n{self.table()!r}"

    def _repr_html_(self) -> str:
        return self.table().to_html(max_rows=SHOWN_ROWS)


class Home(Protocol):
    """Where fits are stored, a `Lab`: what else can be asked of them."""

    def weights(self, fit: Fit) -> pd.DataFrame:
        """Return the salience of every token."""

    def weighted_texts(self, fit: Fit) -> tuple[list[Document], list[Ints], Floats]:
        """Return documents, for each its byte boundaries, and a weight for every token."""

    def predict(
        self, fit: Fit, models: Sequence[str], losses: File | Sequence[File]
    ) -> "Predictions":
        """Predict models without measured accuracy."""


@dataclass(frozen=True, slots=True, repr=False)
class Fits(Results[Fit]):
    """Stored fits; known and placed are the tables of `store.fits` and `store.predictions`.

    `fits[0]` is a record, `fits["mmlu"]` the fits of one task. lab: where they are stored.
    """

    known: pd.DataFrame = field(compare=False)
    placed: tuple[pd.DataFrame, ...] = field(compare=False)
    lab: Home = field(compare=False)

    @overload
    def __getitem__(self, at: int) -> Fit: ...

    @overload
    def __getitem__(self, at: str) -> "Fits": ...

    def __getitem__(self, at: int | str) -> "Fit | Fits":
        """Return a record by its number, or the fits of a task by its name.

        Raises:
            InputError: no fit is of the task.
        """
        if not isinstance(at, str):
            return self.records[at]
        rows = [number for number, one in enumerate(self.records) if one.task == at]
        if not rows:
            tasks = ", ".join(dict.fromkeys(one.task for one in self.records)) or "no task"
            raise InputError(f"no fit is of the task {at!r}; there are fits of {tasks}")
        return Fits(
            tuple(self.records[row] for row in rows),
            self.known.iloc[rows].reset_index(drop=True),
            tuple(self.placed[row] for row in rows),
            self.lab,
        )

    @property
    def params(self) -> pd.DataFrame:
        """Return the laws, a row for each fit: task, method, alpha, beta, gamma, standard errors.

        alpha_se and beta_se hold the token weights fixed; they are missing for methods without a
        score, such as the stack.
        """
        rows: list[dict[str, Any]] = []
        for one, placed in zip(self.records, self.placed, strict=True):
            sides = ["train", "validation"] if one.config.get("refit") == "all" else ["train"]
            used = placed[placed["split"].isin(sides)]
            score, accuracy = (used[name].to_numpy(dtype=float) for name in ("score", "accuracy"))
            row: dict[str, Any] = {"task": one.task, "method": one.method}
            row |= {"alpha": one.alpha, "beta": one.beta, "gamma": one.gamma}
            if methods.METHODS[one.method].kind in WITH_LAW:
                of_law = standard_errors(score, accuracy, one.gamma, one.alpha, one.beta)
                row |= dict(zip(("alpha_se", "beta_se"), of_law, strict=True))
            rows.append(row)
        names = ["task", "method", "alpha", "alpha_se", "beta", "beta_se", "gamma"]
        return pd.DataFrame(rows, columns=names)

    def summary(self) -> pd.DataFrame:
        """Return what a fit is and how well it does, a column for each fit."""
        columns: dict[str, dict[str, Any]] = {}
        for one, params in zip(self.records, self.params.itertuples(), strict=True):
            penalty = None if one.choice is None else one.choice.chosen
            columns[f"{one.task}, {one.method}"] = {
                "fit": one.fit,
                **{f"{side} models": count for side, count in one.n_models.items()},
                **{f"{side} MSE": f"{mse:.3g}" for side, mse in one.mse.items()},
                **{f"{side} noise floor": f"{mse:.3g}" for side, mse in one.noise_floor.items()},
                "alpha": f"{params.alpha:.4g} ({params.alpha_se:.2g})",
                "beta": f"{params.beta:.4g} ({params.beta_se:.2g})",
                "gamma": f"{one.gamma:.4g}",
                "pulled to": "" if penalty is None else penalty.pull,
                "penalty": "" if penalty is None else _penalty(penalty.strength),
                "notes": " ".join(one.notes),
            }
        return pd.DataFrame(columns).fillna("")

    @property
    def weights(self) -> pd.DataFrame:
        """Return the salience of every token, a row for each fit and token; see `Lab.weights`.

        Raises:
            InputError: a fit has no token weights.
        """
        parts = []
        for one in self.records:
            parts.append(self.lab.weights(one))
            parts[-1].insert(0, "task", one.task)
            parts[-1].insert(1, "method", one.method)
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def heatmap(self, *documents: str, source: str | None = None) -> Any:
        """Draw texts with each token coloured by its weight, as a widget of a notebook.

        Args:
            *documents: their ids; by default all of the source.
            source: by default the one with the largest share of the absolute weight.

        Raises:
            InputError: not one fit, no such document or source, a fit without token weights, or
                anywidget is not installed.
        """
        if len(self) != 1:
            raise InputError(
                f"a heatmap shows one fit, these are {len(self)}; take one: fits['task'].heatmap()"
            )
        docs, edges, weight = self.lab.weighted_texts(self[0])
        named = source or salience.strongest_source(docs, edges, weight)
        wanted = documents or [doc.doc_id for doc in docs if doc.source == named]
        at = {doc.doc_id: number for number, doc in enumerate(docs)}
        unknown = [f"document {doc_id!r}" for doc_id in wanted if doc_id not in at]
        if unknown or not wanted:
            lacking = unknown[0] if unknown else f"source {named!r}"
            raise InputError(f"the corpus has no {lacking}; lab.documents() lists what it has")
        rows = [at[doc_id] for doc_id in wanted]
        parts = np.split(weight, np.cumsum([cuts.size - 1 for cuts in edges])[:-1])
        texts = [notebook.weighted(docs[row], edges[row], parts[row]) for row in rows]
        return notebook.widget(texts, weight_scale(weight))

    def predict(
        self, losses: File | Sequence[File] = (), models: Sequence[str] = ()
    ) -> pd.DataFrame:
        """Return predictions by every fit: task, method, and columns of `Predictions.table`.

        Args:
            losses: loss packs of further models.
            models: names of stored models; see `Lab.predict`.
        """
        parts = []
        for one in self.records:
            parts.append(self.lab.predict(one, models, losses).table())
            parts[-1].insert(0, "task", one.task)
            parts[-1].insert(1, "method", one.method)
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def table(self) -> pd.DataFrame:
        """Return a row for each fit; columns of `store.fits`."""
        return self.known.copy()

    def predictions(self) -> pd.DataFrame:
        """Return a row for each model and fit: fit, task, method, and `store.predictions`."""
        parts = []
        for one, rows in zip(self.records, self.placed, strict=True):
            parts.append(rows.copy())
            for at, key in enumerate(("fit", "task", "method")):
                parts[-1].insert(at, key, getattr(one, key))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def figure(self) -> Any:
        """Draw accuracy against the capability score with the fitted law, a panel for each fit.

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


def _penalty(strength: float | None) -> str:
    """Return a penalty in words; None is the one that leaves no head."""
    return "no head" if strength is None else f"{strength:.0e}"


def read_fits(db: store.Connection, names: Iterable[str], lab: Home) -> Fits:
    """Read stored fits by their ids."""
    ids = list(names)
    stored = store.fits(db).drop(columns="config").set_index("fit", drop=False)
    rows = stored.loc[ids].reset_index(drop=True)
    return Fits(
        tuple(store.fit(db, name) for name in ids),
        rows,
        tuple(store.predictions(db, name) for name in ids),
        lab,
    )


@dataclass(frozen=True, slots=True, repr=False)
class Comparisons(Results[Comparison]):
    """All methods and trivial baselines on the same test models."""

    def table(self) -> pd.DataFrame:
        """Return a row for each task and method, best first; columns as in `Comparison`."""
        return frames.comparison_table(self).sort_values(["task", "mse"], ignore_index=True)

    def figure(self, task: str | None = None) -> Any:
        """Draw the test error of every method with its 90 % interval, on one task.

        Raises:
            InputError: the task is not among them, or there are several and none is named.
        """
        chosen = _one_task([row.task for row in self], task)
        rows = [row for row in self if row.task == chosen]
        return comparison.baselines_figure(frames.comparison_table(rows), rows[0].noise_floor)


@dataclass(frozen=True, slots=True, repr=False)
class Predictions(Results[ModelPrediction]):
    """Predictions for models without measured accuracy; known is `frames.prediction_table`."""

    fit: Fit
    known: pd.DataFrame = field(compare=False)

    def table(self) -> pd.DataFrame:
        """Return a row for each model, best score first; columns of `frames.prediction_table`."""
        return self.known.copy()

    def figure(self) -> Any:
        """Draw predicted accuracies with intervals, over training tokens where known."""
        return comparison.prediction_figure(self.known, self.fit.gamma)


@dataclass(frozen=True, slots=True, repr=False)
class Forecasts(Results[ForecastRow]):
    """Forecasts of models that are not trained yet; tested has the errors of their backtest."""

    tested: tuple[BacktestRow, ...]

    def table(self) -> pd.DataFrame:
        """Return a row for each model and task; columns as in `ForecastRow`."""
        return pd.DataFrame([asdict(row) for row in self])

    def backtest(self) -> pd.DataFrame:
        """Return the errors on held-out models by task and horizon; columns as in `BacktestRow`."""
        return pd.DataFrame([asdict(row) for row in self.tested])

    def figure(self, task: str | None = None) -> Any:
        """Draw the errors of the backtest of one task by horizon.

        Raises:
            InputError: the task is not among them, or there are several and none is named.
        """
        chosen = _one_task([row.task for row in self], task)
        return backtest_figure([row for row in self.tested if row.task == chosen])


def _one_task(tasks: Iterable[str], wanted: str | None) -> str:
    """Return the wanted task, or the only one."""
    distinct = list(dict.fromkeys(tasks))
    chosen = distinct[0] if wanted is None and len(distinct) == 1 else wanted
    if chosen is None or chosen not in distinct:
        raise InputError(f"name one task of {', '.join(distinct)}, got {wanted!r}")
    return chosen
