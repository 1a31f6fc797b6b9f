"""Hypothesis settings and the fixtures that several test files share."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from hypothesis import settings
from tokenizers import Tokenizer

from csvcore.formats import csv_tables
from csvcore.pipeline import imports
from csvcore.pipeline.compare import compare
from csvcore.pipeline.fit import fit
from tests.support.disk import mounted
from tests.support.tokenizers import every_kind
from tests.support.world import (
    DOCS,
    World,
    import_world,
    made_up_world,
    save_gpt2,
    save_llama,
    write_world,
)

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

    from csvcore.fitting.config import FitConfig
    from csvcore.lm import LanguageModel
    from csvcore.records import Fit
    from tests.support.servers import Vllm

# Models of our size gain nothing from threads, and lose where other work runs beside the tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("csvcore", deadline=None, derandomize=True)
settings.load_profile("csvcore")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, Tokenizer]:
    """Return a real tokenizer of every kind, trained on three sentences."""
    return every_kind()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Return a function that writes a file into the test's folder and returns its path."""

    def writer(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return writer


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return the path of a new, empty database."""
    from csvcore import store

    path = tmp_path / "results.duckdb"
    assert store.create(path)
    return path


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a one-layer GPT-2 with random weights."""
    return save_gpt2(tmp_path_factory.mktemp("models") / "tiny-gpt2")


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a one-layer Llama with random weights, whose tokenizer adds BOS."""
    return save_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def world() -> World:
    """Return made-up models whose accuracies follow from their losses by a known law."""
    return made_up_world()


@pytest.fixture(scope="session")
def world_files(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the files of the made-up world."""
    return write_world(tmp_path_factory.mktemp("world") / "files", world)


@pytest.fixture(scope="session")
def _world_made(world_files: Path, tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the made-up world's database that tests copy."""
    from csvcore.pipeline.units import scoring_units

    database = tmp_path_factory.mktemp("made") / "world.duckdb"
    import_world(database, world_files)
    sha256 = csv_tables.corpus_sha256(DOCS)
    scoring_units(database, sha256, list(DOCS), str(tiny_lm))  # fills the cache
    return database.parent


@pytest.fixture(scope="session")
def zoo_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of the zoo with every method of one task after a few steps, to copy.

    Made once for all processes of the tests.
    """
    from csvcore.fitting.config import FitConfig

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    database, making = folder / "zoo.duckdb", folder / "making.duckdb"
    with FileLock(folder / "zoo.making"):
        if not database.exists():
            imports.init(making, zoo=True)
            compare(making, "zoo", "by-size", ["facts"], FitConfig(steps=5, members=2))
            making.rename(database)
    return database


@pytest.fixture
def world_db(_world_made: Path, tmp_path: Path) -> Path:
    """Return a test's own database of the made-up world, with the scorer's hidden states cached."""
    shutil.copytree(_world_made, tmp_path / "db")
    return tmp_path / "db" / "world.duckdb"


@pytest.fixture
def config(tiny_lm: Path) -> "FitConfig":
    """Return the default settings with the tiny scorer and an ensemble of two."""
    from csvcore.fitting.config import FitConfig

    return FitConfig(members=2, scorer=str(tiny_lm))


@pytest.fixture
def make_fit(world_db: Path, config: "FitConfig") -> Callable[..., "Fit"]:
    """Return a function that fits one task with one method on the made-up world."""

    def make(task: str, method: Any = "all-token", **settings: Any) -> "Fit":
        wanted = [(task, method)]
        [found] = fit(world_db, "words", "sides", wanted, replace(config, **settings))
        return found

    return make


@pytest.fixture
def invoke(world_db: Path) -> Callable[..., Any]:
    """Return a function that invokes the command line on the made-up world's database."""
    from click.testing import CliRunner

    from csvcore import cli

    def run(*arguments: object, db: Path = world_db, input: str | None = None) -> Any:
        return CliRunner().invoke(cli.main, ["--db", str(db), *map(str, arguments)], input=input)

    return run


@pytest.fixture
def invoke_fit(invoke: Callable[..., Any], tiny_lm: Path) -> Callable[..., Any]:
    """Return a function that invokes `csvcore fit` with few steps and the tiny scorer."""

    def run(*arguments: object) -> Any:
        where = ["--corpus", "words", "--split", "sides", "--scorer", tiny_lm, "--steps", "3"]
        return invoke("fit", *where, *arguments)

    return run


@pytest.fixture
def app_on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., "AppTest"]:
    """Return a function that opens the dashboard on a database, with a time limit in seconds."""
    from streamlit.testing.v1 import AppTest

    def app(database: Path, seconds: float = 60) -> AppTest:
        monkeypatch.setenv("CSVCORE_DB", str(database))
        monkeypatch.chdir(ROOT)
        # An app's script takes the place of the main module, which processes started later import.
        monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
        return AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=seconds)

    return app


@pytest.fixture(scope="session")
def _words_made(world_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the corpus-only database that tests copy."""
    database = tmp_path_factory.mktemp("words") / "results.duckdb"
    imports.init(database)
    imports.import_corpus(database, world_files / "documents.jsonl", "words")
    return database


@pytest.fixture
def words_db(_words_made: Path, tmp_path: Path) -> Path:
    """Return a test's own database with the made-up world's corpus and nothing else."""
    return Path(shutil.copy(_words_made, tmp_path / "results.duckdb"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Return the folder of a disk of so many MB."""
    with ExitStack() as stack:
        yield lambda megabytes: stack.enter_context(mounted(tmp_path / "disk", megabytes))


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every document a shard of its own."""
    from csvcore.collection import shards

    monkeypatch.setattr(shards, "divide", partial(shards.divide, shard_bytes=1))


@pytest.fixture(scope="session")
def _three_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the three models that tests copy."""
    folder = tmp_path_factory.mktemp("three")
    for seed, name in enumerate(("first", "second", "third"), start=11):
        save_gpt2(folder / name, seed)
    return folder


@pytest.fixture
def three_models(_three_made: Path, tmp_path: Path) -> list[str]:
    """Return a test's own folders of three models: one tokenizer, different weights."""
    shutil.copytree(_three_made, tmp_path, dirs_exist_ok=True)
    return [str(tmp_path / name) for name in ("first", "second", "third")]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Record the model and document of every text scored during the test."""
    from csvcore import lm

    found: list[tuple[str, str]] = []
    real = lm.score

    def note(model: "LanguageModel", docs: Any, *more: Any) -> Iterator[Any]:
        found.extend((model.name, doc.doc_id) for doc in docs)
        yield from real(model, docs, *more)

    monkeypatch.setattr(lm, "score", note)
    return found


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., "Vllm"]]:
    """Return a function that starts vLLM-like servers; retries do not wait."""
    from csvcore.collection import server
    from tests.support.servers import Vllm, full_model, honest

    monkeypatch.setattr(server, "RETRIES", server.RETRIES.new(backoff_factor=0.0))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    started: list[Vllm] = []

    def start(folder: Path | str, behave: Any = honest) -> "Vllm":
        full_model(Path(folder))  # not in two threads at once
        started.append(Vllm(Path(folder), behave).start())
        return started[-1]

    yield start
    for vllm in started:
        vllm.stop()


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Start no worker; return the commands that would have been run."""
    from csvcore.jobs import queue

    commands: list[list[str]] = []

    def popen(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(pid=2**30)  # of no process

    monkeypatch.setattr(
        queue, "subprocess", SimpleNamespace(Popen=popen, DEVNULL=subprocess.DEVNULL)
    )
    return commands
