import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose

from csvcore import cli, store
from csvcore.errors import InputError
from csvcore.fitting.units import Units, units_of_losses
from csvcore.jobs import queue
from csvcore.pipeline import imports, predict
from csvcore.records import Fit, ModelLosses
from tests.support.world import DOCS, World, change, pack_rows, write_pack

pytestmark = pytest.mark.slow


def words(row: dict[str, Any], text: str) -> dict[str, Any]:
    """A row of one token a character as one of words, each with the space behind it."""
    ends = [found.end() for found in re.finditer(r"\S+\s*", text)]
    nll = np.add.reduceat(row["nll"], [0, *ends[:-1]])
    in_bytes = [len(text[:end].encode()) for end in ends]
    return row | {"byte_start": [0, *in_bytes[:-1]], "byte_end": in_bytes, "nll": nll.tolist()}


def whole(row: dict[str, Any], text: str) -> dict[str, Any]:
    """The same as one unit for the document."""
    return row | {"byte_start": [0], "byte_end": [len(text.encode())], "nll": [sum(row["nll"])]}


def in_units(database: Path, pack: Path, world: World, unit: Callable[..., Any]) -> Path:
    """A database whose losses come in these units."""
    change(database, "DELETE FROM losses", "DELETE FROM manifests")
    texts = {doc.doc_id: doc.text for doc in DOCS}
    rows = [unit(row, texts[row["doc_id"]]) for row in pack_rows(world)]
    imports.import_losses(database, [write_pack(pack, rows)])
    return database


def losses(model: str, *ends: int) -> ModelLosses:
    return ModelLosses(model, np.array([len(ends)]), np.array(ends), np.ones(len(ends)))


def test_a_units_state_is_the_mean_over_its_bytes() -> None:
    hidden = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 8.0]], dtype=np.float32)
    units = Units([np.array([0, 1, 4, 6])], lambda: hidden, "scorer")
    found = units_of_losses(units, [losses("m", 2, 2, 6)])  # the second is empty
    assert [cuts.tolist() for cuts in found.edges] == [[0, 2, 6]]
    assert_allclose(found.hidden, [[2.0, 0.0], [1.5, 4.0]])
    assert found.scorer_sha256 == "scorer"


def test_the_units_of_one_whole_text_have_the_mean_of_all_its_states() -> None:
    hidden = np.arange(8, dtype=np.float32).reshape(4, 2)
    units = Units([np.array([0, 2, 4]), np.array([0, 1, 2])], lambda: hidden, "scorer")
    both = ModelLosses("m", np.array([1, 1]), np.array([4, 2]), np.ones(2))
    assert_allclose(units_of_losses(units, [both]).hidden, [[1.0, 2.0], [5.0, 6.0]])


def test_units_that_are_the_scorers_tokens_change_nothing() -> None:
    hidden = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    units = Units([np.array([0, 1, 4, 6])], lambda: hidden, "scorer")
    assert_allclose(units_of_losses(units, [losses("m", 1, 4, 6)]).hidden, hidden)


def test_models_whose_losses_come_in_other_units_have_no_own_units() -> None:
    units = Units([np.array([0, 6])], lambda: np.ones((1, 2), np.float32), "scorer")
    with pytest.raises(InputError, match="of a and b come in other units"):
        units_of_losses(units, [losses("a", 2, 6), losses("b", 3, 6)])
    with pytest.raises(InputError, match="no model has losses"):
        units_of_losses(units, [])


def test_words_are_fitted_predicted_and_shown(
    world_db: Path,
    world: World,
    make_fit: Callable[..., Any],
    tmp_path: Path,
    app_on: Callable[..., Any],
) -> None:
    in_units(world_db, tmp_path / "words.parquet", world, words)
    plain = make_fit("reading")  # on the scorer's tokens
    score = {one.model: one.score for one in plain.predictions}
    assert score["ant"] == pytest.approx(world.all_token("ant"), rel=1e-6)

    own = make_fit("reading", "csv", own_units=True, steps=3)
    with store.connect(world_db, read_only=True) as db:
        rows = store.weights(db, own.fit).to_pylist()
    n_words = {doc.doc_id: len(doc.text.split()) for doc in DOCS}
    assert {row["doc_id"]: len(row["weight"]) for row in rows} == n_words

    pack = write_pack(
        tmp_path / "new.parquet",
        [
            words(r, d.text) | {"model": "new"}
            for r, d in zip(pack_rows(world, ["ant"]), DOCS, strict=True)
        ],
    )
    [new] = predict.predict(world_db, own.fit, files=[pack])
    [old] = [one for one in own.predictions if one.model == "ant"]
    assert new.predicted == pytest.approx(old.predicted, rel=1e-6)

    app = app_on(world_db)
    app.query_params.update({"corpus": "words", "split": "sides", "task": "reading"})
    app.run().switch_page("dashboard/pages/salience.py").run()
    assert not app.exception
    assert app.header[0].value == "Salience"
    assert not app.warning


