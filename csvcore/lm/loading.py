"""A causal LM and its tokenizer from files, tested and ready to score.

Weights load from safetensors (or a GGUF file, if one is named), code from a model's repository
never runs unless asked for, and chat templates are never applied.
"""

import io
import struct
from contextlib import nullcontext, redirect_stderr
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from csvcore.errors import ModelError
from csvcore.formats.manifest import Manifest
from csvcore.lm import files, selftest
from csvcore.lm.encoding import Encoding, encode
from csvcore.lm.files import ModelFiles, first_line
from csvcore.lm.passes import Passes, Segment, is_out_of_memory, keep_freed_memory
from csvcore.lm.prefix import AUTO, Prefix, choose_prefix, legal_prefixes
from csvcore.lm.selftest import SelfTest

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # callers show their own
transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # we refuse instead

# Raised when losses of the same model and text may come out otherwise than before.
SCORING_VERSION = 2
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BALANCED = "balanced"  # a device: spread one model over all GPUs, and the machine's memory
# What loading raises for damaged files, unknown architectures and devices that are not here; torch
# without CUDA asserts.
UNLOADABLE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    struct.error,
    RuntimeError,
    AssertionError,
    ImportError,
    SafetensorError,
)
PROBE = (
    "The river rises in the hills north of the town and runs south for forty miles before it "
    "meets the sea. In 1873 a stone bridge was built across it, and the market moved to the "
    "eastern bank, where it is still held every Thursday."
)


@dataclass(frozen=True, slots=True)
class LoadConfig:
    """How a model is loaded.

    device: cpu, cuda, cuda:1, mps, balanced (one model over all GPUs) or auto. dtype: of the
    weights; losses are reduced in float32 in any case. prefix: auto, bos, eos or separator.
    trust_remote_code: run Python code that the model's repository holds. longest: inputs of the
    longest pass to come, which the self-test has to know for sliding windows.
    """

    device: str = "auto"
    dtype: str = "float32"
    prefix: str = AUTO
    trust_remote_code: bool = False
    longest: int = 0


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A loaded model with its tokenizer, prefix and identity, ready to score.

    max_tokens: inputs that its positions allow, prefix included; None where nothing bounds them.
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
        """Return how this model's losses are made, for a loss pack."""
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
    """The fastest device here: cuda, then mps, then cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def load(name: str, config: LoadConfig | None = None) -> LanguageModel:
    """Load a causal LM from a folder, a GGUF file or by its hub name, and try it out.

    Args:
        name: what to load; the last part of a folder's path becomes the model's name.
        config: device, dtype, prefix.

    Raises:
        ModelError: no such folder or repository, no safetensors, no usable tokenizer or prefix, or
            losses that are not numbers.
    """
    config = config or LoadConfig()
    if config.dtype not in DTYPES:
        raise ModelError(f"dtype must be one of {', '.join(DTYPES)}, got {config.dtype!r}")
    found = files.find(name, config.trust_remote_code)
    tokenizer = load_tokenizer(found, config.trust_remote_code)
    model = _model(found, config)
    device = str(model.device)
    if device == "cpu":
        keep_freed_memory()
    context = context_of(model.config)
    probe = encode(tokenizer, PROBE)
    n_vocab = int(model.get_input_embeddings().weight.shape[0])
    some = next(iter(legal_prefixes(tokenizer, n_vocab).values()), None)
    start = 0 if some is None else some.token_id
    try:
        passes, tested = selftest.choose(
            model, device, start, probe.token_ids[:context], config.longest
        )
        prefix = choose_prefix(
            tokenizer,
            n_vocab,
            found.name,
            config.prefix,
            lambda tried: _probe_loss(passes, tried, probe, context),
        )
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f"{found.name} leaves no memory on {device} to score even a short text; "
            f"give --dtype bfloat16 or --device {BALANCED}"
        ) from error
    except ModelError as error:
        raise ModelError(f"{found.name}: {error}") from error
    return LanguageModel(
        name=found.name,
        model=model,
        tokenizer=tokenizer,
        prefix=prefix,
        passes=passes,
        self_test=tested,
        max_tokens=context,
        dtype=config.dtype,
        weights_sha256=found.weights_sha256,
        tokenizer_sha256=found.tokenizer_sha256,
    )


def _probe_loss(passes: Passes, prefix: Prefix, probe: Encoding, context: int | None) -> float:
    """Nats per character of as much of the probe text as fits the context."""
    tokens = np.array(probe.token_ids[:context], dtype=np.int64)
    segment = Segment(np.concatenate([[prefix.token_id], tokens[:-1]]), tokens)
    n_chars = int(probe.tiling.edges[tokens.size])  # the probe is ASCII
    return float(passes.nll([segment], tokens.size)[0].sum()) / n_chars


def load_config(found: ModelFiles, trust_remote_code: bool = False) -> Any:
    """A model's configuration, without its weights."""
    try:
        return AutoConfig.from_pretrained(
            found.folder, trust_remote_code=trust_remote_code, **_gguf(found)
        )
    except UNLOADABLE as error:
        raise _unloadable(found, error) from error


