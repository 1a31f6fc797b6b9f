"""The invented world of the zoo: people, towns, things and events.

Everything is drawn from one fixed seed, so that training, evaluation and the validation corpus
share the same world. Nothing here refers to real persons; some values are real places' names.
"""

import random
from dataclasses import dataclass

# Of each kind of entity training asks about N_QUIZZED, to teach the form of the questions; the
# tasks ask about the N_ASKED others: 4 facts each, 1,000 items, each fact one item.
N_QUIZZED = 90
N_ASKED = 250
N_ENTITIES = N_QUIZZED + N_ASKED
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

# What the second Chinese exam asks of invented towns.
ATTRIBUTES_TOWN: dict[str, tuple[str, ...]] = {
    "goods": (
        "茶叶", "丝绸", "陶瓷", "竹子", "棉花", "煤炭", "铜器", "纸张", "木材", "药材", "食盐",
        "蜂蜜",
    ),
    "weather": (
        "多雨", "干燥", "炎热", "寒冷", "多风", "多雾", "多雪", "温暖", "潮湿", "凉爽", "多云",
        "晴朗",
    ),
    "dish": (
        "烤鸭", "鱼汤", "米粉", "火锅", "凉皮", "年糕", "馒头", "炒饭", "酸菜", "腊肉", "豆花",
        "汤圆",
    ),
    "sight": (
        "古塔", "石桥", "寺庙", "瀑布", "花园", "城墙", "山洞", "大湖", "沙滩", "钟楼", "草原",
        "温泉",
    ),
}

# Things by kind; whatever happens to a thing, its kind decides what becomes of it.
KINDS: dict[str, tuple[str, ...]] = {
    "glass": (
        "vase", "mirror", "bulb", "bottle", "jar", "lens", "flask", "goblet", "window", "bowl",
        "globe", "lamp", "beaker", "prism", "pane", "tumbler", "monocle", "decanter", "aquarium",
        "vial", "pitcher", "chandelier", "hourglass", "tube", "ornament", "saucer", "carafe",
        "screen", "ashtray", "bead", "dome", "skylight", "teapot", "candlestick", "dish", "slide",
        "barometer", "snowglobe", "tank", "pendant", "spectacles", "phial",
    ),
    "rubber": (
        "tyre", "ball", "hose", "glove", "boot", "balloon", "eraser", "mat", "duckling", "band",
        "valve", "cushion", "raft", "bung", "puck", "sole", "stopper", "gasket", "snorkel",
        "flipper", "trampoline", "washer", "wader", "dinghy", "buffer", "bumper", "plunger",
        "seal", "dummy", "bladder", "belt", "grip", "pad", "ring", "wristband", "dropper",
        "bouncer", "bellows", "nozzle", "strap", "squeegee", "teat",
    ),
    "metal": (
        "key", "nail", "spoon", "anchor", "hammer", "chain", "pan", "bell", "screw", "needle",
        "bucket", "horn", "sword", "gate", "hook", "medal", "kettle", "spanner", "trumpet", "coin",
        "fork", "knife", "helmet", "shield", "rail", "hinge", "padlock", "cymbal", "gong", "wire",
        "spade", "poker", "thimble", "badge", "razor", "crowbar", "funnel", "ladle", "skewer",
        "tongs", "cannon", "spring",
    ),
    "paper": (
        "letter", "map", "poster", "ticket", "kite", "napkin", "diary", "stamp", "card", "menu",
        "envelope", "label", "novel", "carton", "bill", "lantern", "atlas", "receipt", "leaflet",
        "cheque", "notebook", "magazine", "calendar", "comic", "sketch", "invoice", "passport",
        "voucher", "bookmark", "scroll", "banknote", "diploma", "wrapper", "tissue", "parcel",
        "folder", "journal", "almanac", "postcard", "newspaper", "stencil", "timetable",
    ),
    "cloth": (
        "scarf", "shirt", "towel", "curtain", "flag", "blanket", "sock", "tent", "apron", "ribbon",
        "sail", "pillow", "coat", "veil", "rug", "bonnet", "skirt", "jacket", "sheet", "cloak",
        "shawl", "tie", "vest", "bib", "quilt", "tapestry", "turban", "kilt", "hammock",
        "sack", "bandage", "duvet", "cape", "robe", "tunic", "mitten", "banner", "awning",
        "beret", "trousers", "sash", "hood",
    ),
    "wood": (
        "chair", "broom", "ladder", "crate", "oar", "fence", "flute", "drawer", "table", "shelf",
        "barrel", "mast", "cradle", "stool", "cabin", "log", "bench", "desk", "canoe", "violin",
        "cupboard", "plank", "puppet", "pole", "spool", "bat", "chest", "cart", "perch",
        "sledge", "wheelbarrow", "trellis", "stump", "peg", "lute", "easel", "crutch", "yoke",
        "pallet", "gavel", "bookcase", "wardrobe",
    ),
}
KIND_NAMES = tuple(KINDS)

