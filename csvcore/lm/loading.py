"""Loading and self-test of a causal LM with its tokenizer.

Weights load from safetensors, or from a GGUF file. Code from a model's repository runs only with
trust_remote_code. Chat templates are never applied.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from csvcore.errors import ModelError
from csvcore.formats.manifest import Manifest
from csvcore.lm import files, selftest
from csvcore.lm.encoding import Encoding, encode
from csvcore.lm.files import ModelFiles, first_line
from csvcore.lm.passes import Passes, Segment, is_out_of_memory, keep_freed_memory
from csvcore.lm.prefix_token import AUTO, Prefix, choose_prefix, legal_prefixes
from csvcore.lm.selftest import SelfTest
from csvcore.records import Ints

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # callers show their own
transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # we refuse instead

# Incremented when losses of the same model and text may differ from before.
SCORING_VERSION = 2
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BALANCED = "balanced"  # a device: spread one model over all GPUs, and the machine's memory
PROBE = (
    "The river rises in the hills north of the town and runs south for forty miles before it "
    "meets the sea. In 1873 a stone bridge was built across it, and the market moved to the "
    "eastern bank, where it is still held every Thursday."
)


@dataclass(frozen=True, slots=True)
class LoadConfig:
    """Settings for loading a model.

    device: cpu, cuda, cuda:1, mps, balanced (one model over all GPUs) or auto. dtype: of the
    weights; losses are always reduced in float32. prefix: auto, bos, eos or separator.
    trust_remote_code: run the Python code in the model's repository. longest: inputs of the
    longest forward pass to come, for the self-test of sliding windows.
    """

    device: str = "auto"
    dtype: str = "float32"
    prefix: str = AUTO
    trust_remote_code: bool = False
    longest: int = 0


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A loaded model with its tokenizer, prefix and identity, ready to score.

    max_tokens: most inputs its positions allow, prefix included; None if unbounded.
    """

    name: str
    model: Any
    tokenizer: Any
    prefix: Prefix
    passes: Passes
    self_test: SelfTest
    max_tokens: int | None
    dtype: str
    weights_sha256: str
    tokenizer_sha256: str

    def manifest(self) -> Manifest:
        """Return the manifest of this model's losses, for a loss pack."""
        prefix = asdict(self.prefix)
        return Manifest(
            weights_sha256=self.weights_sha256,
            tokenizer_sha256=self.tokenizer_sha256,
            prefix={key: prefix[key] for key in ("token_id", "token", "rule", "why")},
            dtype=self.dtype,
            engine="transformers",
            rows=self.self_test.rows,
            head=self.self_test.head,
            scoring_version=SCORING_VERSION,
        )


def best_device() -> str:
    """Return the fastest available device: cuda, then mps, then cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def load(name: str, config: LoadConfig | None = None) -> LanguageModel:
    """Load a causal LM from a folder, a GGUF file or by its hub name, and self-test it.

    Args:
        name: folder, GGUF file or hub name; a folder's last part becomes the model's name.
        config: device, dtype, prefix.

    Raises:
        ModelError: no such folder or repository, no safetensors, no usable tokenizer or prefix, or
            losses that are not numbers.
    """
    config = config or LoadConfig()
    if config.dtype not in DTYPES:
        raise ModelError(f"dtype must be one of {', '.join(DTYPES)}, got {config.dtype!r}")
    model_files = files.find(name, config.trust_remote_code)
    tokenizer = load_tokenizer(model_files, config.trust_remote_code)
    model = _model(model_files, config)
    device = str(model.device)
    if device == "cpu":
        keep_freed_memory()
    context = context_of(model.config)
    probe = encode(tokenizer, PROBE)
    n_vocab = int(model.get_input_embeddings().weight.shape[0])
    any_prefix = next(iter(legal_prefixes(tokenizer, n_vocab).values()), None)
    start = 0 if any_prefix is None else any_prefix.token_id
    try:
        passes, tested = selftest.choose(
            model, device, start, probe.token_ids[:context], config.longest
        )
        prefix = choose_prefix(
            tokenizer,
            n_vocab,
            model_files.name,
            config.prefix,
            lambda candidate: _probe_loss(passes, candidate, probe, context),
        )
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f"{model_files.name} leaves no memory on {device} to score even a short text; "
            f"give --dtype bfloat16 or --device {BALANCED}"
        ) from error
    except ModelError as error:
        raise ModelError(f"{model_files.name}: {error}") from error
    return LanguageModel(
        name=model_files.name,
        model=model,
        tokenizer=tokenizer,
        prefix=prefix,
        passes=passes,
        self_test=tested,
        max_tokens=context,
        dtype=config.dtype,
        weights_sha256=model_files.weights_sha256,
        tokenizer_sha256=model_files.tokenizer_sha256,
    )


def _probe_loss(passes: Passes, prefix: Prefix, probe: Encoding, context: int | None) -> float:
    """Return nats per character of the probe text, cut to the context."""
    tokens = np.array(probe.token_ids[:context], dtype=np.int64)
    segment = Segment(np.concatenate([[prefix.token_id], tokens[:-1]]), tokens)
    n_chars = int(probe.tiling.edges[tokens.size])  # the probe is ASCII
    return float(passes.nll([segment], tokens.size)[0].sum()) / n_chars


def load_config(model_files: ModelFiles, trust_remote_code: bool = False) -> Any:
    """Load a model's configuration, without its weights."""
    gguf = _gguf(model_files)
    with _by_transformers(model_files):
        return AutoConfig.from_pretrained(
            model_files.folder, trust_remote_code=trust_remote_code, **gguf
        )


