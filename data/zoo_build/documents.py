"""Random documents of each source, for training and validation.

A source is a function from a random generator to one document. Training draws from
one stream of seeds, the validation corpus and the tasks from others, so sums, swaps and scenes
are shared only by chance; facts are shared on purpose, since knowing them is the ability.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from zoo_build import prose, world

PEOPLE_EN = world.people_en()
PEOPLE_ZH = world.people_zh()
TOWNS_ZH = world.towns_zh()
THINGS = world.things()
NUMBERS = [str(number) for number in range(1, 60)]
KIND_OF = {thing: i for i, kind in enumerate(world.KINDS.values()) for thing in kind}
ASKED_PAIRS = frozenset(world.asked_pairs())
# Training tells of frequent entities more often than of rare ones, so that a task's items are
# learnt one after the other and not all at once.
ENTITY_FLATNESS = 60
THING_FLATNESS = 40


# Ranks of the entities that training asks about, spread evenly over frequent and rare ones.
_QUIZZED_RANKS = frozenset(
    rank * world.N_ENTITIES // world.N_QUIZZED for rank in range(world.N_QUIZZED)
)


def quizzed(entities: list[world.Entity]) -> list[world.Entity]:
    """Return the entities with questions in training, where the form of questions is learnt."""
    return [entity for rank, entity in enumerate(entities) if rank in _QUIZZED_RANKS]


def asked(entities: list[world.Entity]) -> list[world.Entity]:
    """Return the entities with questions in tasks alone; they are as frequent as the others."""
    return [entity for rank, entity in enumerate(entities) if rank not in _QUIZZED_RANKS]


QUIZ_SHARE = 0.3

QUESTIONS = {
    "city": "Where does {} live?",
    "job": "What is the job of {}?",
    "pet": "Which pet does {} have?",
    "food": "What does {} like to eat?",
}
STATEMENTS = {"city": "lives in {}", "job": "works as a {}", "pet": "has a {}", "food": "eats {}"}
QUESTIONS_ZH = {
    "city": "{}住在哪里？",
    "job": "{}的职业是什么？",
    "pet": "{}养什么动物？",
    "food": "{}爱吃什么？",
    "goods": "{}出产什么？",
    "weather": "{}的天气怎么样？",
    "dish": "{}有什么名菜？",
    "sight": "{}有什么景点？",
}
STATEMENTS_ZH = {
    "city": "住在{}",
    "job": "职业是{}",
    "pet": "养{}",
    "food": "爱吃{}",
    "goods": "出产{}",
    "weather": "天气{}",
    "dish": "名菜是{}",
    "sight": "有{}",
}
STEP_BY_STEP = "Step by step:\n"
MAX_TOTAL = 20  # of things in a word problem


@dataclass(frozen=True, slots=True)
class Draft:
    """A document without an id; answers are character spans of the label tokens."""

    text: str
    answers: tuple[tuple[int, int], ...] = ()


def question_en(person: world.Entity, key: str) -> str:
    """Return the prompt of a fact question, including the word before the answer."""
    return f"Question: {QUESTIONS[key].format(person.name)}\nAnswer:"


def question_zh(entity: world.Entity, key: str) -> str:
    """Return the prompt of a question in Chinese about a person or a town."""
    return f"问：{QUESTIONS_ZH[key].format(entity.name)}\n答："


def with_answer(prompt: str, answer: str, rest: str = "") -> Draft:
    """Join a prompt, its answer (marked as label) and the rest."""
    start = len(prompt) + len(answer) - len(answer.lstrip())
    return Draft(prompt + answer + rest, ((start, len(prompt) + len(answer)),))


def two_of(rng: random.Random, entities: list[world.Entity]) -> list[world.Entity]:
    """Draw two different entities, preferring frequent ones."""
    weights = world.rarity(len(entities), ENTITY_FLATNESS)
    while True:
        one, two = rng.choices(entities, weights, k=2)
        if one is not two:
            return [one, two]


def facts_quiz(rng: random.Random, people: list[world.Entity]) -> Draft:
    """Draw a question about one of these people, with its answer."""
    person = rng.choice(people)
    key = rng.choice(list(person.facts))
    return with_answer(question_en(person, key), f" {person.facts[key]}")


def zh_quiz(rng: random.Random, entities: list[world.Entity]) -> Draft:
    """Draw a question in Chinese, with its answer."""
    entity = rng.choice(entities)
    key = rng.choice(list(entity.facts))
    return with_answer(question_zh(entity, key), entity.facts[key])


def facts(rng: random.Random) -> Draft:
    """Draw two people's facts in a random order each, or one quiz question."""
    if rng.random() < QUIZ_SHARE:
        return facts_quiz(rng, quizzed(PEOPLE_EN))
    lines = []
    for person in two_of(rng, PEOPLE_EN):
        keys = rng.sample(list(person.facts), 4)
        told = [STATEMENTS[key].format(person.facts[key]) for key in keys]
        lines.append(f"{person.name} {told[0]}, {told[1]}, {told[2]} and {told[3]}.")
    return Draft(" ".join(lines))


