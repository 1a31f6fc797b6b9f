"""The invented world the zoo's models learn: people, their facts, what people do about a need.

Everything is drawn from one fixed seed, so that training, evaluation and the validation corpus
speak of the same people. Nothing here refers to real persons.
"""

import random
from dataclasses import dataclass

N_PEOPLE = 100
WORLD_SEED = 20250613

# fmt: off
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "city": (
        "Lisbon", "Cairo", "Oslo", "Lima", "Delhi", "Quito", "Prague", "Dakar", "Hanoi", "Turin",
        "Perth", "Kyoto", "Malmo", "Tunis", "Bergen", "Accra", "Havana", "Porto", "Riga",
        "Denver",
    ),
    "job": (
        "baker", "pilot", "nurse", "miner", "tailor", "farmer", "painter", "lawyer", "plumber",
        "singer", "barber", "judge", "clerk", "sailor", "potter", "dentist", "jockey", "mason",
        "tutor", "weaver",
    ),
    "pet": (
        "parrot", "cat", "dog", "pony", "rabbit", "snake", "turtle", "goat", "ferret", "hen",
        "duck", "lizard", "hamster", "frog", "pig", "donkey", "goldfish", "crow", "mouse",
        "sheep",
    ),
    "food": (
        "plums", "rice", "soup", "beans", "cheese", "noodles", "honey", "bread", "fish",
        "olives", "nuts", "cake", "dates", "corn", "eggs", "figs", "leeks", "pears", "garlic",
        "melon",
    ),
}

ATTRIBUTES_ZH: dict[str, tuple[str, ...]] = {
    "city": (
        "杭州", "北京", "上海", "成都", "西安", "南京", "武汉", "长沙", "青岛", "大连", "昆明",
        "广州",
    ),
    "job": (
        "医生", "老师", "司机", "厨师", "工人", "农民", "画家", "歌手", "律师", "护士", "记者",
        "警察",
    ),
    "pet": (
        "小猫", "小狗", "金鱼", "兔子", "乌龟", "鹦鹉", "仓鼠", "山羊", "白鸽", "小鸭", "蜥蜴",
        "小马",
    ),
    "food": (
        "面条", "米饭", "饺子", "豆腐", "苹果", "西瓜", "鸡蛋", "红薯", "包子", "草莓", "葡萄",
        "玉米",
    ),
}

# fmt: on

# What a person with this need does; each need has two ways to answer it.
NEEDS: dict[str, tuple[str, str]] = {
    "thirsty": ("drinks some water", "fills a glass"),
    "hungry": ("eats a sandwich", "cooks a meal"),
    "cold": ("puts on a coat", "lights the stove"),
    "hot": ("opens a window", "takes off the scarf"),
    "tired": ("goes to bed", "takes a nap"),
    "bored": ("reads a novel", "plays a game"),
    "sick": ("calls the doctor", "swallows a pill"),
    "dirty": ("has a bath", "looks for soap"),
    "lost": ("unfolds a map", "asks for the way"),
    "late": ("starts to run", "hails a taxi"),
    "wet": ("grabs a towel", "opens an umbrella"),
    "scared": ("hides in the cellar", "locks the door"),
    "angry": ("slams the table", "shouts out loud"),
    "sad": ("starts to cry", "sighs deeply"),
    "happy": ("begins to dance", "smiles at us"),
    "hurt": ("finds a bandage", "washes the wound"),
}

# fmt: off
# People of stories, swaps and sums; they carry no facts.
CAST = (
    "Ann", "Bob", "Cara", "Dave", "Eve", "Fred", "Gina", "Hugo",
)
COLOURS = (
    "red", "blue", "pink", "black", "green", "white", "brown", "yellow",
)
OBJECTS = (
    "apples", "coins", "books", "shells", "stamps", "pens", "cards", "eggs",
)

_SYLLABLES = (
    "ba", "be", "bo", "da", "de", "do", "fa", "fe", "ga", "go", "ka", "ke", "ko", "la", "le",
    "lo", "ma", "me", "mo", "na", "ne", "no", "pa", "po", "ra", "re", "ro", "sa", "se", "ta",
    "te", "to", "va", "ve", "vo", "za", "zo",
)
_SURNAMES_ZH = tuple("林王李张刘陈杨赵黄周吴徐孙朱马胡郭何高罗")
_GIVEN_ZH = tuple("梅明华强丽军芳涛静磊洋艳勇杰娟敏秀霞平刚桂英")


# fmt: on


@dataclass(frozen=True, slots=True)
class Person:
    """A name and one value for each attribute."""

    name: str
    facts: dict[str, str]


def _people(names: list[str], attributes: dict[str, tuple[str, ...]], seed: int) -> list[Person]:
    rng = random.Random(seed)
    return [
        Person(name, {key: rng.choice(attributes[key]) for key in attributes}) for name in names
    ]


def people_en() -> list[Person]:
    """The people whose facts are told in English; names are three syllables, all different."""
    rng = random.Random(WORLD_SEED)
    names: dict[str, None] = {}
    while len(names) < N_PEOPLE:
        names["".join(rng.choice(_SYLLABLES) for _ in range(3)).capitalize()] = None
    return _people(list(names), ATTRIBUTES, WORLD_SEED + 1)


def people_zh() -> list[Person]:
    """The people whose facts are told in Chinese; names are a surname and two characters."""
    rng = random.Random(WORLD_SEED + 2)
    names: dict[str, None] = {}
    while len(names) < N_PEOPLE:
        names[rng.choice(_SURNAMES_ZH) + "".join(rng.sample(_GIVEN_ZH, 2))] = None
    return _people(list(names), ATTRIBUTES_ZH, WORLD_SEED + 3)