def context_of(settings: Any) -> int | None:
    """Return the most inputs a model's positions allow; None if unbounded."""
    decoder_settings = settings.get_text_config(decoder=True)
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        value = getattr(decoder_settings, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def load_tokenizer(model_files: ModelFiles, trust_remote_code: bool = False) -> Any:
    """Load the tokenizer from a model's files.

    tokenizer.json is loaded unchanged: AutoTokenizer of transformers 5 may substitute the
    architecture's default tokenizer (Qwen2's for any model of type qwen2), which drops text
    silently.

    Raises:
        ModelError: there is no tokenizer, or it returns no offsets.
    """
    gguf = _gguf(model_files)
    unchanged = not gguf and (model_files.folder / "tokenizer.json").exists()
    with _by_transformers(model_files):
        if unchanged:
            return PreTrainedTokenizerFast.from_pretrained(model_files.folder)
        tokenizer = AutoTokenizer.from_pretrained(
            model_files.folder, trust_remote_code=trust_remote_code, **gguf
        )
    if not tokenizer.is_fast:
        raise ModelError(f"{model_files.name} has no fast tokenizer, which byte spans need")
    return tokenizer


@contextmanager
def _by_transformers(model_files: ModelFiles) -> Iterator[None]:
    """Raise ModelError for whatever transformers raises in the block, which calls nothing else.

    Damaged files, unknown architectures and missing devices raise a dozen kinds of errors, and
    tokenizers raises Exception itself; all of them concern the files.
    """
    try:
        yield
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise ModelError(
                f"{model_files.name} brings Python code of its own, which does not run unless you "
                "trust it and give --trust-remote-code"
            ) from error
        raise ModelError(f"{model_files.name} cannot be loaded: {first_line(error)}") from error


def _gguf(model_files: ModelFiles) -> dict[str, str]:
    if model_files.gguf is None:
        return {}
    files.check_gguf(model_files.folder / model_files.gguf)
    return {"gguf_file": model_files.gguf}


def _model(model_files: ModelFiles, config: LoadConfig) -> Any:
    device = best_device() if config.device == "auto" else config.device
    spread = {"device_map": "auto"} if device == BALANCED else {}
    safe = {} if model_files.gguf else {"use_safetensors": True}
    model_files.weights  # noqa: B018  # refuses a folder without any
    gguf = _gguf(model_files)
    # GGUF loading prints a progress bar of its own
    quiet = redirect_stderr(io.StringIO()) if gguf else nullcontext()
    with _by_transformers(model_files), quiet:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            model_files.folder,
            dtype=DTYPES[config.dtype],
            trust_remote_code=config.trust_remote_code,
            output_loading_info=True,
            **gguf,
            **spread,
            **safe,
        )
        model = loaded[0].eval() if spread else loaded[0].eval().to(device)
    missing = sorted(loaded[1]["missing_keys"])
    if missing:  # transformers has filled them with random numbers
        raise ModelError(f"{model_files.name} lacks the weights {missing[0]}; download it again")
    return model


def token_edges(name: str, texts: Sequence[str]) -> list[Ints]:
    """Return the (n_tokens + 1,) byte boundaries of a model's tokens in each text.

    Its weights are not loaded.
    """
    tokenizer = load_tokenizer(files.find(name))
    return [encode(tokenizer, text).tiling.edges for text in texts]


def scorer_sha256(name: str) -> str:
    """Return the hash of a scoring model's weights and tokenizer, which determine its states."""
    model_files = files.find(name)
    return files.sha256([*model_files.weights, *model_files.tokenizer])
