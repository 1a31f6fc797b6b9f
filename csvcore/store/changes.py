"""Differences between two states of a database, for what an import or a removal would change.

The difference is taken from the stored rows themselves, so nothing can change without being listed.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from csvcore.store.rows import Connection

Effect = Literal["added", "changed", "removed"]
EFFECTS: tuple[Effect, ...] = ("removed", "changed", "added")
OPAQUE = "content"  # fields of this name hold a hash: only that they differ is told
Values = Mapping[str, Any]
Key = tuple[str, ...]
State = dict[str, dict[Key, Values]]  # kind of a thing > what tells it from others > its values

# Kinds of things in one and in many, in the order in which they are listed.
PLURALS = {
    "corpus": "corpora",
    "model": "models",
    "task": "tasks",
    "accuracy": "accuracies",
    "set of item results": "sets of item results",
    "set of losses": "sets of losses",
    "side in a split": "sides in splits",
    "fit": "fits",
    "mix search": "mix searches",
    "set of factors": "sets of factors",
    "reveal of a test set": "reveals of test sets",
}
# What a thing is called, from its key, where that is more than a name.
_NAMES = {
    "accuracy": "{} on {}",
    "set of item results": "{} on {}",
    "set of losses": "{} on {}",
    "side in a split": "{} in {}",
    "mix search": "{} on {}, {}",
    "set of factors": "{} on {}",
    "reveal of a test set": "{} on {}, {}",
}
# Each gives a column `key`, a list, and the columns that are its values.
_QUERIES = {
    "corpus": """
        SELECT [corpus] AS key, count(doc_id) AS documents, any_value(n_chars) AS characters,
               any_value(sha256) || '-' || bit_xor(hash(doc_id, answers, results)) AS content
        FROM corpora LEFT JOIN documents USING (corpus) GROUP BY corpus
    """,
    "model": "SELECT [model] AS key, * EXCLUDE (model) FROM models",
    "task": "SELECT [task] AS key, chance, title, array_to_string(sources, ' ') AS sources "
    "FROM tasks",
    "accuracy": "SELECT [model, task] AS key, accuracy, n_items FROM accuracies",
    "set of item results": """
        SELECT [model, task] AS key, count(*) AS items,
               bit_xor(hash(item, correct)) AS content
        FROM item_results GROUP BY model, task
    """,
    "set of losses": """
        SELECT [model, corpus] AS key, coalesce(documents, 0) AS documents,
               md5(manifest) AS content
        FROM (SELECT corpus, model, count(*) AS documents FROM losses GROUP BY corpus, model)
        FULL JOIN manifests USING (corpus, model)
    """,
    "side in a split": "SELECT [model, split] AS key, side FROM splits",
    "fit": """
        SELECT [fit] AS key, array_to_string(left_out, ', ') AS left_out,
               CASE WHEN EXISTS (
                   SELECT 1 FROM predictions p
                   LEFT JOIN splits s ON s.split = f.split AND s.model = p.model
                   WHERE p.fit = f.fit AND p.side IS DISTINCT FROM s.side
               ) THEN 'older than' ELSE 'of' END || ' the split as it is' AS made,
               name, note, nullif(pinned, false) AS pinned
        FROM fits f LEFT JOIN fit_labels USING (fit)
    """,
    "mix search": """
        SELECT [task, corpora, split] AS key, md5(found) AS content FROM mixes
    """,
    "set of factors": "SELECT [corpus, split] AS key, md5(found) AS content FROM capabilities",
    "reveal of a test set": """
        SELECT [split, corpus, strftime(moment, '%Y-%m-%d %H:%M:%S.%f')] AS key,
               array_to_string(list_sort(models), ', ') AS models
        FROM reveals
    """,
}
# Instead of the losses above where those that stay may change: all of them are read.
_WHOLE_LOSSES = """
    SELECT [model, corpus] AS key, coalesce(documents, 0) AS documents,
           md5(concat(hashed, manifest)) AS content
    FROM (SELECT corpus, model, count(*) AS documents,
                 bit_xor(hash(doc_id, byte_start, byte_end, nll, token_id)) AS hashed
          FROM losses GROUP BY corpus, model)
    FULL JOIN manifests USING (corpus, model)
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was added, changed or removed.

    what: a key of PLURALS. name: of the thing, such as `cat on mmlu`. before, after: the values
    that differ, as text; empty on the side where the thing is not there.
    """

    what: str
    name: str
    effect: Effect
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Changes:
    """All that an import or a removal changes.

    message: what was done, in a sentence. rows: in the order of PLURALS. n_unchanged: entries of
    the imported file that are stored already, with the same values.
    """

    message: str
    rows: tuple[Change, ...]
    n_unchanged: int = 0

    @property
    def fingerprint(self) -> str:
        """Return a hash of the rows, that tells whether what was listed is still what changes."""
        rows = [[r.what, r.name, r.effect, r.before, r.after] for r in self.rows]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def names(self, what: str, effect: Effect) -> list[str]:
        """Return the names of the things of a kind with an effect."""
        return [row.name for row in self.rows if (row.what, row.effect) == (what, effect)]

    def counts(self) -> list[tuple[Effect, str, int]]:
        """Return effect, kind and number, removals first."""
        counted = Counter((row.effect, row.what) for row in self.rows)
        return [
            (effect, what, counted[effect, what])
            for effect in EFFECTS
            for what in PLURALS
            if counted[effect, what]
        ]


def counted(what: str, number: int) -> str:
    """Return a number of things of a kind, in words."""
    return f"{number:,} {what if number == 1 else PLURALS[what]}"


def state(db: Connection, whole_losses: bool = False) -> State:
    """Return everything that is stored, by kind and key; whole_losses also reads every loss.

    Without it, losses that stay the same in number count as unchanged.
    """
    return {what: _keyed(db, _query(what, whole_losses)) for what in PLURALS}


def _query(what: str, whole_losses: bool) -> str:
    return _WHOLE_LOSSES if whole_losses and what == "set of losses" else _QUERIES[what]


def _keyed(db: Connection, query: str) -> dict[Key, Values]:
    rows = db.execute(f"{query} ORDER BY key").fetchall()
    columns = [column[0] for column in db.description or ()]
    return {tuple(row[0]): dict(zip(columns[1:], row[1:], strict=True)) for row in rows}


def differences(before: State, after: State) -> tuple[Change, ...]:
    """Return what differs between two states, by kind and key."""
    return tuple(
        _change(
            what, _NAMES.get(what, "{}").format(*key), before[what].get(key), after[what].get(key)
        )
        for what in PLURALS
        for key in sorted(before[what].keys() | after[what].keys())
        if before[what].get(key) != after[what].get(key)
    )


def _change(what: str, name: str, before: Values | None, after: Values | None) -> Change:
    if before is None or after is None:
        effect: Effect = "added" if before is None else "removed"
        return Change(what, name, effect, _text(before or {}), _text(after or {}))
    keys = [key for key in before if before[key] != after[key]]
    if keys == [OPAQUE]:
        return Change(what, name, "changed", "stored content", "other content")
    old, new = ({key: values[key] for key in keys} for values in (before, after))
    return Change(what, name, "changed", _text(old, False), _text(new, False))


def _text(values: Values, known_only: bool = True) -> str:
    """Return values as text, without hashes, and without what is not known unless told."""
    return ", ".join(
        f"{key} {_value(value)}"
        for key, value in values.items()
        if key != OPAQUE and not (known_only and value in (None, ""))
    )


def _value(value: Any) -> str:
    if value is None or value == "":
        return "unknown"
    return f"{value:g}" if isinstance(value, float) else str(value)
