"""Measurements in, fits, comparisons and forecasts out: the whole program in a notebook.

Nothing is computed here: every call is one of `pipeline`'s on a results database, and figures are
those of the dashboard. Reading what is stored loads no torch.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Literal
from weakref import finalize

import pandas as pd

from csvcore import frames, store
from csvcore.errors import InputError
from csvcore.fitting import config as fit_config
from csvcore.pipeline import compare as comparing
from csvcore.pipeline import exports, imports
from csvcore.pipeline import fit as fitting
from csvcore.pipeline import predict as predicting
from csvcore.records import Fit, Task
from csvcore.results import Comparisons, Fits, Forecasts, read_fits

File = str | os.PathLike[str]
Report = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Lab:
    """A results database, and which of its corpora and splits to work on; see `open` and `load`.

    scorer: folder or hub name of the scoring model; the bundled one if not given.
    """

    database: Path
    corpus: str
    split: str
    scorer: str | None = None

    def tasks(self) -> list[Task]:
        """The tasks that are stored."""
        with store.connect(self.database, read_only=True) as db:
            return store.tasks(db)

    def models(self) -> pd.DataFrame:
        """One row a model: its card, and a column of accuracy for each task."""
        with store.connect(self.database, read_only=True) as db:
            return frames.models_table(store.models(db), store.accuracies(db))

    def fits(self) -> Fits:
        """All stored fits on this corpus and split, newest first; torch is not loaded."""
        with store.connect(self.database, read_only=True) as db:
            table = store.fits(db)
            own = table[(table["corpus"] == self.corpus) & (table["split"] == self.split)]
            return read_fits(db, own["fit"])

    def fit(
        self,
        *tasks: str,
        method: str = "csv",
        report: Report = lambda step, total, message: None,
        **settings: Any,
    ) -> Fits:
        """One fit per task, all tasks if none is named; those stored already are taken from there.

        Args:
            *tasks: names of tasks.
            method: csv, or a baseline of `csvcore fit --method`.
            report: called with (step, steps, message).
            **settings: fields of `pipeline.FitConfig`, such as seed or algorithm.

        Raises:
            InputError: a task cannot be fitted; see `pipeline.fit`.
        """
        wanted = [(task, method) for task in tasks or [task.task for task in self.tasks()]]
        found = fitting.fit(
            *(self.database, self.corpus, self.split, wanted, self._config(settings), report),
            only_missing=True,
        )
        with store.connect(self.database, read_only=True) as db:
            return read_fits(db, [one.fit for one in found])

    def compare(
        self,
        *tasks: str,
        permutations: int = 0,
        report: Report = lambda step, total, message: None,
        **settings: Any,
    ) -> Comparisons:
        """Every method and null on the test models; see `pipeline.compare`.

        Without tasks, all that can be fitted.
        """
        config = self._config(settings)
        where = (self.database, self.corpus, self.split)
        rows = comparing.compare(*where, tasks, config, report, permutations)
        return Comparisons(tuple(rows))

    def predict(
        self, fit: Fit | str, models: Sequence[str] = (), losses: File | Sequence[File] = ()
    ) -> Forecasts:
        """Accuracy of models that need none, with 90 % intervals; see `pipeline.predict`.

        Args:
            fit: a fit or its id.
            models: names of models with losses in the database; without models and losses, all
                that the fit did not use.
            losses: loss packs of further models on the same corpus.
        """
        name = fit if isinstance(fit, str) else fit.fit
        found = predicting.predict(self.database, name, models, _files(losses))
        with store.connect(self.database, read_only=True) as db:
            record, cards, known = store.fit(db, name), store.models(db), store.accuracies(db)
        observed = {one.model: one.accuracy for one in known if one.task == record.task}
        return Forecasts(tuple(found), record, frames.forecast_table(found, cards, observed))

    def weights(self, fit: Fit | str) -> pd.DataFrame:
        """Salience of every token; columns of `pipeline.token_weights`."""
        with store.connect(self.database, read_only=True) as db:
            rows = exports.token_weights(db, fit if isinstance(fit, str) else fit.fit)
        frame: pd.DataFrame = rows.to_pandas()
        return frame

    def _config(self, settings: dict[str, Any]) -> Any:

        known = signature(fit_config.FitConfig).parameters
        for name in settings:
            if name not in known:
                raise InputError(f"there is no setting {name!r}; there are {', '.join(known)}")
        own = {} if self.scorer is None else {"scorer": self.scorer}
        return fit_config.FitConfig(**own | settings)


def open(
    database: File = "csvcore.duckdb",
    corpus: str | None = None,
    split: str | None = None,
    scorer: str | None = None,
) -> Lab:
    """A results database, as `csvcore init --zoo` and `csvcore import` make it.

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
    corpus: File,
    models: File,
    tasks: File,
    accuracies: File | Sequence[File],
    losses: File | Sequence[File],
    split: File,
    database: File | None = None,
    scorer: str | None = None,
    results: Literal["csv", "lm-eval", "opencompass"] = "csv",
) -> Lab:
    """A new results database of these files (docs/formats.md), all or nothing.

    The corpus and the split are called as their files are.

    Args:
        corpus: documents, one JSON object a line.
        models: model cards.
        tasks: tasks with their chance levels.
        accuracies: one or more files, or folders of lm-evaluation-harness.
        losses: one or more loss packs; one without a manifest counts as of this corpus.
        split: sides of the models.
        database: where to keep it; in a folder that goes with the Lab if not given.
        scorer: see `Lab`.
        results: what wrote the accuracies.

    Raises:
        InputError: a file is not what it should be, or the database is there already.
        OffsetsError: losses do not tile their documents.
    """
    place = None if database is None else Path(database)
    if place is not None and place.exists():
        raise InputError(f"{place} is there already; csvcore.open({str(place)!r}) reads it")
    folder = Path(mkdtemp(prefix=".csvcore-", dir=None if place is None else place.parent))
    building = folder / "results.duckdb"
    lab = Lab(place or building, Path(corpus).stem, Path(split).stem, scorer)
    try:
        imports.init(building)
        imports.import_corpus(building, Path(corpus), lab.corpus)
        imports.import_models(building, Path(models))
        imports.import_tasks(building, Path(tasks))
        imports.import_accuracies(building, _files(accuracies), results)
        imports.import_split(building, Path(split), lab.split)
        imports.import_losses(building, _files(losses), lab.corpus)
        if place is not None:
            building.replace(place)
    except BaseException:
        rmtree(folder)
        raise
    if place is None:
        finalize(lab, rmtree, folder, ignore_errors=True)
    else:
        rmtree(folder)
    return lab


def _files(given: File | Sequence[File]) -> list[Path]:
    return [Path(given)] if isinstance(given, str | os.PathLike) else [Path(one) for one in given]
