"""Hypothesis settings, and the fixtures that several test files share."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from csvcore.formats import csv_tables
from csvcore.pipeline import fit as fitting
from csvcore.pipeline import imports
from tests.support import world as made_up

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
SENTENCES = (
    "The cat sat on the mat and the cat ate the rat.",
    "A naïve café owner sold the hat, then that bat.",
    "猫は席に座った。 The other cat saw it, naturally.",
)
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def _byte_level_bpe() -> Tokenizer:
    """GPT-2's kind: cuts inside characters, knows every byte."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def _sentencepiece_bpe() -> Tokenizer:
    """Llama-2's kind: a dummy space before the text, bytes for characters it does not know."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<unk>", *BYTES], limit_alphabet=30, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def _prepending_bpe() -> Tokenizer:
    """Llama-2's as first converted: the dummy space stands even before a space."""
    tokenizer = _sentencepiece_bpe()
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    return tokenizer


def _unigram() -> Tokenizer:
    """T5's kind: NFKC, and one unknown token for whatever it has not seen."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=60, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def _unigram_bytes() -> Tokenizer:
    """Unigram that falls back to bytes and changes no character."""
    tokenizer = _unigram()
    vocab = [tuple(entry) for entry in json.loads(tokenizer.to_str())["model"]["vocab"]]
    vocab += [(byte, -20.0) for byte in BYTES]
    tokenizer.model = models.Unigram(vocab, unk_id=0, byte_fallback=True)
    tokenizer.normalizer = None
    return tokenizer


def _wordpiece() -> Tokenizer:
    """BERT's kind: lower case, NFKC, no accents, and no token for a space."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.BertNormalizer(lowercase=True)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=80, special_tokens=["[UNK]"], show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, Tokenizer]:
    """A real tokenizer of every kind, trained on three sentences."""
    return {
        "byte-level": _byte_level_bpe(),
        "sentencepiece": _sentencepiece_bpe(),
        "prepending": _prepending_bpe(),
        "unigram": _unigram(),
        "unigram-bytes": _unigram_bytes(),
        "wordpiece": _wordpiece(),
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Writes a file of this name and text, and says where it is."""

    def writer(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return writer


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An empty database."""
    from csvcore import store

    path = tmp_path / "results.duckdb"
    assert store.create(path)
    return path


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a one-layer GPT-2 with random weights."""
    return made_up.save_gpt2(tmp_path_factory.mktemp("models") / "tiny-gpt2")


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a one-layer Llama with random weights, whose tokenizer adds BOS."""
    return made_up.save_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def world() -> made_up.World:
    """Made-up models whose accuracies follow from their losses by a known law."""
    return made_up.made_up_world()


@pytest.fixture(scope="session")
def world_files(world: made_up.World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of that world."""
    return made_up.write_world(tmp_path_factory.mktemp("world") / "files", world)


@pytest.fixture(scope="session")
def _world_made(world_files: Path, tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from csvcore.pipeline.units import scoring_units

    database = tmp_path_factory.mktemp("made") / "world.duckdb"
    made_up.import_world(database, world_files)
    sha256 = csv_tables.corpus_sha256(made_up.DOCS)
    scoring_units(database, sha256, list(made_up.DOCS), str(tiny_lm))  # fills the cache
    return database.parent


@pytest.fixture
def world_db(_world_made: Path, tmp_path: Path) -> Path:
    """A database of its own that holds that world, with the scorer's hidden states beside it."""
    shutil.copytree(_world_made, tmp_path / "db")
    return tmp_path / "db" / "world.duckdb"


@pytest.fixture
def config(tiny_lm: Path) -> "FitConfig":
    """The default settings with the tiny scorer and a small ensemble."""
    from csvcore.fitting.config import FitConfig

    return FitConfig(members=2, scorer=str(tiny_lm))


@pytest.fixture
def make_fit(world_db: Path, config: "FitConfig") -> Callable[..., "Fit"]:
    """Fits one task with one method on the made-up world."""

    def fit(task: str, method: Any = "all-token", **settings: Any) -> "Fit":
        wanted = [(task, method)]
        [found] = fitting.fit(world_db, "words", "sides", wanted, replace(config, **settings))
        return found

    return fit


@pytest.fixture
def invoke(world_db: Path) -> Callable[..., Any]:
    """The command on the made-up world's database."""
    from click.testing import CliRunner

    from csvcore import cli

    def run(*arguments: object, db: Path = world_db) -> Any:
        return CliRunner().invoke(cli.main, ["--db", str(db), *map(str, arguments)])

    return run


@pytest.fixture
def invoke_fit(invoke: Callable[..., Any], tiny_lm: Path) -> Callable[..., Any]:
    """`csvcore fit` with few steps and the tiny scorer."""

    def run(*arguments: object) -> Any:
        where = ["--corpus", "words", "--split", "sides", "--scorer", tiny_lm, "--steps", "3"]
        return invoke("fit", *where, *arguments)

    return run


@pytest.fixture
def app_on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., "AppTest"]:
    """The dashboard on a database, not run yet; a run may take so many seconds."""
    from streamlit.testing.v1 import AppTest

    def app(database: Path, seconds: float = 60) -> AppTest:
        monkeypatch.setenv("CSVCORE_DB", str(database))
        monkeypatch.chdir(ROOT)
        return AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=seconds)

    return app