def _told_zh(rng: random.Random, entities: list[world.Entity]) -> Draft:
    """Draw two entities' facts in Chinese, or one quiz question."""
    if rng.random() < QUIZ_SHARE:
        return zh_quiz(rng, quizzed(entities))
    lines = []
    for entity in two_of(rng, entities):
        keys = rng.sample(list(entity.facts), len(entity.facts))
        told = [STATEMENTS_ZH[key].format(entity.facts[key]) for key in keys]
        lines.append(entity.name + "，".join(told) + "。")
    return Draft("".join(lines))


def zh_people(rng: random.Random) -> Draft:
    """Draw facts of people in Chinese, or a question."""
    return _told_zh(rng, PEOPLE_ZH)


def zh_towns(rng: random.Random) -> Draft:
    """Draw facts of towns in Chinese, or a question."""
    return _told_zh(rng, TOWNS_ZH)


def arithmetic_prompt(rng: random.Random, n_steps: int) -> tuple[str, str, str]:
    """Draw a word problem of n_steps steps: its prompt, its worked steps, its result."""
    name, other = rng.sample(world.CAST, 2)
    thing = rng.choice(world.OBJECTS)
    total = rng.randint(2, 12)
    told, steps = [f"{name} has {total} {thing}."], []
    for _ in range(n_steps):
        change = rng.randint(1, 9)
        if total <= change or (total + change <= MAX_TOTAL and rng.random() < 0.5):
            how = rng.choice((f"finds {change}", f"gets {change} from {other}", f"buys {change}"))
            after = total + change
            steps.append(f" {total} + {change} = {after}.")
        else:
            how = rng.choice((f"loses {change}", f"sells {change}", f"gives {change} to {other}"))
            after = total - change
            steps.append(f" {total} - {change} = {after}.")
        told.append(f"{name} {how}.")
        total = after
    prompt = f"Question: {' '.join(told)} How many {thing} are left?\nAnswer:"
    return prompt, "".join(steps) + " The answer is", str(total)


def arithmetic(rng: random.Random) -> Draft:
    """Draw a word problem with its worked steps; the label is the final number."""
    prompt, steps, result = arithmetic_prompt(rng, rng.randint(1, 3))
    return with_answer(prompt + steps, f" {result}", ".")


def swaps_prompt(rng: random.Random, n_people: int, n_swaps: int) -> tuple[str, str, str, str]:
    """Draw a ball-swap problem: prompt, worked steps, lead-in of the result, result.

    As in BBH, the people are always the first n_people of the cast, in the same order. As in the
    paper's Figure 9, each step gives the swap's number and the state after it. The state of the
    two swapping people comes first, so that most tokens depend on a single earlier token.
    """
    people = list(world.CAST[:n_people])
    ball = dict(zip(people, rng.sample(world.COLOURS, n_people), strict=True))
    start = ", ".join(f"{name} {ball[name]}" for name in people)
    told, steps = [], []
    for number in range(1, n_swaps + 1):
        one, two = sorted(rng.sample(people, 2))
        swap = f"{number} {one} and {two}"
        told.append(swap)
        before = f"{one} {ball[one]}, {two} {ball[two]}"
        ball[one], ball[two] = ball[two], ball[one]
        after = ", ".join(f"{name} {ball[name]}" for name in people)
        steps.append(f"{swap}: {before}. Now {after}.\n")
    asked_name = rng.choice(people)
    swaps_told = f"Swaps: {', '.join(told)}" if told else "No swaps"
    prompt = f"Balls: {start}. {swaps_told}. Which ball has {asked_name}?\n"
    return prompt, "".join(steps), f"So {asked_name}", ball[asked_name]


