"""The search for a validation mix: its sources and their shares (section 4.4)."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from csvcore import splits, store
from csvcore.analysis.comparison import Target, judge
from csvcore.errors import InputError, StoreError
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, TaskModels, task_models
from csvcore.fitting.identity import fit_requests
from csvcore.fitting.learn import Report, learn
from csvcore.pipeline.dataset import load_dataset
from csvcore.records import Mix

FACTORS = (2.0, 0.5)  # by which the share of one source is changed to try another mix
MAX_CHANGES = 3


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
    shares of the best of these are doubled or halved while that helps.

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
        InputError: see `dataset.task_models`; a budget below one document, or a single source.
    """
    report(0, 1, "reading losses")
    data, *others = [
        load_dataset(
            database, corpus, split, config.scorer, config.mask_first_token, config.own_units
        )
        for corpus in corpora
    ]
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
    total = len(sizes) * (len(sizes) + 1) // 2 + MAX_CHANGES * len(FACTORS) * len(sizes)
    tried: list[Mix] = []

    def best_of(candidates: Sequence[Mapping[str, float]]) -> Mix:
        batch = []
        for shares in candidates:
            report(len(tried), total, f"mix of {', '.join(shares)}")
            batch.append(judge_mix(data, models, shares, budget, config))
            tried.append(batch[-1])
        return min(batch, key=lambda mix: mix.error)

    chosen: tuple[str, ...] = ()
    while len(chosen) < len(sizes):
        rest = [source for source in sizes if source not in chosen]
        best = best_of([dict.fromkeys((*chosen, source), 1.0) for source in rest])
        chosen = tuple(best.shares)
    best = min(tried, key=lambda mix: mix.error)
    for _ in range(MAX_CHANGES):
        drawn = {source: share for source, share in best.shares.items() if share > 0}
        if len(drawn) < 2:
            break
        changed = best_of(
            [
                drawn | {source: share * factor}
                for source, share in drawn.items()
                for factor in FACTORS
            ]
        )
        if changed.error >= best.error:
            break
        best = changed
    return sorted(tried, key=lambda mix: mix.error)


def judge_mix(
    data: Dataset,
    models: TaskModels,
    shares: Mapping[str, float],
    budget_tokens: int,
    config: FitConfig,
) -> Mix:
    """Learn CSV weights on documents drawn in these shares and evaluate them."""
    ids = draw_documents(data, shares, budget_tokens)
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
    """Draw documents of these sources in a fixed random order until each has its share.

    A source with fewer tokens than its share contributes all of them.

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
    ids: list[str] = []
    for source, share in shares.items():
        docs = [
            (doc.doc_id, cuts.size - 1)
            for doc, cuts in zip(data.docs, data.units.edges, strict=True)
            if doc.source == source
        ]
        random.Random(f"mix-{source}").shuffle(docs)
        room = budget_tokens * share / sum(shares.values())
        for doc_id, n_tokens in docs:
            if n_tokens > room:
                break
            ids.append(doc_id)
            room -= n_tokens
    if not ids:
        raise InputError(
            f"no document of {', '.join(shares)} fits into {budget_tokens} tokens; give more"
        )
    return ids


def _tokens_by_source(data: Dataset) -> dict[str, int]:
    names, source = data.sources()
    return dict(zip(names, np.bincount(source, minlength=len(names)).tolist(), strict=True))
