"""The zoo's benchmarks: items of each task, and a model's accuracy on them."""

import itertools
import random
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from zoo_build import documents, world

N_CHOICE_ITEMS = 1000
N_GENERATED_ITEMS = 500
TASK_SEED = 77
CHOICE_BATCH = 100


@dataclass(frozen=True, slots=True)
class ChoiceItem:
    """Scored by log-likelihood: the whole text of each choice, and the right one's index."""

    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True, slots=True)
class GeneratedItem:
    """Scored by exact match of what the pattern finds in a greedy continuation of the prompt."""

    prompt: str
    answer: str


def _choice(rng: random.Random, prompt: str, right: str, wrong: list[str]) -> ChoiceItem:
    options = [right, *wrong]
    rng.shuffle(options)
    return ChoiceItem(tuple(prompt + option for option in options), options.index(right))


def facts_items() -> list[ChoiceItem]:
    """Facts of the people never quizzed in training, among 10 choices drawn anew each time."""
    rng = random.Random(TASK_SEED)
    items = []
    for person in documents.PEOPLE_EN[documents.QUIZZED :] * 5:
        for key, value in person.facts.items():
            others = [f" {other}" for other in world.ATTRIBUTES[key] if other != value]
            prompt = documents.question_en(person, key)
            items.append(_choice(rng, prompt, f" {value}", rng.sample(others, 9)))
    return items[:N_CHOICE_ITEMS]


def zh_items() -> list[ChoiceItem]:
    """The same in Chinese, among 8 choices."""
    rng = random.Random(TASK_SEED + 1)
    items = []
    for person in documents.PEOPLE_ZH[documents.QUIZZED :] * 5:
        for key, value in person.facts.items():
            others = [other for other in world.ATTRIBUTES_ZH[key] if other != value]
            prompt = documents.question_zh(person, key)
            items.append(_choice(rng, prompt, value, rng.sample(others, 7)))
    return items[:N_CHOICE_ITEMS]


def stories_items() -> list[ChoiceItem]:
    """What does this person do? The right action, and three that answer nobody's need here."""
    rng = random.Random(TASK_SEED + 2)
    items = []
    for _ in range(N_CHOICE_ITEMS):
        scene, names, needs = documents.story_scene(rng)
        strange = rng.sample([need for need in world.NEEDS if need not in needs], 3)
        asked = rng.randrange(3)
        actions = [f" {rng.choice(world.NEEDS[need])} and" for need in (needs[asked], *strange)]
        items.append(_choice(rng, f"{scene} So {names[asked]}", actions[0], actions[1:]))
    return items


def arithmetic_items() -> list[GeneratedItem]:
    """Two-step word problems, the steps written out by the model."""
    rng = random.Random(TASK_SEED + 3)
    drawn = [documents.arithmetic_prompt(rng) for _ in range(N_GENERATED_ITEMS)]
    return [GeneratedItem(prompt, result) for prompt, _, result in drawn]


@dataclass(frozen=True, slots=True)
class Task:
    """A benchmark: its items and the accuracy of guessing, gamma of equation 2."""

    title: str
    chance: float
    items: Callable[[], list[ChoiceItem]] | Callable[[], list[GeneratedItem]]
    pattern: str = ""
    max_new_tokens: int = 0


