"""Laws of the programs that make the zoo: documents, tokenizers, training, evaluation."""

import random
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM
from zoo_build import (
    corpus,
    documents,
    evaluate,
    families,
    partitions,
    rows,
    tasks,
    train,
    world,
)
from zoo_build.families import FAMILIES, Family, Run, Size
from zoo_build.results import result_spans
from zoo_build.vocabularies import train_tokenizer

from csvcore.formats import csv_tables
from csvcore.formats.bundled import ZOO
from csvcore.records import ModelCard

pytestmark = pytest.mark.slow

KINDS = ("bytes-bpe", "digits-bpe", "bytes", "unigram", "sp-bpe")
TINY = Size("tiny", 2, 32)
TEXTS = families.sample_texts(FAMILIES[0], 300)


def drawn(source: str, n_docs: int) -> list[documents.Draft]:
    rng = random.Random(0)
    return [documents.SOURCES[source](rng) for _ in range(n_docs)]


def one_of_each_architecture() -> list[Family]:
    return list({family.architecture: family for family in FAMILIES}.values())


def test_answers_are_the_label_tokens():
    sums = drawn("arithmetic", 50)
    for draft in sums:
        ((start, end),) = draft.answers
        assert draft.text[start - 1] == " "
        assert draft.text[start:end].isdigit()


def test_worked_sums_are_right():
    for draft in drawn("arithmetic", 100):
        steps = re.findall(r"(\d+) ([+-]) (\d+) = (\d+)\.", draft.text)
        for first, sign, second, result in steps:
            assert int(first) + int(sign + second) == int(result) > 0
        assert draft.text.endswith(f"The answer is {steps[-1][3]}.")


def test_worked_swaps_end_where_following_them_ends():
    for draft in drawn("swaps-worked", 100):
        question, steps = draft.text.split("Which ball")
        start, swaps = question.removeprefix("Balls: ").split(" Swaps:")
        ball = dict(re.findall(r"(\w+) (\w+)", start))
        for one, two in re.findall(r"(\w+) and (\w+)", swaps):
            ball[one], ball[two] = ball[two], ball[one]
        asked, colour = re.search(r"So (\w+) (\w+)\.", steps).groups()
        assert ball[asked] == colour


def test_training_never_shows_a_pair_that_the_task_asks_about():
    for draft in drawn("scenes", 1000):
        event, thing = re.search(r"\. \w+ (\w+) the (\w+)\. It", draft.text).groups()
        assert thing in documents.THINGS
        assert (thing, event) not in documents.ASKED_PAIRS


def test_training_never_quizzes_people_that_the_tasks_ask_about():
    asked = {person.name for person in documents.asked(documents.PEOPLE_EN)}
    quizzed = [draft for draft in drawn("facts", 1000) if draft.answers]
    assert quizzed
    assert not any(name in draft.text for draft in quizzed for name in asked)


def test_a_worked_step_states_its_result_after_an_equals_sign_or_has_the():
    text = "é: 2 + 2 = 4, =15. Tom has the ball"
    assert [text[start:end] for start, end in result_spans(text)] == ["4", "15", "ball"]


def test_after_a_swap_the_results_are_what_everybody_now_holds():
    text = "Who?\n1 Ann and Bob: Ann red, Bob blue. Now Ann blue, Bob red.\nSo Ann blue."
    spans = result_spans(text)
    assert [text[start:end] for start, end in spans] == ["blue", "red"]
    assert all(start > text.index("Now") for start, _ in spans)


def test_the_bundled_corpus_has_the_results_of_its_worked_documents():
    docs = csv_tables.read_corpus(ZOO / "documents.jsonl")
    assert all(doc.results == result_spans(doc.text) for doc in docs)
    assert {doc.source for doc in docs if doc.results} == {"swaps-worked", "arithmetic"}


def test_corpus_follows_the_papers_recipe():
    docs = corpus.validation_corpus()
    sources = [doc.source for doc in docs]
    assert len(docs) == len({doc.text for doc in docs}) == 550
    assert sources.count("swaps-worked") == 50
    assert all(doc.answers for doc in docs)


def test_every_item_of_a_task_is_a_fact_of_its_own():
    for name, task in tasks.TASKS.items():
        items = task.items()
        if isinstance(items[0], tasks.ChoiceItem):
            prompts = {re.split(r" It |Answer:|答：", item.choices[0])[0] for item in items}
            keyed = {item.choices[item.answer] for item in items}
        else:
            prompts = keyed = {item.prompt for item in items}
        assert len(prompts) == len(keyed) == len(items), name


