"""The notebook API: fits, comparisons and predictions on a results database.

Every call delegates to `pipeline`; figures are those of the dashboard. Only `fit` and `compare`
import PyTorch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from inspect import signature
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack
from weakref import finalize

import pandas as pd
from tqdm.auto import tqdm

from csvcore import frames, store
from csvcore.capability_records import Capabilities
from csvcore.errors import InputError
from csvcore.formats.dataframes import File, Table, as_file, as_files
from csvcore.pipeline import exports, imports
from csvcore.pipeline.predict import predict
from csvcore.records import Fit, Task
from csvcore.results import Comparisons, Fits, Forecasts, Predictions, read_fits

if TYPE_CHECKING:
    from csvcore.fitting.config import FitConfig

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
        report: Report | None = None,
        **settings: Unpack[Settings],
    ) -> Fits:
        """Fit each task, by default all tasks; a stored fit is read instead.

        Args:
            *tasks: names of tasks.
            method: csv, or a baseline of `csvcore fit --method`.
            report: called with (step, steps, message); by default a progress bar where there is a
                terminal or a notebook.
            **settings: fields of `FitConfig`, such as seed or algorithm.

        Raises:
            InputError: a task cannot be fitted; see `pipeline.fit`.
        """
        from csvcore.pipeline.fit import fit

        wanted = [(task, method) for task in tasks or [task.task for task in self.tasks()]]
        config = self._config(settings)
        with _progress(report) as told:
            fits = fit(
                database=self.database,
                corpus=self.corpus,
                split=self.split,
                wanted=wanted,
                config=config,
                report=told,
                only_missing=True,
            )
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
        """Return the salience of every token: source, text, and columns of `exports.token_weights`.

        The text of a token that is a part of a character has the replacement character U+FFFD.
        """
        name = fit if isinstance(fit, str) else fit.fit
        with store.connect(self.database, read_only=True) as db:
            frame: pd.DataFrame = exports.token_weights(db, name).to_pandas()
            docs = {doc.doc_id: doc for doc in store.documents(db, store.fit(db, name).corpus)}
        encoded = {doc_id: doc.text.encode() for doc_id, doc in docs.items()}
        spans = zip(frame["doc_id"], frame["byte_start"], frame["byte_end"], strict=True)
        frame["text"] = [encoded[doc][a:b].decode(errors="replace") for doc, a, b in spans]
        frame["source"] = [docs[doc_id].source for doc_id in frame["doc_id"]]
        return frame

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


def open(
    database: File = "csvcore.duckdb",
    corpus: str | None = None,
    split: str | None = None,
    scorer: str | None = None,
) -> Lab:
    """Open a results database made by `csvcore init --zoo` or `csvcore import`.

    Args:
        database: its file.
        corpus: name of a stored corpus; may be left out where there is one only.
        split: likewise of a split.
        scorer: see `Lab`.

    Raises:
        StoreError: there is no such database.
        InputError: the name is not stored, or there are several and none is given.
    """
    path = Path(database)
    with store.connect(path, read_only=True) as db:
        corpora, splits = store.corpora(db)["corpus"].tolist(), store.splits(db)
    return Lab(path, _one("corpus", corpus, corpora), _one("split", split, splits), scorer)


def _one(what: str, name: str | None, stored: Sequence[str]) -> str:
    chosen = stored[0] if name is None and len(stored) == 1 else name
    if chosen is None or chosen not in stored:
        raise InputError(
            f"say which {what}: {', '.join(stored) or 'none'} "
            f"{'is' if len(stored) == 1 else 'are'} stored, got {name!r}"
        )
    return chosen


def load(
    *,
    corpus: Table,
    models: Table,
    tasks: Table,
    accuracies: Table | Sequence[File],
    losses: Table | Sequence[File],
    split: Table,
    database: File | None = None,
    scorer: str | None = None,
    results: Literal["csv", "lm-eval", "opencompass"] = "csv",
) -> Lab:
    """Make a new results database of files (docs/formats.md) or DataFrames, all or nothing.

    A DataFrame has the columns of its file. Losses are a row per document with lists, as in a loss
    pack, or a row per token with numbers. The corpus and the split are named after their files, or
    "corpus" and "split". The parameters mirror the files of `csvcore import`, and are keyword-only
    for that reason.

    Args:
        corpus: documents, one JSON object a line.
        models: model cards.
        tasks: tasks with their chance levels.
        accuracies: one or more files, or folders of lm-evaluation-harness.
        losses: one or more loss packs; one without a manifest counts as of this corpus.
        split: sides of the models.
        database: file to keep it in; by default a temporary folder that is deleted with the Lab.
        scorer: see `Lab`.
        results: format of the accuracies.

    Raises:
        InputError: a file is not valid, or the database exists already.
        OffsetsError: losses do not tile their documents.
    """
    path = None if database is None else Path(database)
    if path is not None and path.exists():
        raise InputError(f"{path} is there already; csvcore.open({str(path)!r}) reads it")
    folder = Path(mkdtemp(prefix=".csvcore-", dir=None if path is None else path.parent))
    building = folder / "results.duckdb"
    try:
        texts, sides = as_file(corpus, folder, "corpus"), as_file(split, folder, "split")
        lab = Lab(path or building, texts.stem, sides.stem, scorer)
        imports.init(building)
        imports.import_corpus(building, texts, lab.corpus)
        imports.import_models(building, as_file(models, folder, "models"))
        imports.import_tasks(building, as_file(tasks, folder, "tasks"))
        imports.import_accuracies(building, as_files(accuracies, folder, "accuracies"), results)
        imports.import_split(building, sides, lab.split)
        imports.import_losses(building, as_files(losses, folder, "losses"), lab.corpus)
        if path is not None:
            building.replace(path)
    except BaseException:
        rmtree(folder)
        raise
    if path is None:
        finalize(lab, rmtree, folder, ignore_errors=True)
    else:
        rmtree(folder)
    return lab
