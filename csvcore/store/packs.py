"""Matching of loss packs to stored corpora."""

from csvcore.errors import InputError
from csvcore.formats.manifest import PackManifest
from csvcore.records import Corpus
from csvcore.store.measurements import corpus, corpus_of_sha256, corpus_sha256
from csvcore.store.rows import Connection


def corpus_of_manifest(
    db: Connection, name: str, manifest: PackManifest | None, chosen: str | None
) -> Corpus:
    """Return the stored corpus that a pack scores, by its manifest.

    Args:
        db: an open database.
        name: the pack, for messages.
        manifest: of the pack, if it has one.
        chosen: name of the required corpus; None takes the one with the manifest's hash.

    Raises:
        InputError: the pack has no manifest and no corpus was chosen, or its corpus is not stored
            or not the chosen one.
    """
    if manifest is None:
        if chosen is None:
            raise InputError(f"{name} has no manifest; say with --corpus which corpus it scores")
        return corpus(db, chosen)
    sha256 = str(manifest.corpus_sha256)
    stored = corpus_of_sha256(db, sha256)
    if stored is None or (chosen is not None and sha256 != corpus_sha256(db, chosen)):
        raise InputError(
            f"{name} was made on a corpus with hash {sha256[:12]}, "
            f"{'which is not stored' if chosen is None else f'not on {chosen}'}; "
            "import the corpus it was made on first"
        )
    return corpus(db, chosen or stored)
