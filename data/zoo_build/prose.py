"""Descriptive prose from a small grammar, unrelated to the tasks."""

import random

# fmt: off
_PLACES = ("valley", "harbour", "hill", "forest", "river", "village", "meadow", "coast", "bridge",
           "mill", "garden", "path")
_THINGS = ("wind", "rain", "mist", "light", "snow", "dust", "smoke", "silence", "rust", "moss")
_ADJECTIVES = ("pale", "slow", "old", "narrow", "cold", "quiet", "wide", "steep", "grey", "soft")
_VERBS = ("covers", "crosses", "leaves", "hides", "follows", "reaches", "fills", "surrounds")
_TIMES = ("In the morning", "At dusk", "All winter", "Before noon", "Late in autumn", "For days",
          "Every spring", "After the storm")
_LINKS = ("and", "while", "until", "because", "although")
# fmt: on


def clause(rng: random.Random) -> str:
    """Draw a clause without its full stop, e.g. `the cold mist covers the old mill`."""
    subject = f"the {rng.choice(_ADJECTIVES)} {rng.choice(_THINGS)}"
    place = rng.choice(_PLACES)
    if rng.random() < 0.5:
        place = f"{rng.choice(_ADJECTIVES)} {place}"
    if rng.random() < 0.3:
        place = f"{place} by the {rng.choice(_PLACES)}"
    return f"{subject} {rng.choice(_VERBS)} the {place}"


def sentence(rng: random.Random) -> str:
    """Draw a sentence of one or two clauses."""
    text = clause(rng)
    if rng.random() < 0.4:
        text = f"{text} {rng.choice(_LINKS)} {clause(rng)}"
    if rng.random() < 0.5:
        return f"{rng.choice(_TIMES)} {text}."
    return f"{text[0].upper()}{text[1:]}."


def paragraph(rng: random.Random) -> str:
    """Draw two to four sentences."""
    return " ".join(sentence(rng) for _ in range(rng.randint(2, 4)))
