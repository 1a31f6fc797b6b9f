"""Tokenizers of every kind that models come with, trained on three sentences."""

import json

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

SENTENCES = (
    "The cat sat on the mat and the cat ate the rat.",
    "A naïve café owner sold the hat, then that bat.",
    "猫は席に座った。 The other cat saw it, naturally.",
)
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_level_bpe() -> Tokenizer:
    """Train GPT-2's kind: it cuts inside characters and knows every byte."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def sentencepiece_bpe() -> Tokenizer:
    """Train Llama-2's kind: a dummy space before the text, bytes for unknown characters."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<unk>", *BYTES], limit_alphabet=30, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def prepending_bpe() -> Tokenizer:
    """Train Llama-2's as first converted: a dummy space even before a space."""
    tokenizer = sentencepiece_bpe()
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    return tokenizer


def unigram() -> Tokenizer:
    """Train T5's kind: NFKC, and one unknown token for all unseen characters."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=60, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def unigram_bytes() -> Tokenizer:
    """Train a Unigram tokenizer that falls back to bytes and changes no character."""
    tokenizer = unigram()
    vocab = [tuple(entry) for entry in json.loads(tokenizer.to_str())["model"]["vocab"]]
    vocab += [(byte, -20.0) for byte in BYTES]
    tokenizer.model = models.Unigram(vocab, unk_id=0, byte_fallback=True)
    tokenizer.normalizer = None
    return tokenizer


def wordpiece() -> Tokenizer:
    """Train BERT's kind: lower case, NFKC, no accents, no token for a space."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.BertNormalizer(lowercase=True)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=80, special_tokens=["[UNK]"], show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def every_kind() -> dict[str, Tokenizer]:
    """Return one tokenizer of each kind, by its name."""
    return {
        "byte-level": byte_level_bpe(),
        "sentencepiece": sentencepiece_bpe(),
        "prepending": prepending_bpe(),
        "unigram": unigram(),
        "unigram-bytes": unigram_bytes(),
        "wordpiece": wordpiece(),
    }
