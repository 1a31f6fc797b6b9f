"""A causal LM over texts: token nll with byte spans, and the last hidden states.

The only module that speaks to transformers. Weights load from safetensors, code from a model's
repository never runs, and chat templates are never applied.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from csvcore.alignment import Tiling, tile
from csvcore.errors import ModelError
from csvcore.records import Document, TokenLosses

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # callers show their own
transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # we refuse instead

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
WEIGHT_FILES = ("*.safetensors",)
CONFIG_FILES = ("*.json", "*.txt", "*.model")
# What loading raises for damaged files, unknown architectures and devices that are not here; torch
# without CUDA asserts.
UNLOADABLE = (OSError, ValueError, KeyError, RuntimeError, AssertionError, SafetensorError)


@dataclass(frozen=True, slots=True)
class Prefix:
    """The one token put before every text, so that its first token has a prediction.

    rule says where it came from: `bos` or, for tokenizers without one, `eos` as the separator.
    """

    token_id: int
    token: str
    rule: str


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A loaded model with its tokenizer, prefix and identity, ready to score."""

    name: str
    model: Any
    tokenizer: Any
    prefix: Prefix
    max_tokens: int
    device: str
    dtype: str
    weights_sha256: str
    tokenizer_sha256: str

    def manifest(self) -> dict[str, str | dict[str, str | int]]:
        """What a loss pack says of this model (contracts: `csvcore.manifest`)."""
        return {
            "weights_sha256": self.weights_sha256,
            "tokenizer_sha256": self.tokenizer_sha256,
            "prefix": {
                "token_id": self.prefix.token_id,
                "token": self.prefix.token,
                "rule": self.prefix.rule,
            },
            "dtype": self.dtype,
            "engine": "local",
        }


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text as this model's tokens: ids (n_tokens,) without prefix, and where they lie."""

    token_ids: tuple[int, ...]
    tiling: Tiling


def best_device() -> str:
    """The fastest device here: cuda, then mps, then cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def load(name: str, device: str = "auto", dtype: str = "float32") -> LanguageModel:
    """Load a causal LM from a local folder or by its hub name.

    Args:
        name: folder or hub name; the last part of a folder's path becomes the model's name.
        device: cuda, mps, cpu or auto.
        dtype: of the weights; losses are reduced in float32 in any case.

    Raises:
        ModelError: no such folder or repository, no safetensors, no usable tokenizer or prefix.
    """
    if dtype not in DTYPES:
        raise ModelError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    folder = _folder(name)
    weights = _weight_files(folder, name)
    place = best_device() if device == "auto" else device
    try:
        tokenizer = _tokenizer(folder)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=DTYPES[dtype],
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        model, missing = loaded[0].to(place).eval(), sorted(loaded[1]["missing_keys"])
    except UNLOADABLE as error:
        raise ModelError(f"{name} cannot be loaded: {_first_line(error)}") from error
    if missing:  # transformers has filled them with random numbers
        raise ModelError(f"{name} lacks the weights {missing[0]}; download the whole model again")
    return LanguageModel(
        name=model_name(name),
        model=model,
        tokenizer=tokenizer,
        prefix=prefix_of(tokenizer, name),
        max_tokens=int(getattr(model.config, "max_position_embeddings", 0) or 1_000_000),
        device=place,
        dtype=dtype,
        weights_sha256=_sha256(weights),
        tokenizer_sha256=_sha256(_tokenizer_files(folder)),
    )


def model_name(name: str) -> str:
    """What a model is called in the database: its folder's name, or its hub name."""
    return Path(name).resolve().name if Path(name).is_dir() else name


def weights_sha256(name: str) -> str:
    """Identity of a model's weights: its safetensors files, names and contents."""
    return _sha256(_weight_files(_folder(name), name))


def scorer_sha256(name: str) -> str:
    """Identity of a scoring model, on whose weights and tokenizer its units and states depend."""
    folder = _folder(name)
    return _sha256([*_weight_files(folder, name), *_tokenizer_files(folder)])


def _tokenizer_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("tokenizer*"), *folder.glob("*.model"), *folder.glob("vocab*")])


def _weight_files(folder: Path, name: str) -> list[Path]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{name} has no .safetensors file; other weight formats are not loaded")
    return files


def _folder(name: str) -> Path:
    """The local folder of a model, downloaded first if the name is a hub repository."""
    if Path(name).is_dir():
        return Path(name).resolve()
    if Path(name).is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise ModelError(f"there is no folder {name}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=[*WEIGHT_FILES, *CONFIG_FILES]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"{name} is neither a folder here nor to be had from the hub: {_first_line(error)}"
        ) from error


def _tokenizer(folder: Path) -> Any:
    """The tokenizer the folder holds.

    tokenizer.json is taken as it is: AutoTokenizer of transformers 5 may put the architecture's
    usual tokenizer in its place (Qwen2's for any model of type qwen2), which drops text silently.
    """
    if (folder / "tokenizer.json").exists():
        return PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise ModelError(f"{folder.name} has no fast tokenizer, which byte spans need")
    return tokenizer


