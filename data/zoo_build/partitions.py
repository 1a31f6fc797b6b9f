"""The splits that the zoo ships: by size, closed-source, and one family left out."""

from collections import defaultdict
from collections.abc import Sequence

from csvcore import splits
from csvcore.records import ModelCard, Split

VALIDATING_SISTER, TESTING_SISTER = "ebb", "flow"
N_FIRST = 4  # checkpoints of a sister's run that train


def all_splits(cards: Sequence[ModelCard]) -> dict[str, dict[str, Split]]:
    """Every bundled split by its name."""
    families = sorted({card.family for card in cards})
    return {
        "by-size": splits.by_size(cards),
        "closed-source": closed_source(cards),
        **{f"without-{name}": splits.leave_one_family_out(cards, name) for name in families},
    }


def closed_source(cards: Sequence[ModelCard]) -> dict[str, Split]:
    """All other families and the sisters' first checkpoints train, as in the paper's section 4.3.

    One sister's later checkpoints validate, those of the other, which differs from it in nothing
    but the mix of its data, test.
    """
    later: dict[str, Split] = {VALIDATING_SISTER: "validation", TESTING_SISTER: "test"}
    steps: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for card in cards:
        steps[splits.run_of(card)].append(card.step or 0)
    split: dict[str, Split] = {}
    for card in cards:
        first = sorted(steps[splits.run_of(card)])[:N_FIRST]
        is_first = card.step is None or card.step in first
        split[card.model] = "train" if is_first else later.get(card.family, "train")
    return split
