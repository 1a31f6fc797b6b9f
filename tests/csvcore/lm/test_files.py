import json
import shutil
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import huggingface_hub.constants
import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from csvcore import lm
from csvcore.errors import ModelError
from csvcore.lm import LoadConfig, find, loading
from csvcore.lm.files import ModelFiles
from tests.support.architectures import save
from tests.support.world import save_gpt2


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("llama", tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def copy(tiny_lm: Path, tmp_path: Path) -> Path:
    """A folder with the GPT-2 in it, to be spoilt."""
    return Path(shutil.copytree(tiny_lm, tmp_path / "copy"))


# Names


def test_a_folder_is_named_by_its_last_part(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy)
    for name in (str(copy), f"{copy}/", ".", "../copy"):
        found = find(name)
        assert (found.name, found.folder, found.gguf) == ("copy", copy.resolve(), None)
        assert lm.model_name(name) == "copy"


def test_a_gguf_file_is_named_without_its_ending(tmp_path: Path) -> None:
    file = tmp_path / "Small-1B.Q4_K_M.gguf"
    file.write_bytes(b"GGUF")
    found = find(str(file))
    assert (found.name, found.folder, found.gguf) == ("Small-1B.Q4_K_M", tmp_path, file.name)
    assert found.weights == found.tokenizer == [file]
    with pytest.raises(ModelError, match="is damaged"):  # it has no header
        _ = found.n_params
    assert lm.model_name(str(file)) == found.name


def test_a_hub_model_keeps_its_name_and_only_safe_files_are_fetched(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    revisions: list[str | None] = []

    def snapshot(
        name: str, revision: str | None, allow_patterns: list[str], ignore_patterns: str
    ) -> str:
        revisions.append(revision)
        assert ignore_patterns == "consolidated*"  # a second copy that some repositories hold
        asked[name] = allow_patterns
        return str(copy)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    found = find("someone/small")
    assert (found.name, found.folder) == ("someone/small", copy)
    assert lm.model_name("someone/small") == "someone/small"
    assert "*.safetensors" in asked["someone/small"]
    assert not {"*.py", "*.bin", "*.pt", "*"} & set(asked["someone/small"])
    find("someone/coded", with_code=True)
    assert "*.py" in asked["someone/coded"]
    assert find("someone/small@step1000").name == "someone/small@step1000"
    assert revisions == [None, None, "step1000"]


# What a model is known by


def test_a_model_is_known_by_what_its_files_hold(tiny_lm: Path, copy: Path, tmp_path: Path) -> None:
    one, two = find(str(tiny_lm)), find(str(copy))
    assert one.weights_sha256 == two.weights_sha256
    assert one.tokenizer_sha256 == two.tokenizer_sha256
    other = find(str(save_gpt2(tmp_path / "other", seed=1)))
    assert other.weights_sha256 != one.weights_sha256
    assert other.tokenizer_sha256 == one.tokenizer_sha256
    (copy / "README.md").write_text("other words")
    assert find(str(copy)).weights_sha256 == one.weights_sha256


def test_a_changed_tokenizer_is_another_one_of_the_same_weights(tiny_lm: Path, copy: Path) -> None:
    (copy / "tokenizer.json").write_text((copy / "tokenizer.json").read_text() + "\n")
    one, two = find(str(tiny_lm)), find(str(copy))
    assert one.weights_sha256 == two.weights_sha256
    assert one.tokenizer_sha256 != two.tokenizer_sha256


def test_a_scorer_is_its_weights_and_its_tokenizer(
    tiny_lm: Path, copy: Path, tmp_path: Path
) -> None:
    wanted = lm.scorer_sha256(str(tiny_lm))
    assert len(wanted) == 64
    assert lm.scorer_sha256(str(copy)) == wanted
    (copy / "tokenizer.json").write_text((copy / "tokenizer.json").read_text() + "\n")
    assert lm.scorer_sha256(str(copy)) != wanted
    assert lm.scorer_sha256(str(save_gpt2(tmp_path / "other", seed=1))) != wanted


def test_the_parameters_are_counted_from_the_headers_alone(llama: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama)
    assert find(str(llama)).n_params == model.num_parameters()


def test_the_parameters_of_a_model_in_several_files_are_all_counted(
    llama: Path, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama)
    model.save_pretrained(tmp_path / "shards", max_shard_size="10KB")
    found = find(str(tmp_path / "shards"))
    assert len(found.weights) > 1
    assert found.n_params == model.num_parameters()


def test_a_second_copy_of_the_weights_that_the_index_does_not_name_is_not_counted(
    llama: Path, tmp_path: Path
) -> None:
    # mistralai/Mistral-7B-v0.3 holds consolidated.safetensors beside the files that are loaded
    model = AutoModelForCausalLM.from_pretrained(llama)
    model.save_pretrained(tmp_path / "twice", max_shard_size="10KB")
    shutil.copy(llama / "model.safetensors", tmp_path / "twice" / "consolidated.safetensors")
    assert find(str(tmp_path / "twice")).n_params == model.num_parameters()


# Safe loading


def test_code_is_not_trusted_and_pickles_are_not_read_and_both_are_said_aloud(
    tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, dict[str, Any]] = {}

    def spy(auto: Any) -> None:
        real = auto.from_pretrained

        def from_pretrained(*args: Any, **more: Any) -> Any:
            given[auto.__name__] = more
            return real(*args, **more)

        monkeypatch.setattr(auto, "from_pretrained", from_pretrained)

    found = find(str(tiny_lm))
    spy(AutoModelForCausalLM)
    lm.load(str(tiny_lm), LoadConfig("cpu"))
    spy(AutoConfig)
    lm.load_config(found)
    assert given["AutoModelForCausalLM"]["trust_remote_code"] is False
    assert given["AutoModelForCausalLM"]["use_safetensors"] is True
    assert given["AutoConfig"]["trust_remote_code"] is False


def test_a_tokenizer_without_tokenizer_json_is_read_without_trust_too(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def from_pretrained(*args: Any, **more: Any) -> Any:
        given.update(more)
        raise ValueError("no such tokenizer\nand more")

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", from_pretrained)
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"^copy cannot be loaded: no such tokenizer$"):
        lm.load_tokenizer(find(str(copy)))
    assert given == {"trust_remote_code": False}


def test_a_slow_tokenizer_is_refused(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        is_fast = False

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: Slow())
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="copy has no fast tokenizer"):
        lm.load_tokenizer(find(str(copy)))


def test_code_in_a_models_folder_does_not_run_unless_asked_for(copy: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    (copy / "own.py").write_text(f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n")
    settings = json.loads((copy / "config.json").read_text())
    settings["model_type"] = "own"
    settings["auto_map"] = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    (copy / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="copy brings Python code of its own"):
        lm.load(str(copy), LoadConfig("cpu"))
    with pytest.raises(ModelError, match="copy brings Python code of its own"):
        lm.load_config(find(str(copy)))
    assert not trace.exists()


# What a configuration says


@pytest.mark.parametrize(
    ("settings", "positions"),
    [
        ({"model_type": "gpt2", "n_positions": 64}, 64),
        ({"model_type": "llama", "max_position_embeddings": 128}, 128),
        ({"model_type": "mamba"}, None),
        ({"model_type": "mpt", "max_seq_len": 96}, 96),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else "",
)
def test_the_context_is_what_a_models_positions_allow(
    tmp_path: Path, settings: dict[str, Any], positions: int | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert lm.context_of(lm.load_config(ModelFiles("m", tmp_path))) == positions


# Refusals


def test_a_folder_or_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for name in (str(tmp_path / "nowhere"), "./nowhere", "a/b/c"):
        with pytest.raises(ModelError, match=rf"there is no folder {name}"):
            find(name)
    with pytest.raises(ModelError, match=r"there is no file nowhere/model\.gguf"):
        find("nowhere/model.gguf")


def _answer(status: int) -> httpx2.Response:
    request = httpx2.Request("GET", "https://huggingface.co/someone/small")
    return httpx2.Response(status, request=request)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            GatedRepoError("403\nlong story", response=_answer(403)),
            r"someone/small is gated: accept its terms on the hub, then set HF_TOKEN",
        ),
        (
            RepositoryNotFoundError("404 no such thing\nlong story", response=_answer(404)),
            r"neither a folder here nor to be had from the hub: 404 no such thing$",
        ),
        (OSError("disk full"), "nor to be had from the hub: disk full"),
    ],
    ids=["gated", "unknown", "disk"],
)
def test_a_hub_model_that_cannot_be_had_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ModelError, match=message):
        find("someone/small")


def test_a_hub_name_is_refused_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="nobody/nothing is neither a folder here nor to be had"):
        lm.load("nobody/nothing")


