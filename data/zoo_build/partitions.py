"""The splits that the zoo ships: by size, closed-source, and one family left out."""

from collections.abc import Sequence

from csvcore import splits
from csvcore.records import ModelCard, Split

VALIDATING_SISTER, TESTING_SISTER = "ebb", "flow"  # they differ in nothing but the mix of data
N_FIRST = 4  # checkpoints of a sister's run that train


def all_splits(cards: Sequence[ModelCard]) -> dict[str, dict[str, Split]]:
    """Every bundled split by its name."""
    families = sorted({card.family for card in cards})
    return {
        "by-size": splits.by_size(cards),
        "closed-source": splits.closed_source(cards, VALIDATING_SISTER, TESTING_SISTER, N_FIRST),
        **{f"without-{name}": splits.leave_one_family_out(cards, name) for name in families},
    }
