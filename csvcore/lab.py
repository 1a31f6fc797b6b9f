"""The notebook API: fits, comparisons and predictions on a results database.

Every call delegates to `pipeline`; figures are those of the dashboard. Only `fit` and `compare`
import PyTorch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import pandas as pd
from tqdm.auto import tqdm

from csvcore import frames, store
from csvcore.capability_records import Capabilities
from csvcore.errors import InputError
from csvcore.formats.dataframes import File, as_files
from csvcore.pipeline.predict import predict
from csvcore.records import Document, Fit, Floats, Ints, Task
from csvcore.results import Comparisons, Fits, Forecasts, Predictions, read_fits

if TYPE_CHECKING:
    from csvcore.fitting.config import FitConfig
    from csvcore.pipeline.own_weights import Weights

Report = Callable[[int, int, str], None]


class Settings(TypedDict, total=False):
    """Settings of a fit; the fields of `csvcore.fitting.config.FitConfig`."""

    algorithm: Literal["fast", "paper"]
    steps: int | None
    learning_rate: float
    seed: int
    scorer: str
    mask_first_token: bool
    own_units: bool
    activation: Literal["exp", "softplus"] | None
    members: int
    penalty: float | None
    label: str
    label_spans: str
    refit: Literal["all", "train"]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Lab:
    """A results database with a corpus and a split to work on; see `open` and `load`.

    scorer: folder or hub name of the scoring model; the bundled one if not given.
    """

    database: Path
    corpus: str
    split: str
    scorer: str | None = None

    def tasks(self) -> list[Task]:
        """Return the stored tasks."""
        with store.connect(self.database, read_only=True) as db:
            return store.tasks(db)

    def documents(self) -> pd.DataFrame:
        """Return a row for each document of the corpus: doc_id, source, text, answers, results."""
        with store.connect(self.database, read_only=True) as db:
            return pd.DataFrame([asdict(doc) for doc in store.documents(db, self.corpus)])

    def models(self) -> pd.DataFrame:
        """Return a row for each model: its card, and a column of accuracy for each task."""
        with store.connect(self.database, read_only=True) as db:
            return frames.models_table(store.models(db), store.accuracies(db))

    def fits(self) -> Fits:
        """Return all stored fits on this corpus and split, newest first."""
        with store.connect(self.database, read_only=True) as db:
            table = store.fits(db)
            here = table[(table["corpus"] == self.corpus) & (table["split"] == self.split)]
            return read_fits(db, here["fit"], self)

    def fit(
        self,
        *tasks: str,
        method: str = "csv",
        weights: "Weights | None" = None,
        pulls: "Mapping[str, Weights] | None" = None,
        report: Report | None = None,
        **settings: Unpack[Settings],
    ) -> Fits:
        """Fit each task, by default all tasks; a stored fit is read instead.

        Args:
            *tasks: names of tasks.
            method: csv, or a baseline of `csvcore fit --method`.
            weights: your own in place of a method's, (n_tokens,) in the order of `tokens`, or a
                function that makes them of that table; see `pipeline.own_weights`.
            pulls: such weights by name, that learnt ones may be pulled towards.
            report: called with (step, steps, message); by default a progress bar where there is a
                terminal or a notebook.
            **settings: fields of `FitConfig`, such as seed or algorithm.

        Raises:
            InputError: a task cannot be fitted; see `pipeline.fit`.
        """
        from csvcore.pipeline import own_weights
        from csvcore.pipeline.fit import fit

        if weights is not None and (method != "csv" or pulls):
            raise InputError("weights of your own take the place of a method and of pulls")
        names = tasks or [task.task for task in self.tasks()]
        wanted = [(task, method) for task in names]
        config, at = self._config(settings), (self.database, self.corpus, self.split)
        with _progress(report) as told:
            if weights is not None:
                fits = own_weights.fit_weights(*at, names, weights, config, told)
            elif pulls:
                fits = own_weights.fit_pulled(*at, wanted, pulls, config, told)
            else:
                fits = fit(*at, wanted, config, told, only_missing=True)
        with store.connect(self.database, read_only=True) as db:
            return read_fits(db, [record.fit for record in fits], self)

    def compare(
        self,
        *tasks: str,
        permutations: int = 0,
        report: Report | None = None,
        **settings: Unpack[Settings],
    ) -> Comparisons:
        """Compare every method and trivial baseline on the test models; see `pipeline.compare`.

        Without tasks, all that can be fitted.
        """
        from csvcore.pipeline.compare import compare

        config = self._config(settings)
        with _progress(report) as told:
            rows = compare(
                self.database, self.corpus, self.split, tasks, config, told, permutations
            )
        return Comparisons(tuple(rows))

    def leave_one_family_out(
        self, *tasks: str, report: Report | None = None, **settings: Unpack[Settings]
    ) -> pd.DataFrame:
        """Compare every method with each family left out in turn, on splits of their own.

        Returns:
            A row for each family, task and method: family, split, and columns as in `Comparison`.
        """
        from csvcore.pipeline.leave_one_family_out import leave_one_family_out

        config = self._config(settings)
        with _progress(report) as told:
            found = leave_one_family_out(self.database, self.corpus, tasks, config, told)
        table = frames.comparison_table([entry.row for entry in found])
        table.insert(0, "family", [entry.family for entry in found])
        table.insert(1, "split", [entry.split for entry in found])
        return table

    def mixes(
        self,
        task: str,
        *corpora: str,
        budget_tokens: int | None = None,
        report: Report | None = None,
        **settings: Unpack[Settings],
    ) -> pd.DataFrame:
        """Search for the mix of sources that predicts a task best; see `pipeline.mixes`.

        Args:
            task: its name.
            *corpora: further corpora whose sources may be drawn from.
            budget_tokens: tokens of every mix.
            report: see `fit`.
            **settings: see `fit`.

        Returns:
            A row for each mix that was tried, best first; columns as in `records.Mix`.
        """
        from csvcore.pipeline.mixes import mixes

        config, names = self._config(settings), [self.corpus, *corpora]
        with _progress(report) as told:
            tried = mixes(self.database, names, self.split, task, config, budget_tokens, told)
        return pd.DataFrame([asdict(mix) for mix in tried])

    def capabilities(
        self,
        *tasks: str,
        n_factors: int | None = None,
        permutations: int = 20,
        few_shot: int = 5,
        report: Report | None = None,
        **settings: Unpack[Settings],
    ) -> Capabilities:
        """Find the factors that tasks share; see `pipeline.capabilities`.

        Args:
            *tasks: names; by default all that can be fitted.
            n_factors: a number of factors in place of a chosen one.
            permutations: shuffles of the accuracies for the control of each factor.
            few_shot: known train models of a task that borrows the others' heads, 0 for none.
            report: see `fit`.
            **settings: see `fit`.
        """
        from csvcore.fitting.capabilities import CapabilityConfig
        from csvcore.pipeline.capabilities import capabilities

        config = self._config(settings)
        wanted = CapabilityConfig(n_factors, permutations, few_shot)
        with _progress(report) as told:
            return capabilities(self.database, self.corpus, self.split, tasks, config, wanted, told)

    def predict(
        self, fit: Fit | str, models: Sequence[str] = (), losses: File | Sequence[File] = ()
    ) -> Predictions:
        """Predict models without measured accuracy, with 90 % intervals; see `pipeline.predict`.

        Args:
            fit: a fit or its id.
            models: names of models with losses in the database; without models and losses, all
                that the fit did not use.
            losses: loss packs of further models on the same corpus.
        """
        name = fit if isinstance(fit, str) else fit.fit
        predictions = predict(self.database, name, models, as_files(losses))
        with store.connect(self.database, read_only=True) as db:
            record, cards, entries = store.fit(db, name), store.models(db), store.accuracies(db)
        observed = {entry.model: entry.accuracy for entry in entries if entry.task == record.task}
        table = frames.prediction_table(predictions, cards, observed)
        return Predictions(tuple(predictions), record, table)

    def forecast(
        self,
        n_params: int | None = None,
        train_tokens: int | None = None,
        *,
        models: Sequence[str] = (),
        families: Sequence[str] = (),
        tasks: Sequence[str] = (),
    ) -> Forecasts:
        """Forecast models that are not trained yet, with a backtest; see `pipeline.forecast`.

        Args:
            n_params: parameters of a model.
            train_tokens: its training tokens.
            models: names of stored models, of which the cards alone are read.
            families: whose models are taken; by default the named model's own, else all.
            tasks: names; by default all.

        Raises:
            InputError: no model is named, or too few are trained.
        """
        from csvcore.pipeline.forecast import forecast

        if (n_params is None) != (train_tokens is None) or (n_params is None and not models):
            raise InputError("name a model by n_params and train_tokens, or by models")
        sizes = [] if n_params is None or train_tokens is None else [(n_params, train_tokens)]
        found = forecast(self.database, self.corpus, self.split, sizes, models, families, tasks)
        return Forecasts(tuple(found.rows), tuple(found.backtest))

    def weights(self, fit: Fit | str) -> pd.DataFrame:
        """Return the salience of every token: weight, and columns of `frames.token_table`."""
        docs, edges, weight = self.weighted_texts(fit)
        return frames.token_table(docs, edges).assign(weight=weight)

    def weighted_texts(self, fit: Fit | str) -> tuple[list[Document], list[Ints], Floats]:
        """Return a fit's documents, for each its byte boundaries, and a weight for every token."""
        name = fit if isinstance(fit, str) else fit.fit
        with store.connect(self.database, read_only=True) as db:
            edges, weight = store.weight_vector(db, name)
            return store.documents(db, store.fit(db, name).corpus), edges, weight

    def tokens(self, **settings: Unpack[Settings]) -> pd.DataFrame:
        """Return the tokens that a fit with these settings weighs; see `frames.token_table`."""
        from csvcore.pipeline.own_weights import tokens

        return tokens(self.database, self.corpus, self.split, self._config(settings))

    def _config(self, settings: Settings) -> "FitConfig":
        """Return the settings of a fit; refuse unknown names."""
        from csvcore.fitting.config import FitConfig

        names = signature(FitConfig).parameters
        for name in settings:
            if name not in names:
                raise InputError(f"there is no setting {name!r}; there are {', '.join(names)}")
        given: dict[str, Any] = {} if self.scorer is None else {"scorer": self.scorer}
        return FitConfig(**{**given, **settings})


@contextmanager
def _progress(report: Report | None) -> Iterator[Report]:
    """Give the caller's report, or one that draws a bar where there is a terminal or a notebook."""
    if report is not None:
        yield report
        return
    with tqdm(total=0, leave=False, disable=None) as bar:

        def draw(step: int, total: int, message: str) -> None:
            bar.total, bar.n = total, step
            bar.set_description_str(message, refresh=True)

        yield draw
