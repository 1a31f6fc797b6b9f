from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from csvcore import lm
from csvcore.errors import Cancelled, ModelError
from csvcore.lm import LanguageModel, LoadConfig
from csvcore.lm.losses import CPU_BATCH, GPU_BATCH
from csvcore.lm.passes import Losses, Passes, Segment
from csvcore.records import Document, TokenLosses
from tests.support.world import DOCS, TRAINING_TEXT

TRICKY = (
    Document("space", "tricky", "  two  spaces\n\tand a tab \n"),
    Document("signs", "tricky", "猫が🎩を🙂 ﬁ e\u0301 \u00e9 \u200b."),
    Document("one", "tricky", "x"),
    Document("control", "tricky", "<s>a</s> <|endoftext|> <unk>"),
)


@pytest.fixture(scope="module", params=["tiny_lm", "tiny_llama"])
def folder(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return lm.load(str(folder), LoadConfig("cpu"))


def score(
    model: LanguageModel, docs: Sequence[Document], batch_tokens: int = 4096
) -> list[TokenLosses]:
    return list(lm.score(model, docs, batch_tokens))


# A second opinion: transformers' own loss and states


def test_the_nll_is_the_loss_that_transformers_itself_computes(
    folder: Path, model: LanguageModel
) -> None:
    reference = AutoModelForCausalLM.from_pretrained(folder).eval()
    for row in score(model, (*DOCS, *TRICKY)):
        assert row.token_id is not None
        ids = torch.tensor([[model.prefix.token_id, *row.token_id]])
        with torch.no_grad():
            # the labels are shifted, so the prefix is skipped
            loss = reference(input_ids=ids, labels=ids).loss.item()
        assert row.nll.mean() == pytest.approx(loss, abs=1e-5), row.doc_id


def test_hidden_states_are_the_last_ones_of_the_base_model_without_the_prefix(
    model: LanguageModel,
) -> None:
    texts = [doc.text for doc in (*DOCS, *TRICKY)]
    for encoding, states in lm.hidden_states(model, texts, 80):
        ids = torch.tensor([[model.prefix.token_id, *encoding.token_ids]])
        with torch.no_grad():
            expected = model.model.base_model(input_ids=ids).last_hidden_state[0, 1:].numpy()
        assert states.shape == (len(encoding.token_ids), 16)
        assert_allclose(states, expected, atol=1e-5)


def test_hidden_states_are_what_the_output_layer_reads(model: LanguageModel) -> None:
    text = DOCS[0].text
    [(encoding, states)] = list(lm.hidden_states(model, [text]))
    ids = torch.tensor([[model.prefix.token_id, *encoding.token_ids]])
    with torch.no_grad():
        logits = model.model(input_ids=ids).logits[0, 1:]
        again = model.model.lm_head(torch.from_numpy(states))
    assert_allclose(again.numpy(), logits.numpy(), atol=1e-4)


# Laws


@pytest.mark.parametrize("batch_tokens", [1, 60, 100_000])
def test_batches_and_padding_change_no_loss(model: LanguageModel, batch_tokens: int) -> None:
    docs = (*DOCS, *TRICKY)
    alone = [row for doc in docs for row in score(model, [doc])]
    for one, batched in zip(alone, score(model, docs, batch_tokens), strict=True):
        assert one.doc_id == batched.doc_id
        assert_allclose(batched.nll, one.nll, atol=1e-5)


def test_passes_stay_within_their_budget_of_tokens(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[list[int]] = []
    real = Passes._batch

    def watch(self: Passes, batch: Sequence[Segment]) -> list[Losses]:
        sizes.append([segment.inputs.size for segment in batch])
        found: list[Losses] = real(self, batch)
        return found

    monkeypatch.setattr(Passes, "_batch", watch)
    score(model, DOCS, 60)
    assert sum(len(own) for own in sizes) == len(DOCS)
    assert 1 < len(sizes) < len(DOCS)
    assert all(sum(own) <= 60 or len(own) == 1 for own in sizes)


def test_every_token_is_scored_once_and_the_prefix_never(model: LanguageModel) -> None:
    for doc, row in zip(DOCS, score(model, DOCS), strict=True):
        plain = model.tokenizer(doc.text, add_special_tokens=False)["input_ids"]
        assert row.token_id is not None
        assert row.token_id.tolist() == plain
        assert row.nll.shape == row.byte_start.shape == row.byte_end.shape == (len(plain),)
        assert model.prefix.token_id not in plain


def test_names_of_special_tokens_inside_a_text_are_read_as_text(model: LanguageModel) -> None:
    text = "a</s><s>b<|endoftext|>c<unk>d"
    encoding = lm.encode(model.tokenizer, text)
    assert not set(encoding.token_ids) & set(model.tokenizer.all_special_ids)
    assert len(encoding.token_ids) > 8
    assert encoding.tiling.edges[-1] == len(text)


@pytest.mark.parametrize("doc", [*DOCS, *TRICKY], ids=lambda doc: doc.doc_id)
def test_spans_tile_the_bytes_of_the_text(model: LanguageModel, doc: Document) -> None:
    [row] = score(model, [doc])
    assert row.byte_start[0] == 0
    assert row.byte_end[-1] == len(doc.text.encode())
    assert_allclose(row.byte_start[1:], row.byte_end[:-1])
    assert (row.byte_end >= row.byte_start).all()


def test_losses_are_finite_and_never_negative(model: LanguageModel) -> None:
    docs = (*DOCS, *TRICKY)
    total = sum(row.nll.sum() for row in score(model, docs))
    bits_per_byte = total / np.log(2) / sum(len(doc.text.encode()) for doc in docs)
    assert np.isfinite(bits_per_byte)
    assert bits_per_byte > 0
    assert all((row.nll >= 0).all() for row in score(model, docs))


def test_documents_come_back_in_their_order_however_they_were_batched(model: LanguageModel) -> None:
    docs = (*TRICKY, *DOCS)
    assert [row.doc_id for row in score(model, docs, 60)] == [doc.doc_id for doc in docs]


def test_progress_rises_to_all_documents_and_the_caller_can_stop_it(model: LanguageModel) -> None:
    seen: list[tuple[int, int]] = []
    list(lm.score(model, DOCS, 60, report=lambda done, total: seen.append((done, total))))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert len(seen) > 1
    assert seen[-1] == (len(DOCS), len(DOCS))

    def stop(done: int, total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        list(lm.score(model, DOCS, 60, report=stop))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_weights_give_nearly_the_same_losses(folder: Path, dtype: str) -> None:
    exact, coarse = (lm.load(str(folder), LoadConfig("cpu", name)) for name in ("float32", dtype))
    for one, two in zip(score(exact, DOCS), score(coarse, DOCS), strict=True):
        # bfloat16 keeps 8 bits; the logits here are below 10, so a loss moves by some hundredths
        assert_allclose(two.nll, one.nll, atol=0.2)


def test_the_manifest_says_how_the_losses_were_made(model: LanguageModel) -> None:
    made = model.manifest().to_json()
    assert (made["dtype"], made["engine"]) == ("float32", "transformers")
    assert (made["rows"], made["head"]) == (model.self_test.rows, model.self_test.head)
    assert made["scoring_version"] == lm.SCORING_VERSION
    assert made["prefix"] == {
        "token_id": model.prefix.token_id,
        "token": model.prefix.token,
        "rule": model.prefix.rule,
        "why": model.prefix.why,
    }
    assert all(len(str(made[key])) == 64 for key in ("weights_sha256", "tokenizer_sha256"))


def test_a_folder_keeps_its_own_tokenizer_whatever_its_architecture_usually_has(
    tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    # AutoTokenizer of transformers 5 reads a Unigram in a folder of type qwen2 as Qwen2Tokenizer,
    # which drops the characters it does not know without a word.
    folder = tmp_path / "unigram-qwen2"
    core = tokenizers["unigram-bytes"]
    PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", eos_token="<unk>"
    ).save_pretrained(folder)
    config = Qwen2Config(
        vocab_size=core.get_vocab_size(),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    model = lm.load(str(folder), LoadConfig("cpu"))
    assert model.model.config.model_type == "qwen2"
    for text, row in zip(TRAINING_TEXT, score(model, DOCS), strict=True):
        assert row.token_id is not None
        assert row.token_id.tolist() == core.encode(text, add_special_tokens=False).ids
        assert lm.encode(model.tokenizer, text).tiling.exact
        assert row.byte_end[-1] == len(text.encode())


def test_known_tokens_need_not_be_found_again(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = score(model, DOCS)
    encodings = [lm.encode(model.tokenizer, doc.text) for doc in DOCS]
    monkeypatch.setattr(lm.losses, "encode", lambda *_: pytest.fail("encoded again"))
    for one, two in zip(lm.score(model, DOCS, encodings=encodings), wanted, strict=True):
        assert one.doc_id == two.doc_id
        assert_allclose(one.nll, two.nll, atol=1e-5)


def test_an_empty_text_has_no_tokens_and_no_text_gives_nothing(model: LanguageModel) -> None:
    docs = (Document("empty", "tricky", ""), DOCS[0])
    empty, other = score(model, docs)
    if model.name == "tiny-gpt2":
        assert empty.nll.size == empty.byte_end.size == 0
    assert_allclose(other.nll, score(model, DOCS[:1])[0].nll, atol=1e-5)
    assert score(model, []) == []


@pytest.mark.parametrize("batch_tokens", [None, 1, 500])
def test_the_speed_is_a_positive_number(model: LanguageModel, batch_tokens: int | None) -> None:
    speed = lm.tokens_per_second(model, batch_tokens)
    assert 0 < speed < float("inf")


@pytest.mark.parametrize(
    ("device", "tokens"), [("cpu", CPU_BATCH), ("cuda:1", GPU_BATCH), ("mps", GPU_BATCH)]
)
def test_a_pass_holds_what_suits_its_device(device: str, tokens: int) -> None:
    assert lm.default_batch(device) == tokens


def test_a_loss_that_is_not_a_number_is_refused_with_its_document(tiny_lm: Path) -> None:
    model = lm.load(str(tiny_lm), LoadConfig("cpu"))
    [token] = set(lm.encode(model.tokenizer, "猫").token_ids[:1])
    with torch.no_grad():
        model.model.transformer.wte.weight[token] = torch.nan  # of the head, too: it is tied
    with pytest.raises(ModelError, match="tiny-gpt2 gives a loss that is not a number on sum-1"):
        score(model, DOCS)
