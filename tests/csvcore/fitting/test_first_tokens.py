import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from csvcore import cli, store
from csvcore.alignment import Aligner, check_edges, first_token_ends
from csvcore.errors import InputError
from csvcore.fitting.config import FitConfig
from csvcore.fitting.units import Units, without_first_tokens
from csvcore.pipeline import jobs
from csvcore.pipeline.fit import fit
from csvcore.records import Document, Fit, Floats, ModelLosses
from csvcore.salience import capability_score
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


def losses(model: str, *byte_ends: Sequence[int], nll: Floats | None = None) -> ModelLosses:
    """A model's losses, given the ends of its tokens in each text."""
    ends = np.concatenate([np.array(part, dtype=np.int64) for part in byte_ends])
    sizes = np.array([len(part) for part in byte_ends], dtype=np.int64)
    return ModelLosses(model, sizes, ends, np.ones(ends.size) if nll is None else nll)


def units(*edges: Sequence[int]) -> Units:
    """Units with hidden states 0, 10, 20 and so on."""
    cuts = [np.array(part, dtype=np.int64) for part in edges]
    n_units = sum(part.size - 1 for part in cuts)
    return Units(cuts, 10 * np.arange(n_units, dtype=np.float32)[:, None], "scorer")


def documents(*texts: str) -> list[Document]:
    return [Document(f"d{i}", "s", text) for i, text in enumerate(texts)]


# Cases by hand


def test_the_first_tokens_end_where_the_longest_of_them_ends() -> None:
    short, long = losses("short", [2, 6], [3, 6]), losses("long", [3, 6], [2, 4, 6])
    assert_array_equal(first_token_ends([short, long], ["abcdef", "uvwxyz"]), [3, 3])
    assert_array_equal(first_token_ends([short], ["abcdef", "uvwxyz"]), [2, 3])
    assert_array_equal(first_token_ends([long], ["abcdef", "uvwxyz"]), [3, 2])


@pytest.mark.parametrize(("end", "rounded"), [(1, 3), (2, 3), (3, 3), (4, 7), (6, 7), (7, 7)])
def test_a_first_token_that_ends_within_a_character_takes_the_whole_of_it(
    end: int, rounded: int
) -> None:
    ends = [*range(end, 9)]  # 猫 is bytes 0 to 3, 🎩 is 3 to 7
    assert first_token_ends([losses("bytes", ends)], ["猫🎩a"]).tolist() == [rounded]


def test_a_first_token_without_bytes_is_skipped() -> None:
    # a dummy space before the text stands in no byte of it
    assert first_token_ends([losses("dummy", [0, 0, 2, 6])], ["abcdef"]).tolist() == [2]
    both = [losses("dummy", [0, 2, 6], [0, 1, 3]), losses("plain", [1, 6], [2, 3])]
    assert first_token_ends(both, ["abcdef", "xyz"]).tolist() == [2, 2]


def test_a_unit_that_straddles_the_cut_is_split_and_keeps_its_hidden_state() -> None:
    docs = documents("abcdef", "猫a", "xyz")
    first = [losses("short", [2, 6], [1, 3, 4], [1, 2, 3]), losses("long", [3, 6], [3, 4], [1, 3])]
    whole = units([0, 2, 5, 6], [0, 2, 4], [0, 1, 3])
    found, counts, n_chars = without_first_tokens(whole, docs, first)
    # cut at 3 inside 2..5, at 3 inside 2..4 (猫 ends there), at 1 between two units
    assert [edges.tolist() for edges in found.edges] == [
        [0, 2, 3, 5, 6],
        [0, 2, 3, 4],
        [0, 1, 3],
    ]
    assert found.hidden[:, 0].tolist() == [0, 10, 10, 20, 30, 40, 40, 50, 60]
    assert counts.tolist() == [False, False, True, True, False, False, True, False, True]
    assert n_chars == 3 + 1 + 2
    assert found.scorer_sha256 == "scorer"
    assert [edges.tolist() for edges in whole.edges] == [[0, 2, 5, 6], [0, 2, 4], [0, 1, 3]]


def test_characters_are_counted_and_not_bytes() -> None:
    _, _, n_chars = without_first_tokens(
        units([0, 1, 3, 6, 10]), documents("a\u00e9猫🎩"), [losses("m", [1, 3, 6, 10])]
    )
    assert n_chars == 3


def test_a_unit_without_bytes_at_the_cut_counts_and_none_is_made() -> None:
    found, counts, _ = without_first_tokens(
        units([0, 3, 3, 6]), documents("abcdef"), [losses("m", [3, 6])]
    )
    assert found.edges[0].tolist() == [0, 3, 3, 6]
    assert counts.tolist() == [False, True, True]


def test_a_document_that_is_one_token_is_left_out_and_the_others_stay() -> None:
    found, counts, n_chars = without_first_tokens(
        units([0, 2, 3], [0, 1, 3]), documents("abc", "xyz"), [losses("m", [3], [1, 3])]
    )
    assert counts.tolist() == [False, False, False, True]
    assert [edges.tolist() for edges in found.edges] == [[0, 2, 3], [0, 1, 3]]
    assert n_chars == 2


