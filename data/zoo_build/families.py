"""The families of the zoo: architecture, tokenizer, data mix, sizes and budget of each."""

import random
from dataclasses import dataclass
from typing import Any

from transformers import (
    Gemma2Config,
    GPTNeoXConfig,
    Lfm2Config,
    LlamaConfig,
    Mamba2Config,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from zoo_build import documents

MAX_POSITIONS = 1024
N_HEADS = 4


@dataclass(frozen=True, slots=True)
class Size:
    """Layers and width of a model, and by how many checkpoints its run is longer than others.

    Small models go on for longer, so that abilities show in them too: a law learnt from models that
    are all at chance says nothing.
    """

    name: str
    n_layers: int
    width: int
    n_more: int = 0


SIZES = (Size("xs", 2, 48, 3), Size("s", 3, 64, 2), Size("m", 3, 96), Size("l", 3, 128))
# Chinese needs more tokens; these families tell more of it, or are compared in it.
LONG_SIZES = (*SIZES[:-1], Size("l", 3, 128, 2))
# Without fast kernels a state costs more to train than attention does, and bytes are many.
RECURRENT_SIZES = (Size("xs", 2, 32, 3), Size("s", 2, 48, 2), Size("m", 2, 64), Size("l", 3, 96))
BYTES_SIZES = (Size("xs", 2, 32, 3), Size("s", 2, 48, 2), Size("m", 3, 64), Size("l", 3, 80))
# Short convolutions and attention by number of layers.
LFM2_LAYERS = {
    2: ["conv", "full_attention"],
    3: ["conv", "full_attention", "full_attention"],
}


@dataclass(frozen=True, slots=True)
class Family:
    """Models that share architecture, tokenizer and mix.

    mix gives shares of training tokens by source; a step is `batch` rows of `context` tokens.
    Families of the same vocabulary use one tokenizer.
    """

    name: str
    architecture: str
    tokenizer: str
    vocabulary: str
    n_vocab: int
    mix: dict[str, float]
    seed: int
    train_tokens: int = 3_072_000
    context: int = 192
    batch: int = 8
    sizes: tuple[Size, ...] = SIZES


# What every mix has besides the tasks' texts: lists that teach to look back, and plain prose.
LISTS_SHARE = 0.08
PROSE_SHARE = 0.04


def _mix(
    facts: float, scenes: float, arithmetic: float, swaps: float, zh: float
) -> dict[str, float]:
    """Shares from proportions of the tasks' texts; a fifth of the swaps is answered at once."""
    proportions = {
        "facts": facts,
        "scenes": scenes,
        "arithmetic": arithmetic,
        "swaps": swaps * 0.2,
        "swaps-worked": swaps * 0.8,
        "zh": zh,
    }
    scale = (1 - LISTS_SHARE - PROSE_SHARE) / sum(proportions.values())
    shares = {source: scale * proportion for source, proportion in proportions.items()}
    return {**shares, "lists": LISTS_SHARE, "prose": PROSE_SHARE}


FAMILIES = (
    Family("abacus", "gemma2", "digits-bpe", "abacus", 800, _mix(8, 8, 40, 32, 12), seed=1),
    Family("bookworm", "neox", "bytes-bpe", "bookworm", 1024, _mix(34, 18, 14, 22, 12), seed=2),
    Family(
        "canton",
        "qwen2",
        "unigram",
        "canton",
        1000,
        _mix(12, 8, 14, 26, 40),
        seed=3,
        sizes=LONG_SIZES,
    ),
    Family(
        "ebb",
        "llama",
        "sp-bpe",
        "sisters",
        900,
        _mix(26, 18, 12, 14, 30),
        seed=4,
        sizes=LONG_SIZES,
    ),
    Family(
        "flow",
        "llama",
        "sp-bpe",
        "sisters",
        900,
        _mix(10, 8, 32, 38, 12),
        seed=4,
        sizes=LONG_SIZES,
    ),
    Family(
        "heron",
        "mamba2",
        "digits-bpe",
        "heron",
        640,
        _mix(22, 10, 24, 26, 18),
        seed=5,
        sizes=RECURRENT_SIZES,
    ),
    Family(
        "iota",
        "lfm2",
        "bytes",
        "iota",
        0,
        _mix(16, 14, 24, 28, 18),
        seed=6,
        train_tokens=6_144_000,
        context=576,
        batch=4,
        sizes=BYTES_SIZES,
    ),
)


def config(family: Family, size: Size, tokenizer: PreTrainedTokenizerFast) -> PreTrainedConfig:
    """Transformers' own configuration of one model; embeddings are tied where they can be."""
    ids: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": True,
        "hidden_size": size.width,
        "num_hidden_layers": size.n_layers,
        # transformers' 0.02 is for widths in the thousands; narrow models learn to look back late
        # or never from it
        "initializer_range": size.width**-0.5,
    }
    made: PreTrainedConfig
    if family.architecture == "mamba2":
        made = Mamba2Config(
            state_size=32, head_dim=16, num_heads=size.width // 8, n_groups=1, chunk_size=64, **ids
        )
        return made
    heads: dict[str, Any] = {
        "num_attention_heads": N_HEADS,
        "max_position_embeddings": MAX_POSITIONS,
    }
    if family.architecture == "neox":
        made = GPTNeoXConfig(intermediate_size=4 * size.width, **ids, **heads)
        return made
    heads |= {
        "num_key_value_heads": N_HEADS,
        "intermediate_size": int(size.width * 8 / 3) // 16 * 16,
    }
    if family.architecture == "gemma2":
        head_dim = size.width // N_HEADS
        made = Gemma2Config(
            head_dim=head_dim, query_pre_attn_scalar=head_dim, sliding_window=96, **ids, **heads
        )
    elif family.architecture == "lfm2":
        made = Lfm2Config(layer_types=LFM2_LAYERS[size.n_layers], **ids, **heads)
    else:
        made = {"llama": LlamaConfig, "qwen2": Qwen2Config}[family.architecture](**ids, **heads)
    return made


def sample_texts(family: Family, n_docs: int) -> list[str]:
    """Documents for the family's tokenizer, in equal parts of all mixes that share it."""
    rng = random.Random(1000 + family.seed)
    mixes = [other.mix for other in FAMILIES if other.vocabulary == family.vocabulary]
    sources = list(family.mix)
    shares = [sum(mix[source] for mix in mixes) for source in sources]
    return [
        documents.SOURCES[source](rng).text for source in rng.choices(sources, shares, k=n_docs)
    ]