def context_of(settings: Any) -> int | None:
    """Inputs that a model's positions allow; None where nothing bounds them."""
    own = settings.get_text_config(decoder=True)
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        value = getattr(own, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def load_tokenizer(found: ModelFiles, trust_remote_code: bool = False) -> Any:
    """The tokenizer a model's files hold.

    tokenizer.json is taken as it is: AutoTokenizer of transformers 5 may put the architecture's
    usual tokenizer in its place (Qwen2's for any model of type qwen2), which drops text silently.

    Raises:
        ModelError: there is none, or none that tells where its tokens lie.
    """
    try:
        if found.gguf is None and (found.folder / "tokenizer.json").exists():
            return PreTrainedTokenizerFast.from_pretrained(found.folder)
        tokenizer = AutoTokenizer.from_pretrained(
            found.folder, trust_remote_code=trust_remote_code, **_gguf(found)
        )
    except UNLOADABLE as error:
        raise _unloadable(found, error) from error
    if not tokenizer.is_fast:
        raise ModelError(f"{found.name} has no fast tokenizer, which byte spans need")
    return tokenizer


def _unloadable(found: ModelFiles, error: Exception) -> ModelError:
    """One sentence of what transformers said."""
    if "trust_remote_code" in str(error):
        return ModelError(
            f"{found.name} brings Python code of its own, which does not run unless you trust it "
            "and give --trust-remote-code"
        )
    return ModelError(f"{found.name} cannot be loaded: {first_line(error)}")


def _gguf(found: ModelFiles) -> dict[str, str]:
    return {} if found.gguf is None else {"gguf_file": found.gguf}


def _model(found: ModelFiles, config: LoadConfig) -> Any:
    place = best_device() if config.device == "auto" else config.device
    spread = {"device_map": "auto"} if place == BALANCED else {}
    safe = {} if found.gguf else {"use_safetensors": True}
    found.weights  # noqa: B018  # refuses a folder without any
    try:
        with redirect_stderr(io.StringIO()) if found.gguf else nullcontext():  # a bar of its own
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                found.folder,
                dtype=DTYPES[config.dtype],
                trust_remote_code=config.trust_remote_code,
                output_loading_info=True,
                **_gguf(found),
                **spread,
                **safe,
            )
        model, missing = loaded[0].eval(), sorted(loaded[1]["missing_keys"])
        if not spread:
            model = model.to(place)
    except UNLOADABLE as error:
        raise _unloadable(found, error) from error
    if missing:  # transformers has filled them with random numbers
        raise ModelError(f"{found.name} lacks the weights {missing[0]}; download it again")
    return model


def scorer_sha256(name: str) -> str:
    """Identity of a scoring model, on whose weights and tokenizer its units and states depend."""
    found = files.find(name)
    return files.sha256([*found.weights, *found.tokenizer])