def test_a_corpus_that_is_first_tokens_alone_is_refused() -> None:
    first = [losses("whole", [3], [1, 3]), losses("other", [1, 3], [3])]
    with pytest.raises(InputError, match="first token of some model; nothing is left to fit"):
        without_first_tokens(units([0, 3], [0, 3]), documents("abc", "xyz"), first)


# Properties

TEXTS = st.text(st.sampled_from("ab é猫🎩"), min_size=1, max_size=6)


def ends_in(n_bytes: int) -> st.SearchStrategy[list[int]]:
    """Ends of tokens that tile so many bytes, some empty."""
    return st.lists(st.integers(0, n_bytes), max_size=6).map(lambda cuts: [*sorted(cuts), n_bytes])


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Document], Units, list[ModelLosses]]:
    docs = documents(*draw(st.lists(TEXTS, min_size=1, max_size=3)), "aaaaaaaaaa")
    sizes = [len(doc.text.encode()) for doc in docs]
    models = []
    for i in range(draw(st.integers(1, 3))):
        ends = [draw(ends_in(size)) for size in sizes[:-1]]
        ends.append([draw(st.integers(1, 9)), 10])  # something is always left
        n = sum(map(len, ends))
        nll = draw(st.lists(st.floats(0.0, 9.0, width=16), min_size=n, max_size=n))
        models.append(losses(f"m{i}", *ends, nll=np.array(nll)))
    return docs, units(*([0, *draw(ends_in(size))] for size in sizes)), models


def masked_scores(
    docs: list[Document], found: Units, counts: Any, n_chars: int, models: list[ModelLosses]
) -> Floats:
    """Scores (n_models,) under weights that differ from unit to unit."""
    weight = 1.0 + np.arange(counts.size) % 7
    aligner = Aligner([doc.text for doc in docs], found.edges)
    nll = np.array([aligner.map(entry) * counts for entry in models])
    return capability_score(weight, nll, n_chars)


def in_the_mask(entry: ModelLosses, ends: Sequence[int]) -> np.ndarray:
    """Which tokens have all their bytes there, or come without bytes before the first that has."""
    inside = []
    for end, own in zip(
        ends, np.split(entry.byte_end, np.cumsum(entry.n_tokens)[:-1]), strict=True
    ):
        starts = np.array([0, *own[:-1]])
        inside += ((own <= end) & ((own > starts) | (own == 0))).tolist()
    return np.array(inside)


@settings(max_examples=60)
@given(cases())
def test_a_score_does_not_hang_on_the_loss_of_a_token_in_the_mask(
    case: tuple[list[Document], Units, list[ModelLosses]],
) -> None:
    docs, whole, models = case
    found, counts, n_chars = without_first_tokens(whole, docs, models)
    ends = first_token_ends(models, [doc.text for doc in docs]).tolist()
    changed = []
    for entry in models:
        inside = in_the_mask(entry, ends)
        firsts = np.cumsum([0, *entry.n_tokens[:-1]])
        assert inside[firsts].all()  # of every document at least the first
        changed.append(replace(entry, nll=np.where(inside, 100.0 + entry.nll, entry.nll)))
    assert_allclose(
        masked_scores(docs, found, counts, n_chars, changed),
        masked_scores(docs, found, counts, n_chars, models),
        rtol=1e-12,
        atol=1e-12,
    )


@settings(max_examples=60)
@given(cases())
def test_units_still_tile_every_text_and_the_cut_is_an_edge_of_them(
    case: tuple[list[Document], Units, list[ModelLosses]],
) -> None:
    docs, whole, models = case
    found, counts, n_chars = without_first_tokens(whole, docs, models)
    ends = first_token_ends(models, [doc.text for doc in docs]).tolist()
    old_at = at = 0
    for doc, end, edges, old in zip(docs, ends, found.edges, whole.edges, strict=True):
        data = doc.text.encode()
        check_edges(edges, len(data), "unit")
        assert end in edges
        assert set(edges.tolist()) == {*old.tolist(), end}
        data[:end].decode()  # whole characters
        size = edges.size - 1
        for i, (start, stop) in enumerate(pairwise(edges.tolist())):
            assert counts[at + i] == (start >= end)
            if stop > start:  # its hidden state is that of the unit it came from
                owner = int(np.searchsorted(old, start, side="right")) - 1
                assert found.hidden[at + i] == whole.hidden[old_at + owner]
        at, old_at = at + size, old_at + old.size - 1
    assert at == counts.size == found.hidden.shape[0]
    left = sum(len(d.text.encode()[end:].decode()) for d, end in zip(docs, ends, strict=True))
    assert n_chars == left


@settings(max_examples=60)
@given(cases())
def test_what_counts_and_what_does_not_is_all_the_loss_there_is(
    case: tuple[list[Document], Units, list[ModelLosses]],
) -> None:
    docs, whole, models = case
    found, counts, _ = without_first_tokens(whole, docs, models)
    aligner = Aligner([doc.text for doc in docs], found.edges)
    for entry in models:
        mapped = aligner.map(entry)
        assert (mapped * counts).sum() + mapped[~counts].sum() == pytest.approx(entry.nll.sum())


# Fits


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
