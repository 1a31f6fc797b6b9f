"""The validation corpus, a small version of the paper's, and a corpus of uninformative prose."""

import random
from collections.abc import Callable
from dataclasses import replace

from csvcore.records import Document
from zoo_build import documents
from zoo_build.documents import Draft
from zoo_build.results import result_spans

PER_SOURCE = 100
N_WORKED = 50
CORPUS_SEED = 550
PROSE = "prose"


def validation_corpus() -> list[Document]:
    """Return 100 documents in the form of the tasks' items from five sources, and 50 worked swaps.

    As in the paper's section 4.1, where the 50 are BBH's chain-of-thought exemplars and one source
    stands for both Chinese exams: half of `zh` is of people, half of towns. Questions are of
    entities without training questions, scenes of pairs held out from training.
    """
    people, towns = documents.asked(documents.PEOPLE_ZH), documents.asked(documents.TOWNS_ZH)
    drawn: dict[str, Callable[[random.Random], Draft]] = {
        "facts": lambda rng: documents.facts_quiz(rng, documents.asked(documents.PEOPLE_EN)),
        "scenes": documents.asked_scene,
        "arithmetic": documents.arithmetic,
        "swaps": documents.asked_swaps,
        "swaps-worked": documents.swaps_worked,
        "zh": lambda rng: documents.zh_quiz(rng, people),
        "zh-towns": lambda rng: documents.zh_quiz(rng, towns),
    }
    n_docs = {"swaps-worked": N_WORKED, "zh": PER_SOURCE // 2, "zh-towns": PER_SOURCE // 2}
    corpus = []
    for source, draw in drawn.items():
        corpus += _documents(source, draw, n_docs.get(source, PER_SOURCE))
    return [replace(doc, source="zh") if doc.source == "zh-towns" else doc for doc in corpus]


def prose_corpus() -> list[Document]:
    """Return 100 documents of prose, as an uninformative source for validation mixes."""
    return _documents(PROSE, documents.SOURCES[PROSE], PER_SOURCE)


def _documents(source: str, draw: Callable[[random.Random], Draft], n_docs: int) -> list[Document]:
    """Draw different documents of a source."""
    rng = random.Random(f"{CORPUS_SEED}-{source}")
    chosen: dict[str, Draft] = {}
    while len(chosen) < n_docs:
        draft = draw(rng)
        chosen[draft.text] = draft
    return [
        Document(f"{source}-{i:03d}", source, draft.text, draft.answers, result_spans(draft.text))
        for i, draft in enumerate(chosen.values())
    ]
