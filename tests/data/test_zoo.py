"""Laws of the bundled zoo: its files agree with each other, and with lm-evaluation-harness."""

import pandas as pd
import pytest

from csvcore.formats import csv_tables, evaluations, loss_packs
from csvcore.formats.bundled import ZOO, ZOO_CORPORA
from tests.support.docs import ROOT

HARNESS = ROOT / "tests" / "fixtures" / "lm-eval"
LAST = "step6144"  # of the models that come along


@pytest.fixture(scope="module")
def items() -> pd.DataFrame:
    return pd.read_parquet(ZOO / "items.parquet")


def test_accuracies_are_the_means_of_the_items(items: pd.DataFrame) -> None:
    means = items.groupby(["model", "task"], observed=True)["correct"].agg(["mean", "count"])
    stored = pd.read_csv(ZOO / "accuracies.csv").set_index(["model", "task"])
    joined = stored.join(means, how="outer")
    assert joined.notna().all(axis=None)
    assert (joined["accuracy"] - joined["mean"]).abs().max() < 1e-6
    assert (joined["n_items"] == joined["count"]).all()


def test_the_harness_counts_the_same_right_answers_on_the_same_items(items: pd.DataFrame) -> None:
    run = evaluations.read([HARNESS], "lm-eval")
    checked = 0
    for entry in run:
        if entry.metric not in ("acc", "exact_match,strict-match") or entry.task == "choices":
            continue
        own = items[
            (items["model"] == f"{entry.model.rpartition('/')[2]}-{LAST}")
            & (items["task"] == entry.task)
            & (items["item"] < entry.n_items)
        ]
        assert entry.value == pytest.approx(own["correct"].mean())
        checked += 1
    assert checked == 9


@pytest.mark.parametrize("corpus", ZOO_CORPORA)
def test_every_model_has_losses_of_every_document(corpus: str) -> None:
    models = {card.model for card in csv_tables.read_models(ZOO / "models.csv")}
    documents = {doc.doc_id for doc in csv_tables.read_corpus(ZOO / ZOO_CORPORA[corpus])}
    scored: set[str] = set()
    for path in sorted((ZOO / "losses" / corpus).glob("*.parquet")):
        pack = loss_packs.read(path)
        scored |= set(pack.models)
        assert documents == set(pack.table["doc_id"].unique().to_pylist())
    assert scored == models
    for path in (ZOO / "splits").glob("*.csv"):
        assert set(pd.read_csv(path)["model"]) <= models, path.name


def test_decayed_ends_stand_beside_the_last_checkpoint_of_their_run_and_in_no_split() -> None:
    cards = pd.read_csv(ZOO / "models.csv")
    decayed = cards[cards["stage"] == "decayed"].set_index("model")
    runs = {name.removesuffix(f"-decayed-{LAST}") for name in decayed.index}
    assert runs == {"canton-m", "canton-l", "flow-m", "flow-l"}
    stable = cards.set_index("model").loc[[f"{run}-{LAST}" for run in sorted(runs)]]
    same = ["n_params", "train_tokens", "step", "family"]
    assert (decayed.sort_index()[same].to_numpy() == stable[same].to_numpy()).all()
    for path in (ZOO / "splits").glob("*.csv"):
        assert not set(pd.read_csv(path)["model"]) & set(decayed.index)
