"""Removal of stored things together with all that was made from them.

Each function works in the caller's transaction and leaves nothing of the thing in any table.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from csvcore.errors import InputError
from csvcore.methods import reading
from csvcore.store.capabilities import remove_capabilities
from csvcore.store.rehearsal import Edit, Stored
from csvcore.store.rows import Connection

FIT_TABLES = ("fits", "fit_labels", "predictions", "traces", "weights", "unit_weights")
Kind = Literal["models", "tasks", "corpora", "splits", "fits", "accuracies", "losses"]


@dataclass(frozen=True, slots=True)
class Target:
    """Things to remove.

    names: of a kind that has names of its own. models, tasks, corpora: choose among accuracies (by
    model and task) and losses (by corpus and model), where none stands for all.
    """

    kind: Kind
    names: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    corpora: tuple[str, ...] = ()


def removal(target: Target) -> Edit:
    """Return the removal of a target, as a function of an open database.

    Raises:
        InputError: the target chooses nothing.
    """
    chosen = target.names or target.models or target.tasks or target.corpora
    if not chosen:
        raise InputError(f"say which {target.kind} to remove; none is named")

    def edit(db: Connection) -> Stored:
        if target.kind == "accuracies":
            remove_accuracies(db, target.models, target.tasks)
        elif target.kind == "losses":
            remove_losses(db, target.corpora, target.models)
        else:
            _BY_NAME[target.kind](db, target.names)
        return Stored("removed")

    return edit


def remove_models(db: Connection, names: Sequence[str]) -> None:
    """Remove models: cards, losses, accuracies, item results, sides in splits, fits, mix searches.

    Fits go that have a prediction of one of them. A fit that left them out stays, and so do
    reveals, without their names.

    Raises:
        InputError: a model is not stored.
    """
    refuse_unknown("model", names, _column(db, "SELECT model FROM models"))
    fits = "SELECT DISTINCT fit FROM predictions WHERE model IN (SELECT unnest(?))"
    remove_fits(db, _column(db, fits, names))
    db.execute(
        "DELETE FROM mixes WHERE split IN "
        "(SELECT split FROM splits WHERE model IN (SELECT unnest(?)))",
        [list(names)],
    )
    remove_capabilities(db, "models", names)
    for table, column in (("fits", "left_out"), ("reveals", "models")):
        db.execute(
            f"UPDATE {table} SET {column} = [m for m in {column} if NOT list_contains($names, m)] "
            f"WHERE list_has_any({column}, $names)",
            {"names": list(names)},
        )
    for table in ("losses", "manifests", "accuracies", "item_results", "splits", "models"):
        _delete(db, table, "model", names)


def remove_tasks(db: Connection, names: Sequence[str]) -> None:
    """Remove tasks with their accuracies, item results, fits and mix searches.

    Fits of other tasks go too where their method reads the accuracies on these.

    Raises:
        InputError: a task is not stored.
    """
    refuse_unknown("task", names, _column(db, "SELECT task FROM tasks"))
    fits = """
        SELECT fit FROM fits WHERE task IN (SELECT unnest($tasks)) OR (
            method IN (SELECT unnest($reading)) AND fit IN (
                SELECT fit FROM predictions JOIN accuracies USING (model)
                WHERE task IN (SELECT unnest($tasks))
            )
        )
    """
    bound = {"tasks": list(names), "reading": reading("other tasks")}
    remove_fits(db, [row[0] for row in db.execute(fits, bound).fetchall()])
    remove_capabilities(db, "tasks", names)
    for table in ("accuracies", "item_results", "mixes", "tasks"):
        _delete(db, table, "task", names)


def remove_corpora(db: Connection, names: Sequence[str]) -> None:
    """Remove corpora with their documents, losses, fits and mix searches; reveals stay counted.

    Raises:
        InputError: a corpus is not stored.
    """
    refuse_unknown("corpus", names, _column(db, "SELECT corpus FROM corpora"))
    fits = "SELECT fit FROM fits WHERE corpus IN (SELECT unnest(?))"
    remove_fits(db, _column(db, fits, names))
    _delete(db, "mixes", "corpora", _mixes_of(db, names))
    remove_capabilities(db, "corpus", names)
    for table in ("losses", "manifests", "documents", "corpora"):
        _delete(db, table, "corpus", names)


def remove_splits(db: Connection, names: Sequence[str]) -> None:
    """Remove splits with the fits and mix searches on them; reveals stay counted.

    Raises:
        InputError: a split is not stored.
    """
    refuse_unknown("split", names, _column(db, "SELECT DISTINCT split FROM splits"))
    fits = "SELECT fit FROM fits WHERE split IN (SELECT unnest(?))"
    remove_fits(db, _column(db, fits, names))
    remove_capabilities(db, "split", names)
    for table in ("mixes", "splits"):
        _delete(db, table, "split", names)


def remove_fits(db: Connection, names: Sequence[str]) -> None:
    """Remove fits with their names, notes, predictions, traces and weights.

    Raises:
        InputError: a fit is not stored.
    """
    refuse_unknown("fit", names, _column(db, "SELECT fit FROM fits"))
    for table in FIT_TABLES:
        _delete(db, table, "fit", names)


def remove_accuracies(db: Connection, models: Sequence[str], tasks: Sequence[str]) -> None:
    """Remove accuracies with their item results, and the fits and mix searches made with them.

    Args:
        db: an open database.
        models: names; none stands for all.
        tasks: names; none stands for all.

    Raises:
        InputError: a name is not stored, or none has an accuracy.
    """
    refuse_unknown("model", models, _column(db, "SELECT model FROM models"))
    refuse_unknown("task", tasks, _column(db, "SELECT task FROM tasks"))
    _choose(
        db,
        """
        SELECT model, task FROM accuracies
        WHERE (len($models) = 0 OR model IN (SELECT unnest($models)))
          AND (len($tasks) = 0 OR task IN (SELECT unnest($tasks)))
        """,
        {"models": list(models), "tasks": list(tasks)},
    )
    if not _column(db, "SELECT model FROM chosen"):
        chosen = " and ".join(", ".join(names) for names in (models, tasks) if names)
        raise InputError(
            f"there is no accuracy of {chosen or 'any model'}, so none was removed; see the "
            "Overview or `csvcore export tables` for those that are stored"
        )
    forget_accuracies(db)


def forget_accuracies(db: Connection) -> None:
    """Remove the accuracies of the pairs in the temporary table `chosen`, and what rests on them.

    chosen: columns model and task.
    """
    fits = """
        SELECT DISTINCT fit FROM predictions JOIN fits USING (fit) JOIN chosen USING (model)
        WHERE fits.task = chosen.task OR fits.method IN (SELECT unnest(?))
    """
    remove_fits(db, _column(db, fits, reading("other tasks")))
    db.execute(
        "DELETE FROM mixes USING splits, chosen WHERE mixes.split = splits.split "
        "AND splits.model = chosen.model AND mixes.task = chosen.task"
    )
    remove_capabilities(db, "models", _column(db, "SELECT DISTINCT model FROM chosen"))
    for table in ("accuracies", "item_results"):
        db.execute(
            f"DELETE FROM {table} USING chosen "
            f"WHERE {table}.model = chosen.model AND {table}.task = chosen.task"
        )
    db.execute("DROP TABLE chosen")


def remove_losses(db: Connection, corpora: Sequence[str], models: Sequence[str]) -> None:
    """Remove losses, and the fits and mix searches made with them.

    Args:
        db: an open database.
        corpora: names; none stands for all.
        models: names; none stands for all.

    Raises:
        InputError: a name is not stored, or none has losses.
    """
    refuse_unknown("corpus", corpora, _column(db, "SELECT corpus FROM corpora"))
    refuse_unknown("model", models, _column(db, "SELECT model FROM models"))
    _choose(
        db,
        """
        SELECT DISTINCT corpus, model FROM losses
        WHERE (len($models) = 0 OR model IN (SELECT unnest($models)))
          AND (len($corpora) = 0 OR corpus IN (SELECT unnest($corpora)))
        """,
        {"models": list(models), "corpora": list(corpora)},
    )
    if not _column(db, "SELECT model FROM chosen"):
        raise InputError(
            f"there are no losses of {', '.join(models) or 'any model'} on "
            f"{', '.join(corpora) or 'any corpus'}, so none were removed; the Overview shows which "
            "are stored"
        )
    forget_losses(db)


def forget_losses(db: Connection) -> None:
    """Remove the losses of the pairs in the temporary table `chosen`, and what rests on them.

    chosen: columns corpus and model.
    """
    fits = """
        SELECT DISTINCT fit FROM predictions JOIN fits USING (fit) JOIN chosen USING (corpus, model)
    """
    remove_fits(db, _column(db, fits))
    for corpus in _column(db, "SELECT DISTINCT corpus FROM chosen"):
        db.execute(
            "DELETE FROM mixes WHERE corpora IN (SELECT unnest(?)) AND split IN (SELECT split "
            "FROM splits JOIN chosen USING (model) WHERE chosen.corpus = ?)",
            [_mixes_of(db, [corpus]), corpus],
        )
    remove_capabilities(db, "models", _column(db, "SELECT DISTINCT model FROM chosen"))
    for table in ("losses", "manifests"):
        db.execute(
            f"DELETE FROM {table} USING chosen "
            f"WHERE {table}.model = chosen.model AND {table}.corpus = chosen.corpus"
        )
    db.execute("DROP TABLE chosen")


def refuse_unknown(what: str, names: Iterable[str], stored: Iterable[str]) -> None:
    """Raise InputError for the first name that is not stored."""
    known = set(stored)
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        several = sorted(known)
        listed = ", ".join(several[:20]) + (f" and {len(several) - 20} more" * (len(several) > 20))
        raise InputError(f"there is no {what} {unknown!r}; stored: {listed or 'none'}")


def _choose(db: Connection, query: str, values: dict[str, list[str]]) -> None:
    """Fill the temporary table `chosen` with the rows of a query."""
    db.execute(f"CREATE OR REPLACE TEMP TABLE chosen AS {query}", values)


def _column(db: Connection, query: str, names: Sequence[str] | None = None) -> list[str]:
    """Return the first column of a query, names bound to its mark."""
    values = [] if names is None else [list(names)]
    return [row[0] for row in db.execute(query, values).fetchall()]


def _delete(db: Connection, table: str, column: str, names: Sequence[str]) -> None:
    db.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT unnest(?))", [list(names)])


def _mixes_of(db: Connection, corpora: Sequence[str]) -> list[str]:
    """Return the corpora, joined by + as mixes keep them, that have one of these among them."""
    joined = _column(db, "SELECT DISTINCT corpora FROM mixes")
    return [key for key in joined if any(f"+{name}+" in f"+{key}+" for name in corpora)]


_BY_NAME: dict[str, Callable[[Connection, Sequence[str]], None]] = {
    "models": remove_models,
    "tasks": remove_tasks,
    "corpora": remove_corpora,
    "splits": remove_splits,
    "fits": remove_fits,
}
