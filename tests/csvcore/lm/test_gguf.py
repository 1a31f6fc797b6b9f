"""Laws of GGUF files: their number of parameters, and damaged files."""

import sys
from pathlib import Path

import numpy as np
import pytest

from csvcore import lm
from csvcore.errors import ModelError
from csvcore.lm import find

gguf = pytest.importorskip("gguf")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with every kind of entry and two tensors."""
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.name", "small")
    writer.add_uint32("llama.block_count", 2)
    writer.add_float32("llama.eps", 1e-5)
    writer.add_bool("tokenizer.add_bos", True)
    writer.add_token_list(["a", "b", "\u20ac"])
    writer.add_token_scores([0.0, 1.0, 2.0])
    writer.add_tensor("token_embd.weight", np.zeros((3, 32), np.float32))
    writer.add_tensor("norm.weight", np.zeros(32, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_parameters_are_the_elements_of_all_tensors(file: Path) -> None:
    assert find(str(file)).n_params == 3 * 32 + 32


def test_files_that_are_cut_off_or_of_another_kind_are_refused(file: Path) -> None:
    whole = file.read_bytes()
    for content in (b"", b"PK" + whole, whole[:100], whole[:4] + b"\x63" + whole[5:]):
        file.write_bytes(content)
        with pytest.raises(ModelError, match=r"small\.gguf is damaged: .*; download it again"):
            _ = find(str(file)).n_params


@pytest.mark.parametrize("claim", [2**40, 2**56, 2**63])
@pytest.mark.parametrize("what", ["tokenizer.ggml.tokens", "tokenizer.ggml.scores"])
def test_a_list_that_claims_more_entries_than_the_file_holds_is_refused(
    file: Path, what: str, claim: int
) -> None:
    """The package gguf counts to the end of the claim (#20)."""
    whole = bytearray(file.read_bytes())
    at = whole.index(what.encode()) + len(what) + 8  # behind the types of the list and its entries
    assert int.from_bytes(whole[at : at + 8], "little") == 3
    whole[at : at + 8] = claim.to_bytes(8, "little")
    file.write_bytes(whole)
    with pytest.raises(ModelError, match=r"small\.gguf is damaged: its header ends too early; "):
        _ = find(str(file)).n_params
    with pytest.raises(ModelError, match="its header ends too early"):
        lm.load_tokenizer(find(str(file)))


def test_a_file_with_any_byte_changed_is_read_or_refused(file: Path) -> None:
    whole = file.read_bytes()
    n_refused = 0
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        try:
            _ = find(str(file)).n_params
        except ModelError:
            n_refused += 1
    assert 100 < n_refused < len(whole)


def test_without_the_package_the_message_says_what_to_install(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModelError, match=r"pip install csvcore\[gguf\]"):
        _ = find(str(file)).n_params
