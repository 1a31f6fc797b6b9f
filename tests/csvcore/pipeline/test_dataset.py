from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from csvcore import mapped, store
from csvcore.errors import FitError, InputError
from csvcore.fitting.dataset import Dataset, task_models
from csvcore.pipeline import imports
from csvcore.pipeline.dataset import load_dataset
from csvcore.records import Accuracy, Fit
from tests.support.world import (
    DOCS,
    READING_LAW,
    SIDES,
    THREE_FAMILIES,
    World,
    change,
    pack_rows,
    write_csv,
    write_pack,
)

Run = Callable[..., Fit]
Load = Callable[..., Dataset]
MODELS = sorted(SIDES)


@pytest.fixture
def load(world_db: Path, tiny_lm: Path) -> Load:
    """What a fit reads of the made-up world."""

    def read(*statements: str, **more: Any) -> Dataset:
        change(world_db, *statements)
        return load_dataset(world_db, "words", "sides", str(tiny_lm), **more)

    return read


def families(models: dict[str, str]) -> list[str]:
    return [f"UPDATE models SET family = '{f}' WHERE model = '{m}'" for m, f in models.items()]


def members(data: Dataset, mask: np.ndarray) -> set[str]:
    return {model for model, own in zip(data.models, mask, strict=True) if own}


# What is read


def test_every_row_is_one_models_losses_on_the_scorers_tokens(load: Load, world: World) -> None:
    data = load()
    assert sorted(data.models) == MODELS
    assert [card.model for card in data.cards] == data.models
    assert data.n_chars == sum(len(doc.text) for doc in DOCS)
    assert data.counts.all()
    cuts = np.cumsum([0, *(edges.size - 1 for edges in data.units.edges)])
    for model, row in zip(data.models, data.nll, strict=True):
        for doc, edges, (a, b) in zip(DOCS, data.units.edges, pairwise(cuts), strict=True):
            assert row[a:b].sum() == pytest.approx(world.nll[model][doc.doc_id].sum(), rel=1e-5)
            if doc.text.isascii():  # a token's share is the sum of its characters
                nll = np.concatenate([[0.0], np.cumsum(world.nll[model][doc.doc_id])])
                assert_allclose(row[a:b], np.diff(nll[edges]), rtol=1e-4, atol=1e-5)


