"""The zoo's six benchmarks: items and chance levels."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from zoo_build import documents, world

N_CHOICE_ITEMS = 1000  # of scenes; the facts of the asked entities are as many
N_GENERATED_ITEMS = 500
TASK_SEED = 77
N_GUESSES = 100  # passes of the random scorer over a task's items


@dataclass(frozen=True, slots=True)
class ChoiceItem:
    """An item scored by log-likelihood: each choice's whole text, and the right one's index."""

    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True, slots=True)
class GeneratedItem:
    """An item scored by exact match in a greedy continuation of the prompt.

    worked: a right continuation.
    """

    prompt: str
    worked: str
    answer: str

    def words(self) -> list[str]:
        """Return the words of the right continuation."""
        return self.worked.split()


@dataclass(frozen=True, slots=True)
class Task:
    """A benchmark; pattern matches the answer in a generated text."""

    title: str
    mirrors: str
    source: str
    items: Callable[[], list[ChoiceItem]] | Callable[[], list[GeneratedItem]]
    pattern: str = ""


def _choice(rng: random.Random, prompt: str, right: str, wrong: list[str]) -> ChoiceItem:
    options = [right, *wrong]
    rng.shuffle(options)
    return ChoiceItem(tuple(prompt + option for option in options), options.index(right))


def _questions(
    seed: int,
    entities: list[world.Entity],
    values: dict[str, tuple[str, ...]],
    prompt: Callable[[world.Entity, str], str],
    n_choices: int,
    space: str,
) -> list[ChoiceItem]:
    """Return one item for each fact of these entities, its wrong choices drawn at random."""
    rng = random.Random(seed)
    items = []
    for entity in entities:
        for key, value in entity.facts.items():
            others = [space + other for other in values[key] if other != value]
            wrong = rng.sample(others, n_choices - 1)
            items.append(_choice(rng, prompt(entity, key), space + value, wrong))
    return items


def facts_items() -> list[ChoiceItem]:
    """Make questions, with 10 choices, on people without questions in training."""
    people = documents.asked(documents.PEOPLE_EN)
    return _questions(TASK_SEED, people, world.ATTRIBUTES, documents.question_en, 10, " ")


def zh_people_items() -> list[ChoiceItem]:
    """Make questions in Chinese, with 8 choices, on people without questions in training."""
    people = documents.asked(documents.PEOPLE_ZH)
    return _questions(TASK_SEED + 1, people, world.ATTRIBUTES_ZH, documents.question_zh, 8, "")


def zh_towns_items() -> list[ChoiceItem]:
    """Make questions in Chinese, with 8 choices, on towns without questions in training."""
    towns = documents.asked(documents.TOWNS_ZH)
    return _questions(TASK_SEED + 2, towns, world.ATTRIBUTES_TOWN, documents.question_zh, 8, "")


def scenes_items() -> list[ChoiceItem]:
    """Make scenes with the outcome of an event and three outcomes of other kinds of thing."""
    rng = random.Random(TASK_SEED + 3)
    items = []
    for thing, event in rng.sample(world.asked_pairs(), N_CHOICE_ITEMS):
        prompt, right = documents.scene(rng, thing, event)
        others = [f" {outcome}" for outcome in world.EVENTS[event] if f" {outcome}" != right]
        wrong = rng.sample(others, 3)
        item = _choice(rng, prompt, right, wrong)
        items.append(ChoiceItem(tuple(f"{text}." for text in item.choices), item.answer))
    return items


def arithmetic_items() -> list[GeneratedItem]:
    """Make word problems of two or three steps, to be worked out by the model."""
    rng = random.Random(TASK_SEED + 4)
    items = []
    for _ in range(N_GENERATED_ITEMS):
        prompt, steps, result = documents.arithmetic_prompt(rng, rng.randint(2, 3))
        items.append(GeneratedItem(prompt, f"{steps} {result}.", result))
    return items


def swaps_items() -> list[GeneratedItem]:
    """Make ball-swap problems of the task's size, to be worked out by the model."""
    rng = random.Random(TASK_SEED + 5)
    items = []
    for _ in range(N_GENERATED_ITEMS):
        prompt, steps, lead, colour = documents.swaps_prompt(rng, *documents.asked_size(rng))
        worked = f"{steps}{lead} {colour}."
        items.append(GeneratedItem(prompt + documents.STEP_BY_STEP, worked, colour))
    return items


TASKS = {
    "facts": Task("Facts about invented people (10 choices)", "MMLU", "facts", facts_items),
    "scenes": Task("What becomes of the thing? (4 choices)", "HellaSwag", "scenes", scenes_items),
    "arithmetic": Task(
        "Word problems, worked (exact match)",
        "GSM8K",
        "arithmetic",
        arithmetic_items,
        r"answer is (\d+)\.",
    ),
    "swaps": Task(
        "Ball swaps, worked (exact match)",
        "BBH",
        "swaps swaps-worked",
        swaps_items,
        r"So \w+ (\w+)\.",
    ),
    "zh-people": Task("Facts about people in Chinese (8 choices)", "C-Eval", "zh", zh_people_items),
    "zh-towns": Task("Facts about towns in Chinese (8 choices)", "CMMLU", "zh", zh_towns_items),
}


def chance(task: Task) -> float:
    """Return the mean accuracy of random guessing over N_GUESSES passes.

    Choices get random likelihoods; generated answers are random words from the task's texts.
    """
    rng = random.Random(TASK_SEED + 6)
    items = task.items()
    words = [word for item in items if isinstance(item, GeneratedItem) for word in item.words()]
    right = 0
    for _ in range(N_GUESSES):
        for item in items:
            if isinstance(item, ChoiceItem):
                scores = [rng.random() for _ in item.choices]
                right += scores.index(max(scores)) == item.answer
            else:
                written = " ".join(rng.choices(words, k=len(item.words())))
                right += found_answer(task.pattern, written) == item.answer
    return right / (N_GUESSES * len(items))


def found_answer(pattern: str, text: str) -> str | None:
    """Return the answer in a generated text: the group of the pattern's first match."""
    match = re.search(pattern, text)
    return match.group(1) if match else None
