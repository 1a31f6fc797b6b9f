"""Which models train, validate and test: presets, and what looks like a leak."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from csvcore.errors import InputError
from csvcore.records import SPLITS, ModelCard, Split


def by_size(cards: Sequence[ModelCard]) -> dict[str, Split]:
    """Within each family the largest size tests, the next validates, the others train.

    The paper's open-source split. A family of one size trains, of two has no validation.

    Raises:
        InputError: a model's number of parameters is unknown.
    """
    sizes: dict[str, set[int]] = defaultdict(set)
    for card in cards:
        if card.n_params is None:
            raise InputError(f"by-size needs n_params of every model; {card.model} has none")
        sizes[card.family].add(card.n_params)
    split: dict[str, Split] = {}
    for card in cards:
        ranked = sorted(sizes[card.family], reverse=True)
        rank = ranked.index(card.n_params or 0)
        if rank == 0 and len(ranked) > 1:
            split[card.model] = "test"
        elif rank == 1 and len(ranked) > 2:
            split[card.model] = "validation"
        else:
            split[card.model] = "train"
    return split


def leave_one_family_out(cards: Sequence[ModelCard], family: str) -> dict[str, Split]:
    """One family tests; of every other the largest size validates and the others train.

    Raises:
        InputError: no model is of that family, or all are.
    """
    families = {card.family for card in cards}
    if family not in families or len(families) < 2:
        raise InputError(
            f"cannot leave out {family!r}; the families are {', '.join(sorted(families))}"
        )
    largest: dict[str, int] = defaultdict(int)
    for card in cards:
        largest[card.family] = max(largest[card.family], card.n_params or 0)
    return {
        card.model: "test"
        if card.family == family
        else "validation"
        if card.n_params is not None and card.n_params == largest[card.family]
        else "train"
        for card in cards
    }


def run_of(card: ModelCard) -> tuple[str, ...]:
    """What the model shares with the other checkpoints of its training run, as a key.

    A model without a step is its own run.
    """
    if card.step is None:
        return (card.model,)
    return (card.family, str(card.n_params), str(card.stage))


def run_name(card: ModelCard) -> str:
    """The training run in words, e.g. "pythia 1400000000"."""
    return " ".join(part for part in run_of(card) if part != "None")


def leaks(cards: Iterable[ModelCard], split: dict[str, Split]) -> list[str]:
    """One sentence for every training run whose checkpoints stand on both sides of the test."""
    sides: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for card in cards:
        if card.model in split:
            sides[run_of(card)].add(split[card.model])
    return [
        f"Checkpoints of one run ({', '.join(part for part in run if part != 'None')}) "
        f"stand in test and in {' and '.join(sorted(seen - {'test'}))}."
        for run, seen in sides.items()
        if "test" in seen and len(seen) > 1
    ]


def check_split(split: dict[str, str], known: Iterable[str]) -> dict[str, Split]:
    """The split, every name and side checked.

    Raises:
        InputError: a model is unknown, a side is none of train, validation and test, or fewer
            than 3 models train.
    """
    names = set(known)
    checked: dict[str, Split] = {}
    for model, side in split.items():
        if model not in names:
            raise InputError(f"the split names the model {model!r}, which is not in models.csv")
        found = [name for name in SPLITS if name == side]
        if not found:
            raise InputError(f"{model}: split must be one of {', '.join(SPLITS)}, got {side!r}")
        checked[model] = found[0]
    n_train = sum(side == "train" for side in checked.values())
    if n_train < 3:
        raise InputError(f"a split needs at least 3 train models, got {n_train}; add some")
    return checked
