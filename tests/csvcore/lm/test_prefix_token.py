from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from csvcore import lm
from csvcore.errors import ModelError
from csvcore.lm import LanguageModel, LoadConfig, Prefix
from csvcore.lm.loading import PROBE
from csvcore.lm.passes import decoder
from csvcore.lm.prefix_token import SEPARATOR, choose_prefix, legal_prefixes
from tests.support import architectures
from tests.support.architectures import full_nll
from tests.support.world import DOCS

N_VOCAB = 10  # of the stubs' models


class Stub:
    """A tokenizer with what `csvcore.lm.prefix_token` reads."""

    def __init__(
        self, bos: int | None, eos: int | None, separator: int | None, adds: bool = False
    ) -> None:
        self.bos_token_id, self.bos_token = bos, "<s>"
        self.eos_token_id, self.eos_token = eos, "</s>"
        self.vocab = {} if separator is None else {SEPARATOR: separator}
        self.adds = adds

    def get_vocab(self) -> dict[str, int]:
        return self.vocab

    def __call__(self, text: str) -> Any:
        class Coded:
            input_ids = [self.bos_token_id, 7] if self.adds else [7]

        return Coded()


def losing(**losses: float) -> Callable[[Prefix], float]:
    return lambda prefix: losses[prefix.rule]


ONLY, BEST, OWN, ASKED = (
    "the only one",
    "the best of those tried",
    "the tokenizer's own",
    "asked for",
)
RULES = {
    "adds BOS, whatever it costs": (Stub(1, 2, 3, adds=True), (9.0, 1.0, 2.0), ("bos", OWN)),
    "BOS is the best": (Stub(1, 2, 3), (1.0, 2.0, 3.0), ("bos", BEST)),
    "EOS is better than BOS": (Stub(1, 2, None), (2.0, 1.0, 0.0), ("eos", BEST)),
    "the separator is the best": (Stub(1, 2, 3), (2.0, 3.0, 1.0), ("separator", BEST)),
    "no BOS, EOS is the best": (Stub(None, 2, 3), (0.0, 1.0, 2.0), ("eos", BEST)),
    "no BOS, the separator is the best": (Stub(None, 2, 3), (0.0, 2.0, 1.0), ("separator", BEST)),
    "no BOS, no separator": (Stub(None, 2, None), (0.0, 1.0, 0.0), ("eos", ONLY)),
    "a separator alone": (Stub(None, None, 3), (0.0, 0.0, 1.0), ("separator", ONLY)),
    "BOS and EOS are one": (Stub(2, 2, None), (1.0, 1.0, 0.0), ("bos", ONLY)),
    "all three are one": (Stub(2, 2, 2, adds=True), (1.0, 1.0, 1.0), ("bos", ONLY)),
    "BOS beyond the model": (Stub(10, 2, 3), (0.0, 2.0, 1.0), ("separator", BEST)),
    "only EOS within it": (Stub(10, 9, 11), (0.0, 2.0, 0.0), ("eos", ONLY)),
    "BOS of id 0": (Stub(0, 2, None, adds=True), (1.0, 0.5, 0.0), ("bos", OWN)),
}


@pytest.mark.parametrize("case", RULES)
def test_the_prefix_is_chosen_by_rule(case: str) -> None:
    tokenizer, (bos, eos, separator), (rule, why) = RULES[case]
    known = {"bos": bos, "eos": eos, "separator": separator}
    found = choose_prefix(tokenizer, N_VOCAB, "m", "auto", losing(**known))
    assert (found.rule, found.why) == (rule, why)
    legal = legal_prefixes(tokenizer, N_VOCAB)
    assert (found.token_id, found.token) == (legal[rule].token_id, legal[rule].token)
    assert set(found.tried) == set(legal)
    assert all(found.tried[name] == known[name] for name in legal)


@pytest.mark.parametrize("wanted", ["bos", "eos", "separator"])
def test_the_prefix_asked_for_is_taken_however_much_it_costs(wanted: str) -> None:
    costs = {"bos": 1.0, "eos": 1.0, "separator": 1.0, wanted: 5.0}
    found = choose_prefix(Stub(1, 2, 3, adds=True), N_VOCAB, "m", wanted, losing(**costs))
    assert (found.rule, found.why) == (wanted, ASKED)


def test_a_prefix_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(
        ModelError, match="m has no prefix 'bos' of its own; --prefix may be auto, "
    ):
        choose_prefix(Stub(None, 2, 3), N_VOCAB, "m", "bos", losing(eos=1.0, separator=1.0))
    with pytest.raises(ModelError, match=r"'banana' .* may be auto, eos, separator$"):
        choose_prefix(Stub(None, 2, 3), N_VOCAB, "m", "banana", losing(eos=1.0, separator=1.0))


@pytest.mark.parametrize("wanted", ["auto", "bos"])
def test_a_tokenizer_with_neither_bos_nor_eos_is_refused(
    tokenizers: dict[str, Tokenizer], wanted: str
) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizers["byte-level"])
    with pytest.raises(ModelError, match="some-model has neither BOS nor EOS"):
        choose_prefix(bare, 1000, "some-model", wanted, losing())