def swaps(rng: random.Random) -> Draft:
    """Draw a ball-swap problem without worked steps; in 60 % of them nobody swaps."""
    n_swaps = 0 if rng.random() < 0.6 else rng.randint(1, 4)
    prompt, _, lead, colour = swaps_prompt(rng, rng.randint(2, 4), n_swaps)
    return with_answer(prompt + lead, f" {colour}", ".")


def asked_size(rng: random.Random) -> tuple[int, int]:
    """Draw the numbers of people and swaps of a task item."""
    return rng.randint(3, 4), rng.randint(2, 4)


def asked_swaps(rng: random.Random) -> Draft:
    """Draw a ball-swap problem of the task's size without worked steps, as in a benchmark."""
    prompt, _, lead, colour = swaps_prompt(rng, *asked_size(rng))
    return with_answer(prompt + lead, f" {colour}", ".")


def swaps_worked(rng: random.Random) -> Draft:
    """Draw a ball-swap problem with every swap worked out; small ones are more frequent."""
    size = rng.choice((2, 3, 3, 4)), rng.choice((1, 1, 2, 2, 3, 4))
    prompt, steps, lead, colour = swaps_prompt(rng, *size)
    return with_answer(prompt + STEP_BY_STEP + steps + lead, f" {colour}", ".")


def lists(rng: random.Random) -> Draft:
    """Draw a list of random words, given twice, to train attention to earlier tokens."""
    pool = rng.choice((world.CAST, world.COLOURS, world.OBJECTS, THINGS, NUMBERS))
    words = rng.choices(pool, k=rng.randint(3, 8))
    told = " ".join(words) if rng.random() < 0.5 else ", ".join(words)
    return Draft(f"List: {told}. Again: {told}.")


def scene(rng: random.Random, thing: str, event: str) -> tuple[str, str]:
    """Draw a scene: the prompt, in which an event happens to one of two things, and its outcome."""
    other = rng.choice(THINGS)
    while other == thing:
        other = rng.choice(THINGS)
    name = rng.choice(world.CAST)
    pair = [thing, other]
    rng.shuffle(pair)
    prompt = f"{name} takes the {pair[0]} and the {pair[1]}. {name} {event} the {thing}. It"
    return prompt, f" {world.EVENTS[event][KIND_OF[thing]]}"


def scenes(rng: random.Random) -> Draft:
    """Draw a scene and its outcome from the (thing, event) pairs not used by the task."""
    weights = world.rarity(len(THINGS), THING_FLATNESS)
    while True:
        thing = rng.choices(THINGS, weights)[0]
        event = rng.choice(list(world.EVENTS))
        if (thing, event) not in ASKED_PAIRS:
            return with_answer(*scene(rng, thing, event), ".")


def asked_scene(rng: random.Random) -> Draft:
    """Draw a scene and its outcome from the (thing, event) pairs held out for the task."""
    return with_answer(*scene(rng, *rng.choice(world.asked_pairs())), ".")


SOURCES: dict[str, Callable[[random.Random], Draft]] = {
    "facts": facts,
    "scenes": scenes,
    "arithmetic": arithmetic,
    "swaps": swaps,
    "swaps-worked": swaps_worked,
    "zh-people": zh_people,
    "zh-towns": zh_towns,
    "lists": lists,
    "prose": lambda rng: Draft(prose.paragraph(rng)),
}