@pytest.fixture(scope="session")
def _words_made(world_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:

    database = tmp_path_factory.mktemp("words") / "results.duckdb"
    imports.init(database)
    imports.import_corpus(database, world_files / "documents.jsonl", "words")
    return database


@pytest.fixture
def words_db(_words_made: Path, tmp_path: Path) -> Path:
    """A database of its own with the made-up world's corpus and nothing else."""
    return Path(shutil.copy(_words_made, tmp_path / "results.duckdb"))


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every document is a shard of its own."""
    from csvcore.collection import shards

    monkeypatch.setattr(shards, "divide", partial(shards.divide, shard_bytes=1))


@pytest.fixture(scope="session")
def _three_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("three")
    for seed, name in enumerate(("first", "second", "third"), start=11):
        made_up.save_gpt2(folder / name, seed)
    return folder


@pytest.fixture
def three_models(_three_made: Path, tmp_path: Path) -> list[str]:
    """Folders of three models of a test's own: one tokenizer, different weights."""
    shutil.copytree(_three_made, tmp_path, dirs_exist_ok=True)
    return [str(tmp_path / name) for name in ("first", "second", "third")]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch computes on one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Model and document of everything that is scored from now on."""
    from csvcore import lm as scoring

    found: list[tuple[str, str]] = []
    real = scoring.score

    def note(lm: "LanguageModel", docs: Any, *more: Any) -> Iterator[Any]:
        found.extend((lm.name, doc.doc_id) for doc in docs)
        yield from real(lm, docs, *more)

    monkeypatch.setattr(scoring, "score", note)
    return found


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., "Vllm"]]:
    """Starts servers of a model; nobody waits before asking again."""
    from csvcore.collection import server as completions
    from tests.support.servers import Vllm, full_model, honest

    monkeypatch.setattr(completions, "RETRIES", completions.RETRIES.new(backoff_factor=0.0))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    started: list[Vllm] = []

    def start(folder: Path | str, behave: Any = honest) -> "Vllm":
        full_model(Path(folder))  # not in two threads at once
        started.append(Vllm(Path(folder), behave).start())
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """No worker is started; the commands that would have been run."""
    from csvcore.jobs import queue

    commands: list[list[str]] = []
    monkeypatch.setattr(
        queue,
        "subprocess",
        SimpleNamespace(
            Popen=lambda command, **_: commands.append(command), DEVNULL=subprocess.DEVNULL
        ),
    )
    return commands
