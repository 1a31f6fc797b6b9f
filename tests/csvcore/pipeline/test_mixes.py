"""Laws of mixes: which sources a validation text is drawn from."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from numpy.testing import assert_array_equal

from csvcore import store
from csvcore.analysis.mix_search import most_mixes
from csvcore.errors import InputError
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, task_models
from csvcore.formats.csv_tables import corpus_sha256
from csvcore.pipeline import jobs, mixes
from csvcore.pipeline.dataset import load_dataset
from csvcore.pipeline.fit import fit
from csvcore.pipeline.mixes import draw_documents, judge_mix, search
from csvcore.records import Document, Mix
from csvcore.store.mixes import save_mix
from tests.support.world import DOCS

pytestmark = pytest.mark.slow

Invoke = Callable[..., Result]
SOURCES = sorted({doc.source for doc in DOCS})
BUDGET = 40  # tokens; sums have 40 in three documents, notes 72


@pytest.fixture
def data(world_db: Path, tiny_lm: Path) -> Dataset:
    return load_dataset(world_db, "words", "sides", str(tiny_lm))


@pytest.fixture
def quick(config: FitConfig) -> FitConfig:
    return replace(config, penalty=1e-4, steps=3)


def tokens(data: Dataset, ids: list[str]) -> int:
    sizes = zip(data.docs, data.units.edges, strict=True)
    return sum(cuts.size - 1 for doc, cuts in sizes if doc.doc_id in ids)


def test_documents_are_drawn_within_the_budget_and_always_the_same(data: Dataset) -> None:
    everything = dict.fromkeys(SOURCES, 1.0)
    whole = sum(cuts.size - 1 for cuts in data.units.edges)
    assert sorted(draw_documents(data, everything, 100 * whole)) == sorted(d.doc_id for d in DOCS)
    for budget in (whole // 2, whole):
        ids = draw_documents(data, everything, budget)
        assert ids == draw_documents(data, everything, budget)
        assert tokens(data, ids) <= budget
    (one,) = {d.source for d in DOCS if d.doc_id in draw_documents(data, {SOURCES[0]: 3.0}, whole)}
    assert one == SOURCES[0]


@pytest.mark.parametrize(
    ("shares", "budget", "message"),
    [
        ({"nothing": 1.0}, 100, "a mix needs positive shares of .*, got nothing: 1.0"),
        (dict.fromkeys(SOURCES, 0.0), 100, "a mix needs positive shares"),
        (dict.fromkeys(SOURCES, 1.0), 1, "fits into 1 tokens; give more"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    data: Dataset, shares: dict[str, float], budget: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        draw_documents(data, shares, budget)


def test_a_mix_of_everything_is_a_fit_of_the_corpus(
    data: Dataset, quick: FitConfig, world_db: Path
) -> None:
    mix = judge_mix(data, task_models(data, "reading"), dict.fromkeys(SOURCES, 1.0), 10**6, quick)
    plain = replace(quick, members=1)
    (record,) = fit(world_db, "words", "sides", [("reading", "csv")], plain)
    assert record.choice is not None
    assert mix.error == pytest.approx(record.choice.chosen.cv_error, rel=1e-3)
    assert mix.test_mse == pytest.approx(record.mse["test"], rel=1e-2)
    assert mix.noise_floor == record.noise_floor.get("test")
    assert sum(mix.shares.values()) == pytest.approx(1)


def test_the_search_begins_with_each_source_ends_with_all_and_recommends_the_least_error(
    data: Dataset, quick: FitConfig
) -> None:
    steps: list[tuple[int, int, str]] = []
    found = search(
        data, task_models(data, "reading"), quick, BUDGET, lambda *step: steps.append(step)
    )
    assert [mix.error for mix in found] == sorted(mix.error for mix in found)
    named = [set(mix.shares) for mix in found]
    assert all({source} in named for source in SOURCES)
    assert set(SOURCES) in named
    *tried, last = steps
    done = [at for at, _, _ in tried]
    assert done[0] == 0 and done == sorted(done)
    assert all(at < total for at, total, _ in tried)
    assert last[0] == last[1] == tried[0][1] == most_mixes(len(SOURCES))
    assert last[2] == f"{len(found)} mixes tried"


def test_all_mixes_have_the_budget_and_none_is_there_twice(data: Dataset, quick: FitConfig) -> None:
    found = search(data, task_models(data, "reading"), quick, BUDGET)
    smallest = min(cuts.size - 1 for cuts in data.units.edges)
    assert all(BUDGET - mix.n_tokens < 2 * smallest for mix in found)
    assert all(mix.n_tokens <= BUDGET for mix in found)
    assert all(mix.n_tokens == tokens(data, list(mix.doc_ids)) for mix in found)
    assert len({frozenset(mix.doc_ids) for mix in found}) == len(found)


def test_a_budget_that_no_mix_can_have_is_refused(data: Dataset, quick: FitConfig) -> None:
    models = task_models(data, "reading")
    whole = sum(cuts.size - 1 for cuts in data.units.edges)
    with pytest.raises(InputError, match=f"have {whole} tokens, so no mix has 1,000,000; give few"):
        search(data, models, quick, 10**6)
    with pytest.raises(InputError, match="no document fits into a budget of 1 tokens; give more"):
        search(data, models, quick, 1)
    (alone,) = search(data, models, quick, whole)  # only all documents are as many
    assert len(alone.doc_ids) == len(DOCS)


def test_the_test_models_have_no_part_in_the_choice(
    data: Dataset, quick: FitConfig, world_db: Path, tiny_lm: Path
) -> None:
    models = task_models(data, "reading")
    before = [mix.error for mix in search(data, models, quick, BUDGET)]
    wrong = models.accuracy.copy()
    wrong[models.on("test")] = 0.5
    after = [mix.error for mix in search(data, replace(models, accuracy=wrong), quick, BUDGET)]
    assert before == after


def test_one_source_is_nothing_to_mix(data: Dataset, quick: FitConfig) -> None:
    alone = data.only([doc.doc_id for doc in DOCS if doc.source == SOURCES[0]])
    with pytest.raises(InputError, match="needs two sources or more"):
        search(alone, task_models(alone, "reading"), quick)


def test_the_command_recommends_a_mix_and_writes_its_documents(
    invoke: Invoke, world_db: Path, tiny_lm: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mix.json"
    where = ["--corpus", "words", "--split", "sides", "--task", "reading", "--scorer", tiny_lm]
    made = invoke("mixes", *where, "--budget-tokens", BUDGET, "--out", out, "--json", db=world_db)
    assert made.exit_code == 0, made.output
    best = json.loads(made.stdout)["mixes"][0]
    assert json.loads(out.read_text())["doc_ids"] == best["doc_ids"]
    told = invoke("mixes", *where, "--budget-tokens", BUDGET, db=world_db)
    assert "cross-validated RMSE (points)" in told.stdout


def test_what_was_tried_is_stored_until_it_is_tried_again(
    world_db: Path, config: FitConfig
) -> None:
    quick = replace(config, penalty=1e-4, steps=3)
    first = mixes.mixes(world_db, ["words"], "sides", "reading", quick, BUDGET)
    with store.connect(world_db, read_only=True) as db:
        assert store.mixes(db, ["words"], "sides", "reading") == first
        assert store.mixes(db, ["words"], "sides", "adding") == []
    params = {"corpora": ["words"], "split": "sides", "task": "reading", "budget_tokens": 30}
    more = {"config": {"scorer": quick.scorer, "steps": 3}}
    done = jobs.run_job(world_db, "mixes", params | more, lambda step, total, message: None)
    with store.connect(world_db, read_only=True) as db:
        again = store.mixes(db, ["words"], "sides", "reading")
    assert done == f"{len(again)} mixes tried"
    assert again != first


def test_a_mix_becomes_a_corpus_with_the_losses_of_all_models(world_db: Path) -> None:
    ids = [DOCS[2].doc_id, DOCS[0].doc_id]
    told = save_mix(world_db, ["words"], ids, "small")
    assert told.startswith("corpus small: 2 documents")
    with store.connect(world_db, read_only=True) as db:
        assert [doc.doc_id for doc in store.documents(db, "small")] == ids
        whole = store.coverage(db, "words")
        assert store.coverage(db, "small") == dict.fromkeys(whole, 2)
        (own,) = store.losses(db, "small", [min(whole)], DOCS[2].doc_id)
        (before,) = store.losses(db, "words", [min(whole)], DOCS[2].doc_id)
        assert_array_equal(own.nll, before.nll)
    save_mix(world_db, ["words"], ids, "small")  # again changes nothing
    with store.connect(world_db, read_only=True) as db:
        assert store.coverage(db, "small") == dict.fromkeys(whole, 2)
    with pytest.raises(InputError, match="a corpus 'small' with other documents is stored"):
        save_mix(world_db, ["words"], ids[:1], "small")
    with pytest.raises(InputError, match="there is no document 'nowhere' in words"):
        save_mix(world_db, ["words"], ["nowhere"], "other")


def test_corpora_that_share_a_documents_name_make_no_mix(world_db: Path) -> None:
    other = Document(DOCS[0].doc_id, "elsewhere", "another text")
    with store.connect(world_db) as db:
        store.add_corpus(db, "more", corpus_sha256([other]), [other])
    with pytest.raises(InputError, match=f"'{other.doc_id}' of more has the name of one in anoth"):
        save_mix(world_db, ["words", "more"], [other.doc_id], "both")
    with store.connect(world_db, read_only=True) as db:
        assert "both" not in store.corpora(db)


def test_a_search_goes_with_the_sides_it_was_made_on(world_db: Path) -> None:
    mix = Mix("reading", {"sums": 1.0}, ("sum-1",), 10, 0.1, None, None, None, None)
    with store.connect(world_db) as db:
        sides = store.split(db, "sides")
        store.set_mixes(db, ["words"], "sides", "reading", [mix])
        store.add_split(db, "sides", sides)
        assert store.mixes(db, ["words"], "sides", "reading") == [mix]
        one, other = (next(m for m in sides if sides[m] == at) for at in ("train", "test"))
        store.add_split(db, "sides", sides | {one: "test", other: "train"})
        assert store.mixes(db, ["words"], "sides", "reading") == []
