"""Matching of loss packs to stored corpora."""

from csvcore.errors import InputError
from csvcore.formats import loss_packs
from csvcore.formats.loss_packs import Pack
from csvcore.records import Corpus
from csvcore.store.connection import Connection
from csvcore.store.measurements import corpus, corpus_of_sha256, corpus_sha256


def corpus_of_pack(db: Connection, name: str, pack: Pack, chosen: str | None) -> Corpus:
    """Return the stored corpus that a pack scores, after checking the pack against it.

    Args:
        db: an open database.
        name: the pack, for messages.
        pack: a loss pack.
        chosen: name of the required corpus; None takes the one with the manifest's hash.

    Raises:
        InputError: the pack has no manifest and no corpus was chosen, its corpus is not stored or
            not the chosen one, or it has a document that the corpus lacks.
        OffsetsError: spans that do not tile their document.
    """
    scored_corpus = corpus(db, _corpus_name(db, name, pack, chosen))
    loss_packs.check(name, pack, scored_corpus)
    return scored_corpus


def _corpus_name(db: Connection, name: str, pack: Pack, chosen: str | None) -> str:
    if pack.manifest is None:
        if chosen is None:
            raise InputError(f"{name} has no manifest; say with --corpus which corpus it scores")
        return chosen
    sha256 = str(pack.manifest.corpus_sha256)
    stored = corpus_of_sha256(db, sha256)
    if stored is None or (chosen is not None and sha256 != corpus_sha256(db, chosen)):
        raise InputError(
            f"{name} was made on a corpus with hash {sha256[:12]}, "
            f"{'which is not stored' if chosen is None else f'not on {chosen}'}; "
            "import the corpus it was made on first"
        )
    return chosen or stored
