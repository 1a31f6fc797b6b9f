"""Causal LMs over texts: token nll with byte spans, and last hidden states.

No other package imports transformers.
"""

from csvcore.lm.encoding import Encoding, encode, windows
from csvcore.lm.files import ModelFiles, branches, find, model_name
from csvcore.lm.loading import (
    BALANCED,
    DTYPES,
    SCORING_VERSION,
    LanguageModel,
    LoadConfig,
    context_of,
    load,
    load_config,
    load_tokenizer,
    scorer_sha256,
    token_edges,
)
from csvcore.lm.losses import (
    cut,
    default_batch,
    hidden_states,
    put_together,
    score,
    tokens_per_second,
    window_size,
)
from csvcore.lm.passes import Segment
from csvcore.lm.prefix_token import AUTO, RULES, Prefix
from csvcore.lm.selftest import SelfTest

__all__ = [
    "AUTO",
    "BALANCED",
    "DTYPES",
    "RULES",
    "SCORING_VERSION",
    "Encoding",
    "LanguageModel",
    "LoadConfig",
    "ModelFiles",
    "Prefix",
    "Segment",
    "SelfTest",
    "branches",
    "context_of",
    "cut",
    "default_batch",
    "encode",
    "find",
    "hidden_states",
    "load",
    "load_config",
    "load_tokenizer",
    "model_name",
    "put_together",
    "score",
    "scorer_sha256",
    "token_edges",
    "tokens_per_second",
    "window_size",
    "windows",
]
