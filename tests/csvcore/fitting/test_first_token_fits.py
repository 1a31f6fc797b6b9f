import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose

from csvcore import cli, store
from csvcore.alignment import check_edges
from csvcore.errors import InputError
from csvcore.fitting.config import FitConfig
from csvcore.pipeline import jobs
from csvcore.pipeline.fit import fit
from csvcore.records import Fit
from tests.support.world import (
    DOCS,
    PACK,
    SIDES,
    World,
    contents,
    import_world,
    pack_rows,
    write_pack,
)

pytestmark = pytest.mark.slow

METHODS: tuple[str, ...] = (*("csv", "all-token", "label-token", "source-token", "best-source"),)
Run = Callable[..., Fit]


@pytest.fixture
def config(config: FitConfig) -> FitConfig:
    """With the mask, and quick."""
    return replace(config, members=1, penalty=1e-4, mask_first_token=True)


def cheaper_starts(database: Path) -> None:
    """Take 0.3 nats off each model's first token of each document, more from one model."""
    with store.connect(database) as db:
        db.execute(
            "UPDATE losses SET nll = list_concat("
            "  [nll[1] * (CASE model WHEN 'ant' THEN 0.1 ELSE 0.7 END)], nll[2:])"
        )


def test_the_all_token_score_is_the_nll_behind_the_first_tokens_over_its_characters(
    make_fit: Run, world: World
) -> None:
    # every model of this world has a token a character
    n_chars = sum(len(doc.text) - 1 for doc in DOCS)
    for placed in make_fit("reading").predictions:
        rows = pack_rows(world, [placed.model])
        total = sum(sum(row["nll"][1:]) for row in rows)
        assert placed.score == pytest.approx(total / n_chars, rel=1e-5)


@pytest.mark.parametrize("method", ["all-token", "csv"])
def test_what_first_tokens_cost_makes_no_difference_to_a_fit(
    make_fit: Run, world_db: Path, method: str
) -> None:
    before, unmasked = (
        make_fit("adding", method),
        make_fit("adding", method, mask_first_token=False),
    )
    with store.connect(world_db) as db:
        db.execute("DELETE FROM fits")
    cheaper_starts(world_db)
    after, changed = make_fit("adding", method), make_fit("adding", method, mask_first_token=False)
    assert after.fit == before.fit
    assert after.predictions == before.predictions
    assert (after.alpha, after.beta, after.trace) == (before.alpha, before.beta, before.trace)
    assert changed.fit != unmasked.fit
    assert changed.predictions != unmasked.predictions


def test_one_model_with_a_longer_first_token_masks_its_bytes_for_all(
    tmp_path: Path, world_files: Path, world: World, config: FitConfig
) -> None:
    rows = pack_rows(world)
    for row in rows:
        if row["model"] == "owl":  # its first token is the first four characters
            row["nll"] = [sum(row["nll"][:4]), *row["nll"][4:]]
            row["byte_start"] = [0, *row["byte_start"][4:]]
            row["byte_end"] = row["byte_end"][3:]
    files = tmp_path / "files"
    files.mkdir()
    for file in world_files.rglob("*.*"):
        target = files / file.relative_to(world_files)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    write_pack(files / PACK, rows)
    database = import_world(tmp_path / "owl.duckdb", files)
    [record] = fit(database, "words", "sides", [("reading", "all-token")], config)
    sums = [
        sum(sum(row["nll"][4:]) for row in pack_rows(world, [placed.model]))
        for placed in record.predictions
    ]
    scores = [placed.score for placed in record.predictions]
    assert_allclose(np.array(scores) / scores[0], np.array(sums) / sums[0], rtol=1e-5)


