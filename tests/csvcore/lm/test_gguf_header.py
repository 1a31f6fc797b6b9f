"""Laws of GGUF headers: the official writer as a second opinion, and damaged files."""

from pathlib import Path

import numpy as np
import pytest

from csvcore.errors import ModelError
from csvcore.lm import find
from csvcore.lm.gguf_header import n_params

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


def test_all_tensors_count_as_the_official_reader_has_them(file: Path) -> None:
    read = gguf.GGUFReader(file).tensors
    assert n_params(file) == sum(int(tensor.n_elements) for tensor in read) == 3 * 32 + 32
    assert find(str(file)).n_params == 128


def test_files_that_are_cut_off_or_of_another_kind_are_refused(file: Path) -> None:
    whole = file.read_bytes()
    for content, why in (
        (b"", "does not begin as a GGUF file"),
        (b"PK" + whole, "does not begin as a GGUF file"),
        (whole[:100], "requires a buffer"),
        (whole[:4] + b"\x63" + whole[5:], "version 99 of the format is not known"),
    ):
        file.write_bytes(content)
        with pytest.raises(ModelError, match=f"small.gguf is damaged: .*{why}.*download it again"):
            n_params(file)
