"""Evidence on the predictability of tasks, read without any test model."""

import numpy as np

from csvcore import splits
from csvcore.formats.manifest import WHOLE, Manifest
from csvcore.records import Evidence, Floats, ItemStatistics, LossSettings
from csvcore.store.measurements import accuracies, corpus_sha256, manifests, models, split, tasks
from csvcore.store.rows import Connection


def evidence(db: Connection, corpus: str, name: str | None) -> Evidence:
    """Return what is known of tasks and losses from the train and validation models of a split.

    Without a split, all models count as train models.

    Raises:
        InputError: there is no such corpus or split.
    """
    corpus_sha256(db, corpus)
    sides = {} if name is None else split(db, name)
    every = models(db)
    cards = tuple(
        card for card in every if name is None or sides.get(card.model) in ("train", "validation")
    )
    known = {splits.checkpoint_of(card) for card in cards}
    repeats = tuple(
        card
        for card in every
        if name is not None and card.model not in sides and splits.checkpoint_of(card) in known
    )
    names = [card.model for card in cards]
    kept = {*names, *(card.model for card in repeats)}
    sources, source_nll = _source_nll(db, corpus, [*names, *(card.model for card in repeats)])
    made = manifests(db, corpus)
    return Evidence(
        cards=cards,
        sides={model: sides[model] for model in names if model in sides},
        tasks=tuple(tasks(db)),
        accuracies={(e.model, e.task): e for e in accuracies(db) if e.model in kept},
        sources=sources,
        source_nll=source_nll[: len(names)],
        text_nll=_text_nll(db, corpus, names),
        settings={model: _settings(made[model]) for model in names if model in made},
        items=item_statistics(db, names),
        repeats=repeats,
        repeat_nll=source_nll[len(names) :],
    )


def _settings(made: Manifest | None) -> LossSettings:
    if made is None:
        return LossSettings()
    context = None if made == Manifest() else str(made.context or WHOLE)
    return LossSettings(made.dtype, context, made.prefix_rule)


def _source_nll(db: Connection, corpus: str, names: list[str]) -> tuple[tuple[str, ...], Floats]:
    """Return the sources and the mean loss of each, (n_models, n_sources) nats per character."""
    rows = db.execute(
        """
        SELECT source, sum(len(text)), count(*) FROM documents WHERE corpus = ?
        GROUP BY source ORDER BY min(doc_index)
        """,
        [corpus],
    ).fetchall()
    sources = tuple(row[0] for row in rows)
    sizes = {source: (n_chars, n_docs) for source, n_chars, n_docs in rows}
    found = db.execute(
        """
        SELECT model, source, sum(list_sum(nll)), count(*)
        FROM losses JOIN documents USING (corpus, doc_id)
        WHERE corpus = $corpus AND model IN $names GROUP BY model, source
        """,
        {"corpus": corpus, "names": names},
    ).fetchall()
    table = np.full((len(names), len(sources)), np.nan)
    row_of = {name: row for row, name in enumerate(names)}
    for model, source, total, n_docs in found:
        if n_docs == sizes[source][1]:
            table[row_of[model], sources.index(source)] = total / sizes[source][0]
    return sources, table


def _text_nll(db: Connection, corpus: str, names: list[str]) -> Floats:
    """Return the mean loss of the text and of first tokens alone, (n_models, 2)."""
    found = db.execute(
        """
        SELECT model, sum(list_sum(nll)) / any_value(n_chars), sum(nll[1]) / any_value(n_chars)
        FROM losses JOIN corpora USING (corpus)
        WHERE corpus = $corpus AND model IN $names GROUP BY model
        HAVING count(*) = (SELECT count(*) FROM documents WHERE corpus = $corpus)
        """,
        {"corpus": corpus, "names": names},
    ).fetchall()
    by_model = {model: values for model, *values in found}
    unknown = [np.nan, np.nan]
    return np.array([by_model.get(name, unknown) for name in names], float).reshape(-1, 2)


def item_statistics(db: Connection, names: list[str]) -> dict[str, ItemStatistics]:
    """Return the variances of the item results of these models, by task.

    Items that not all of a task's models have are left out; so is a task without a common item.
    """
    rows = db.execute(
        """
        WITH wanted AS (SELECT * FROM item_results WHERE model IN $names),
        of_item AS (
            SELECT task, item, avg(correct) AS mean, var_samp(correct) AS variance,
                count(*) AS n_models
            FROM wanted GROUP BY task, item),
        common AS (
            SELECT * FROM of_item
            JOIN (SELECT task, count(DISTINCT model) AS n_all FROM wanted GROUP BY task)
                USING (task)
            WHERE n_models = n_all),
        of_model AS (
            SELECT task, model, avg(correct) AS mean, var_pop(correct) AS variance
            FROM wanted SEMI JOIN common USING (task, item) GROUP BY task, model)
        SELECT task, any_value(n_models), any_value(n_items), any_value(difficulty), avg(variance),
            any_value(item_variance), var_samp(mean)
        FROM of_model JOIN (
            SELECT task, any_value(n_models) AS n_models, count(*) AS n_items,
                stddev_pop(mean) AS difficulty, avg(variance) AS item_variance
            FROM common GROUP BY task) USING (task)
        GROUP BY task ORDER BY task
        """,
        {"names": names},
    ).fetchall()
    return {row[0]: ItemStatistics(*row[1:3], *(value or 0.0 for value in row[3:])) for row in rows}
