"""Tokenizers of four kinds, each trained on texts of its own family's mix."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
SPACE = "\u2581"
BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]
# As SentencePiece, no piece joins letters, digits and punctuation; digits stand alone.
PIECES = r"\u2581?\p{L}+|\p{N}|\u2581?[^\p{L}\p{N}\s\u2581]|\u2581|\n"
N_BYTES_VOCAB = 256 + 2


def train_tokenizer(kind: str, n_vocab: int, texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Train a tokenizer of a kind.

    `bytes-bpe` is GPT-2's (one separator, never added), `digits-bpe` the same with digits apart
    and a BOS, `bytes` has no merges at all, `unigram` and `sp-bpe` are SentencePiece's two, with
    byte fallback.
    """
    trained: Tokenizer = _KINDS[kind](kind, n_vocab, texts)
    if kind == "bytes-bpe":
        return PreTrainedTokenizerFast(tokenizer_object=trained, eos_token=END, pad_token=END)
    trained.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, trained.token_to_id(START))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=trained, bos_token=START, eos_token=END, pad_token=END
    )


def _byte_level(kind: str, n_vocab: int, texts: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    split = [pre_tokenizers.Digits(individual_digits=True)] * (kind == "digits-bpe")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*split, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=N_BYTES_VOCAB if kind == "bytes" else n_vocab,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[END] if kind == "bytes-bpe" else [START, END],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _like_sentencepiece(tokenizer: Tokenizer) -> Tokenizer:
    """Set SentencePiece's pre-tokenizer (spaces as U+2581, single digits) and decoder."""
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="first"),
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer


def _unigram(kind: str, n_vocab: int, texts: Sequence[str]) -> Tokenizer:
    """Train a unigram model of BPE's pieces, scored by log frequency.

    Not UnigramTrainer's, which at a thousand pieces keeps whole rare names and spells `and`.
    """
    tokenizer = _pieces(n_vocab, texts)
    used = Counter(token for text in texts for token in tokenizer.encode(text).tokens)
    total = sum(used.values())
    learnt = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    pieces = [(piece, math.log((used[piece] + 0.5) / total)) for piece, _ in learnt]
    lowest = min(score for _, score in pieces) - 10.0
    pieces += [(piece, lowest) for piece in BYTE_TOKENS]
    tokenizer.model = models.Unigram(pieces, unk_id=0, byte_fallback=True)
    return tokenizer


def _sp_bpe(kind: str, n_vocab: int, texts: Sequence[str]) -> Tokenizer:
    tokenizer = _pieces(n_vocab, texts)
    learnt = _model_json(tokenizer)
    vocab = {**learnt["vocab"]}
    for piece in BYTE_TOKENS:
        vocab[piece] = len(vocab)
    merges = [(left, right) for left, right in learnt["merges"]]
    tokenizer.model = models.BPE(
        vocab=vocab, merges=merges, unk_token=UNKNOWN, fuse_unk=True, byte_fallback=True
    )
    return tokenizer


def _pieces(n_vocab: int, texts: Sequence[str]) -> Tokenizer:
    """Train BPE over SentencePiece's pieces, leaving room for the byte tokens."""
    tokenizer = _like_sentencepiece(Tokenizer(models.BPE(unk_token=UNKNOWN)))
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab - len(BYTE_TOKENS),
        special_tokens=[UNKNOWN, START, END],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _model_json(tokenizer: Tokenizer) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return model


_KINDS = {
    "bytes-bpe": _byte_level,
    "digits-bpe": _byte_level,
    "bytes": _byte_level,
    "unigram": _unigram,
    "sp-bpe": _sp_bpe,
}
