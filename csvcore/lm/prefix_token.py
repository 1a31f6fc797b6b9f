"""Choice of the prefix: one token before every text, so that its first token is predicted.

A wrong prefix distorts losses: Gemma-3 loses 2.5 nats per token without its BOS. So every legal
prefix is tried on a short text, and the losses are kept with the choice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from csvcore.errors import ModelError

AUTO = "auto"
RULES = ("bos", "eos", "separator")
SEPARATOR = "<|endoftext|>"  # between documents in the training of many tokenizers without BOS
WORSE = 0.1  # nats per character by which a chosen prefix may be worse before it is worth a warning


@dataclass(frozen=True, slots=True)
class Prefix:
    """The prefix token of a model and how it was chosen.

    rule: bos, eos or separator. why: the tokenizer's own, the only one, the best of those tried,
    or asked for. tried: nats per character of the probe text after each legal prefix.
    """

    token_id: int
    token: str
    rule: str
    why: str = ""
    tried: Mapping[str, float] = field(default_factory=dict)

    @property
    def warning(self) -> str | None:
        """Return a warning if another prefix does much better, else None."""
        if not self.tried:
            return None
        best = min(self.tried, key=self.tried.__getitem__)
        loss = self.tried[self.rule] - self.tried[best]
        if loss <= WORSE:
            return None
        return (
            f"behind {self.rule} a text costs {loss:.2f} nats a character more than behind {best}; "
            f"consider --prefix {best}"
        )


def legal_prefixes(tokenizer: Any, n_vocab: int) -> dict[str, Prefix]:
    """Return the available prefixes by rule: BOS, EOS and the document separator.

    Args:
        tokenizer: the model's.
        n_vocab: embeddings of the model; a tokenizer may name tokens without one.
    """
    candidates = [
        (rule, getattr(tokenizer, f"{rule}_token_id"), getattr(tokenizer, f"{rule}_token"))
        for rule in ("bos", "eos")
    ]
    candidates.append(("separator", tokenizer.get_vocab().get(SEPARATOR), SEPARATOR))
    return {
        rule: Prefix(int(token_id), str(token), rule)
        for rule, token_id, token in candidates
        if token_id is not None and token_id < n_vocab
    }


def choose_prefix(
    tokenizer: Any, n_vocab: int, name: str, wanted: str, loss: Callable[[Prefix], float]
) -> Prefix:
    """Choose the prefix of a model.

    In order of precedence: the requested rule; BOS if the tokenizer adds it itself, since the
    model was then trained with it; the prefix with the lowest loss on the probe text.

    Args:
        tokenizer: the model's.
        n_vocab: embeddings of the model.
        name: the model, for messages.
        wanted: auto, bos, eos or separator.
        loss: nats per character of the probe text after a prefix.

    Raises:
        ModelError: the model lacks the requested prefix, or has no prefix.
    """
    prefixes = legal_prefixes(tokenizer, n_vocab)
    if not prefixes:
        raise ModelError(f"{name} has neither BOS nor EOS; its first token cannot be predicted")
    if wanted != AUTO and wanted not in prefixes:
        raise ModelError(
            f"{name} has no prefix {wanted!r} of its own; --prefix may be "
            f"{', '.join([AUTO, *prefixes])}"
        )
    tried = {rule: loss(prefix) for rule, prefix in prefixes.items()}
    rule, why = _rule(tokenizer, prefixes, wanted, tried)
    chosen = prefixes[rule]
    return Prefix(chosen.token_id, chosen.token, rule, why, tried)


def _rule(
    tokenizer: Any, prefixes: Mapping[str, Prefix], wanted: str, tried: Mapping[str, float]
) -> tuple[str, str]:
    if wanted != AUTO:
        return wanted, "asked for"
    if len({prefix.token_id for prefix in prefixes.values()}) == 1:
        return next(iter(prefixes)), "the only one"
    if "bos" in prefixes and tokenizer("a").input_ids[:1] == [prefixes["bos"].token_id]:
        return "bos", "the tokenizer's own"
    return min(tried, key=tried.__getitem__), "the best of those tried"