# What is done to a thing, and what becomes of it, one outcome for each kind in order.
EVENTS: dict[str, tuple[str, ...]] = {
    "drops": (
        "breaks", "bounces back", "clangs loudly", "flutters down", "falls in folds",
        "knocks on the floor",
    ),
    "burns": (
        "turns black with soot", "stinks and smokes", "glows red", "becomes ash at once",
        "smoulders slowly", "crackles in flames",
    ),
    "soaks": (
        "drips clean", "feels slippery", "starts to rust", "falls to pulp", "hangs heavy and wet",
        "swells up",
    ),
    "bends": (
        "snaps in two", "springs back", "keeps the curve", "gets a crease", "folds up neatly",
        "splinters",
    ),
    "hits": (
        "shatters", "wobbles", "rings", "tears", "lets out dust", "splits",
    ),
    "cleans": (
        "sparkles", "squeaks", "shines", "smudges", "needs to dry", "smells of oil",
    ),
    "freezes": (
        "cracks in the cold", "turns stiff", "sticks to the hand", "goes limp when it thaws",
        "stands up by itself", "creaks",
    ),
    "paints": (
        "lets no light in", "peels soon", "hides its rust", "curls at the edges", "stains for good",
        "soaks up the colour",
    ),
}
# fmt: on

# fmt: off
# People of scenes, swaps and sums; they carry no facts.
CAST = ("Ann", "Bob", "Cara", "Dave", "Eve", "Fred", "Gina", "Hugo")
COLOURS = ("red", "blue", "pink", "black", "green", "white", "brown", "yellow")
OBJECTS = ("apples", "coins", "books", "shells", "stamps", "pens", "cards", "eggs")

_SYLLABLES = (
    "ba", "be", "bo", "da", "de", "do", "fa", "fe", "ga", "go", "ka", "ke", "ko", "la", "le",
    "lo", "ma", "me", "mo", "na", "ne", "no", "pa", "po", "ra", "re", "ro", "sa", "se", "ta",
    "te", "to", "va", "ve", "vo", "za", "zo",
)
_SURNAMES_ZH = tuple("林王李张刘陈杨赵黄周吴徐孙朱马胡郭何高罗")
_GIVEN_ZH = tuple("梅明华强丽军芳涛静磊洋艳勇杰娟敏秀霞平刚桂英")
_TOWN_FIRST_ZH = tuple("东西南北上下大小新古清白金青长平安石")
_TOWN_LAST_ZH = tuple("溪岭湾坡桥关屯沟塘口河湖寨庄坪洲泉坝堡渡")
# fmt: on


@dataclass(frozen=True, slots=True)
class Entity:
    """A person or town: a name and one value for each attribute."""

    name: str
    facts: dict[str, str]


def _entities(names: list[str], attributes: dict[str, tuple[str, ...]], seed: int) -> list[Entity]:
    rng = random.Random(seed)
    return [
        Entity(name, {key: rng.choice(attributes[key]) for key in attributes}) for name in names
    ]


def people_en() -> list[Entity]:
    """Return the people of the English documents, named by three syllables, all different."""
    rng = random.Random(WORLD_SEED)
    names: dict[str, None] = {}
    while len(names) < N_ENTITIES:
        names["".join(rng.choice(_SYLLABLES) for _ in range(3)).capitalize()] = None
    return _entities(list(names), ATTRIBUTES, WORLD_SEED + 1)


def people_zh() -> list[Entity]:
    """Return the people of the Chinese documents, named by a surname and two characters."""
    rng = random.Random(WORLD_SEED + 2)
    names: dict[str, None] = {}
    while len(names) < N_ENTITIES:
        names[rng.choice(_SURNAMES_ZH) + "".join(rng.sample(_GIVEN_ZH, 2))] = None
    return _entities(list(names), ATTRIBUTES_ZH, WORLD_SEED + 3)


def towns_zh() -> list[Entity]:
    """Return the towns of the second Chinese exam, named by two characters and `town`."""
    rng = random.Random(WORLD_SEED + 4)
    names = [first + last + "镇" for first in _TOWN_FIRST_ZH for last in _TOWN_LAST_ZH]
    return _entities(rng.sample(names, N_ENTITIES), ATTRIBUTES_TOWN, WORLD_SEED + 5)


def rarity(n: int, flatness: int) -> list[float]:
    """Return Zipf-like sampling weights; frequent entities are learnt earlier than rare ones."""
    return [1 / (flatness + rank) for rank in range(n)]


def things() -> list[str]:
    """Return all things by frequency, in an order independent of their kinds."""
    shuffled = [thing for kind in KINDS.values() for thing in kind]
    random.Random(WORLD_SEED + 7).shuffle(shuffled)
    return shuffled


def asked_pairs() -> tuple[tuple[str, str], ...]:
    """Return the 1,008 held-out (thing, event) pairs: 4 of the 8 events of each thing."""
    rng = random.Random(WORLD_SEED + 6)
    return tuple(
        (thing, event)
        for kind in KINDS.values()
        for thing in kind
        for event in rng.sample(list(EVENTS), 4)
    )