# The warning


def test_a_much_better_prefix_is_worth_a_warning_and_a_little_better_one_is_not() -> None:
    def warning(bos: float, eos: float) -> str | None:
        return choose_prefix(
            Stub(1, 2, None), N_VOCAB, "m", "bos", losing(bos=bos, eos=eos)
        ).warning

    assert warning(2.0, 1.25) == (
        "behind bos a text costs 0.75 nats a character more than behind eos; consider --prefix eos"
    )
    assert warning(1.05, 1.0) is None
    assert warning(1.0, 2.0) is None
    assert Prefix(1, "<s>", "bos").warning is None


# With real models


def inputs_of(model: LanguageModel, run: Callable[[], object]) -> list[list[int]]:
    """The rows of token ids that the model gets."""
    passed: list[list[int]] = []
    hook = decoder(model.model).register_forward_pre_hook(
        lambda module, args, more: passed.extend(more["input_ids"].tolist()), with_kwargs=True
    )
    try:
        run()
    finally:
        hook.remove()
    return passed


def test_a_tokenizer_that_adds_bos_gets_one_prefix_token_all_the_same(tiny_llama: Path) -> None:
    model = lm.load(str(tiny_llama))
    assert model.tokenizer("cat")["input_ids"][0] == model.prefix.token_id  # it does add BOS
    rows: list[Any] = []
    [passed] = inputs_of(model, lambda: rows.extend(lm.score(model, DOCS[:1])))
    # nothing follows the last token
    assert passed == [model.prefix.token_id, *rows[0].token_id[:-1]]


def test_a_packed_row_has_the_prefix_once_a_text(tiny_llama: Path) -> None:
    model = lm.load(str(tiny_llama))
    assert model.self_test.rows == "packed"
    passed = inputs_of(model, lambda: list(lm.score(model, DOCS, 1000)))
    assert sum(row.count(model.prefix.token_id) for row in passed) == len(DOCS)


def test_hidden_states_too_stand_behind_one_prefix(tiny_llama: Path) -> None:
    model = lm.load(str(tiny_llama))
    encoding = lm.encode(model.tokenizer, DOCS[0].text)
    passed = inputs_of(model, lambda: list(lm.hidden_states(model, [DOCS[0].text])))
    assert passed == [[model.prefix.token_id, *encoding.token_ids]]


def test_the_prefix_of_a_model_is_bos_where_its_tokenizer_adds_it_and_else_the_only_one(
    tiny_lm: Path, tiny_llama: Path
) -> None:
    gpt2, llama = (lm.load(str(folder)).prefix for folder in (tiny_lm, tiny_llama))
    assert (gpt2.token, gpt2.rule, gpt2.why) == ("<|endoftext|>", "eos", ONLY)
    assert (llama.token, llama.rule, llama.why) == ("<s>", "bos", OWN)
    assert set(llama.tried) == {"bos", "eos"}


def test_the_prefix_asked_for_is_the_one_that_is_given(tiny_llama: Path) -> None:
    model = lm.load(str(tiny_llama), LoadConfig(prefix="eos"))
    assert (model.prefix.token, model.prefix.rule, model.prefix.why) == ("</s>", "eos", ASKED)
    [passed] = inputs_of(model, lambda: list(lm.score(model, DOCS[:1])))
    assert passed[0] == model.tokenizer.eos_token_id
    with pytest.raises(ModelError, match=r"tiny-llama.* no prefix 'separator'.* auto, bos, eos"):
        lm.load(str(tiny_llama), LoadConfig(prefix="separator"))


def test_what_was_tried_is_the_loss_of_the_probe_text_a_character(tmp_path: Path) -> None:
    folder = architectures.save("llama", tmp_path / "llama")  # its positions hold all of the text
    model = lm.load(str(folder), LoadConfig("cpu"))
    ids = model.tokenizer(PROBE, add_special_tokens=False)["input_ids"]
    wanted = full_nll(model.model, model.prefix.token_id, np.array(ids)).sum() / len(PROBE)
    assert set(model.prefix.tried) == {"bos", "eos", "separator"}
    assert all(found == pytest.approx(wanted, rel=1e-5) for found in model.prefix.tried.values())


@pytest.mark.parametrize("fixture", ["tiny_lm", "tiny_llama"])
def test_a_model_with_fewer_positions_than_the_probe_text_has_tokens_is_loaded_all_the_same(
    request: pytest.FixtureRequest, fixture: str
) -> None:
    model = lm.load(str(request.getfixturevalue(fixture)), LoadConfig("cpu"))
    assert model.max_tokens is not None
    assert len(lm.encode(model.tokenizer, PROBE).token_ids) > model.max_tokens
    assert {"eos"} <= model.prefix.tried.keys()
    assert all(0 < tried < 10 for tried in model.prefix.tried.values())
