"""The families of the zoo: architecture, tokenizer, data mix, sizes and budget of each."""

import random
from dataclasses import dataclass, replace
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
    """Layers and width of a model."""

    name: str
    n_layers: int
    width: int


# Each size has about 2.1 times the parameters of the one before, 21 times from first to last.
SIZES = (
    Size("xs", 2, 32),
    Size("s", 2, 56),
    Size("m", 3, 72),
    Size("l", 4, 96),
    Size("xl", 4, 144),
)
# Without fast kernels a state costs more to train than attention does, and bytes are many.
RECURRENT_SIZES = (Size("xs", 2, 32), Size("s", 2, 56), Size("m", 2, 88), Size("l", 3, 112))
BYTES_SIZES = SIZES[:4]
# Short convolutions and attention by number of layers.
LFM2_LAYERS = {
    2: ["conv", "full_attention"],
    3: ["conv", "full_attention", "full_attention"],
    4: ["conv", "full_attention", "conv", "full_attention"],
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
    train_tokens: int = 9_437_184
    context: int = 192
    batch: int = 8
    sizes: tuple[Size, ...] = SIZES


# What every mix has besides the tasks' texts: lists that teach to look back, and plain prose.
LISTS_SHARE = 0.08
PROSE_SHARE = 0.04


def _mix(
    facts: float, scenes: float, arithmetic: float, swaps: float, zh_people: float, zh_towns: float
) -> dict[str, float]:
    """Return shares from proportions of the tasks' texts; a fifth of the swaps has no steps."""
    proportions = {
        "facts": facts,
        "scenes": scenes,
        "arithmetic": arithmetic,
        "swaps": swaps * 0.2,
        "swaps-worked": swaps * 0.8,
        "zh-people": zh_people,
        "zh-towns": zh_towns,
    }
    scale = (1 - LISTS_SHARE - PROSE_SHARE) / sum(proportions.values())
    shares = {source: scale * proportion for source, proportion in proportions.items()}
    return {**shares, "lists": LISTS_SHARE, "prose": PROSE_SHARE}


# Every ability is strong in the mixes of at least four families and nearly absent from one or more.
FAMILIES = (
    Family("abacus", "gemma2", "digits-bpe", "abacus", 800, _mix(3, 20, 32, 26, 17, 2), seed=1),
    Family("bookworm", "neox", "bytes-bpe", "bookworm", 1024, _mix(27, 25, 2, 22, 2, 22), seed=2),
    Family("canton", "qwen2", "unigram", "canton", 1000, _mix(18, 3, 26, 5, 24, 24), seed=3),
    Family("ebb", "llama", "sp-bpe", "sisters", 900, _mix(25, 25, 2, 3, 25, 20), seed=4),
    Family("flow", "llama", "sp-bpe", "sisters", 900, _mix(14, 18, 25, 26, 14, 3), seed=4),
    Family(
        "heron",
        "mamba2",
        "digits-bpe",
        "heron",
        640,
        _mix(26, 22, 2, 2, 26, 22),
        seed=5,
        sizes=RECURRENT_SIZES,
    ),
    Family(
        "iota",
        "lfm2",
        "bytes",
        "iota",
        0,
        _mix(16, 14, 28, 28, 2, 12),
        seed=6,
        train_tokens=18_874_368,
        context=576,
        batch=4,
        sizes=BYTES_SIZES,
    ),
)

N_CHECKPOINTS = 10
CHECKPOINT_RATIO = 1.45  # each has seen this many times the tokens of the one before


@dataclass(frozen=True, slots=True)
class Run:
    """One training run.

    repeat: 0, or the number of a repetition with other initial weights and another order of texts.
    decayed: true for a branch near the end of the run with a learning rate falling to zero.
    """

    family: Family
    size: Size
    repeat: int = 0
    decayed: bool = False

    @property
    def name(self) -> str:
        """Name of the run, e.g. `abacus-m`, `abacus-m-seed2` or `abacus-l-decayed`."""
        seed = f"-seed{self.repeat + 1}" if self.repeat else ""
        return f"{self.family.name}-{self.size.name}{seed}" + "-decayed" * self.decayed

    @property
    def seed(self) -> int:
        """Seed of the initial weights and of the stream of texts."""
        return self.family.seed + 100 * self.repeat

    @property
    def parent(self) -> "Run":
        """Run without decay from which this one branches."""
        return replace(self, decayed=False)

    @property
    def steps(self) -> list[int]:
        """Steps at which a checkpoint is kept, evenly spread in the logarithm of tokens."""
        last = self.family.train_tokens // (self.family.batch * self.family.context)
        powers = range(1 - N_CHECKPOINTS, 1)
        steps = [round(last * CHECKPOINT_RATIO**power) for power in powers]
        return steps[-1:] if self.decayed else steps


REPEATED = (("abacus", "m"), ("ebb", "m"))  # each trained with three seeds in all
DECAYED = (("canton", "m"), ("canton", "l"), ("flow", "m"), ("flow", "l"))


def all_runs() -> list[Run]:
    """Return every run of the zoo, small sizes of all families first, then repeats and decays."""
    ranks = max(len(family.sizes) for family in FAMILIES)
    first = [
        Run(family, family.sizes[rank])
        for rank in range(ranks)
        for family in FAMILIES
        if rank < len(family.sizes)
    ]
    by_name = {(run.family.name, run.size.name): run for run in first}
    repeats = [replace(by_name[name], repeat=repeat) for name in REPEATED for repeat in (1, 2)]
    return first + repeats + [replace(by_name[name], decayed=True) for name in DECAYED]


def config(family: Family, size: Size, tokenizer: PreTrainedTokenizerFast) -> PreTrainedConfig:
    """Return transformers' configuration of one model; embeddings are tied where supported."""
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
    """Draw documents for the family's tokenizer, in equal parts of all mixes that share it."""
    rng = random.Random(1000 + family.seed)
    mixes = [other.mix for other in FAMILIES if other.vocabulary == family.vocabulary]
    sources = list(family.mix)
    shares = [sum(mix[source] for mix in mixes) for source in sources]
    return [
        documents.SOURCES[source](rng).text for source in rng.choices(sources, shares, k=n_docs)
    ]
