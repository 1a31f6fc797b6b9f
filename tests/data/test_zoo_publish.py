"""Laws of what comes along with the zoo: agreement of a second making, items, shortened packs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from zoo_build import (
    check,
    families,
    publish,
)

from csvcore.formats import loss_packs
from csvcore.formats.manifest import Manifest
from tests.support.world import save_gpt2

pytestmark = pytest.mark.slow


def evaluated(folder: Path, correct: dict[str, str]) -> Path:
    folder.mkdir(parents=True)
    (folder / "items.json").write_text(json.dumps(correct))
    return folder


def test_runs_made_again_agree_within_chance(tmp_path):
    bundled = tmp_path / "accuracies.csv"
    bundled.write_text("model,task,accuracy,n_items\na-1,facts,0.5,100\na-2,facts,0.8,100\n")
    right = {1: "1" * 55 + "0" * 45, 2: "1" * 80 + "0" * 20}
    same = [evaluated(tmp_path / f"a-{i}", {"facts": one}) for i, one in right.items()]
    (found,) = check.agreements(same, bundled)
    assert (found.task, found.n_models) == ("facts", 2)
    assert found.difference == pytest.approx(0.05**2 / 2)
    assert found.floor == pytest.approx((2 * 0.525 * 0.475 + 2 * 0.8 * 0.2) / 200)
    assert found.holds
    far = [evaluated(tmp_path / "far" / "a-1", {"facts": "1" * 70 + "0" * 30})]
    assert not next(iter(check.agreements(far, bundled))).holds


def test_a_run_that_does_not_come_along_cannot_be_checked(tmp_path):
    bundled = tmp_path / "accuracies.csv"
    bundled.write_text("model,task,accuracy,n_items\na-1,facts,0.5,100\n")
    with pytest.raises(SystemExit, match="has no facts of b-1"):
        list(check.agreements([evaluated(tmp_path / "b-1", {"facts": "10"})], bundled))
    with pytest.raises(SystemExit, match="no checkpoint is evaluated"):
        list(check.agreements([], bundled))


def test_the_zoo_grows_by_items_and_accuracies_are_their_means(tmp_path):
    publish.write_items([evaluated(tmp_path / "a-step1", {"facts": "1100"})], tmp_path)
    publish.write_items([evaluated(tmp_path / "b-step1", {"facts": "1110"})], tmp_path)
    items = pq.read_table(tmp_path / "items.parquet").to_pylist()
    assert [row["correct"] for row in items if row["model"] == "a-step1"] == [1, 1, 0, 0]
    assert (tmp_path / "accuracies.csv").read_text() == (
        "model,task,accuracy,n_items\na-step1,facts,0.5,4\nb-step1,facts,0.75,4\n"
    )


@pytest.mark.parametrize(("repeat", "run"), [(0, None), (1, "seed2")])
def test_a_card_names_the_run_of_a_repetition_alone(tmp_path, repeat, run):
    [first] = [one for one in families.all_runs() if one.name == "ebb-m"]
    folder = save_gpt2(tmp_path / "ebb-m-step7")
    made = publish.card(replace(first, repeat=repeat), folder)
    assert (made.family, made.step, made.stage, made.run) == ("ebb", 7, "stable", run)


@given(st.lists(st.floats(0, 30, width=32), min_size=1))
def test_rounded_losses_are_off_by_a_step_at_most(values):
    nll = np.array(values, dtype=np.float32)
    found = publish.rounded(nll)
    step = np.maximum(publish.QUANTUM, nll * 2.0 ** (1 - publish.SIGNIFICANT_BITS))
    assert np.all(np.abs(found - nll) <= step / 2)
    assert np.all(found >= 0)
    assert_array_equal(found, publish.rounded(found))


def test_a_shortened_pack_keeps_its_spans_and_manifest(tmp_path):
    rows = {
        "model": ["m", "m"],
        "doc_id": ["a", "b"],
        "byte_start": [[0, 2], [0]],
        "byte_end": [[2, 3], [4]],
        "nll": [[0.12345678, 7.7777777], [0.00001]],
        "token_id": [[5, 6], [7]],
    }
    file = tmp_path / "pack.parquet"
    loss_packs.write(file, pa.table(rows), "f" * 64, {"m": Manifest(engine="transformers")})
    publish.shorten(file)
    pack = loss_packs.read(file)
    assert pack.manifest.corpus_sha256 == "f" * 64
    assert pack.models == {"m": Manifest(engine="transformers")}
    short = pack.table.to_pydict()
    assert short["byte_end"] == rows["byte_end"]
    assert short["nll"] == [[pytest.approx(0.1235, abs=5e-4), pytest.approx(7.78, abs=0.02)], [0.0]]
    assert short["token_id"] == [None, None]