def test_stored_weights_tile_every_document_and_are_0_on_first_tokens(
    make_fit: Run, world_db: Path
) -> None:
    record = make_fit("adding", "csv")
    with store.connect(world_db, read_only=True) as db:
        rows = store.weights(db, record.fit).to_pylist()
    for doc, row in zip(DOCS, rows, strict=True):
        edges, weight = [0, *row["byte_end"]], np.array(row["weight"])
        check_edges(np.array(edges), len(doc.text.encode()), "unit")
        end = len(doc.text[0].encode())
        assert end in edges
        masked = np.array(edges[:-1]) < end
        assert not weight[masked].any()
        assert (weight[~masked] > 0).all()


def test_a_fit_with_the_mask_is_another_fit_and_says_so(make_fit: Run, world_db: Path) -> None:
    for method in METHODS:
        masked, plain = (
            make_fit("adding", method),
            make_fit("adding", method, mask_first_token=False),
        )
        assert masked.fit != plain.fit
        assert (masked.config["mask_first_token"], plain.config["mask_first_token"]) == (
            True,
            False,
        )
    assert len(contents(world_db)["fits"]) == 2 * len(METHODS)


def test_the_flag_alone_makes_another_fit_even_where_first_tokens_cost_nothing(
    world_db: Path, config: FitConfig
) -> None:
    with store.connect(world_db) as db:
        db.execute("UPDATE losses SET nll = list_concat([0.0], nll[2:])")
    plain = replace(config, mask_first_token=False)
    for method in METHODS:
        wanted: Any = [("adding", method)]
        names = {
            fit(world_db, "words", "sides", wanted, settings)[0].fit for settings in (config, plain)
        }
        assert len(names) == 2


def test_a_split_of_models_that_take_every_text_whole_is_refused(
    world_db: Path, config: FitConfig
) -> None:
    with store.connect(world_db) as db:
        db.execute(
            "UPDATE losses SET nll = [list_sum(nll)], byte_start = [0], token_id = NULL,"
            " byte_end = [list_max(byte_end)] WHERE model = 'owl'"
        )
    before = contents(world_db)
    with pytest.raises(InputError, match="nothing is left to fit"):
        fit(world_db, "words", "sides", [("reading", "all-token")], config)
    assert contents(world_db) == before


def test_answers_that_are_all_masked_are_refused(make_fit: Run, world_db: Path) -> None:
    with store.connect(world_db) as db:
        db.execute("UPDATE documents SET answers = [[0, 1]] WHERE len(answers) > 0")
    with pytest.raises(InputError, match="all weights are zero"):
        make_fit("adding", "label-token")


# The command and the queue


def test_the_commands_take_the_flag(world_db: Path, tiny_lm: Path) -> None:
    def csvcore(command: str, *arguments: str) -> Any:
        where = ["--corpus", "words", "--split", "sides", "--scorer", str(tiny_lm), "--steps", "3"]
        line = ["--db", str(world_db), command, *where, "--task", "adding", "--json", *arguments]
        done = CliRunner().invoke(cli.main, line)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    plain, masked = csvcore("fit"), csvcore("fit", "--mask-first-token")
    assert json.dumps(plain) != json.dumps(masked)
    made = csvcore("compare", "--mask-first-token")
    assert {row["method"] for row in made["rows"]} >= {"stack", *METHODS}
    with store.connect(world_db, read_only=True) as db:
        found = [store.fit(db, name) for name in store.fits(db)["fit"]]
    flags = {(record.method, record.config["mask_first_token"]) for record in found}
    assert flags == {("csv", False), *((row["method"], True) for row in made["rows"] if row["fit"])}


def test_a_job_takes_the_flag(world_db: Path, tiny_lm: Path) -> None:
    params = {"corpus": "words", "split": "sides", "tasks": ["reading"], "method": "all-token"}
    config = {"scorer": str(tiny_lm), "mask_first_token": True}
    jobs.run_job(world_db, "fit", params | {"config": config}, lambda *_: None)
    with store.connect(world_db, read_only=True) as db:
        [name] = store.fits(db)["fit"]
        assert store.fit(db, name).config["mask_first_token"] is True
        assert len(store.fit(db, name).predictions) == len(SIDES)
