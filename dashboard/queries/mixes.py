"""The recommended mix of a search, stored as a corpus of its own."""

from collections.abc import Sequence

from csvcore.records import Mix
from csvcore.store.mixes import save_mix
from dashboard.queries.database import Database


def store_mix(db: Database, corpora: Sequence[str], mix: Mix, name: str) -> str:
    """Store a mix as a corpus; see `store.mixes.save_mix`."""
    return save_mix(db.path, corpora, mix.doc_ids, name)
