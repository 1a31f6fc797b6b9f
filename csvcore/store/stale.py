"""Comparison of a finished fit with what is stored when it ends."""

from csvcore.errors import StoreError
from csvcore.records import Fit
from csvcore.store.rows import Connection, first


def refuse_stale(db: Connection, fit: Fit) -> None:
    """Refuse a fit whose data were removed or changed while it was made.

    Compared are the names of corpus, task and models, and the models' sides and accuracies.

    Raises:
        StoreError: one of them is not as the fit has it.
    """
    wanted = {
        "corpora": ("corpus", [fit.corpus]),
        "tasks": ("task", [fit.task]),
        "models": ("model", [entry.model for entry in fit.predictions]),
    }
    for table, (column, names) in wanted.items():
        gone = first(
            db,
            f"SELECT name FROM (SELECT unnest(?) AS name) "
            f"WHERE name NOT IN (SELECT {column} FROM {table}) ORDER BY name LIMIT 1",
            [names],
        )
        if gone:
            raise StoreError(
                f"the {column} {gone[0]!r} was removed while the fit was made; nothing of the fit "
                "was stored, make it again with what is left"
            )
    changed = first(
        db,
        """
        SELECT e.model
        FROM (SELECT unnest($models) AS model, unnest($sides) AS side, unnest($values) AS value) e
        LEFT JOIN splits s ON s.split = $split AND s.model = e.model
        LEFT JOIN accuracies a ON a.task = $task AND a.model = e.model
        WHERE s.side IS DISTINCT FROM e.side OR a.accuracy IS NULL
           OR abs(a.accuracy - e.value) > 1e-9
        ORDER BY e.model LIMIT 1
        """,
        {
            "models": [entry.model for entry in fit.predictions],
            "sides": [entry.side for entry in fit.predictions],
            "values": [entry.accuracy for entry in fit.predictions],
            "split": fit.split,
            "task": fit.task,
        },
    )
    if changed:
        raise StoreError(
            f"the side or the accuracy of {changed[0]!r} changed while the fit was made; nothing "
            "of the fit was stored, make it again"
        )
