"""What of the test set the pages may not see until it is revealed; every read passes through here.

A fit's test figures are shown if it is not newer than the last reveal of its corpus and split.
"""

from dataclasses import replace

import pandas as pd

from csvcore import store
from csvcore.records import Fit, Mix


def fit(db: store.Connection, name: str) -> Fit:
    """A stored fit; without its test error and test models while they are hidden."""
    found = store.fit(db, name)
    if name in store.revealed_fits(db):
        return found
    return replace(
        found,
        mse={side: value for side, value in found.mse.items() if side != "test"},
        predictions=tuple(one for one in found.predictions if one.side != "test"),
    )


def fits(db: store.Connection) -> pd.DataFrame:
    """The table of `store.fits`, mse_test missing where it is hidden, and a column revealed."""
    table = store.fits(db)
    table["revealed"] = table["fit"].isin(store.revealed_fits(db))
    table.loc[~table["revealed"], "mse_test"] = pd.NA
    return table


def predictions(db: store.Connection, name: str) -> pd.DataFrame:
    """The table of `store.predictions`, without hidden test models."""
    table = store.predictions(db, name)
    if name in store.revealed_fits(db):
        return table
    return table[table["split"] != "test"].reset_index(drop=True)


def models(db: store.Connection, corpus: str, split: str) -> frozenset[str]:
    """Test models of a split whose accuracies were never revealed."""
    if split not in store.splits(db):
        return frozenset()
    tested = {model for model, side in store.split(db, split).items() if side == "test"}
    return frozenset(tested - store.revealed_models(db, corpus, split))


def models_of_fit(db: store.Connection, name: str) -> frozenset[str]:
    """Models whose accuracies a page about this fit may not show.

    Of a fit that is newer than the last reveal those are all its test models.
    """
    found = store.fit(db, name)
    tested = {one.model for one in found.predictions if one.side == "test"}
    known = set()
    if name in store.revealed_fits(db):
        known = store.revealed_models(db, found.corpus, found.split)
    return models(db, found.corpus, found.split) | frozenset(tested - known)


def mixes_are(db: store.Connection, corpora: tuple[str, ...], split: str, task: str) -> bool:
    """Whether the mixes last tried for a task have test errors that are hidden."""
    found = store.mixes(db, corpora, split, task)
    tested = any(one.test_mse is not None for one in found)
    return tested and not store.revealed_mixes(db, corpora, split, task)


def mixes(db: store.Connection, corpora: tuple[str, ...], split: str, task: str) -> list[Mix]:
    """The mixes of `store.mixes`, without their test errors while they are hidden."""
    found = store.mixes(db, corpora, split, task)
    if store.revealed_mixes(db, corpora, split, task):
        return found
    return [replace(one, test_mse=None, low=None, high=None) for one in found]
