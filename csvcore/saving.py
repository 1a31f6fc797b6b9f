"""A mix of documents saved as a corpus of its own, with all losses; the pages may do it too."""

from collections.abc import Sequence
from pathlib import Path

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats.csv_tables import corpus_sha256


def save_mix(database: Path, corpora: Sequence[str], doc_ids: Sequence[str], name: str) -> str:
    """Store some documents of these corpora, with all models' losses on them, as a new corpus.

    Raises:
        InputError: the name is empty, a document is in none of the corpora, or the name is taken by
            another corpus.
    """
    if not name.strip():
        raise InputError("a corpus needs a name; give the mix one")
    with store.connect(database) as db:
        home = {
            doc.doc_id: (corpus, doc) for corpus in corpora for doc in store.documents(db, corpus)
        }
        unknown = [doc_id for doc_id in doc_ids if doc_id not in home]
        if unknown:
            raise InputError(f"there is no document {unknown[0]!r} in {', '.join(corpora)}")
        docs = [home[doc_id][1] for doc_id in doc_ids]
        store.add_corpus(db, name, corpus_sha256(docs), docs)
        for corpus in corpora:
            own = [doc_id for doc_id in doc_ids if home[doc_id][0] == corpus]
            store.copy_losses(db, corpus, name, own)
    return f"corpus {name}: {len(docs)} documents, {len({doc.source for doc in docs})} sources"