def prefix_of(tokenizer: Any, name: str) -> Prefix:
    """BOS where the tokenizer has one, else EOS, the separator of documents in training."""
    for rule in ("bos", "eos"):
        token_id = getattr(tokenizer, f"{rule}_token_id")
        if token_id is not None:
            return Prefix(int(token_id), str(getattr(tokenizer, f"{rule}_token")), rule)
    raise ModelError(f"{name} has neither BOS nor EOS; its first token cannot be predicted")


def _sha256(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(json.dumps([file.name, file.stat().st_size]).encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def encode(tokenizer: Any, text: str) -> Encoding:
    """A text's tokens and their byte boundaries, no special token among them.

    Special-token strings inside the text are read as text, never as control tokens.
    """
    coded = tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True
    )
    ids = tuple(int(i) for i in coded["input_ids"])
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    return Encoding(ids, tile(text, pieces, coded["offset_mapping"]))


def score(
    lm: LanguageModel,
    docs: Sequence[Document],
    batch_tokens: int = 4096,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[TokenLosses]:
    """Per-token nll of each document, in corpus order, each token scored exactly once.

    Documents of like length share a batch of at most batch_tokens padded tokens; padding stands on
    the right of a causal model, where no scored token sees it. The prefix token is context only.

    Args:
        lm: a loaded model.
        docs: the corpus.
        batch_tokens: bound on rows times width of one forward pass.
        report: called with (documents done, documents) after every batch; may raise to stop.

    Raises:
        ModelError: a document does not fit the context, or a loss is not a number.
    """
    encodings = [encode(lm.tokenizer, doc.text) for doc in docs]
    for doc, encoding in zip(docs, encodings, strict=True):
        if len(encoding.token_ids) + 1 > lm.max_tokens:
            raise ModelError(
                f"document {doc.doc_id} has {len(encoding.token_ids)} tokens for {lm.name}, whose "
                f"context holds {lm.max_tokens} with the prefix; shorten or drop the document"
            )
    nll: dict[int, NDArray[np.float32]] = {}
    for batch in _batches([len(e.token_ids) for e in encodings], batch_tokens):
        rows = [encodings[i].token_ids for i in batch]
        nll |= zip(batch, _batch_nll(lm, rows), strict=True)
        report(len(nll), len(docs))
    for i, (doc, encoding) in enumerate(zip(docs, encodings, strict=True)):
        if not np.isfinite(nll[i]).all():
            raise ModelError(f"{lm.name} gives a loss that is not a number on {doc.doc_id}")
        edges = encoding.tiling.edges
        yield TokenLosses(
            model=lm.name,
            doc_id=doc.doc_id,
            byte_start=edges[:-1],
            byte_end=edges[1:],
            nll=np.maximum(nll[i], 0.0).astype(np.float64),
            token_id=np.array(encoding.token_ids, dtype=np.int64),
        )


def _batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices in batches of like length, longest first, within the token budget."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // (lengths[order[start]] + 1))
        yield order[start : start + size]
        start += size


@torch.inference_mode()
def _batch_nll(lm: LanguageModel, rows: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
    ids = _padded(lm, rows)  # (n_rows, 1 + width)
    if ids.shape[1] == 1:
        return [np.zeros(0, dtype=np.float32) for _ in rows]
    logits = lm.model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    nll = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
    ).view(len(rows), -1)
    host = nll.cpu().numpy()
    return [host[row, : len(tokens)].copy() for row, tokens in enumerate(rows)]


def _padded(lm: LanguageModel, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Prefix and tokens of each row, padded on the right with the prefix token."""
    width = max(map(len, rows))
    prefix = lm.prefix.token_id
    padded = [[prefix, *row, *[prefix] * (width - len(row))] for row in rows]
    return torch.tensor(padded, device=lm.device)


@torch.inference_mode()
def hidden_states(
    lm: LanguageModel, texts: Sequence[str], batch_tokens: int = 4096
) -> Iterator[tuple[Encoding, NDArray[np.float32]]]:
    """The scorer's last hidden state at each token, what its head reads in equation 3.

    Yields, text by text in order, the encoding and (n_tokens, width) after the model's final norm.
    """
    encodings = [encode(lm.tokenizer, text) for text in texts]
    states: dict[int, NDArray[np.float32]] = {}
    for batch in _batches([len(e.token_ids) for e in encodings], batch_tokens):
        rows = [encodings[i].token_ids for i in batch]
        out = lm.model.base_model(input_ids=_padded(lm, rows), use_cache=False).last_hidden_state
        for i, row in zip(batch, out.float().cpu().numpy(), strict=True):
            states[i] = row[1 : len(encodings[i].token_ids) + 1].copy()
    for i, encoding in enumerate(encodings):
        yield encoding, states[i]
