"""Tiny models with random weights of many architectures, saved as users have them on disk.

The weights are drawn wide, so that every token's loss depends on what stands before it: a scorer
that loses context, or sees a neighbour's text, is then off by far more than rounding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csvcore.records import Document, Floats
from tests.support.world import DOCS, TRAINING_TEXT

WINDOW = 8  # tokens of every sliding window here
POSITIONS = 256
END = "<|endoftext|>"
SIZES: Mapping[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.5,
    "tie_word_embeddings": False,
}
_MIXED = ["sliding_attention", "full_attention"]


@dataclass(frozen=True)
class Architecture:
    """What to build, and how its texts are expected to be scored.

    rows, head: see `scoring.SelfTest`; None where transformers may well change it.
    """

    config: str
    settings: Mapping[str, Any]
    rows: str | None = "packed"
    head: str | None = "chunked"


def _like_llama(config: str, rows: str | None = "packed", **more: Any) -> Architecture:
    return Architecture(config, {**SIZES, **more}, rows)


ARCHITECTURES = {
    "llama": _like_llama("LlamaConfig"),
    "llama-tied": _like_llama("LlamaConfig", tie_word_embeddings=True),
    "qwen2": _like_llama("Qwen2Config"),
    "qwen3": _like_llama("Qwen3Config", head_dim=8),
    "gemma2": _like_llama(
        "Gemma2Config",
        head_dim=8,
        sliding_window=WINDOW,
        attn_logit_softcapping=5.0,
        final_logit_softcapping=3.0,
        query_pre_attn_scalar=4,
    ),
    "gemma3": _like_llama(
        "Gemma3TextConfig", head_dim=8, sliding_window=WINDOW, layer_types=_MIXED
    ),
    "mistral": _like_llama("MistralConfig", sliding_window=WINDOW),
    "mixtral": _like_llama("MixtralConfig", num_local_experts=4, num_experts_per_tok=2),
    "cohere": _like_llama("CohereConfig", logit_scale=0.25, tie_word_embeddings=True),
    "granite": _like_llama("GraniteConfig", logits_scaling=4.0, attention_multiplier=0.3),
    "olmo2": _like_llama("Olmo2Config"),
    "phi": Architecture("PhiConfig", {**SIZES, "num_key_value_heads": 2}),  # bias in its head
    "gpt-neox": Architecture(
        "GPTNeoXConfig", {k: v for k, v in SIZES.items() if k != "num_key_value_heads"}
    ),
    "gpt2": Architecture(
        "GPT2Config",
        {
            "n_positions": POSITIONS,
            "n_embd": 16,
            "n_layer": 2,
            "n_head": 2,
            "initializer_range": 0.5,
        },
    ),
    "opt": Architecture(
        "OPTConfig",
        {
            "hidden_size": 16,
            "ffn_dim": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": POSITIONS,
            "word_embed_proj_dim": 16,
            "init_std": 0.5,
        },
    ),
    "gpt-neo": Architecture(
        "GPTNeoConfig",
        {
            "hidden_size": 16,
            "num_layers": 2,
            "num_heads": 2,
            "attention_types": [[["global", "local"], 1]],
            "window_size": WINDOW,
            "max_position_embeddings": POSITIONS,
            "initializer_range": 0.5,
        },
        None,
    ),
    "gpt-j": Architecture(
        "GPTJConfig",
        {
            "n_positions": POSITIONS,
            "n_embd": 16,
            "n_layer": 2,
            "n_head": 2,
            "rotary_dim": 4,
            "initializer_range": 0.5,
        },
        None,
    ),
    "bloom": Architecture(
        "BloomConfig",
        {"hidden_size": 16, "n_layer": 2, "n_head": 2, "initializer_range": 0.5},
        "padded",
    ),
    "mamba": Architecture(
        "MambaConfig",
        {
            "hidden_size": 16,
            "state_size": 4,
            "num_hidden_layers": 2,
            "initializer_range": 0.5,
            "time_step_rank": 4,
        },
        "padded",
    ),
    "gpt-oss": _like_llama(
        "GptOssConfig",
        "padded",
        head_dim=8,
        sliding_window=WINDOW,
        layer_types=_MIXED,
        num_local_experts=4,
        num_experts_per_tok=2,
    ),
    "recurrent-gemma": Architecture(
        "RecurrentGemmaConfig",
        {
            **SIZES,
            "num_hidden_layers": 3,
            "lru_width": 16,
            "attention_window_size": WINDOW,
            "logits_soft_cap": 3.0,
        },
        "padded",
    ),
    "falcon-h1": _like_llama(
        "FalconH1Config",
        "padded",
        head_dim=8,
        mamba_d_ssm=16,
        mamba_n_heads=2,
        mamba_d_head=8,
        mamba_d_state=4,
        lm_head_multiplier=0.5,
    ),
}


TEXTS = (
    *DOCS,
    Document("one", "sizes", "x"),
    Document("long", "sizes", " ".join(TRAINING_TEXT)),
    Document("two", "sizes", "xy"),
)  # of 1 to some 150 tokens: shorter and many times longer than the sliding windows


def save_tokenizer(folder: Path) -> Any:
    """Train a byte-level tokenizer whose one special token begins and ends every text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(TRAINING_TEXT, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token=END, eos_token=END)
    tokenizer.save_pretrained(folder)
    return tokenizer


def save(name: str, folder: Path, seed: int = 0) -> Path:
    """Save a model of an architecture and its tokenizer in a folder."""
    import torch
    import transformers

    tokenizer = save_tokenizer(folder)
    architecture = ARCHITECTURES[name]
    config = getattr(transformers, architecture.config)(
        vocab_size=len(tokenizer),
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=None,  # its embedding would be zero, and END is the prefix
        **architecture.settings,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config)
        _stir(model)
        model.save_pretrained(folder)
    return folder


def _stir(model: Any) -> None:
    """Random biases, norms and sinks where an architecture starts from zeros and ones."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 or "sinks" in name:
                parameter += 0.3 * torch.randn_like(parameter)


def full_nll(model: Any, prefix: int, token_ids: NDArray[np.int64]) -> Floats:
    """Return minus the log-softmax of the model's own logits, one text alone, in float64."""
    import torch

    ids = torch.tensor([[prefix, *token_ids.tolist()]])  # the last is predicted, and no input
    with torch.no_grad():
        logits = model(input_ids=ids[:, :-1]).logits[0].double()
    own = logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
    return -own.numpy()
