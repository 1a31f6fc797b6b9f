"""Model files and their hashes: folders, GGUF files, hub repositories."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from safetensors import SafetensorError, safe_open

from csvcore import values
from csvcore.errors import ModelError
from csvcore.lm import gguf_header

WEIGHT_FILES = ("*.safetensors",)
INDEX_FILE = "model.safetensors.index.json"
CONFIG_FILES = ("*.json", "*.txt", "*.model", "*.jinja")
CODE_FILES = ("*.py",)


@dataclass(frozen=True)
class ModelFiles:
    """Files of a model on this machine's disk.

    name: its name in the database. folder: the folder of its files. gguf: name of its GGUF file,
    None for other formats.
    """

    name: str
    folder: Path
    gguf: str | None = None

    @cached_property
    def weights(self) -> list[Path]:
        """Return the weight files, at least one."""
        if self.gguf is not None:
            return [self.folder / self.gguf]
        files = self._indexed() or sorted(self.folder.glob("*.safetensors"))
        if not files:
            raise ModelError(
                f"{self.name} has no .safetensors file; other weight formats are not loaded"
            )
        return files

    def _indexed(self) -> list[Path]:
        """Return the files in the index, if any; some folders hold a second copy of the weights."""
        index = self.folder / INDEX_FILE
        if not index.is_file():
            return []
        try:
            named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{self.name}: {INDEX_FILE} is damaged; download it again") from error
        missing = sorted(name for name in named if not (self.folder / name).is_file())
        if missing:
            raise ModelError(f"{self.name} lacks the file {missing[0]}; download it again")
        return [self.folder / name for name in sorted(named)]

    @cached_property
    def tokenizer(self) -> list[Path]:
        """Return the tokenizer files."""
        if self.gguf is not None:
            return self.weights
        globs = ("tokenizer*", "*.model", "vocab*", "merges*", "special_tokens*", "added_tokens*")
        return sorted({file for glob in globs for file in self.folder.glob(glob)})

    @cached_property
    def weights_sha256(self) -> str:
        """Return a hash of the weights: names and contents of their files."""
        return sha256(self.weights)

    @cached_property
    def tokenizer_sha256(self) -> str:
        """Return a hash of the tokenizer: names and contents of its files."""
        return sha256(self.tokenizer)

    @cached_property
    def n_params(self) -> int:
        """Return the number of parameters, from the weight files' headers."""
        if self.gguf is not None:
            return _n_params_of_gguf(self.folder / self.gguf)
        return sum(_n_params(file) for file in self.weights)


def find(name: str, with_code: bool = False) -> ModelFiles:
    """Find the files of a model, downloading them if the name is a hub repository.

    Args:
        name: a folder, a .gguf file, or a hub name, with @ and a branch or tag where it is not the
            main one, such as org/model@step1000.
        with_code: whether to fetch the repository's own Python files too.

    Raises:
        ModelError: no such folder, file or repository, or a gated repository.
    """
    path = Path(name)
    if path.is_dir():
        return ModelFiles(path.resolve().name, path.resolve())
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ModelError(f"there is no file {name}")
        return ModelFiles(path.stem, path.resolve().parent, path.name)
    if path.is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise ModelError(f"there is no folder {name}")
    return ModelFiles(name, _download(name, with_code))


def _download(name: str, with_code: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    patterns = [*WEIGHT_FILES, *CONFIG_FILES, *(CODE_FILES if with_code else ())]
    repository, _, revision = name.partition("@")
    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision or None,
                allow_patterns=patterns,
                ignore_patterns="consolidated*",
            )
        )
    except GatedRepoError as error:
        raise ModelError(
            f"{name} is gated: accept its terms on the hub, then set HF_TOKEN"
        ) from error
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"{name} is neither a folder here nor to be had from the hub: {first_line(error)}"
        ) from error


def branches(repository: str) -> list[str]:
    """Return the branches and tags of a hub repository.

    Raises:
        ModelError: there is no such repository, or it cannot be had.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        refs = HfApi().list_repo_refs(repository)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ModelError(
            f"{repository} is not to be had from the hub: {first_line(error)}"
        ) from error
    return [ref.name for ref in (*refs.branches, *refs.tags)]


def model_name(name: str) -> str:
    """Return a model's name in the database: its folder's or file's name, or its hub name."""
    path = Path(name)
    folder = path.resolve().name if path.is_dir() else name
    own = path.stem if path.suffix == ".gguf" else folder
    return values.name(own, "the name of a model")


def _n_params(file: Path) -> int:
    try:
        with safe_open(file, framework="np") as tensors:
            keys = list(tensors.keys())
            return sum(math.prod(tensors.get_slice(key).get_shape()) for key in keys)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file.name} is damaged: {first_line(error)}") from error


def _n_params_of_gguf(file: Path) -> int:
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise ModelError(
            f"{file.name} needs the package gguf; install it with `pip install csvcore[gguf]`"
        ) from error
    check_gguf(file)
    try:
        return sum(int(tensor.n_elements) for tensor in GGUFReader(file).tensors)
    except (ValueError, LookupError, OverflowError, TypeError) as error:
        raise ModelError(
            f"{file.name} is damaged: {first_line(error)}; download it again"
        ) from error


def check_gguf(file: Path) -> None:
    """Raise ModelError for a GGUF file whose header would keep its readers busy without an end."""
    try:
        gguf_header.check(file)
    except ValueError as error:
        raise ModelError(f"{file.name} is damaged: {error}; download it again") from error


def sha256(files: Sequence[Path]) -> str:
    """Return the SHA-256 of some files: their names, sizes and contents."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(json.dumps([file.name, file.stat().st_size]).encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """Return an error's first line, for a message of one sentence."""
    return str(error).strip().split("\n")[0]
