"""Splits of the bundled zoo: by size, forecast, closed-source, and one family left out."""

from collections.abc import Sequence

from csvcore import splits
from csvcore.records import ModelCard, Side

VALIDATING_SISTER, TESTING_SISTER = "ebb", "flow"  # they differ in nothing but the mix of data
N_FIRST = 4  # checkpoints of a sister's run that train


def all_splits(cards: Sequence[ModelCard]) -> dict[str, dict[str, Side]]:
    """Return every bundled split by its name; closed-source needs both sisters.

    Repeated seeds and decayed ends are in no split: they show noise and the jump of a decay.
    """
    cards = [card for card in cards if card.run is None and card.stage != "decayed"]
    families = sorted({card.family for card in cards})
    named = {"by-size": splits.by_size(cards), "forecast": forecast(cards)}
    if {VALIDATING_SISTER, TESTING_SISTER} <= set(families):
        named["closed-source"] = splits.closed_source(
            cards, VALIDATING_SISTER, TESTING_SISTER, N_FIRST
        )
    if len(families) > 1:
        named |= {f"without-{name}": splits.leave_one_family_out(cards, name) for name in families}
    return named


def forecast(cards: Sequence[ModelCard]) -> dict[str, Side]:
    """Return a split for forecasting late checkpoints from early ones, for each family.

    The small sizes and the first half of the tokens of every run train; the second half of the
    middle size validates, that of the larger sizes tests.
    """
    split: dict[str, Side] = {}
    for family in dict.fromkeys(card.family for card in cards):
        checkpoints = [card for card in cards if card.family == family]
        sizes = sorted({card.n_params or 0 for card in checkpoints})
        middle = sizes[(len(sizes) - 1) // 2]
        last = max(card.train_tokens or 0 for card in checkpoints)
        for card in checkpoints:
            late = (card.train_tokens or 0) > last / 2
            later: Side = "validation" if card.n_params == middle else "test"
            split[card.model] = later if late and (card.n_params or 0) >= middle else "train"
    return split
