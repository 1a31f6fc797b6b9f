"""Confounds of families with the way their losses were collected."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from csvcore.records import Floats, LossSettings, ModelCard

QUANTISED = re.compile(
    r"(?<![a-z0-9])(?:[2-8][ _-]?bit|u?int[2-8]|nf4|fp[48]|gptq|awq|i?q[2-8](?:_\w+)?)(?![0-9])",
    re.IGNORECASE,
)
UNQUANTISED = "none"
FIRST = 0.25  # of the standard deviation of all other tokens' loss


@dataclass(frozen=True, slots=True)
class Confound:
    """A setting of the collection that differs between models.

    values: the families of each value, by value. separates: two families have no value in common,
    so their losses differ by the setting as well as by the models. severe: and the setting changes
    the loss of a whole text; prefix and 16- or 32-bit floats change it by little.
    """

    setting: str
    values: Mapping[str, tuple[str, ...]]
    separates: bool
    severe: bool
    sentence: str


def confounds(
    cards: Sequence[ModelCard], settings: Mapping[str, LossSettings]
) -> tuple[Confound, ...]:
    """Return the settings that differ between models, the severe ones first.

    Compared are quantisation (named by the dtype or by the card's stage), context, prefix rule and
    dtype; models for which a setting is unknown are left out of it.

    Args:
        cards: of the models.
        settings: of the losses, by model.
    """
    columns: dict[str, list[tuple[str, str]]] = defaultdict(list)
    stages_tell = any(QUANTISED.search(card.stage or "") for card in cards)
    for card in cards:
        made = settings.get(card.model, LossSettings())
        shown = (
            ("quantisation", _quantisation(made.dtype, card.stage, stages_tell)),
            ("context", made.context),
            ("prefix", made.prefix),
            ("dtype", made.dtype),
        )
        for name, value in shown:
            if value is not None:
                columns[name].append((value, card.family))
    found = [_confound(name, pairs) for name, pairs in columns.items()]
    return tuple(sorted((one for one in found if one), key=lambda one: not one.severe))


def first_tokens(text_nll: Floats) -> Confound | None:
    """Return a confound where first tokens make much of the difference between models.

    A document's first token is predicted from the prefix alone, and so by what each family takes
    for a prefix more than by ability. Much: its part of the mean loss varies over models by more
    than FIRST of what the rest varies.

    Args:
        text_nll: (n_models, 2) mean loss of the text, and the part of first tokens.
    """
    known = text_nll[np.isfinite(text_nll).all(axis=1)]
    if len(known) < 2:
        return None
    first, rest = known[:, 1], known[:, 0] - known[:, 1]
    if not np.std(first) > FIRST * np.std(rest):
        return None
    share = np.std(first) / np.std(rest) if np.std(rest) > 0.0 else np.inf
    sentence = (
        f"The first tokens of documents vary over models by {share:.0%} of what all others do, "
        "which says more of the prefix than of the models; --mask-first-token leaves them out."
    )
    return Confound("first tokens", {}, False, False, sentence)


def _quantisation(dtype: str | None, stage: str | None, stages_tell: bool) -> str | None:
    """Return the quantisation that the dtype or the stage names; None where nothing tells."""
    for text in (dtype, stage):
        if text and (match := QUANTISED.search(text)):
            return match.group().lower()
    return UNQUANTISED if dtype or (stages_tell and stage) else None


def _confound(name: str, pairs: Sequence[tuple[str, str]]) -> Confound | None:
    by_value: dict[str, set[str]] = defaultdict(set)
    by_family: dict[str, set[str]] = defaultdict(set)
    for value, family in pairs:
        by_value[value].add(family)
        by_family[family].add(value)
    if len(by_value) < 2:
        return None
    separates = any(not one & other for one in by_family.values() for other in by_family.values())
    severe = separates and name in ("quantisation", "context")
    parts = "; ".join(f"{value}: {', '.join(sorted(own))}" for value, own in by_value.items())
    if severe:
        what = f"Families differ in {name}, so their losses are not comparable"
    elif separates:
        what = f"Families differ in {name}, which changes losses little"
    else:
        what = f"Models differ in {name}, but every two families share a value"
    values = {value: tuple(sorted(own)) for value, own in by_value.items()}
    return Confound(name, values, separates, severe, f"{what} ({parts}).")
