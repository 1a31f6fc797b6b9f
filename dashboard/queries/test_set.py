"""Reads that omit test results until they are revealed; all fits and accuracies come from here.

A fit's test results are shown if it is not newer than the last reveal of its corpus and split.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pandas as pd

from csvcore import store
from csvcore.capability_records import Capabilities
from csvcore.errors import InputError
from csvcore.records import Accuracy, Control, Evidence, Fit, Mix, Trained
from csvcore.report import fit_page


def is_revealed(con: store.Connection, name: str) -> bool:
    """Return whether a fit's test results may be shown."""
    return name in store.revealed_fits(con)


def fit(con: store.Connection, name: str) -> Fit:
    """Return a stored fit; without its test error and test models while they are hidden."""
    record = store.fit(con, name)
    if is_revealed(con, name):
        return record
    return replace(
        record,
        mse={side: value for side, value in record.mse.items() if side != "test"},
        predictions=tuple(entry for entry in record.predictions if entry.side != "test"),
    )


def fits(con: store.Connection) -> pd.DataFrame:
    """Return the table of `store.fits` and a column revealed; a hidden mse_test is missing."""
    table = store.fits(con)
    table["revealed"] = table["fit"].isin(store.revealed_fits(con))
    table.loc[~table["revealed"], "mse_test"] = pd.NA
    return table


def trained(con: store.Connection, corpus: str, split: str) -> Trained:
    """Return the models of `store.trained`, none of which is a test model."""
    return store.trained(con, corpus, split)


def timings(con: store.Connection) -> pd.DataFrame:
    """Return the table of `store.timings`, which has no errors."""
    return store.timings(con)


def control(con: store.Connection, name: str) -> Control | None:
    """Return the permutation control of a fit, which knows no test model."""
    return store.control(con, name)


def predictions(con: store.Connection, name: str) -> pd.DataFrame:
    """Return the table of `store.predictions`, without hidden test models."""
    table = store.predictions(con, name)
    if is_revealed(con, name):
        return table
    return table[table["split"] != "test"].reset_index(drop=True)


def accuracies(con: store.Connection, hidden: Collection[str]) -> list[Accuracy]:
    """Return the stored accuracies, without those of hidden models."""
    return [entry for entry in store.accuracies(con) if entry.model not in hidden]


def accuracy_keys(con: store.Connection) -> set[tuple[str, str]]:
    """Return the model and task of each stored accuracy, without its value."""
    return {(entry.model, entry.task) for entry in store.accuracies(con)}


def results_by_item(con: store.Connection, task: str, hidden: Collection[str]) -> pd.DataFrame:
    """Return the table of `store.results_by_item`, without hidden models."""
    results = store.results_by_item(con, task)
    return results.drop(columns=[model for model in results if model in hidden]).dropna(how="all")


def evidence(con: store.Connection, corpus: str, split: str) -> Evidence:
    """Return `store.evidence`, which has no test model of the split."""
    return store.evidence(con, corpus, split)


def report(database: Path, name: str) -> str:
    """Return the report of a fit as one HTML page.

    Raises:
        InputError: its test results, which the report shows, are hidden.
    """
    with store.connect(database, read_only=True) as con:
        revealed = is_revealed(con, name)
    if not revealed:
        raise InputError(f"the report of {name} shows test errors; reveal its test set first")
    return fit_page(database, name)[1]


def models(con: store.Connection, corpus: str, split: str) -> frozenset[str]:
    """Return the test models of a split whose accuracies were never revealed."""
    if split not in store.splits(con):
        return frozenset()
    tested = {model for model, side in store.split(con, split).items() if side == "test"}
    return frozenset(tested - store.revealed_models(con, corpus, split))


def models_of_fit(con: store.Connection, name: str) -> frozenset[str]:
    """Return the models whose accuracies a page about this fit may not show.

    These are all its test models if the fit is newer than the last reveal.
    """
    record = store.fit(con, name)
    tested = {entry.model for entry in record.predictions if entry.side == "test"}
    revealed = set()
    if is_revealed(con, name):
        revealed = store.revealed_models(con, record.corpus, record.split)
    return models(con, record.corpus, record.split) | frozenset(tested - revealed)


def mixes_are_hidden(
    con: store.Connection, corpora: tuple[str, ...], split: str, task: str
) -> bool:
    """Return whether the mixes of the last search have hidden test errors."""
    stored = store.mixes(con, corpora, split, task)
    tested = any(mix.test_mse is not None for mix in stored)
    return tested and not store.revealed_mixes(con, corpora, split, task)


def mixes(con: store.Connection, corpora: tuple[str, ...], split: str, task: str) -> list[Mix]:
    """Return the mixes of `store.mixes`, without their test errors while they are hidden."""
    stored = store.mixes(con, corpora, split, task)
    if store.revealed_mixes(con, corpora, split, task):
        return stored
    return [replace(mix, test_mse=None, low=None, high=None) for mix in stored]


def capabilities_are_hidden(con: store.Connection, corpus: str, split: str) -> bool:
    """Return whether the factors last found have hidden test errors."""
    stored = store.capabilities(con, corpus, split)
    tested = stored is not None and any(row.n_test for row in stored.tasks)
    return tested and not store.revealed_capabilities(con, corpus, split)


def capabilities(con: store.Connection, corpus: str, split: str) -> Capabilities | None:
    """Return the factors last found, without their test errors while they are hidden."""
    stored = store.capabilities(con, corpus, split)
    if stored is None or store.revealed_capabilities(con, corpus, split):
        return stored
    return store.without_test(stored)
