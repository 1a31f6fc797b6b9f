"""Documents of each source, drawn without end: what the models train on and are scored over.

A source is a function of a random generator that returns one document. Training draws from
one stream of seeds, the validation corpus and the tasks from others, so no sum, swap or story
is shared but by chance; facts are shared on purpose, since knowing them is the ability.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from zoo_build import world

PEOPLE_EN = world.people_en()
PEOPLE_ZH = world.people_zh()
# Only these people are ever asked about in training; the tasks ask about all others.
QUIZZED = world.N_PEOPLE // 2

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
}
STATEMENTS_ZH = {"city": "住在{}", "job": "职业是{}", "pet": "养{}", "food": "爱吃{}"}


STEP_BY_STEP = "\nStep by step:"


@dataclass(frozen=True, slots=True)
class Draft:
    """A document before it has a name; answers are character spans of the label tokens."""

    text: str
    answers: tuple[tuple[int, int], ...] = ()


def question_en(person: world.Person, key: str) -> str:
    """The prompt of a fact question, up to and with the word before the answer."""
    return f"Question: {QUESTIONS[key].format(person.name)}\nAnswer:"


def question_zh(person: world.Person, key: str) -> str:
    """The same in Chinese."""
    return f"问：{QUESTIONS_ZH[key].format(person.name)}\n答："


def with_answer(prompt: str, answer: str, rest: str = "") -> Draft:
    """A prompt, its answer (marked as label) and what follows."""
    start = len(prompt) + len(answer) - len(answer.lstrip())
    return Draft(prompt + answer + rest, ((start, len(prompt) + len(answer)),))


def facts_quiz(rng: random.Random, people: list[world.Person]) -> Draft:
    """One question about one of these people, with its answer."""
    person = rng.choice(people)
    key = rng.choice(list(person.facts))
    return with_answer(question_en(person, key), f" {person.facts[key]}")


def zh_quiz(rng: random.Random, people: list[world.Person]) -> Draft:
    """One question in Chinese, with its answer."""
    person = rng.choice(people)
    key = rng.choice(list(person.facts))
    return with_answer(question_zh(person, key), person.facts[key])


def facts(rng: random.Random) -> Draft:
    """Two people's facts in a random order each, or one quiz question."""
    if rng.random() < 0.3:
        return facts_quiz(rng, PEOPLE_EN[:QUIZZED])
    lines = []
    for person in rng.sample(PEOPLE_EN, 2):
        keys = rng.sample(list(person.facts), 4)
        told = [STATEMENTS[key].format(person.facts[key]) for key in keys]
        lines.append(f"{person.name} {told[0]}, {told[1]}, {told[2]} and {told[3]}.")
    return Draft(" ".join(lines))


def zh(rng: random.Random) -> Draft:
    """The same in Chinese."""
    if rng.random() < 0.3:
        return zh_quiz(rng, PEOPLE_ZH[:QUIZZED])
    lines = []
    for person in rng.sample(PEOPLE_ZH, 2):
        keys = rng.sample(list(person.facts), 4)
        told = [STATEMENTS_ZH[key].format(person.facts[key]) for key in keys]
        lines.append(person.name + "，".join(told) + "。")
    return Draft("".join(lines))


def arithmetic_prompt(rng: random.Random) -> tuple[str, str, str]:
    """A two-step word problem: its prompt, its worked steps, its result."""
    name, other = rng.sample(world.CAST, 2)
    thing = rng.choice(world.OBJECTS)
    first, second = rng.randint(2, 30), rng.randint(2, 20)
    total = first + second
    third = rng.randint(1, total - 1)
    more = rng.choice((f"finds {second} more", f"gets {second} from {other}", f"buys {second}"))
    less = rng.choice((f"loses {third}", f"sells {third}", f"gives {third} to {other}"))
    prompt = (
        f"Question: {name} has {first} {thing}. {name} {more}. Then {name} {less}. "
        f"How many {thing} are left?\nAnswer:"
    )
    left = total - third
    steps = f" {first} + {second} = {total}. {total} - {third} = {left}. The answer is"
    return prompt, steps, str(left)


def arithmetic(rng: random.Random) -> Draft:
    """A word problem with its worked steps; the label is the final number."""
    prompt, steps, result = arithmetic_prompt(rng)
    return with_answer(prompt + steps, f" {result}", ".")


def tracking_prompt(rng: random.Random, n_swaps: int) -> tuple[str, str, str, str]:
    """A ball-swap problem of three people: prompt, worked steps, lead-in of the result, result."""
    people = rng.sample(world.CAST, 3)
    ball = dict(zip(people, rng.sample(world.COLOURS, 3), strict=True))
    start = " ".join(f"{name} has the {ball[name]} ball." for name in people)
    swaps = [tuple(rng.sample(people, 2)) for _ in range(n_swaps)]
    told = " ".join(f"{one} and {two} swap." for one, two in swaps)
    asked = rng.choice(people)
    prompt = f"{start} {told} Which ball does {asked} have?"
    steps = []
    for one, two in swaps:
        given = f"{one} gives the {ball[one]} ball and {two} gives the {ball[two]} ball."
        ball[one], ball[two] = ball[two], ball[one]
        steps.append(f" {given} {one} has the {ball[one]} ball. {two} has the {ball[two]} ball.")
    return prompt, "".join(steps), f" So {asked} has the", ball[asked]


def tracking(rng: random.Random) -> Draft:
    """A ball-swap problem answered at once, as a benchmark prints it."""
    prompt, _, lead, colour = tracking_prompt(rng, rng.randint(1, 3))
    return with_answer(f"{prompt}\nAnswer:{lead}", f" {colour}", " ball.")


def tracking_worked(rng: random.Random) -> Draft:
    """A ball-swap problem with every swap worked out."""
    prompt, steps, lead, colour = tracking_prompt(rng, rng.randint(1, 3))
    return with_answer(f"{prompt}{STEP_BY_STEP}{steps}{lead}", f" {colour}", " ball.")


def story_scene(rng: random.Random) -> tuple[str, list[str], list[str]]:
    """Three people with a need each: the scene, the names, the needs."""
    names = rng.sample(world.CAST, 3)
    needs = rng.sample(list(world.NEEDS), 3)
    scene = " ".join(f"{name} is {need}." for name, need in zip(names, needs, strict=True))
    return scene, names, needs


def stories(rng: random.Random) -> Draft:
    """Three people with a need each, and what two of them do; the label is what the last does."""
    scene, names, needs = story_scene(rng)
    first, last = rng.sample(range(3), 2)
    done = f"So {names[first]} {rng.choice(world.NEEDS[needs[first]])} and {names[last]}"
    return with_answer(f"{scene} {done}", f" {rng.choice(world.NEEDS[needs[last]])}", ".")


SOURCES: dict[str, Callable[[random.Random], Draft]] = {
    "facts": facts,
    "stories": stories,
    "arithmetic": arithmetic,
    "tracking": tracking,
    "tracking-worked": tracking_worked,
    "zh": zh,
}