@pytest.mark.parametrize("name", tasks.TASKS)
def test_the_corpus_shows_the_ability_of_every_task(name):
    """Documents of a task's sources are of its own kind: the same questions of the same world."""
    task = tasks.TASKS[name]
    own = [doc.text for doc in corpus.validation_corpus() if doc.source in task.source.split()]
    of_kind = {
        "facts": lambda text: any(f" {e.name} " in text or f" {e.name}?" in text
                                  for e in documents.asked(documents.PEOPLE_EN)),
        "scenes": lambda text: any(f"{event} the {thing}." in text
                                   for thing, event in world.asked_pairs()),
        "arithmetic": lambda text: "How many" in text and "The answer is" in text,
        "swaps": lambda text: "Which ball has" in text,
        "zh-people": lambda text: any(e.name in text for e in documents.asked(documents.PEOPLE_ZH)),
        "zh-towns": lambda text: any(e.name in text for e in documents.asked(documents.TOWNS_ZH)),
    }[name]  # fmt: skip
    assert sum(map(of_kind, own)) >= 50


def test_every_ability_is_in_four_mixes_and_nearly_absent_from_one():
    for task in ("facts", "scenes", "arithmetic", "swaps-worked", "zh-people", "zh-towns"):
        shares = sorted(family.mix[task] for family in FAMILIES)
        assert shares[-4] > 0.1
        assert shares[0] < 0.04


def test_sizes_rise_at_equal_ratios_over_a_factor_of_twenty():
    tokenizer = train_tokenizer("sp-bpe", 900, TEXTS)
    ebb = next(family for family in FAMILIES if family.name == "ebb")
    counts = [
        sum(p.numel() for p in train.Trainer(Run(ebb, size), tokenizer).parameters)
        for size in ebb.sizes
    ]
    ratios = np.divide(counts[1:], counts[:-1])
    assert counts[-1] / counts[0] > 20
    assert ratios.max() / ratios.min() < 1.2


def test_a_forecast_is_of_what_is_larger_and_later():
    cards = [
        ModelCard(f"ebb-{size}-{step}", "ebb", n_params=size, train_tokens=step, step=step)
        for size in (1, 2, 3, 4, 5)
        for step in (2, 5, 10)
    ]
    split = partitions.forecast(cards)
    assert {split[f"ebb-{size}-{step}"] for size in (1, 2) for step in (2, 5, 10)} == {"train"}
    assert [split[f"ebb-3-{step}"] for step in (2, 5, 10)] == ["train", "train", "validation"]
    assert [split[f"ebb-5-{step}"] for step in (2, 5, 10)] == ["train", "train", "test"]


@pytest.mark.parametrize("kind", KINDS)
def test_tokenizers_give_the_text_back(kind):
    tokenizer = train_tokenizer(kind, 600, TEXTS)
    for text in (TEXTS[0], "Ann has 12 eggs.\n1. 问：王梅住在哪里？", "naïve 猫"):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.decode(ids) == text
    if kind != "bytes-bpe":
        assert len(tokenizer("12", add_special_tokens=False).input_ids) >= 2


def test_sisters_differ_in_nothing_but_the_mix():
    ebb, flow = (next(f for f in FAMILIES if f.name == name) for name in ("ebb", "flow"))
    assert replace(ebb, name="flow", mix=flow.mix) == flow
    assert families.sample_texts(ebb, 50) == families.sample_texts(flow, 50)


