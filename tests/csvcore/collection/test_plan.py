import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer

from csvcore import lm
from csvcore.collection.plan import Plan, common_context, free_memory, plan, windowed
from csvcore.errors import Cancelled, InputError, ModelError
from csvcore.lm import LoadConfig
from csvcore.pipeline import collect
from csvcore.pipeline.collect import CollectConfig
from tests.support.world import DOCS, copies, save_gpt2

CPU = CollectConfig(device="cpu")


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at models loads none of them."""
    monkeypatch.setattr(lm, "load", lambda *_: pytest.fail("a model was loaded"))


def look(name: object, dtype: str = "float32") -> Plan:
    return plan(str(name), DOCS, LoadConfig(dtype=dtype), {})


def with_config(folder: Path, **change: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    return folder


# What a plan says


def test_a_plan_counts_parameters_memory_and_tokens_without_loading(
    tiny_lm: Path, tiny_llama: Path
) -> None:
    from transformers import AutoModelForCausalLM

    for folder, context, kind in ((tiny_lm, 64, "gpt2"), (tiny_llama, 128, "llama")):
        one = look(folder)
        model = AutoModelForCausalLM.from_pretrained(folder)
        tokenizer = lm.load_tokenizer(lm.find(str(folder)))
        assert (one.model, one.model_type, one.context) == (folder.name, kind, context)
        assert one.n_params == model.num_parameters()
        assert one.n_bytes == 4 * model.num_parameters()
        sizes = [len(tokenizer(d.text, add_special_tokens=False).input_ids) for d in DOCS]
        assert list(one.n_tokens) == sizes
        assert one.total_tokens == sum(sizes)
        assert (one.n_approximate, one.stored, one.problem) == (0, False, None)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2), ("float16", 2)])
def test_memory_follows_the_dtype(tiny_lm: Path, dtype: str, size: int) -> None:
    one = look(tiny_lm, dtype)
    assert one.n_params is not None
    assert one.n_bytes == size * one.n_params


def test_parameters_of_all_files_of_a_model_count(tiny_lm: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_lm, tmp_path / "sharded"))
    shutil.copy(folder / "model.safetensors", folder / "model-2.safetensors")
    whole, twice = look(tiny_lm).n_params, look(folder).n_params
    assert whole is not None
    assert twice == 2 * whole


def test_documents_whose_tokens_do_not_spell_them_are_counted(
    tiny_lm: Path, tmp_path: Path, tokenizers: dict[str, Tokenizer]
) -> None:
    folder = Path(shutil.copytree(tiny_lm, tmp_path / "lossy"))
    tokenizers["wordpiece"].save(str(folder / "tokenizer.json"))
    assert look(folder).n_approximate == len(DOCS)


def test_models_with_one_tokenizer_have_their_tokens_counted_once(
    tiny_lm: Path, tiny_llama: Path, words_db: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    texts: list[str] = []
    real = lm.encode
    monkeypatch.setattr(lm, "encode", lambda *a: (texts.append(a[1]), real(*a))[1])
    names = [*copies(tmp_path, tiny_lm, "one", "two", "three"), str(tiny_llama)]
    plans = collect.prepare(words_db, names, "words", CPU).plans
    assert len(texts) == 2 * len(DOCS)
    assert plans[0].n_tokens == plans[1].n_tokens == plans[2].n_tokens == look(tiny_lm).n_tokens
    assert plans[3].n_tokens == look(tiny_llama).n_tokens


def test_free_memory_is_less_than_the_machine_has() -> None:
    import psutil

    assert 0 < free_memory() < psutil.virtual_memory().total


# Problems are part of the answer


@pytest.fixture
def broken(tiny_lm: Path, tmp_path: Path) -> dict[str, Path]:
    """A model in each kind of bad order."""
    names = ("torn", "unknown", "no-weights", "no-config", "no-tokenizer", "own-code", "bad-json")
    found = dict(zip(names, map(Path, copies(tmp_path / "broken", tiny_lm, *names)), strict=True))
    content = (tiny_lm / "model.safetensors").read_bytes()
    (found["torn"] / "model.safetensors").write_bytes(content[:40])
    with_config(found["unknown"], model_type="hal9000")
    (found["no-weights"] / "model.safetensors").unlink()
    (found["no-config"] / "config.json").unlink()
    (found["no-tokenizer"] / "tokenizer.json").unlink()
    (found["no-tokenizer"] / "tokenizer_config.json").unlink()
    with_config(
        found["own-code"],
        model_type="evil",
        auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"},
    )
    (found["own-code"] / "evil.py").write_text("raise SystemExit('its code was run')\n")
    (found["bad-json"] / "config.json").write_text('{"model_type": ')
    return found


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("torn", r"^model\.safetensors is damaged: "),
        ("unknown", "^unknown cannot be loaded: .*hal9000"),
        ("no-weights", r"^no-weights has no \.safetensors file"),
        ("no-config", "^no-config cannot be loaded: "),
        ("no-tokenizer", "tokenizer"),
        ("own-code", "^own-code brings Python code of its own"),
        ("bad-json", "^bad-json cannot be loaded: "),
    ],
)
def test_a_model_in_bad_order_is_a_problem_of_one_line(
    broken: dict[str, Path], which: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    one = look(broken[which])
    assert one.problem is not None
    with pytest.raises(ModelError, match=message):
        raise ModelError(one.problem)
    assert "\n" not in one.problem
    assert (one.model, one.total_tokens, one.context) == (which, 0, None)


def test_one_models_problem_leaves_the_others_plans_alone(
    words_db: Path, tiny_lm: Path, broken: dict[str, Path], tmp_path: Path
) -> None:
    names = [str(tmp_path / "nowhere"), str(tiny_lm), str(broken["torn"])]
    plans = collect.prepare(words_db, names, "words", CPU).plans
    assert [one.problem is None for one in plans] == [False, True, False]
    assert plans[0].problem == f"there is no folder {tmp_path / 'nowhere'}"
    assert plans[1] == look(tiny_lm)


def test_gated_and_missing_repositories_are_problems_with_what_to_do(
    words_db: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    def download(name: str, **_: object) -> str:
        if name == "good/one":
            return str(tiny_lm)
        response: Any = SimpleNamespace(headers={}, request=None)
        kind = GatedRepoError if name == "gated/one" else RepositoryNotFoundError
        raise kind(f"no access to {name}\nRequest ID: 7", response=response)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    names = ["gated/one", "good/one", "no/such"]
    gated, good, missing = collect.prepare(words_db, names, "words", CPU).plans
    assert gated.problem == "gated/one is gated: accept its terms on the hub, then set HF_TOKEN"
    assert missing.problem is not None
    assert missing.problem.startswith("no/such is neither a folder here nor to be had from the hub")
    assert "\n" not in missing.problem
    assert (good.model, good.problem) == ("good/one", None)


# Contexts


def test_the_common_context_is_the_smallest_and_models_without_bounds_have_any() -> None:
    plans = [Plan("a", "a", context=64), Plan("b", "b", context=32), Plan("c", "c", context=None)]
    assert common_context(plans, None) == 32
    assert common_context(plans, 16) == 16
    assert common_context(plans, 32) == 32
    assert common_context(plans[2:], None) is None
    assert common_context(plans[2:], 7) == 7
    assert common_context([], None) is None
    with pytest.raises(InputError, match=r"^b has a context of 32 tokens; --context 33 is more$"):
        common_context(plans, 33)


def test_a_document_as_long_as_the_context_needs_no_windows() -> None:
    assert windowed((3, 4, 5, 9), 4) == 2
    assert windowed((3, 4, 5, 9), None) == 0


def test_a_model_that_fails_does_not_shorten_the_others_context(
    words_db: Path, tiny_lm: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    short = with_config(Path(shutil.copytree(tiny_lm, tmp_path / "short")), n_positions=8)
    (short / "model.safetensors").unlink()
    both = collect.prepare(words_db, [str(short), str(tiny_llama)], "words", CPU)
    assert both.context == 128
    assert both.notes == ()
    both = collect.prepare(words_db, [str(tiny_lm), str(tiny_llama)], "words", CPU)
    assert both.context == 64


def test_a_larger_context_than_a_model_has_is_refused_by_its_name(
    words_db: Path, tiny_lm: Path, tiny_llama: Path
) -> None:
    names = [str(tiny_lm), str(tiny_llama)]
    config = CollectConfig(device="cpu", context=100)
    with pytest.raises(InputError, match="tiny-gpt2 has a context of 64 tokens; --context 100 is"):
        collect.prepare(words_db, names, "words", config)
    assert collect.prepare(words_db, names[1:], "words", config).context == 100


def test_long_documents_are_noted_with_the_common_context(words_db: Path, tiny_lm: Path) -> None:
    config = CollectConfig(device="cpu", context=15)
    found = collect.prepare(words_db, [str(tiny_lm)], "words", config)
    n_long = sum(n > 15 for n in found.plans[0].n_tokens)
    assert 0 < n_long < len(DOCS)
    assert found.notes == (
        f"{n_long} documents are longer than the common context of 15 tokens and are seen through "
        "overlapping windows",
    )


# Notes on memory


def test_a_model_larger_than_the_free_memory_is_noted(
    words_db: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def notes(device: str) -> tuple[str, ...]:
        return collect.prepare(
            words_db, [str(tiny_lm)], "words", CollectConfig(device=device)
        ).notes

    size = look(tiny_lm).n_bytes
    assert size is not None
    monkeypatch.setattr(collect, "free_memory", lambda: size)
    assert notes("cpu") == ()
    monkeypatch.setattr(collect, "free_memory", lambda: size - 1)
    for device in ("cpu", "auto"):
        [note] = notes(device)
        assert note.startswith("tiny-gpt2 takes 0.0 GiB, and 0.0 GiB of the machine's memory are")
        assert note.endswith("--dtype bfloat16 halves it")
    assert notes("cuda") == ()


def test_a_model_whose_size_is_not_known_is_not_noted(
    words_db: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*arguments: Any) -> Plan:
        known = plan(*arguments)
        return Plan(known.name, known.model, known.files, n_tokens=known.n_tokens, context=64)

    monkeypatch.setattr(collect, "plan", unknown)
    monkeypatch.setattr(collect, "free_memory", lambda: 0)
    assert collect.prepare(words_db, [str(tiny_lm)], "words", CPU).notes == ()


# Refusals before any model is looked at


@pytest.mark.parametrize(
    ("names", "corpus", "config", "message"),
    [
        (["some/model"], "wrods", CPU, "there is no corpus 'wrods'; stored: words"),
        (["some/model"], "words", CollectConfig(dtype="int3"), "dtype must be one of float32, bfl"),
        (["some/model"], "words", CollectConfig(prefix="banana"), "prefix must be one of auto, b"),
        (["a/one", "b/two", "a/one"], "words", CPU, "two of the models are called a/one"),
        (["m/one.gguf", "n/one.gguf"], "words", CPU, "two of the models are called one; rename"),
    ],
)
def test_what_is_wrong_for_all_models_is_refused_before_any_is_looked_at(
    words_db: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    corpus: str,
    config: CollectConfig,
    message: str,
) -> None:
    monkeypatch.setattr(collect, "plan", lambda *_: pytest.fail("a model was looked at"))
    with pytest.raises(InputError, match=message):
        collect.prepare(words_db, names, corpus, config)


@pytest.mark.parametrize("window", [None, 20])
def test_a_stride_beyond_the_context_is_refused(
    words_db: Path, tiny_lm: Path, window: int | None
) -> None:
    config = CollectConfig(device="cpu", context=window, stride=65)
    with pytest.raises(InputError, match=f"stride.*65.*{window or 64}|{window or 64}.*65"):
        collect.prepare(words_db, [str(tiny_lm)], "words", config)


def test_two_folders_of_one_name_are_refused(words_db: Path, tiny_lm: Path, tmp_path: Path) -> None:
    other = save_gpt2(tmp_path / "tiny-gpt2", seed=1)
    with pytest.raises(InputError, match="two of the models are called tiny-gpt2; rename one fol"):
        collect.prepare(words_db, [str(tiny_lm), str(other)], "words", CPU)


def test_every_model_is_announced_before_it_is_looked_at_and_that_may_stop_it(
    words_db: Path, tiny_lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    monkeypatch.setattr(
        collect, "plan", lambda *a: (events.append(f"looked at {a[0]}"), plan(*a))[1]
    )

    def say(model: str) -> None:
        events.append(model)
        if model == "third":
            raise Cancelled("enough")

    names = copies(tmp_path, tiny_lm, "first", "second", "third")
    with pytest.raises(Cancelled):
        collect.prepare(words_db, names, "words", CPU, say)
    assert events == [
        "first", f"looked at {names[0]}", "second", f"looked at {names[1]}", "third",
    ]  # fmt: skip
