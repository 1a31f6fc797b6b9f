"""The validation corpus: the paper's recipe in small."""

import random
from collections.abc import Callable

from csvcore.records import Document
from zoo_build import documents
from zoo_build.documents import Draft

PER_SOURCE = 100
N_WORKED = 50
CORPUS_SEED = 550


def validation_corpus() -> list[Document]:
    """100 documents in the form of each task's items, and 50 with the steps worked out.

    As in the paper's section 4.1, where the 50 are BBH's chain-of-thought exemplars. Questions
    about facts are of people that training never quizzes.
    """
    drawn: dict[str, Callable[[random.Random], Draft]] = {
        **documents.SOURCES,
        "facts": lambda rng: documents.facts_quiz(rng, documents.PEOPLE_EN[documents.QUIZZED :]),
        "zh": lambda rng: documents.zh_quiz(rng, documents.PEOPLE_ZH[documents.QUIZZED :]),
    }
    corpus = []
    for source, draw in drawn.items():
        rng = random.Random(f"{CORPUS_SEED}-{source}")
        n_docs = N_WORKED if source == "tracking-worked" else PER_SOURCE
        chosen: dict[str, Draft] = {}
        while len(chosen) < n_docs:
            draft = draw(rng)
            chosen[draft.text] = draft
        for i, draft in enumerate(chosen.values()):
            corpus.append(Document(f"{source}-{i:03d}", source, draft.text, draft.answers))
    return corpus