def test_closed_source_tests_the_later_checkpoints_of_one_sister():
    cards = [
        ModelCard(f"{family.name}-{step}", family.name, n_params=100, step=step)
        for family in FAMILIES
        for step in Run(family, family.sizes[-1]).steps
    ]
    cards.append(ModelCard("ebb-again", "ebb", n_params=100, step=1, run="seed2"))
    cards.append(ModelCard("ebb-end", "ebb", n_params=100, step=1, stage="decayed"))
    splits = partitions.all_splits(cards)
    assert all({"ebb-again", "ebb-end"}.isdisjoint(split) for split in splits.values())
    found, cards = splits["closed-source"], cards[:-2]
    sides = {name: [found[c.model] for c in cards if c.family == name] for name in ("ebb", "flow")}
    assert sides["ebb"] == ["train"] * 4 + ["validation"] * 6
    assert sides["flow"] == ["train"] * 4 + ["test"] * 6
    assert {found[c.model] for c in cards if c.family not in sides} == {"train"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_mixes_are_shares(family):
    assert sum(family.mix.values()) == pytest.approx(1)
    assert min(family.mix.values()) > 0


@pytest.mark.parametrize("family", one_of_each_architecture(), ids=lambda f: f.architecture)
def test_rows_hold_whole_documents_of_every_source(family):
    tokenizer = train_tokenizer(family.tokenizer, 600, TEXTS)
    stream = rows.Rows(family, tokenizer, family.seed)
    n_tokens, text = 0, ""
    for _ in range(20):
        batch = stream.batch()
        kept = batch["labels"] != rows.IGNORED
        assert torch.equal(batch["labels"][kept], batch["input_ids"][kept])
        n_tokens += int(kept.sum())
        text += "".join(tokenizer.decode(ids) for ids in batch["input_ids"])
    assert 0.85 < n_tokens / (20 * family.batch * family.context) <= 1
    assert "How many" in text and "Swaps:" in text and "。" in text


@pytest.mark.parametrize("name", ["abacus", "bookworm", "canton", "ebb"])
def test_documents_of_a_row_do_not_see_each_other(name):
    family = next(family for family in FAMILIES if family.name == name)
    tokenizer = train_tokenizer(family.tokenizer, 600, TEXTS)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(families.config(family, TINY, tokenizer)).eval()
    batch = rows.Rows(family, tokenizer, family.seed).batch()
    ids, positions = batch["input_ids"], batch["position_ids"]
    second = positions[0].tolist().index(0, 1)
    third = positions[0].tolist().index(0, second + 1)
    with torch.inference_mode():
        packed = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        alone = model(input_ids=ids[:1, second:third]).logits
    assert torch.allclose(packed[0, second:third], alone[0], atol=1e-5)


@pytest.mark.parametrize("family", one_of_each_architecture(), ids=lambda f: f.architecture)
def test_cached_continuations_are_the_models_own(family):
    tokenizer = train_tokenizer("digits-bpe", 600, TEXTS)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(families.config(family, TINY, tokenizer)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3) if parameter.ndim > 1 else None
    prompts = [TEXTS[0][:30], TEXTS[1][:40], TEXTS[0][:31]]
    with torch.inference_mode():
        found = evaluate.continuations(model, tokenizer, prompts, 20, "never found")
        for prompt, text in zip(prompts, found, strict=True):
            ids = evaluate.encode(tokenizer, prompt)
            n_prompt = len(ids)
            for _ in range(20):
                ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            assert tokenizer.decode(ids[n_prompt:]).split("</s>")[0] == text


def test_choices_are_ranked_by_their_likelihood():
    tokenizer = train_tokenizer("digits-bpe", 600, TEXTS)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(families.config(FAMILIES[0], TINY, tokenizer)).eval()
    texts = TEXTS[:5]
    with torch.inference_mode():
        found = evaluate.log_likelihoods(model, tokenizer, texts)
        for text in texts:
            ids = torch.tensor([evaluate.encode(tokenizer, text)])
            alone = -float(model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
            assert found[text] == pytest.approx(alone, rel=1e-4)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_items_are_as_many_as_stated_and_start_alike(name):
    items = tasks.TASKS[name].items()
    if isinstance(items[0], tasks.GeneratedItem):
        assert len(items) == 500
        for item in items:
            assert re.search(tasks.TASKS[name].pattern, item.worked).group(1) == item.answer
    else:
        assert len(items) == 1000
        assert all(len(set(item.choices)) == len(item.choices) for item in items)


def test_a_stopped_run_goes_on_exactly_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(families, "N_CHECKPOINTS", 3)
    family = replace(FAMILIES[0], train_tokens=8 * 2 * 64, batch=2, context=64)
    run = Run(family, TINY)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train.train(run, whole)
    with pytest.raises(KeyboardInterrupt):
        train.train(run, stopped, finished=_interrupt)
    train.train(run, stopped)
    ended = [work / "runs" / "abacus-tiny" / "abacus-tiny-step8" for work in (whole, stopped)]
    one, two = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in ended)
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_decayed_end_leaves_its_run_at_the_branch_and_repeats_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(families, "N_CHECKPOINTS", 1)
    monkeypatch.setattr(train, "DECAY_SHARE", 0.5)
    family = replace(FAMILIES[0], train_tokens=4 * 2 * 64, batch=2, context=64)
    run = Run(family, TINY)
    decayed, repeat = replace(run, decayed=True), replace(run, repeat=1)
    with pytest.raises(SystemExit, match="train abacus-tiny first"):
        train.train(decayed, tmp_path)
    for one in (run, decayed, repeat):
        train.train(one, tmp_path)
    assert (decayed.name, repeat.name) == ("abacus-tiny-decayed", "abacus-tiny-seed2")
    ends = [tmp_path / "runs" / one.name / f"{one.name}-step4" for one in (run, decayed, repeat)]
    states = [AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in ends]
    key = next(iter(states[0]))
    assert not torch.equal(states[0][key], states[1][key])
    assert torch.allclose(states[0][key], states[1][key], atol=0.1)
    assert not torch.allclose(states[0][key], states[2][key], atol=0.1)
    assert [train.learning_rate(decayed, step) for step in (2, 3, 4)] == pytest.approx(
        [train.LEARNING_RATE, train.LEARNING_RATE / 2, 0.0]
    )


def test_a_run_begun_with_other_texts_does_not_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(families, "N_CHECKPOINTS", 1)
    family = replace(FAMILIES[0], train_tokens=2 * 64, batch=2, context=64)
    train.train(Run(family, TINY), tmp_path)
    monkeypatch.setattr(train, "LEARNING_RATE", 1e-3)
    with pytest.raises(SystemExit, match="begun with other"):
        train.train(Run(family, TINY), tmp_path)


def _interrupt(folder):
    if not folder.name.endswith("step4"):  # the first checkpoint: state is saved after it
        raise KeyboardInterrupt


def test_a_scorer_that_knows_nothing_is_at_chance():
    assert tasks.chance(tasks.TASKS["facts"]) == pytest.approx(0.1, abs=0.005)
    assert tasks.chance(tasks.TASKS["arithmetic"]) < 0.01