def test_losses_in_a_file_make_the_same_dataset_and_fit(
    load: Load, make_fit: Run, world_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, fit = load(), make_fit("reading", method="csv")
    monkeypatch.setattr(mapped, "LARGEST_IN_MEMORY", 0)
    in_file, again = load(), make_fit("reading", method="csv")
    assert isinstance(in_file.nll, np.memmap)
    assert_array_equal(in_file.nll, data.nll)
    assert_array_equal(in_file.span, data.span)
    assert (again.fit, again.alpha, again.mse) == (fit.fit, fit.alpha, fit.mse)
    assert again.predictions == fit.predictions


def test_a_score_of_some_models_is_the_score_of_their_losses(load: Load) -> None:
    data = load("DELETE FROM accuracies WHERE task = 'reading' AND model IN ('bee', 'dog')")
    chosen = task_models(data, "reading")
    assert 0 < len(chosen.rows) < len(data.models)
    weights = np.random.default_rng(0).normal(size=(3, data.nll.shape[1]))
    expected = weights @ chosen.losses(data).astype(np.float64).T / data.n_chars
    assert_allclose(chosen.score(data, weights), expected, rtol=1e-12)
    assert_allclose(chosen.score(data, weights[1]), expected[1], rtol=1e-12)


def test_sources_are_named_in_order_and_every_unit_has_one(load: Load) -> None:
    data = load()
    names, source = data.sources()
    assert names == ["notes", "sums"]
    assert source.size == data.nll.shape[1]
    expected = [
        names.index(doc.source)
        for doc, edges in zip(DOCS, data.units.edges, strict=True)
        for _ in edges[1:]
    ]
    assert source.tolist() == expected


def test_models_outside_the_split_or_without_all_losses_are_not_read(load: Load) -> None:
    data = load(
        "DELETE FROM splits WHERE model = 'owl'",
        "DELETE FROM losses WHERE model = 'jay' AND doc_id = 'note-2'",
    )
    assert sorted(data.models) == sorted(SIDES.keys() - {"owl", "jay"})


def test_the_mask_leaves_out_the_first_tokens_and_their_characters(load: Load) -> None:
    plain, masked = load(), load(mask_first_token=True)
    assert masked.n_chars == plain.n_chars - len(DOCS)  # here a token is a character
    assert not masked.nll[:, ~masked.counts].any()
    assert (masked.nll.sum(axis=1) < plain.nll.sum(axis=1)).all()


# Groups


def test_with_three_families_in_train_the_families_are_the_groups(load: Load) -> None:
    data = load(*families(THREE_FAMILIES | {"gnu": "a", "jay": "c", "hen": "d", "owl": "d"}))
    found = {name: members(data, mask) for name, mask in data.groups().items()}
    assert found == {
        "a": {"ant", "bee", "gnu"},
        "b": {"cow", "dog"},
        "c": {"elk", "fox", "jay"},
    }  # d has no train model


def test_with_two_families_in_train_the_training_runs_are_the_groups(load: Load) -> None:
    checkpoints = "UPDATE models SET n_params = 7, stage = '{}', step = {} WHERE model = '{}'"
    data = load(
        *families(THREE_FAMILIES | {"elk": "b", "fox": "b", "gnu": "b", "hen": "e"}),
        checkpoints.format("base", 1, "cow"),
        checkpoints.format("base", 2, "dog"),
        checkpoints.format("chat", 3, "elk"),
        checkpoints.format("base", 4, "gnu"),
    )
    found = {name: members(data, mask) for name, mask in data.groups().items()}
    assert found == {
        "run ant": {"ant"},
        "run bee": {"bee"},
        "run b 7 base": {"cow", "dog", "gnu"},
        "run b 7 chat": {"elk"},
        "run fox": {"fox"},
    }


def test_a_family_that_only_validates_does_not_make_three(load: Load) -> None:
    two = dict.fromkeys(("ant", "bee", "cow"), "a") | dict.fromkeys(("dog", "elk", "fox"), "b")
    data = load(*families(two | {"gnu": "c", "hen": "c"}))
    assert data.groups().keys() == {f"run {model}" for model in two}


def test_more_than_eight_groups_are_dealt_out_evenly_into_eight(load: Load) -> None:
    data = load(
        "UPDATE splits SET side = 'train'",
        *families({"ant": "a", "bee": "a", "cow": "a", "dog": "a"} | {"elk": "b", "fox": "b"}),
        "UPDATE models SET family = model WHERE family NOT IN ('a', 'b')",
    )
    every = data.groups()
    assert every.keys() == {"a", "b", "gnu", "hen", "jay", "kid", "owl"}  # seven, each alone
    assert members(data, every["a"]) == {"ant", "bee", "cow", "dog"}
    data = load("UPDATE models SET family = model")  # eleven
    groups = [members(data, mask) for mask in data.groups().values()]
    assert sorted(model for group in groups for model in group) == MODELS
    assert sorted(map(len, groups)) == [1, 1, 1, 1, 1, 2, 2, 2]
    for name, mask in data.groups().items():
        assert set(name.split(", ")) == members(data, mask)


def test_for_intervals_two_families_are_left_out_where_a_test_model_is_of_neither(
    load: Load,
) -> None:
    data = load()
    assert data.unseen_families() == set()
    assert data.interval_groups().keys() == data.groups().keys() == {
        f"run {model}" for model, side in SIDES.items() if side == "train"
    }  # fmt: skip
    data = load(*families({"owl": "new"}))
    assert data.unseen_families() == {"new"}
    assert data.groups().keys() == {f"run {m}" for m, s in SIDES.items() if s == "train"}
    found = {name: members(data, mask) for name, mask in data.interval_groups().items()}
    assert found == {
        "tame": {"ant", "cow", "elk", "gnu", "jay"},
        "wild": {"bee", "dog", "fox", "hen", "kid"},
    }
    data = load("UPDATE models SET family = 'tame' WHERE model <> 'owl'")
    assert data.unseen_families() == {"new"}
    assert data.interval_groups().keys() == data.groups().keys()  # one family cannot be left out
    assert len(data.groups()) == 6


def test_where_test_families_are_unseen_only_validation_models_of_unseen_families_are_like_them(
    load: Load,
) -> None:
    validation = {model for model, side in SIDES.items() if side == "validation"}
    data = load()
    assert members(data, data.like_test()) == validation
    data = load(*families({"owl": "new"}))
    assert members(data, data.like_test()) == set()
    other = min(validation)
    data = load(*families({"owl": "new", other: "other"}))
    assert members(data, data.like_test()) == {other}


def test_train_of_one_run_has_no_groups(load: Load) -> None:
    data = load("UPDATE models SET family = 'a', n_params = 7, stage = 'base', step = ascii(model)")
    assert data.groups() == {}
    assert len(set(data.runs().tolist())) == 1


def test_models_of_one_run_and_no_others_share_its_number(load: Load) -> None:
    data = load(
        "UPDATE models SET family = 'a', n_params = 7, step = ascii(model)"
        " WHERE model IN ('ant', 'fox', 'owl')"
    )
    number = dict(zip(data.models, data.runs().tolist(), strict=True))
    assert number["ant"] == number["fox"] == number["owl"]
    assert len(set(number.values())) == len(SIDES) - 2


# Models of a task


def test_models_without_an_accuracy_or_without_all_losses_are_left_out_by_name(
    make_fit: Run, world_db: Path
) -> None:
    change(
        world_db,
        "DELETE FROM accuracies WHERE model = 'cow' AND task = 'reading'",
        "DELETE FROM losses WHERE model = 'jay' AND doc_id = 'note-2'",
        "DELETE FROM losses WHERE model = 'hen'",
    )
    fit = make_fit("reading")
    assert set(fit.left_out) == {"cow", "jay", "hen"}
    assert {p.model for p in fit.predictions} == SIDES.keys() - {"cow", "jay", "hen"}
    assert fit.n_models == {"train": 5, "validation": 1, "test": 2}
    assert (fit.alpha, fit.beta) == pytest.approx(READING_LAW, rel=1e-3)
    assert set(make_fit("adding").left_out) == {"jay", "hen"}


def test_models_outside_the_split_take_no_part(make_fit: Run, world_db: Path) -> None:
    change(world_db, "DELETE FROM splits WHERE model = 'owl'")
    fit = make_fit("reading")
    assert "owl" not in {p.model for p in fit.predictions} | set(fit.left_out)


def test_a_tasks_models_stand_in_the_order_of_the_losses(load: Load, world: World) -> None:
    data = load("DELETE FROM accuracies WHERE model = 'cow' AND task = 'adding'")
    chosen = task_models(data, "adding")
    assert [data.models[row] for row in chosen.rows] == chosen.names
    assert chosen.sides == [SIDES[name] for name in chosen.names]
    assert_array_equal(chosen.accuracy, [world.accuracy(name, "adding") for name in chosen.names])
    for side in ("train", "validation", "test"):
        names = {name for name, own in zip(chosen.names, chosen.on(side), strict=True) if own}
        assert names == {m for m, s in SIDES.items() if s == side} - {"cow"}
    assert chosen.left_out == ("cow",)


def test_losses_under_a_tokenizer_of_their_own_fit_the_same_law(
    tmp_path: Path, world: World, world_db: Path, make_fit: Run
) -> None:
    write_csv(tmp_path / "m.csv", "model,family", [["new", "other"]])
    imports.import_models(world_db, tmp_path / "m.csv")
    whole = [
        row | {"model": "new", "byte_start": [0], "byte_end": row["byte_end"][-1:],
               "nll": [sum(row["nll"])]}
        for row in pack_rows(world, ["owl"])
    ]  # fmt: skip
    imports.import_losses(world_db, [write_pack(tmp_path / "p.parquet", whole)])
    with store.connect(world_db) as db:
        store.add_accuracies(db, [Accuracy("new", "reading", 0.5)])
        store.add_split(db, "sides", {**SIDES, "new": "test"})
    placed = {p.model: p for p in make_fit("reading").predictions}
    assert placed["new"].score == pytest.approx(placed["owl"].score, rel=1e-5)
    assert placed["new"].predicted == pytest.approx(placed["owl"].predicted, rel=1e-4)


# Refusals


def test_fewer_than_three_train_models_are_refused(load: Load) -> None:
    data = load(
        "DELETE FROM accuracies WHERE task = 'reading' AND model IN ('ant', 'bee')",
        "DELETE FROM losses WHERE model IN ('cow', 'dog')",
    )
    message = "reading has 2 train models .*; a fit needs 3, and 4 of the split were left out"
    with pytest.raises(InputError, match=message):
        task_models(data, "reading")


def test_an_unknown_task_is_refused(load: Load) -> None:
    with pytest.raises(InputError, match="there is no task 'riding'; stored: adding, reading"):
        task_models(load(), "riding")


def test_a_task_whose_train_models_are_all_at_chance_is_refused(load: Load) -> None:
    data = load(
        "UPDATE accuracies SET accuracy = 0.25 + 0.0015 * ascii(model) / 100 WHERE task = 'adding'",
    )
    message = r"all 6 train models are at chance on adding \(best 0\.252, chance 0\.25\)"
    with pytest.raises(FitError, match=message):
        task_models(data, "adding")


def test_with_many_items_a_small_step_above_chance_is_not_chance(load: Load) -> None:
    data = load(
        "UPDATE accuracies SET accuracy = 0.25, n_items = 100000 WHERE task = 'adding'",
        "UPDATE accuracies SET accuracy = 0.26 WHERE task = 'adding' AND model = 'ant'",
    )
    assert task_models(data, "adding").n_items[0] == 100_000  # 0.01 is 7 standard errors


# Parts and wholes


def test_a_part_holds_what_a_corpus_of_those_documents_alone_would(load: Load) -> None:
    whole = load()
    kept = [DOCS[2].doc_id, DOCS[0].doc_id]
    part = whole.only(kept)
    assert [doc.doc_id for doc in part.docs] == [DOCS[0].doc_id, DOCS[2].doc_id]
    assert part.n_chars == len(DOCS[0].text) + len(DOCS[2].text)
    assert part.models == whole.models
    cuts = np.cumsum([0, *(edges.size - 1 for edges in whole.units.edges)])
    on = np.r_[cuts[0] : cuts[1], cuts[2] : cuts[3]]
    assert_array_equal(part.nll, whole.nll[:, on])
    assert_array_equal(part.units.hidden, whole.units.hidden[on])
    assert part.corpus_sha256 != whole.corpus_sha256


@pytest.mark.parametrize("masked", [False, True])
def test_the_parts_joined_again_are_the_whole(load: Load, masked: bool) -> None:
    whole = load(mask_first_token=masked)
    ids = [doc.doc_id for doc in whole.docs]
    again = whole.only(ids[:2]).joined(whole.only(ids[2:]))
    assert again.docs == whole.docs
    assert again.n_chars == whole.n_chars
    assert again.corpus_sha256 == whole.corpus_sha256
    assert_array_equal(again.nll, whole.nll)
    assert_array_equal(again.counts, whole.counts)
    assert_array_equal(again.units.hidden, whole.units.hidden)


def test_a_part_of_nothing_is_refused(load: Load) -> None:
    with pytest.raises(InputError, match="has none of the 1 documents"):
        load().only(["not-there"])


def test_what_is_joined_keeps_the_models_of_both(load: Load) -> None:
    whole = load()
    ids = [doc.doc_id for doc in whole.docs]
    fewer = replace(
        whole.only(ids[2:]),
        models=whole.models[::-1][:4],
        cards=whole.cards[::-1][:4],
        nll=whole.only(ids[2:]).nll[::-1][:4],
    )
    again = whole.only(ids[:2]).joined(fewer)
    assert again.models == whole.models[-4:]
    assert_array_equal(again.nll, whole.nll[-4:])
    with pytest.raises(InputError, match="0 models have losses on both"):
        whole.only(ids[:2]).joined(replace(fewer, models=["else"], nll=fewer.nll[:1]))
    with pytest.raises(InputError, match=f"'{ids[2]}' of words has the name of one in another"):
        whole.joined(fewer)
    with pytest.raises(InputError, match="one scorer and one split only"):
        whole.joined(replace(fewer, split_name="other"))
