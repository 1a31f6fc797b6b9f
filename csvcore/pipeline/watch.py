"""A run that is being trained: its new checkpoints are found and collected as they appear."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from time import sleep

from csvcore import lm, store
from csvcore.errors import InputError, ModelError, StoreError, explained
from csvcore.pipeline.collect import CollectConfig, Collected, collect, prepare
from csvcore.records import ModelCard

NUMBER = re.compile(r"(\d+)$")  # at the end of a checkpoint's name: its step
TRAINER_STATE = "trainer_state.json"  # of transformers' Trainer, in every checkpoint

Sizes = dict[str, int]  # of the files of a folder, in bytes


@dataclass(frozen=True, slots=True)
class Watch:
    """A run to watch, and how its checkpoints are stored.

    place: a folder of checkpoints, or a hub name. revisions: a pattern of branches of the hub name,
    such as step*. family: of the cards; by default the model type. tokens_per_step: by which steps
    become training tokens, where the checkpoints do not say.
    """

    place: str
    corpus: str
    revisions: str | None = None
    family: str | None = None
    tokens_per_step: int | None = None

    @property
    def run(self) -> str:
        """Return the name of the run: that of the folder or repository."""
        path = Path(self.place)
        return path.resolve().name if path.is_dir() else self.place.rpartition("/")[2]


def watch(
    database: Path,
    watched: Watch,
    config: CollectConfig,
    every: float | None,
    say: Callable[[str], None],
) -> Iterator[list[Collected]]:
    """Collect new checkpoints, look again after some seconds, and so on; yield each look's results.

    Nothing is kept but what is stored, so a watch can be killed and started again at any time. A
    checkpoint that is being written is left for the next look. One that fails is told once, and
    tried again when its files change; where the machine is at fault, such as a full disk, at the
    next look. After the first look no disk, database or hub that refuses ends the watch.

    Args:
        database: the results database.
        watched: what to watch.
        config: settings of the collection.
        every: seconds between two looks; None for one look.
        say: takes messages for the user.

    Raises:
        InputError: there is no such folder, corpus or branch.
        ModelError, StoreError, OSError: in the first look.
    """
    if watched.revisions is None and not Path(watched.place).is_dir():
        raise InputError(
            f"there is no folder {watched.place}; name a folder of checkpoints, or a hub name with "
            "--revisions"
        )
    before: dict[str, Sizes] = {}
    failed: dict[str, Sizes] = {}
    n_looks = 0
    while True:
        done: list[Collected] = []
        try:
            now = {name: _sizes(name) for name in _not_stored(database, watched)}
            by_name = _collect(database, watched, config, _ready(now, before, failed), say)
            done = list(by_name.values())
            failed |= {
                name: now[name]
                for name, one in by_name.items()
                if one.status == "failed" and not one.passing
            }
            before = now
        except (StoreError, ModelError, OSError) as error:
            # A full disk, a locked database, a hub that does not answer: what is stored is whole.
            if n_looks == 0:
                raise
            say(f"{explained(error)}; trying again at the next look")
        yield done
        n_looks += 1
        if every is None:
            return
        sleep(every)


def places(watched: Watch) -> list[str]:
    """Return the folders or hub names of all checkpoints, the first steps first.

    Raises:
        InputError: the hub has no branch of the pattern.
    """
    if watched.revisions is not None:
        branches = [name for name in lm.branches(watched.place) if _matches(name, watched)]
        if not branches:
            raise InputError(f"{watched.place} has no branch of the form {watched.revisions}")
        return [f"{watched.place}@{name}" for name in sorted(branches, key=_step)]
    folder = Path(watched.place)
    found = [path for path in folder.iterdir() if (path / "config.json").is_file()]
    return [str(path) for path in sorted(found, key=lambda path: (_step(path.name), path.name))]


def card(watched: Watch, name: str) -> ModelCard:
    """Return the card of a checkpoint from its name and its trainer's state."""
    label = name.rpartition("@")[2] if watched.revisions else Path(name).name
    step = _step(label)
    tokens = None if watched.revisions else _tokens_seen(Path(name) / TRAINER_STATE)
    if tokens is None and step >= 0 and watched.tokens_per_step:
        tokens = step * watched.tokens_per_step
    return ModelCard(
        model=f"{watched.run}-step{step}" if step >= 0 else f"{watched.run}-{label}",
        family=watched.family or "",
        train_tokens=tokens,
        step=step if step >= 0 else None,
        origin=watched.place if watched.revisions else None,
        run=watched.run,
    )


def _ready(
    now: Mapping[str, Sizes], before: Mapping[str, Sizes], failed: Mapping[str, Sizes]
) -> list[str]:
    """Return the whole checkpoints whose files stay as they are and have not failed as they are."""
    return [
        name
        for name, sizes in now.items()
        if sizes == before.get(name, sizes) and sizes != failed.get(name)
        if _is_whole(name)
    ]


def _collect(
    database: Path,
    watched: Watch,
    config: CollectConfig,
    names: Sequence[str],
    say: Callable[[str], None],
) -> dict[str, Collected]:
    """Collect these checkpoints; return results by folder or hub name."""
    if not names:
        return {}
    cards = {name: card(watched, name) for name in names}
    by_model = {cards[name].model: name for name in names}
    collection = prepare(database, names, watched.corpus, config, cards=cards)
    for note in collection.notes:
        say(note)
    return {by_model[result.model]: result for result in collect(collection)}


def _not_stored(database: Path, watched: Watch) -> list[str]:
    """Return the folders or hub names of the checkpoints without losses on the whole corpus."""
    with store.connect(database, read_only=True) as db:
        stored = set(store.complete_models(db, watched.corpus))
    return [name for name in places(watched) if card(watched, name).model not in stored]


def _is_whole(name: str) -> bool:
    """Tell whether a checkpoint is written to its end; a hub shows whole commits only."""
    if "@" in name and not Path(name).is_dir():
        return True
    try:
        files = lm.find(name)
        has_tokenizer = any(file.name != "tokenizer_config.json" for file in files.tokenizer)
        return files.n_params is not None and has_tokenizer
    except ModelError:
        return False


def _sizes(name: str) -> Sizes:
    """Return the sizes of a folder's files; empty of a hub name, or a folder that has vanished."""
    folder = Path(name)
    try:
        return {file.name: file.stat().st_size for file in folder.iterdir() if file.is_file()}
    except OSError:
        return {}


def _tokens_seen(state: Path) -> int | None:
    try:
        seen = json.loads(state.read_text(encoding="utf-8")).get("num_input_tokens_seen")
    except (OSError, ValueError, AttributeError):
        return None
    return seen if isinstance(seen, int) and seen > 0 else None


def _step(name: str) -> int:
    """Return the number at the end of a name, -1 without one."""
    found = NUMBER.search(name)
    return int(found.group(1)) if found else -1


def _matches(name: str, watched: Watch) -> bool:
    return watched.revisions is not None and fnmatchcase(name, watched.revisions)