def test_the_fit_page_offers_own_units_where_there_is_one_unit(
    world_db: Path, app_on: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "ensure_worker", lambda database: None)
    app = app_on(world_db)
    app.query_params.update({"corpus": "words", "split": "sides"})
    app.run().switch_page("dashboard/pages/fit.py").run()
    offered(app).set_value(True).run()
    next(button for button in app.button if button.label == "Start").click().run()
    assert not app.exception
    assert queue.recent(world_db)[0].params["config"]["own_units"] is True
    one = "model = 'ant' AND doc_id = (SELECT min(doc_id) FROM losses)"
    change(world_db, f"UPDATE losses SET byte_end = [1], byte_start = [0], nll = [1] WHERE {one}")
    app.run()
    assert offered(app).disabled
    assert "units of their own" in offered(app).help


def offered(app: Any) -> Any:
    """The switch of own units."""
    return next(one for one in app.toggle if one.label == "Weigh the losses' own units")


def test_without_losses_there_is_no_unit(world_db: Path) -> None:
    with store.connect(world_db, read_only=True) as db:
        assert store.have_one_unit(db, "words")
    change(world_db, "DELETE FROM losses", "DELETE FROM manifests")
    with store.connect(world_db, read_only=True) as db:
        assert not store.have_one_unit(db, "words")


def test_mixes_weigh_own_units_too(
    world_db: Path, world: World, tiny_lm: Path, tmp_path: Path
) -> None:
    in_units(world_db, tmp_path / "words.parquet", world, words)
    command = f"mixes --corpus words --split sides --task reading --scorer {tiny_lm} --own-units"
    found = CliRunner().invoke(cli.main, ["--db", str(world_db), *command.split(), "--json"])
    assert found.exit_code == 0, found.output
    n_words = {doc.doc_id: len(doc.text.split()) for doc in DOCS}
    for mix in json.loads(found.stdout)["mixes"]:
        assert mix["n_tokens"] == sum(n_words[doc_id] for doc_id in mix["doc_ids"])


def test_one_span_a_document_can_be_weighed_too(
    world_db: Path, world: World, make_fit: Callable[..., Any], tmp_path: Path
) -> None:
    in_units(world_db, tmp_path / "whole.parquet", world, whole)
    own = make_fit("reading", own_units=True)
    [ant] = [one for one in own.predictions if one.model == "ant"]
    assert ant.score == pytest.approx(world.all_token("ant"), rel=1e-6)
    assert own.config["own_units"] is True


def coarse(fit: Fit) -> list[str]:
    """Its notes on losses that stand for too much text."""
    return [note for note in fit.notes if note.startswith("coarse")]


def test_losses_of_whole_documents_are_no_token_losses_and_a_fit_says_so(
    world_db: Path, world: World, make_fit: Callable[..., Any], tmp_path: Path
) -> None:
    assert not coarse(make_fit("adding", "label-token", own_units=True))
    assert not coarse(make_fit("adding", "csv", steps=1))
    in_units(world_db, tmp_path / "whole.parquet", world, whole)
    n_bytes = np.mean([len(doc.text.encode()) for doc in DOCS])
    n_models = len(make_fit("adding").predictions)
    for method in ("csv", "label-token"):
        [note] = coarse(make_fit("adding", method, steps=2))
        said = f"losses of {n_models} of {n_models} models stand for {n_bytes:.0f} bytes each"
        assert said in note
        assert "own units" in note
    assert not coarse(make_fit("adding", "all-token"))
    assert not coarse(make_fit("adding", "csv", own_units=True, steps=2))


def test_an_answer_in_a_longer_unit_counts_with_the_text_around_it_and_a_fit_says_so(
    world_db: Path, world: World, make_fit: Callable[..., Any], tmp_path: Path
) -> None:
    in_units(world_db, tmp_path / "whole.parquet", world, whole)
    asked = [doc for doc in DOCS if doc.answers]
    answers = sum(len(doc.text[a:b].encode()) for doc in asked for a, b in doc.answers)
    share = answers / sum(len(doc.text.encode()) for doc in asked)
    [note] = coarse(make_fit("adding", "label-token", own_units=True))
    assert f"{share:.0%} of the text that label-token counts is answers" in note


def test_a_fit_on_the_scorers_tokens_says_nothing_of_units(make_fit: Callable[..., Any]) -> None:
    assert "own_units" not in make_fit("reading").config
