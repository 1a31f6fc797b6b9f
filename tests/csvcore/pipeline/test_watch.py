import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from csvcore import lm, store
from csvcore.errors import InputError
from csvcore.pipeline import watch as watching
from csvcore.pipeline.collect import CollectConfig, Collected
from csvcore.pipeline.watch import Watch, card, watch
from csvcore.records import ModelCard
from tests.support.disk import fill_up
from tests.support.world import stored_losses

pytestmark = pytest.mark.slow
CPU = CollectConfig(device="cpu")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "my-run"
    folder.mkdir()
    return folder


@pytest.fixture
def heard() -> list[str]:
    return []


def look(database: Path, run: Path, heard: list[str]) -> list[Collected]:
    watched = Watch(str(run), "words", family="mine", tokens_per_step=1000)
    return next(watch(database, watched, CPU, None, heard.append))


def cards(database: Path) -> dict[str, ModelCard]:
    with store.connect(database, read_only=True) as db:
        return {card.model: card for card in store.models(db)}


def test_checkpoints_are_collected_once_as_they_appear(
    words_db: Path, tiny_lm: Path, run: Path, heard: list[str]
) -> None:
    assert look(words_db, run, heard) == []
    shutil.copytree(tiny_lm, run / "checkpoint-20")
    assert [one.model for one in look(words_db, run, heard)] == ["my-run-step20"]
    shutil.copytree(tiny_lm, run / "checkpoint-100")
    assert [one.model for one in look(words_db, run, heard)] == ["my-run-step100"]
    assert look(words_db, run, heard) == []
    found = cards(words_db)["my-run-step100"]
    assert (found.family, found.step, found.train_tokens) == ("mine", 100, 100_000)
    assert found.n_params == lm.find(str(tiny_lm)).n_params
    assert found.run == "my-run"


def test_a_checkpoint_that_is_being_written_waits(
    words_db: Path, tiny_lm: Path, run: Path, heard: list[str]
) -> None:
    shutil.copytree(tiny_lm, run / "step1")
    weights = run / "step1" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert look(words_db, run, heard) == []
    weights.write_bytes(whole)
    (run / "step1" / "tokenizer.json").rename(run / "tokenizer.json")
    assert look(words_db, run, heard) == []
    (run / "tokenizer.json").rename(run / "step1" / "tokenizer.json")
    assert [one.status for one in look(words_db, run, heard)] == ["stored"]


def test_a_watch_goes_on_after_a_failure_and_a_vanished_checkpoint(
    words_db: Path, tiny_lm: Path, run: Path, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_lm, run / "step1")
    (run / "step1" / "config.json").write_text('{"model_type": "no-such-type"}')
    steps: Iterator[Any] = iter(
        [
            lambda: shutil.copytree(tiny_lm, run / "step2"),
            lambda: None,
            lambda: (shutil.rmtree(run / "step1"), shutil.rmtree(run / "step2")),
        ]
    )
    monkeypatch.setattr(watching, "sleep", lambda seconds: next(steps)())
    looks = watch(words_db, Watch(str(run), "words"), CPU, 60.0, heard.append)
    first, second, third, fourth = (next(looks) for _ in range(4))
    assert [one.status for one in first] == ["failed"]
    assert [one.model for one in second] == ["my-run-step2"]  # and the failure is not told again
    assert third == fourth == []


def test_a_full_disk_is_told_and_the_next_look_collects(
    words_db: Path,
    small_disk: Callable[[int], Path],
    tiny_lm: Path,
    run: Path,
    heard: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = Path(shutil.copy(words_db, small_disk(16)))
    monkeypatch.setattr(watching, "sleep", lambda seconds: None)
    looks = watch(database, Watch(str(run), "words"), CPU, 60.0, heard.append)
    assert next(looks) == []
    shutil.copytree(tiny_lm, run / "step1")
    filler = fill_up(database.parent)
    for _ in range(2):  # tried again, though the checkpoint has not changed
        [told] = next(looks)
        assert (told.status, told.passing) == ("failed", True)
        assert "no space is left" in told.message
    filler.unlink()
    assert [one.status for one in next(looks)] == ["stored"]
    assert look(database, run, heard) == heard == []


def test_the_card_has_what_name_and_trainer_tell(run: Path) -> None:
    folder = run / "checkpoint-500"
    folder.mkdir()
    watched = Watch(str(run), "words", tokens_per_step=10)
    assert card(watched, str(folder)).train_tokens == 5000
    (folder / "trainer_state.json").write_text(json.dumps({"num_input_tokens_seen": 4321}))
    assert card(watched, str(folder)).train_tokens == 4321
    final = card(watched, str(run / "final"))
    assert (final.model, final.step, final.train_tokens) == ("my-run-final", None, None)


def test_branches_of_a_hub_name_are_checkpoints(
    words_db: Path, tiny_lm: Path, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[str | None] = []

    def snapshot(name: str, revision: str | None = None, **_: Any) -> str:
        asked.append(revision)
        return str(tiny_lm)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr(lm, "branches", lambda name: ["main", "step200", "step30"])
    watched = Watch("org/model", "words", revisions="step*")
    (done,) = watch(words_db, watched, CPU, None, heard.append)
    assert [one.model for one in done] == ["model-step30", "model-step200"]
    assert set(asked) == {"step30", "step200"}
    assert cards(words_db)["model-step30"].origin == "org/model"
    with pytest.raises(InputError, match="org/model has no branch of the form iter"):
        next(watch(words_db, Watch("org/model", "words", "iter*"), CPU, None, heard.append))


def test_a_folder_that_is_not_there_is_refused(words_db: Path, heard: list[str]) -> None:
    with pytest.raises(InputError, match="there is no folder nowhere; name a folder of"):
        next(watch(words_db, Watch("nowhere", "words"), CPU, None, heard.append))


@pytest.mark.worker
def test_a_watch_that_is_killed_loses_nothing_and_scores_nothing_twice(
    words_db: Path, tiny_lm: Path, run: Path, heard: list[str]
) -> None:
    """kill -9 after the first checkpoint is stored, and again while the next is collected."""
    program = "from csvcore.cli import main; main()"
    command = [sys.executable, "-c", program, "--db", str(words_db), "watch", str(run)]
    command += ["--corpus", "words", "--device", "cpu", "--every", "1"]

    def killed_once(wanted: int) -> None:
        """Start the watch and kill it when so many checkpoints are stored."""
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                deadline = time.monotonic() + 180.0
                while n_stored(words_db) < wanted and process.poll() is None:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            finally:  # whatever failed: leaving the block waits for the process
                process.kill()

    for step in (1, 2, 3):
        shutil.copytree(tiny_lm, run / f"step{step}")
    killed_once(1)
    first = stored(words_db)
    assert "my-run-step1" in first
    killed_once(min(len(first) + 1, 3))
    assert look(words_db, run, heard) or len(stored(words_db)) == 3
    after = stored(words_db)
    assert set(after) == {"my-run-step1", "my-run-step2", "my-run-step3"}
    assert {name: after[name] for name in first} == first
    assert after["my-run-step2"] == after["my-run-step1"]  # the same weights
    assert look(words_db, run, heard) == []


def n_stored(database: Path) -> int:
    """How many models have losses, read while others write, after those who came before."""
    with store.connect(database, read_only=True) as db:
        return len(store.coverage(db, "words"))


def stored(database: Path) -> dict[str, list[Any]]:
    """The losses of every model that has any."""
    names = sorted(cards(database))
    return {name: rows for name in names if (rows := stored_losses(database, name))}