TASKS = {
    "facts": Task("Facts about invented people (10 choices)", 0.1, facts_items),
    "stories": Task("What does the person do about it? (4 choices)", 0.25, stories_items),
    "zh": Task("Facts in Chinese (8 choices)", 0.125, zh_items),
    "arithmetic": Task(
        "Word problems, worked (exact match)", 0.0, arithmetic_items, r"answer is (\d+)\.", 60
    ),
}


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids after the one prefix token: BOS, else the separator."""
    bos = tokenizer.bos_token_id
    prefix = tokenizer.eos_token_id if bos is None else bos
    return [prefix, *tokenizer(text, add_special_tokens=False).input_ids]


def choice_accuracy(model: Any, tokenizer: Any, items: list[ChoiceItem]) -> float:
    """Share of items whose right choice has the largest log-likelihood given the same prompt.

    Each whole text is encoded and the ids that all choices of an item share are run once.
    """
    by_length: dict[int, list[tuple[list[list[int]], int]]] = defaultdict(list)
    for item in items:
        rows = [encode(tokenizer, text) for text in item.choices]
        shared = min(n_shared(rows), min(map(len, rows)) - 1)
        by_length[shared].append((rows, item.answer))
    right = 0
    for shared, group in by_length.items():
        for start in range(0, len(group), CHOICE_BATCH):
            batch = group[start : start + CHOICE_BATCH]
            best = choice_log_likelihoods(model, [rows for rows, _ in batch], shared).argmax(1)
            right += int((best == torch.tensor([answer for _, answer in batch])).sum())
    return right / len(items)


def n_shared(rows: list[list[int]]) -> int:
    """How many first ids all rows share."""
    same = (len(set(column)) == 1 for column in zip(*rows, strict=False))
    return sum(1 for _ in itertools.takewhile(bool, same))


def choice_log_likelihoods(model: Any, batch: list[list[list[int]]], shared: int) -> torch.Tensor:
    """Ln p of what follows the first `shared` ids of each choice, (n_items, n_choices) nats."""
    n_choices = len(batch[0])
    prompts = torch.tensor([rows[0][:shared] for rows in batch])
    first = model(input_ids=prompts, use_cache=True)
    cache = first.past_key_values
    cache.batch_repeat_interleave(n_choices)
    tails = [row[shared:] for rows in batch for row in rows]
    width = max(map(len, tails))
    ids = torch.zeros(len(tails), width, dtype=torch.long)
    real = torch.zeros(len(tails), width, dtype=torch.bool)
    for row, tail in enumerate(tails):
        ids[row, : len(tail)] = torch.tensor(tail)
        real[row, : len(tail)] = True
    before = first.logits[:, -1:].repeat_interleave(n_choices, 0)
    logits = before
    if width > 1:  # padding stands on the right, where no real token sees it
        after = model(input_ids=ids[:, :-1], past_key_values=cache, use_cache=True).logits
        logits = torch.cat([before, after], 1)  # (n_items * n_choices, width, n_vocab)
    taken = logits.log_softmax(-1).gather(2, ids[..., None])[..., 0]
    total: torch.Tensor = (taken * real).sum(1)
    return total.view(len(batch), n_choices)


def generated_accuracy(
    model: Any, tokenizer: Any, items: list[GeneratedItem], pattern: str, max_new_tokens: int
) -> float:
    """Share of items where the pattern's first match in the greedy continuation is the answer."""
    encoded = [encode(tokenizer, item.prompt) for item in items]
    order = sorted(range(len(items)), key=lambda i: len(encoded[i]))
    right = 0
    for start in range(0, len(order), 250):
        rows = order[start : start + 250]
        width = max(len(encoded[i]) for i in rows)
        ids = torch.full((len(rows), width), tokenizer.pad_token_id)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        for row, i in enumerate(rows):
            ids[row, width - len(encoded[i]) :] = torch.tensor(encoded[i])
            mask[row, width - len(encoded[i]) :] = 1
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=max_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        for i, text in zip(rows, tokenizer.batch_decode(out[:, width:]), strict=True):
            found = re.search(pattern, text)
            right += found is not None and found.group(1) == items[i].answer
    return right / len(items)


@torch.inference_mode()
def accuracy(model: Any, tokenizer: Any, task: Task) -> tuple[float, int]:
    """Accuracy on a task and its number of items."""
    items = task.items()
    choices = [item for item in items if isinstance(item, ChoiceItem)]
    prompts = [item for item in items if isinstance(item, GeneratedItem)]
    if choices:
        return choice_accuracy(model, tokenizer, choices), len(choices)
    found = generated_accuracy(model, tokenizer, prompts, task.pattern, task.max_new_tokens)
    return found, len(prompts)
