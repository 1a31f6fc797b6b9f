"""Splits of the models into train, validation and test: presets and leak checks."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from csvcore.errors import InputError
from csvcore.records import SIDES, ModelCard, Side

# Table 2 of the paper, names as on Hugging Face. It prints Yi-1.5-34B-Chat twice; Gemma 2's small
# chat models are scored there but not named in it, and stand with their base models.
TABLE_2: dict[Side, str] = {
    "train": """
        Llama-2-7b Llama-2-13b Llama-2-7b-chat Llama-2-13b-chat Qwen1.5-1.8B Qwen1.5-4B Qwen1.5-7B
        Qwen1.5-14B Qwen1.5-1.8B-Chat Qwen1.5-4B-Chat Qwen1.5-7B-Chat Qwen1.5-14B-Chat Llama-3-8B
        Llama-3-8B-Instruct Qwen2-1.5B Qwen2-7B Qwen2-1.5B-Instruct Qwen2-7B-Instruct Yi-6B
        Yi-6B-Chat Yi-1.5-6B Yi-1.5-9B Yi-1.5-6B-Chat Yi-1.5-9B-Chat gemma-2-2b gemma-2-9b
        gemma-2-2b-it gemma-2-9b-it internlm2-1_8b internlm2-7b internlm2-chat-1_8b
        internlm2-chat-7b internlm2-chat-1_8b-sft internlm2-chat-7b-sft internlm2_5-1_8b
        internlm2_5-7b internlm2_5-1_8b-chat internlm2_5-7b-chat internlm2_5-1_8b-chat-sft
        internlm2_5-7b-chat-sft
    """,
    "validation": """
        Llama-2-70b Llama-2-70b-chat Qwen1.5-32B Qwen1.5-72B Qwen1.5-32B-Chat Qwen1.5-72B-Chat
        internlm2-20b internlm2-chat-20b internlm2-chat-20b-sft Yi-34B Yi-34B-Chat
    """,
    "test": """
        Yi-1.5-34B Yi-1.5-34B-Chat Llama-3-70B Llama-3-70B-Instruct gemma-2-27b gemma-2-27b-it
        Qwen2-72B Qwen2-72B-Instruct internlm2_5-20b internlm2_5-20b-chat
    """,
}

WITHOUT = "without-"  # and a family: the name of the split that leaves it out


def by_size(cards: Sequence[ModelCard]) -> dict[str, Side]:
    """Split by size: per family the largest size tests, the next validates, the others train.

    The paper's open-source split. A family of one size trains, of two has no validation.

    Raises:
        InputError: a model's number of parameters is unknown.
    """
    sizes: dict[str, set[int]] = defaultdict(set)
    for card in cards:
        if card.n_params is None:
            raise InputError(
                f"by-size needs n_params of every model; {card.model} has none: give them in a CSV "
                "of model,family,n_params to `csvcore import models`, or start from without-FAMILY"
            )
        sizes[card.family].add(card.n_params)
    split: dict[str, Side] = {}
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


def leave_one_family_out(cards: Sequence[ModelCard], family: str) -> dict[str, Side]:
    """Leave one family out for test; the largest size of each other family validates.

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


def sisters(cards: Sequence[ModelCard]) -> tuple[str, str]:
    """Return two possible sister families: the first two that share the most sizes.

    Where no two share one, the last two; with a single family its name twice.
    """
    sizes: dict[str, set[int]] = defaultdict(set)
    for card in sorted(cards, key=lambda card: card.family):
        sizes[card.family] |= {card.n_params} if card.n_params is not None else set()
    shared = {(a, b): len(sizes[a] & sizes[b]) for a, b in combinations(sizes, 2)}
    best = max(shared, key=lambda pair: shared[pair], default=None)
    if best is not None and shared[best]:
        return best
    families = list(sizes)
    return families[-2:][0], families[-1]


def closed_source(
    cards: Sequence[ModelCard], validating: str, testing: str, n_first: int = 4
) -> dict[str, Side]:
    """Test on the later checkpoints of two sister families; all other models train or validate.

    The paper's closed-source split (section 4.1): all other families and the first checkpoints of
    each sister's runs train; one sister's later checkpoints validate, the other's test.

    Args:
        cards: all models.
        validating: the sister whose later checkpoints validate.
        testing: the sister whose later checkpoints test.
        n_first: checkpoints of a sister's run that train.

    Raises:
        InputError: the sisters are not two existing families, or one has no later checkpoint.
    """
    families = {card.family for card in cards}
    if validating == testing or not {validating, testing} <= families:
        raise InputError(
            f"closed-source needs two sister families, got {validating!r} and {testing!r}; "
            f"the families are {', '.join(sorted(families))}"
        )
    steps: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for card in cards:
        steps[run_of(card)].append(card.step or 0)
    later: dict[str, Side] = {validating: "validation", testing: "test"}
    split: dict[str, Side] = {}
    for card in cards:
        first = sorted(steps[run_of(card)])[:n_first]
        is_first = card.step is None or card.step in first
        split[card.model] = "train" if is_first else later.get(card.family, "train")
    for family, side in later.items():
        if side not in split.values():
            raise InputError(
                f"no run of {family} has more than {n_first} checkpoints, so none could be used "
                f"for {side}; let fewer first checkpoints train"
            )
    return split


