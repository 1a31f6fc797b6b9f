"""The search for a validation mix: its sources and their shares (section 4.4)."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from csvcore import splits, store
from csvcore.analysis import mix_search
from csvcore.analysis.comparison import Target, judge
from csvcore.errors import InputError, StoreError
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, TaskModels, task_models
from csvcore.fitting.identity import fit_requests
from csvcore.fitting.learn import Report, learn
from csvcore.parallel import each
from csvcore.pipeline.dataset import load_for
from csvcore.records import Mix

_Drawn = tuple[Mapping[str, float], Sequence[str]]  # the shares of a mix, and its documents' ids


def mixes(
    database: Path,
    corpora: Sequence[str],
    split: str,
    task: str,
    config: FitConfig,
    budget_tokens: int | None = None,
    report: Report = lambda step, total, message: None,
) -> list[Mix]:
    """Try mixes for a task with weights learnt anew for each, and store them, best first.

    From the best source alone, the source that helps most is added until all are in; then the
    shares of the best of these are doubled or halved while that helps. All mixes have the same
    budget, but for less than a document, since documents are drawn whole; a mix whose sources have
    too few tokens is left out, and so is a second way to the same documents.

    Args:
        database: the results database.
        corpora: names of stored corpora whose sources may be mixed.
        split: name of a stored split.
        task: name of a stored task.
        config: settings of the fits.
        budget_tokens: size of every mix in tokens of the scorer; by default what the smallest
            source has.
        report: called with (step, steps, message); may raise to stop.

    Raises:
        InputError: see `dataset.task_models`; a budget that no mix can have, or a single source.
    """
    report(0, 1, "reading losses")
    data, *others = [load_for(database, corpus, split, config) for corpus in corpora]
    for other in others:
        data = data.joined(other)
    tried = search(data, task_models(data, task), config, budget_tokens, report)
    with store.connect(database) as db:
        for corpus in corpora:
            store.corpus_sha256(db, corpus)  # refuses what was removed meanwhile
        if split not in store.splits(db) or task not in {one.task for one in store.tasks(db)}:
            raise StoreError(f"{split} or {task} was removed during the search; search again")
        store.set_mixes(db, corpora, split, task, tried)
    return tried


def search(
    data: Dataset,
    models: TaskModels,
    config: FitConfig,
    budget_tokens: int | None = None,
    report: Report = lambda step, total, message: None,
) -> list[Mix]:
    """Try mixes as `mixes` does, on a loaded dataset and without storing them."""
    sizes = _tokens_by_source(data)
    if len(sizes) < 2:
        raise InputError(f"a mix needs two sources or more, {data.corpus} has {len(sizes)}")
    budget = min(sizes.values()) if budget_tokens is None else budget_tokens
    if budget > sum(sizes.values()):
        raise InputError(
            f"all sources have {sum(sizes.values()):,} tokens, so no mix has {budget:,}; give fewer"
        )
    found = _Search(data, models, config, budget, report, mix_search.most_mixes(len(sizes)))
    chosen: tuple[str, ...] = ()
    while len(chosen) < len(sizes):
        rest = [source for source in sizes if source not in chosen]
        best = found.best_of([dict.fromkeys((*chosen, source), 1.0) for source in rest])
        # where all are too small, the largest source is the way to a mix that is not
        chosen = best or (*chosen, max(rest, key=sizes.__getitem__))
    if not found.tried:
        raise InputError(f"no document fits into a budget of {budget:,} tokens; give more")
    for _ in range(mix_search.MAX_CHANGES):
        best_mix = found.best()
        drawn = {source: share for source, share in best_mix.shares.items() if share > 0}
        if len(drawn) < 2:
            break
        found.best_of(
            [
                drawn | {source: share * factor}
                for source, share in drawn.items()
                for factor in mix_search.FACTORS
            ]
        )
        if found.best() is best_mix:
            break
    report(found.total, found.total, f"{len(found.tried)} mixes tried")
    return sorted(found.tried.values(), key=lambda mix: mix.error)


class _Search:
    """Mixes tried so far, by their documents: two ways to the same documents are one mix."""

    def __init__(
        self,
        data: Dataset,
        models: TaskModels,
        config: FitConfig,
        budget: int,
        report: Report,
        total: int,
    ) -> None:
        self._data, self._shared = data, (data, models, config)
        self._budget, self._report = budget, report
        self._sizes = _tokens_by_source(data)
        self.total, self._done = total, 0
        self.tried: dict[frozenset[str], Mix] = {}

    def best(self) -> Mix:
        """Return the mix with the smallest error."""
        return min(self.tried.values(), key=lambda mix: mix.error)

    def best_of(self, candidates: Sequence[Mapping[str, float]]) -> tuple[str, ...] | None:
        """Try mixes in these shares; return the sources of the best, None if all are too small."""
        drawn = [(shares, _drawn(self._data, shares, self._budget)) for shares in candidates]
        full = [(shares, ids) for shares, ids in drawn if self._is_full(shares, ids)]
        new: dict[frozenset[str], _Drawn] = {}
        for shares, ids in full:
            if frozenset(ids) not in self.tried:
                new.setdefault(frozenset(ids), (shares, ids))

        def step(done: int, total: int, message: str) -> None:
            self._report(self._done + done, self.total, message)

        judged = list(each(_judged, self._shared, list(new.values()), step))
        self.tried |= dict(zip(new, judged, strict=True))
        self._done += len(candidates)
        errors = [(self.tried[frozenset(ids)].error, tuple(shares)) for shares, ids in full]
        return min(errors)[1] if errors else None

    def _is_full(self, shares: Mapping[str, float], ids: Sequence[str]) -> bool:
        available = sum(self._sizes[source] for source in shares)
        return mix_search.is_full(_n_tokens(self._data, ids), available, self._budget)


def judge_mix(
    data: Dataset,
    models: TaskModels,
    shares: Mapping[str, float],
    budget_tokens: int,
    config: FitConfig,
) -> Mix:
    """Learn CSV weights on documents drawn in these shares and evaluate them."""
    ids = draw_documents(data, shares, budget_tokens)
    return _judged((data, models, config), (shares, ids), lambda step, total, message: None)


def _judged(shared: tuple[Dataset, TaskModels, FitConfig], drawn: _Drawn, report: Report) -> Mix:
    (data, models, config), (shares, ids) = shared, drawn
    report(0, 1, f"mix of {', '.join(shares)}")
    part = data.only(ids)
    task = models.task.task
    config = replace(config, members=1)
    requests = fit_requests(part, {task: models}, [(task, "csv")], config)
    (result,) = learn(part, {task: models}, requests, config)
    fit = result.fit
    if fit.choice is None:
        raise InputError("mixes are judged by the fast fit; leave out --algorithm paper")
    names, source = part.sources()
    count = np.bincount(source, minlength=len(names)) / source.size
    test = models.on("test")
    judged = None
    if test.any():
        by_model = {prediction.model: prediction for prediction in fit.predictions}
        tested = [name for name, is_test in zip(models.names, test, strict=True) if is_test]
        runs = [
            splits.run_of(data.cards[row])
            for row, is_test in zip(models.rows, test, strict=True)
            if is_test
        ]
        predicted = np.array([by_model[name].predicted for name in tested])
        floor = fit.noise_floor.get("test")
        target = Target(task, "test", models.accuracy[test], runs, floor)
        judged = judge(target, "csv", predicted)
    return Mix(
        task=task,
        shares={name: float(count[names.index(name)]) if name in names else 0.0 for name in shares},
        doc_ids=tuple(ids),
        n_tokens=int(source.size),
        error=fit.choice.chosen.cv_error,
        errors=tuple(np.sqrt(list(fit.choice.chosen.errors.values())).tolist()),
        test_mse=judged.mse if judged else None,
        low=judged.low if judged else None,
        high=judged.high if judged else None,
        noise_floor=judged.noise_floor if judged else None,
    )


def draw_documents(data: Dataset, shares: Mapping[str, float], budget_tokens: int) -> list[str]:
    """Draw documents of these sources in a fixed random order until the budget is spent.

    See `mix_search.fill`: where a source has fewer tokens than its share, the others make up for
    it.

    Raises:
        InputError: an unknown source, a share that is not positive, or a budget too small for one
            document.
    """
    names = {doc.source for doc in data.docs}
    for source, share in shares.items():
        if source not in names or share <= 0:
            raise InputError(
                f"a mix needs positive shares of {', '.join(sorted(names))}, got {source}: {share}"
            )
    ids = _drawn(data, shares, budget_tokens)
    if not ids:
        raise InputError(
            f"no document of {', '.join(shares)} fits into {budget_tokens} tokens; give more"
        )
    return ids


def _drawn(data: Dataset, shares: Mapping[str, float], budget_tokens: int) -> list[str]:
    docs: dict[str, list[tuple[str, int]]] = {source: [] for source in shares}
    for doc, cuts in zip(data.docs, data.units.edges, strict=True):
        if doc.source in docs:
            docs[doc.source].append((doc.doc_id, cuts.size - 1))
    for source, of_source in docs.items():
        random.Random(f"mix-{source}").shuffle(of_source)
    sizes = {source: [size for _, size in of_source] for source, of_source in docs.items()}
    taken = mix_search.fill(sizes, shares, budget_tokens)
    return [docs[source][at][0] for source, rows in taken.items() for at in rows]


def _n_tokens(data: Dataset, ids: Sequence[str]) -> int:
    chosen = set(ids)
    pairs = zip(data.docs, data.units.edges, strict=True)
    return sum(cuts.size - 1 for doc, cuts in pairs if doc.doc_id in chosen)


def _tokens_by_source(data: Dataset) -> dict[str, int]:
    names, source = data.sources()
    return dict(zip(names, np.bincount(source, minlength=len(names)).tolist(), strict=True))
