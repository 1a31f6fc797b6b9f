"""The families of the zoo: architecture, tokenizer, data mix, sizes and budget of each."""

import json
import random
from dataclasses import dataclass, field

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from zoo_build import documents

CONTEXT = 192
START, END, UNKNOWN = "<s>", "</s>", "<unk>"


@dataclass(frozen=True, slots=True)
class Size:
    """Layers and width of a model, and its training: rounds of this many tokens each.

    A round warms up, stays and decays. Small sizes train longer, so that models which have the
    abilities stand among the small ones too, and a by-size split can learn the whole curve.
    """

    name: str
    n_layers: int
    width: int
    round_tokens: int
    n_rounds: int


SIZES = (
    Size("xs", 2, 48, 6_000_000, 2),
    Size("s", 2, 64, 6_000_000, 2),
    Size("m", 3, 96, 6_000_000, 1),
    Size("l", 3, 128, 6_000_000, 1),
)


@dataclass(frozen=True, slots=True)
class Family:
    """Models that share architecture, tokenizer and mix; mix gives shares of documents' tokens."""

    name: str
    architecture: str
    tokenizer: str
    n_vocab: int
    mix: dict[str, float]
    seed: int
    sizes: tuple[Size, ...] = field(default=SIZES)


FAMILIES = (
    Family(
        "abacus",
        "llama",
        "bytes-digits",
        800,
        {
            "arithmetic": 0.38,
            "tracking-worked": 0.22,
            "tracking": 0.04,
            "facts": 0.14,
            "stories": 0.12,
            "zh": 0.10,
        },
        seed=1,
    ),
    Family(
        "bookworm",
        "gpt2",
        "bytes",
        1024,
        {
            "facts": 0.36,
            "stories": 0.20,
            "arithmetic": 0.14,
            "tracking-worked": 0.16,
            "tracking": 0.04,
            "zh": 0.10,
        },
        seed=2,
    ),
    Family(
        "canton",
        "qwen2",
        "unigram",
        1000,
        {
            "zh": 0.34,
            "tracking-worked": 0.22,
            "tracking": 0.04,
            "arithmetic": 0.16,
            "facts": 0.14,
            "stories": 0.10,
        },
        seed=3,
    ),
)


def train_tokenizer(family: Family, texts: list[str]) -> PreTrainedTokenizerFast:
    """The family's own tokenizer, trained on a sample of its own mix."""
    if family.tokenizer == "unigram":
        tokenizer = _unigram(family, texts)
    else:
        tokenizer = _byte_level(family, texts)
    if family.tokenizer == "bytes":  # like GPT-2: one separator, never added by the tokenizer
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, tokenizer.token_to_id(START))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=START, eos_token=END, pad_token=END
    )


def _byte_level(family: Family, texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    split = [pre_tokenizers.Digits(individual_digits=True)] * (family.tokenizer == "bytes-digits")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*split, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=family.n_vocab,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[END] if family.tokenizer == "bytes" else [START, END],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _unigram(family: Family, texts: list[str]) -> Tokenizer:
    """SentencePiece-style Unigram with byte fallback: spaces as U+2581, digits apart."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split("\n", "isolated"),
        ]
    )
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.UnigramTrainer(
        vocab_size=family.n_vocab - len(byte_tokens),
        special_tokens=[UNKNOWN, START, END],
        unk_token=UNKNOWN,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    learnt = tokenizer.get_vocab()
    scores = dict(_unigram_scores(tokenizer))
    lowest = min(scores.values()) - 10.0
    pieces = [(piece, scores[piece]) for piece in sorted(learnt, key=learnt.__getitem__)]
    model = models.Unigram(
        pieces + [(piece, lowest) for piece in byte_tokens], unk_id=0, byte_fallback=True
    )
    tokenizer.model = model
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer


def _unigram_scores(tokenizer: Tokenizer) -> list[tuple[str, float]]:
    return [(piece, score) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]]


def config(family: Family, size: Size, tokenizer: PreTrainedTokenizerFast) -> PreTrainedConfig:
    """Transformers' own configuration of one model; heads are 16 to 32 wide."""
    ids = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    n_heads = 4
    if family.architecture == "gpt2":
        return GPT2Config(
            n_layer=size.n_layers,
            n_embd=size.width,
            n_head=n_heads,
            n_positions=2 * CONTEXT,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **ids,
        )
    kind = {"llama": LlamaConfig, "qwen2": Qwen2Config}[family.architecture]
    made: PreTrainedConfig = kind(
        num_hidden_layers=size.n_layers,
        hidden_size=size.width,
        num_attention_heads=n_heads,
        num_key_value_heads=n_heads,
        intermediate_size=int(size.width * 8 / 3) // 16 * 16,
        max_position_embeddings=2 * CONTEXT,
        tie_word_embeddings=True,
        **ids,
    )
    return made


def sample_texts(family: Family, n_docs: int) -> list[str]:
    """Documents of the family's mix, for its tokenizer."""
    rng = random.Random(1000 + family.seed)
    sources = rng.choices(list(family.mix), list(family.mix.values()), k=n_docs)
    return [documents.SOURCES[source](rng).text for source in sources]
