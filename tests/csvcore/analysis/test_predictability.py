import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore.analysis.predictability import assess, contract, left_out_families
from csvcore.records import Accuracy, Evidence, Floats, LossSettings, ModelCard, Side, Task
from csvcore.scaling import sigmoid_law

SIZES, STEPS = (1, 2), (1, 3, 7, 15)


def planted(families: str = "ABCD", noise: float = 0.0, n_items: int | None = 1000) -> Evidence:
    """Models whose accuracy follows from the loss of `own`, over all of the law in each family."""
    rng = np.random.default_rng(0)
    cards = tuple(
        ModelCard(f"{family}{size}-{step}", family, size, step=step)
        for family in families
        for size in SIZES
        for step in STEPS
    )
    own = np.concatenate([np.linspace(3.0, 1.0, len(cards) // len(families)) for _ in families])
    source_nll = np.stack([rng.uniform(1, 3, own.size), own], axis=1)
    accuracy = sigmoid_law(own, -4.0, 2.0, 0.25) + rng.normal(0, noise, own.size)
    entries = {
        (card.model, "quiz"): Accuracy(card.model, "quiz", value, n_items)
        for card, value in zip(cards, np.clip(accuracy, 0, 1).tolist(), strict=True)
    }
    sides: dict[str, Side] = dict.fromkeys((card.model for card in cards), "train")
    settings = {card.model: LossSettings("float32", "whole", "bos") for card in cards}
    tasks = (Task("quiz", 0.25),)
    text_nll = np.stack([source_nll.mean(axis=1), np.full(own.size, 0.1)], axis=1)
    sources = ("other", "own")
    nothing = np.empty((0, len(sources)))
    return Evidence(
        cards, sides, tasks, entries, sources, source_nll, text_nll, settings, {}, (), nothing
    )


def test_the_noise_of_a_seed_is_that_of_models_and_their_repeats() -> None:
    evidence = planted()
    first = evidence.cards[0]
    again = replace(first, model="again", run="seed2")
    entry = evidence.accuracies[first.model, "quiz"]
    other = replace(entry, model="again", accuracy=entry.accuracy - 0.02)
    found = assess(
        replace(
            evidence,
            repeats=(again,),
            repeat_nll=evidence.source_nll[:1] + np.array([[0.0, 0.06]]),
            accuracies=evidence.accuracies | {("again", "quiz"): other},
        )
    )
    assert found.tasks[0].seed_noise == pytest.approx(0.02 / np.sqrt(2))
    assert [one.seed_noise for one in found.sources] == pytest.approx([0.0, 0.06 / np.sqrt(2)])
    assert found.tasks[0].n_models == len(evidence.cards)
    assert assess(evidence).tasks[0].seed_noise is None


def changed(evidence: Evidence, **accuracy: Floats) -> Evidence:
    """Replace the accuracies of families."""
    entries = dict(evidence.accuracies)
    for family, values in accuracy.items():
        own = [card.model for card in evidence.cards if card.family == family]
        for model, value in zip(own, values, strict=True):
            entries[model, "quiz"] = replace(entries[model, "quiz"], accuracy=float(value))
    return replace(evidence, accuracies=entries)


def told(evidence: Evidence) -> tuple[str, str, str | None]:
    [task] = assess(evidence).tasks
    return task.verdict, task.reason, task.change


def test_a_task_that_follows_from_a_source_in_every_family_is_predictable() -> None:
    [task] = assess(planted()).tasks
    assert (task.verdict, task.source, task.change) == ("predictable", "own", None)
    assert task.rises_in == task.able_in == ("A", "B", "C", "D")
    assert task.left_out_r2 == pytest.approx(1.0, abs=1e-6)
    assert task.reason.startswith("The best source explains 100% of the variance of left-out")


def test_the_tasks_own_sources_are_taken_where_it_names_any() -> None:
    evidence = replace(planted(), tasks=(Task("quiz", 0.25, None, ("other",)),))
    [task] = assess(evidence).tasks
    assert task.source == "other"
    assert task.verdict == "not from these losses"
    assert task.reason.startswith("The best source predicts families left out worse")


def test_a_task_at_chance_is_not_predictable() -> None:
    flat = np.full(8, 0.26)
    word, reason, _ = told(changed(planted(), A=flat, B=flat, C=flat, D=flat))
    assert (word, reason) == ("not from these losses", "No train model is above chance.")


def test_one_family_alone_tells_nothing_of_others() -> None:
    flat = np.full(8, 0.25)
    word, reason, change = told(changed(planted(), B=flat, C=flat, D=flat))
    assert (word, reason) == (
        "not from these losses",
        "The accuracy rises clearly above chance (by 10 points or more) only in A.",
    )
    assert change == "More families that rise: at least 2, better three."


def test_two_families_that_rise_are_barely_enough() -> None:
    word, reason, _ = told(planted("AB"))
    assert word == "barely"
    assert reason == "The accuracy rises from model to model only in A and B."


def test_families_that_are_good_throughout_count_as_able_and_not_as_rising() -> None:
    evidence = planted()
    good = sigmoid_law(np.linspace(1.0, 0.5, 8), -4.0, 2.0, 0.25)
    [task] = assess(changed(evidence, C=good, D=good)).tasks
    assert task.able_in == ("A", "B", "C", "D")
    assert task.rises_in == ("A", "B")


def test_noise_decides_where_it_is_large_and_names_its_remedy() -> None:
    word, reason, change = told(planted(n_items=10))
    assert (word, change) == ("barely", "More items.")
    assert reason.endswith("of the variance of the accuracies is signal.")
    rough = planted(noise=0.2)
    word, _, change = told(rough)
    assert (word, change) == (
        "barely",
        "Means over neighbouring checkpoints, or repeated seeds.",
    )
    assert told(planted(n_items=1))[0] == "not from these losses"


def test_families_collected_by_different_protocols_are_barely_comparable() -> None:
    evidence = planted()
    made = {
        card.model: LossSettings("float32", "story" if card.family == "A" else "sentence", "bos")
        for card in evidence.cards
    }
    word, reason, change = told(replace(evidence, settings=made))
    assert (word, change) == ("barely", "Losses of all families under one protocol.")
    assert reason.startswith("Families differ in context")


def test_first_tokens_that_differ_much_are_told_and_decide_nothing() -> None:
    evidence = planted()
    text_nll = evidence.text_nll.copy()
    text_nll[::2] += 0.5
    text_nll[::2, 1] += 0.5
    found = assess(replace(evidence, text_nll=text_nll))
    [told_of] = found.confounds
    assert (told_of.setting, told_of.severe) == ("first tokens", False)
    assert "--mask-first-token" in told_of.sentence
    assert found.tasks == assess(evidence).tasks
    assert assess(evidence).confounds == ()


def test_unknown_noise_is_a_doubt_and_missing_losses_are_an_end() -> None:
    evidence = planted(n_items=None)
    ends = replace(evidence, cards=tuple(replace(c, step=None) for c in evidence.cards))
    assert told(ends)[:2] == ("barely", "The noise of the accuracies is unknown.")
    lost = replace(evidence, source_nll=np.full_like(evidence.source_nll, np.nan))
    word, reason, change = told(lost)
    assert word == "not from these losses"
    assert reason == "No model with an accuracy has losses on every document."
    assert change == "Losses: `csvcore collect` or `csvcore import losses` brings them."
    few = evidence.source_nll.copy()
    few[3:] = np.nan
    assert told(replace(evidence, source_nll=few))[1].startswith("No law can be fitted")
    none = replace(evidence, accuracies={})
    assert told(none)[1] == "0 train and validation models have an accuracy."


def test_validation_models_do_not_make_a_task_rise_above_chance() -> None:
    evidence = planted()
    able = {key[0] for key, entry in evidence.accuracies.items() if entry.accuracy > 0.3}
    sides: dict[str, Side] = {
        card.model: "validation" if card.model in able else "train" for card in evidence.cards
    }
    assert told(replace(evidence, sides=sides))[1] == "No train model is above chance."


@given(st.permutations(range(32)))
def test_the_order_of_models_does_not_matter(order: list[int]) -> None:
    evidence = planted(noise=0.05)
    shuffled = replace(
        evidence,
        cards=tuple(evidence.cards[at] for at in order),
        source_nll=evidence.source_nll[order],
        text_nll=evidence.text_nll[order],
    )
    one, other = contract(assess(evidence)), contract(assess(shuffled))
    for task, again in zip(one["tasks"], other["tasks"], strict=True):
        assert task.keys() == again.keys()
        for key, value in task.items():
            close = isinstance(value, float)
            assert again[key] == (pytest.approx(value, rel=1e-4) if close else value), key


def test_left_out_families_by_a_law_without_the_family() -> None:
    evidence = planted("ABC")
    accuracy = np.array([evidence.accuracies[c.model, "quiz"].accuracy for c in evidence.cards])
    families = [card.family for card in evidence.cards]
    assert left_out_families(evidence.source_nll, [0, 1], accuracy, families, 0.25)[0] == 1
    for few in (["A"] * 24, ["A"] * 22 + ["B"] * 2):  # no second family; too few models outside A
        found = left_out_families(evidence.source_nll, [0, 1], accuracy, few, 0.25)
        assert found == (None, None)


def test_an_assessment_is_one_json_document_of_tasks_sources_and_confounds() -> None:
    record: dict[str, Any] = json.loads(json.dumps(contract(assess(planted()))))
    assert record.keys() == {"tasks", "sources", "confounds", "n_unknown"}
    assert record["tasks"][0]["n_families_rising"] == 4
    assert [row["source"] for row in record["sources"]] == ["other", "own"]
    assert record["sources"][1]["spread"] == pytest.approx(
        np.std(planted().source_nll[:, 1], ddof=1)
    )
    assert record["n_unknown"] == 0
