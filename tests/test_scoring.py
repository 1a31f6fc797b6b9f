import shutil
from collections.abc import Sequence
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from helpers import DOCS, TRAINING_TEXT, save_gpt2
from numpy.testing import assert_allclose
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from csvcore import scoring
from csvcore.errors import Cancelled, ModelError
from csvcore.records import Document, TokenLosses
from csvcore.scoring import LanguageModel

TRICKY = (
    Document("space", "tricky", "  two  spaces\n\tand a tab \n"),
    Document("signs", "tricky", "猫が🎩を🙂 ﬁ e\u0301 \u00e9 \u200b."),
    Document("one", "tricky", "x"),
    Document("control", "tricky", "<s>a</s> <|endoftext|> <unk>"),
)
LIMITS = {"tiny-gpt2": 64, "tiny-llama": 128}


@pytest.fixture(scope="session", params=["tiny_lm", "tiny_llama"])
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    folder = request.getfixturevalue(
        request.param.replace("tiny-gpt2", "tiny_lm").replace("-", "_")
    )
    return scoring.load(str(folder), "cpu")


@pytest.fixture
def copy(tiny_lm: Path, tmp_path: Path) -> Path:
    """A folder with the GPT-2 in it, to be spoilt."""
    return Path(shutil.copytree(tiny_lm, tmp_path / "copy"))


def score(
    lm: LanguageModel, docs: Sequence[Document], batch_tokens: int = 4096
) -> list[TokenLosses]:
    return list(scoring.score(lm, docs, batch_tokens))


# A second opinion: transformers' own loss and states


def test_the_nll_is_the_loss_that_transformers_itself_computes(lm: LanguageModel) -> None:
    for row in score(lm, (*DOCS, *TRICKY)):
        assert row.token_id is not None
        ids = torch.tensor([[lm.prefix.token_id, *row.token_id]])
        with torch.no_grad():
            loss = lm.model(input_ids=ids, labels=ids).loss.item()  # it shifts, so skips the prefix
        assert row.nll.mean() == pytest.approx(loss, abs=1e-5), row.doc_id


def test_hidden_states_are_the_last_ones_of_the_base_model_without_the_prefix(
    lm: LanguageModel,
) -> None:
    texts = [doc.text for doc in (*DOCS, *TRICKY)]
    for encoding, states in scoring.hidden_states(lm, texts, 80):
        ids = torch.tensor([[lm.prefix.token_id, *encoding.token_ids]])
        with torch.no_grad():
            expected = lm.model.base_model(input_ids=ids).last_hidden_state[0, 1:].numpy()
        assert states.shape == (len(encoding.token_ids), 16)
        assert_allclose(states, expected, atol=1e-5)


def test_hidden_states_are_what_the_output_layer_reads(lm: LanguageModel) -> None:
    text = DOCS[0].text
    [(encoding, states)] = list(scoring.hidden_states(lm, [text]))
    ids = torch.tensor([[lm.prefix.token_id, *encoding.token_ids]])
    with torch.no_grad():
        logits = lm.model(input_ids=ids).logits[0, 1:]
        again = lm.model.lm_head(torch.from_numpy(states))
    assert_allclose(again.numpy(), logits.numpy(), atol=1e-4)


# Laws


@pytest.mark.parametrize("batch_tokens", [1, 60, 100_000])
def test_batches_and_padding_change_no_loss(lm: LanguageModel, batch_tokens: int) -> None:
    docs = (*DOCS, *TRICKY)
    alone = [row for doc in docs for row in score(lm, [doc])]
    for one, batched in zip(alone, score(lm, docs, batch_tokens), strict=True):
        assert one.doc_id == batched.doc_id
        assert_allclose(batched.nll, one.nll, atol=1e-5)