def test_a_folder_without_safetensors_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    for refused in (lambda: lm.load(str(copy)), lambda: find(str(copy)).weights_sha256):
        with pytest.raises(ModelError, match=r"copy has no \.safetensors file; other weight"):
            refused()


@pytest.mark.parametrize("kept", [0, 100, -500])
def test_damaged_weights_are_refused(copy: Path, kept: int) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(ModelError, match="copy cannot be loaded"):
        lm.load(str(copy))
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        _ = find(str(copy)).n_params


def test_weights_that_lack_a_layer_are_refused_and_not_made_up(copy: Path) -> None:
    # transformers fills what is missing with random numbers and only warns
    weights = load_file(copy / "model.safetensors")
    del weights["transformer.h.0.mlp.c_fc.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"copy lacks the weights .*mlp\.c_fc\.weight"):
        lm.load(str(copy))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", ['{"model_type": "nosuch"}', "[]", "no json"])
def test_a_folder_with_a_damaged_file_is_refused(copy: Path, name: str, content: str) -> None:
    (copy / name).write_text(content)
    with pytest.raises(ModelError, match="copy cannot be loaded"):
        lm.load(str(copy))


def test_a_tokenizer_file_that_lacks_a_field_is_refused(copy: Path) -> None:
    """Tokenizers raises an Exception of no class of its own."""
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    del tokenizer["added_tokens"][0]["special"]
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match=r"^copy cannot be loaded: missing field `special`"):
        lm.load(str(copy))


@pytest.mark.parametrize("content", [b"GGUF", b"", b"no such format" * 9])
def test_a_damaged_gguf_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "small.gguf"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"^small.gguf is damaged: .*; download it again$"):
        lm.load(str(file))


def test_an_unknown_dtype_is_refused_with_the_known_ones(tiny_lm: Path) -> None:
    with pytest.raises(ModelError, match="float32, bfloat16, float16, got 'int3'"):
        lm.load(str(tiny_lm), LoadConfig(dtype="int3"))


@pytest.mark.parametrize("device", ["banana", "cuda:99", "mps:99"])
def test_a_device_that_is_not_there_is_refused(tiny_lm: Path, device: str) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        lm.load(str(tiny_lm), LoadConfig(device))


def test_the_weights_keep_the_dtype_that_was_asked_for(tiny_lm: Path) -> None:
    with safe_open(tiny_lm / "model.safetensors", framework="np") as tensors:
        assert tensors.get_slice("transformer.wte.weight").get_dtype() == "F32"
    for name, dtype in loading.DTYPES.items():
        model = lm.load(str(tiny_lm), LoadConfig("cpu", name))
        assert model.model.dtype == dtype
        assert model.dtype == model.manifest().dtype == name