def table_2(cards: Sequence[ModelCard]) -> tuple[dict[str, Side], list[str]]:
    """Return the paper's open-source split, Table 2, for the models found by name.

    Letter case, an organisation before the name, "meta", "hf" and _ for . are ignored.

    Returns:
        The side of each model in the table, and the names in the table without a model.
    """
    stored = {_table_name(card.model): card.model for card in cards}
    split: dict[str, Side] = {}
    missing = []
    for side, names in TABLE_2.items():
        for name in names.split():
            if (model := stored.get(_table_name(name))) is not None:
                split[model] = side
            else:
                missing.append(name)
    return split, missing


def _table_name(name: str) -> str:
    bare = name.rsplit("/", 1)[-1].lower().replace("_", ".")
    parts = re.split(r"[-\s]+", re.sub(r"\bllama(?=\d)", "llama-", bare))
    return "-".join(part for part in parts if part not in ("meta", "hf"))


def of_stage(cards: Sequence[ModelCard], stage: str) -> list[ModelCard]:
    """Return the models of one stage, such as base or chat, as input of the presets.

    Raises:
        InputError: no model is of that stage.
    """
    chosen = [card for card in cards if card.stage == stage]
    if not chosen:
        stages = sorted({card.stage for card in cards if card.stage})
        raise InputError(
            f"no model is of stage {stage!r}; the stages are {', '.join(stages) or 'unknown'}"
        )
    return chosen


def run_of(card: ModelCard) -> tuple[str, ...]:
    """Return a key shared by all checkpoints of a training run.

    That is family, size and stage, and the card's `run` where it has one: repetitions of one model
    are runs of their own, and equal names of runs in two families do not join them. A model with
    neither a run nor a step is a run by itself.
    """
    if card.run is not None:
        return (card.family, str(card.n_params), str(card.stage), f"({card.run})")
    if card.step is None:
        return (card.model,)
    return (card.family, str(card.n_params), str(card.stage))


def checkpoint_of(card: ModelCard) -> tuple[object, ...]:
    """Return a key shared by a checkpoint and its repetitions with other seeds."""
    return (card.family, card.n_params, card.stage, card.step)


def run_name(card: ModelCard) -> str:
    """Return the training run in words, e.g. "pythia 1400000000" or "ebb 52640 (seed2)"."""
    return " ".join(part for part in run_of(card) if part != "None")


def leaks(
    cards: Iterable[ModelCard],
    split: Mapping[str, Side],
    fingerprints: Sequence[Mapping[str, str]] = (),
) -> list[str]:
    """Return a warning for each run or fingerprint both in test and in another side.

    Args:
        cards: of the models; checkpoints of one training run are not independent.
        split: side of each model.
        fingerprints: hashes by model, of weights or losses; models with equal hashes are copies.
    """
    sides: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for card in cards:
        if card.model in split:
            sides[run_of(card)].add(split[card.model])
    runs = [
        f"Checkpoints of one run ({', '.join(part for part in run if part != 'None')}) "
        f"stand in test and in {' and '.join(sorted(seen - {'test'}))}."
        for run, seen in sides.items()
        if "test" in seen and len(seen) > 1
    ]
    return runs + [
        f"{' and '.join(same)} are the same model, and stand in test and in another side."
        for same in copies(fingerprints)
        if len(placed := {split[name] for name in same if name in split}) > 1 and "test" in placed
    ]


def copies(fingerprints: Sequence[Mapping[str, str]]) -> list[tuple[str, ...]]:
    """Return groups of models with equal fingerprints, sorted and without duplicates."""
    groups: set[tuple[str, ...]] = set()
    for hashes in fingerprints:
        by_hash: dict[str, list[str]] = defaultdict(list)
        for model, value in hashes.items():
            by_hash[value].append(model)
        groups |= {tuple(sorted(same)) for same in by_hash.values() if len(same) > 1}
    return sorted(groups)


def check_split(split: dict[str, str], models: Iterable[str]) -> dict[str, Side]:
    """Return the split after checking every name and side.

    Raises:
        InputError: a model is unknown, a side is none of train, validation and test, or fewer
            than 3 models train.
    """
    names = set(models)
    checked: dict[str, Side] = {}
    for model, side in split.items():
        if model not in names:
            raise InputError(f"the split names the model {model!r}, which is not in models.csv")
        matching = [name for name in SIDES if name == side]
        if not matching:
            raise InputError(f"{model}: split must be one of {', '.join(SIDES)}, got {side!r}")
        checked[model] = matching[0]
    n_train = sum(side == "train" for side in checked.values())
    if n_train < 3:
        raise InputError(f"a split needs at least 3 train models, got {n_train}; add some")
    return checked