def test_batches_stay_within_their_budget_of_padded_tokens(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    padded = scoring._padded

    def watch(lm: LanguageModel, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        ids = padded(lm, rows)
        shapes.append(tuple(ids.shape))
        return ids

    monkeypatch.setattr(scoring, "_padded", watch)
    score(lm, DOCS, 60)
    assert sum(rows for rows, _ in shapes) == len(DOCS)
    assert 1 < len(shapes) < len(DOCS)
    assert all(rows * width <= 60 for rows, width in shapes)


def test_every_token_is_scored_once_and_the_prefix_never(lm: LanguageModel) -> None:
    for doc, row in zip(DOCS, score(lm, DOCS), strict=True):
        plain = lm.tokenizer(doc.text, add_special_tokens=False)["input_ids"]
        assert row.token_id is not None
        assert row.token_id.tolist() == plain
        assert row.nll.shape == row.byte_start.shape == row.byte_end.shape == (len(plain),)
        assert lm.prefix.token_id not in plain


def test_a_tokenizer_that_adds_bos_gets_one_prefix_token_all_the_same(tiny_llama: Path) -> None:
    lm = scoring.load(str(tiny_llama), "cpu")
    assert lm.tokenizer("cat")["input_ids"][0] == lm.prefix.token_id  # it does add BOS
    widths = []
    real = lm.model.forward

    def watch(input_ids: torch.Tensor, **more: object) -> object:
        widths.append(input_ids[0].tolist())
        return real(input_ids=input_ids, **more)

    lm.model.forward = watch
    [row] = score(lm, DOCS[:1])
    assert row.token_id is not None
    assert widths == [[lm.prefix.token_id, *row.token_id]]


def test_the_prefix_is_bos_where_there_is_one_and_else_eos(tiny_lm: Path, tiny_llama: Path) -> None:
    gpt2, llama = (scoring.load(str(folder), "cpu").prefix for folder in (tiny_lm, tiny_llama))
    assert (gpt2.token, gpt2.rule) == ("<|endoftext|>", "eos")
    assert (llama.token, llama.rule) == ("<s>", "bos")


def test_names_of_special_tokens_inside_a_text_are_read_as_text(lm: LanguageModel) -> None:
    text = "a</s><s>b<|endoftext|>c<unk>d"
    encoding = scoring.encode(lm.tokenizer, text)
    assert not set(encoding.token_ids) & set(lm.tokenizer.all_special_ids)
    assert len(encoding.token_ids) > 8
    assert encoding.tiling.edges[-1] == len(text)


@pytest.mark.parametrize("doc", [*DOCS, *TRICKY], ids=lambda doc: doc.doc_id)
def test_spans_tile_the_bytes_of_the_text(lm: LanguageModel, doc: Document) -> None:
    [row] = score(lm, [doc])
    assert row.byte_start[0] == 0
    assert row.byte_end[-1] == len(doc.text.encode())
    assert_allclose(row.byte_start[1:], row.byte_end[:-1])
    assert (row.byte_end >= row.byte_start).all()


def test_losses_are_finite_and_never_negative(lm: LanguageModel) -> None:
    docs = (*DOCS, *TRICKY)
    total = sum(row.nll.sum() for row in score(lm, docs))
    bits_per_byte = total / np.log(2) / sum(len(doc.text.encode()) for doc in docs)
    assert np.isfinite(bits_per_byte)
    assert bits_per_byte > 0
    assert all((row.nll >= 0).all() for row in score(lm, docs))


def test_documents_come_back_in_their_order_however_they_were_batched(lm: LanguageModel) -> None:
    docs = (*TRICKY, *DOCS)
    assert [row.doc_id for row in score(lm, docs, 60)] == [doc.doc_id for doc in docs]


def test_progress_rises_to_all_documents_and_the_caller_can_stop_it(lm: LanguageModel) -> None:
    seen: list[tuple[int, int]] = []
    list(scoring.score(lm, DOCS, 60, lambda done, total: seen.append((done, total))))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (len(DOCS), len(DOCS))

    def stop(done: int, total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        list(scoring.score(lm, DOCS, 60, stop))


def test_bfloat16_weights_give_nearly_the_same_losses(tiny_lm: Path) -> None:
    exact, coarse = (scoring.load(str(tiny_lm), "cpu", dtype) for dtype in ("float32", "bfloat16"))
    for one, two in zip(score(exact, DOCS), score(coarse, DOCS), strict=True):
        # bfloat16 keeps 8 bits; the logits here are below 10, so a loss moves by some hundredths
        assert_allclose(two.nll, one.nll, atol=0.2)


def test_a_model_is_known_by_its_folder_and_by_what_its_files_hold(
    tiny_lm: Path, copy: Path, tmp_path: Path
) -> None:
    one, two = scoring.load(str(tiny_lm), "cpu"), scoring.load(f"{copy}/", "cpu")
    assert (one.name, two.name) == ("tiny-gpt2", "copy")
    assert one.manifest() == two.manifest()
    assert one.weights_sha256 == scoring.weights_sha256(str(copy))
    other = scoring.load(str(save_gpt2(tmp_path / "other", seed=1)), "cpu")
    assert other.weights_sha256 != one.weights_sha256
    assert other.tokenizer_sha256 == one.tokenizer_sha256


def test_the_manifest_says_how_the_losses_were_made(lm: LanguageModel) -> None:
    made = lm.manifest()
    assert (made["dtype"], made["engine"]) == ("float32", "local")
    assert made["prefix"] == {
        "token_id": lm.prefix.token_id,
        "token": lm.prefix.token,
        "rule": lm.prefix.rule,
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
    lm = scoring.load(str(folder), "cpu")
    assert lm.model.config.model_type == "qwen2"
    for text, row in zip(TRAINING_TEXT, score(lm, DOCS), strict=True):
        assert row.token_id is not None
        assert row.token_id.tolist() == core.encode(text, add_special_tokens=False).ids
        assert scoring.encode(lm.tokenizer, text).tiling.exact
        assert row.byte_end[-1] == len(text.encode())


# Refusals


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no folder .*nowhere"):
        scoring.load(str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match=r"there is no folder \./nowhere"):
        scoring.load("./nowhere")


def test_a_hub_name_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="nobody/nothing is neither a folder here nor to be had"):
        scoring.load("nobody/nothing")


def test_a_folder_without_safetensors_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"has no \.safetensors file; other weight formats"):
        scoring.load(str(copy))


def test_an_unknown_dtype_is_refused_with_the_known_ones(tiny_lm: Path) -> None:
    with pytest.raises(ModelError, match="float32, bfloat16, float16, got 'int3'"):
        scoring.load(str(tiny_lm), dtype="int3")


@pytest.mark.parametrize("device", ["banana", "cuda:99", "mps:99"])
def test_a_device_that_is_not_there_is_refused(tiny_lm: Path, device: str) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        scoring.load(str(tiny_lm), device)


@pytest.mark.parametrize("kept", [0, 100, -500])
def test_damaged_weights_are_refused(copy: Path, kept: int) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(ModelError, match="copy cannot be loaded"):
        scoring.load(str(copy))


def test_weights_that_lack_a_layer_are_refused_and_not_made_up(copy: Path) -> None:
    # transformers fills what is missing with random numbers and only warns
    weights = load_file(copy / "model.safetensors")
    del weights["transformer.h.0.mlp.c_fc.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"copy lacks the weights .*mlp\.c_fc\.weight"):
        scoring.load(str(copy))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_folder_with_a_damaged_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).write_text('{"model_type": "nosuch"}')
    with pytest.raises(ModelError, match="copy cannot be loaded"):
        scoring.load(str(copy))


def test_a_tokenizer_with_neither_bos_nor_eos_is_refused(tokenizers: dict[str, Tokenizer]) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizers["byte-level"])
    with pytest.raises(ModelError, match="some-model has neither BOS nor EOS"):
        scoring.prefix_of(bare, "some-model")


def test_a_document_longer_than_the_context_is_refused_by_name_before_anything_is_scored(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = LIMITS[lm.name]
    fitting = Document("fitting", "long", "x" * (limit - 1))
    if lm.name == "tiny-llama":  # its first token is the dummy space
        fitting = Document("fitting", "long", "x" * (limit - 2))
    [row] = score(lm, [fitting])
    assert row.nll.size == limit - 1
    long = Document("too-long", "long", fitting.text + "x")
    monkeypatch.setattr(scoring, "_batch_nll", lambda *_: pytest.fail("a batch was scored"))
    with pytest.raises(
        ModelError, match=f"document too-long has {limit} tokens for {lm.name}.* holds {limit} "
    ):
        score(lm, [*DOCS, long])


def test_a_loss_that_is_not_a_number_is_refused(tiny_lm: Path) -> None:
    lm = scoring.load(str(tiny_lm), "cpu")
    with torch.no_grad():
        lm.model.transformer.ln_f.weight[0] = torch.nan
    with pytest.raises(ModelError, match="tiny-gpt2 gives a loss that is not a number on sum-1"):
        score(lm, DOCS)


def test_a_scorer_with_another_tokenizer_is_another_scorer(tiny_lm: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_lm, copy)
    assert scoring.scorer_sha256(str(copy)) == scoring.scorer_sha256(str(tiny_lm))
    tokenizer = copy / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    assert scoring.weights_sha256(str(copy)) == scoring.weights_sha256(str(tiny_lm))
    assert scoring.scorer_sha256(str(copy)) != scoring.scorer_sha256(str(tiny_lm))
