"""Laws of what the pages say is stored: coverage, the audit, and how losses were made."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore.figures.coverage import coverage_figure, tree_figure
from dashboard.queries import coverage
from tests.support.database_at import at
from tests.support.world import DOCS, SIDES, change

SOURCES = {doc.source for doc in DOCS}


def without(database: Path, model: str, *doc_ids: str) -> None:
    change(
        database,
        *(f"DELETE FROM losses WHERE model = '{model}' AND doc_id = '{doc}'" for doc in doc_ids),
    )


def test_nothing_is_missing_where_every_model_has_every_document(world_db: Path) -> None:
    table = coverage.by_model(at(world_db), "words")
    assert set(zip(table["model"], table["source"], strict=True)) == {
        (model, source) for model in SIDES for source in SOURCES
    }
    assert coverage.incomplete_runs(table).empty
    assert coverage.incomplete_models(table).empty
    assert coverage.missing(at(world_db), "words").to_csv(index=False) == "model,source,doc_id\n"


def test_what_is_missing_is_told_to_the_model_and_the_document(world_db: Path) -> None:
    without(world_db, "cow", "sum-2", "note-1")
    without(world_db, "owl", *(doc.doc_id for doc in DOCS))
    table = coverage.by_model(at(world_db), "words")
    models = coverage.incomplete_models(table).set_index("model")
    assert models["missing"].to_dict() == {"owl": 6, "cow": 2}
    assert models.loc["cow", "where"] == "sums, notes"
    runs = coverage.incomplete_runs(table)
    assert list(runs.index) == ["owl", "cow"]  # the emptiest first
    assert runs.loc["owl"].tolist() == [0.0, 0.0]
    assert runs.loc["cow"].tolist() == pytest.approx([2 / 3, 2 / 3])
    lines = coverage.missing(at(world_db), "words").to_csv(index=False).splitlines()
    assert lines[1:3] == ["cow,sums,sum-2", "cow,notes,note-1"]
    assert len(lines) == 1 + 8


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.integers(0, 3)),
        min_size=1,
        unique_by=lambda row: row[:2],
    )
)
def test_a_run_is_incomplete_exactly_if_one_of_its_models_is(
    rows: list[tuple[str, str, int]],
) -> None:
    table = pd.DataFrame(rows, columns=["model", "source", "stored"])
    table = table.assign(
        wanted=3, family="f", run=table["model"].map({"a": "p", "b": "p", "c": "q", "d": "q"})
    )
    models = coverage.incomplete_models(table)
    runs = coverage.incomplete_runs(table)
    assert set(runs.index) == set(models["run"])
    assert models["missing"].sum() == (table["wanted"] - table["stored"]).sum()
    assert runs.stack().dropna().between(0, 1).all()


def test_accuracies_that_are_missing_are_told(world_db: Path) -> None:
    assert coverage.incomplete_models(coverage.accuracies_by_model(at(world_db))).empty
    change(world_db, "DELETE FROM accuracies WHERE model = 'ant' AND task = 'adding'")
    [row] = coverage.incomplete_models(coverage.accuracies_by_model(at(world_db))).itertuples()
    assert (row.model, row.missing, row.where) == ("ant", 1, "adding")


def test_sound_losses_pass_the_audit_even_where_documents_are_missing(world_db: Path) -> None:
    without(world_db, "cow", "sum-2")
    assert coverage.audit(at(world_db), "words") == coverage.Audit(len(SIDES))


@pytest.mark.parametrize(
    "damage",
    [
        "byte_end = list_append(byte_end[:-2], byte_end[-1] + 1)",
        "byte_start = list_prepend(1, byte_start[2:])",
        "byte_start = list_concat(byte_start[:2], [0], byte_start[4:])",
        "nll = list_prepend(-1.0, nll[2:])",
        "nll = list_prepend('nan'::FLOAT, nll[2:])",
        "nll = list_prepend('inf'::FLOAT, nll[2:])",
        "nll = nll[2:]",
        "nll = []",
    ],
)
def test_damaged_losses_are_found(world_db: Path, damage: str) -> None:
    change(world_db, f"UPDATE losses SET {damage} WHERE model = 'cow' AND doc_id = 'note-2'")
    assert coverage.audit(at(world_db), "words").broken == {"cow": ["note-2"]}


def test_losses_have_one_fingerprint_exactly_if_they_are_the_same(world_db: Path) -> None:
    before = coverage.fingerprints(at(world_db), "words")
    assert len(set(before.values())) == len(SIDES)
    change(
        world_db,
        "DELETE FROM losses WHERE model = 'owl'",
        "INSERT INTO losses SELECT * REPLACE ('owl' AS model) FROM losses WHERE model = 'ant'",
    )
    after = coverage.fingerprints(at(world_db), "words")
    assert after["owl"] == after["ant"]
    assert after | {"owl": ""} == before | {"owl": ""}


def manifest(**made: object) -> str:
    told = {"dtype": "float32", "prefix": {"token": "<s>"}, "rows": "packed", **made}
    return json.dumps(told)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (manifest(), None),
        (manifest(dtype="bfloat16"), "differ in weights in: float32 (10), bfloat16 (1)"),
        (manifest(context=512), "differ in context: whole (10), 512 (1)"),
        (manifest(prefix=None), "1 of 11 models were scored without a known prefix"),
        (manifest(prefix={"token": "<bos>"}), "prefix token differs within tame"),
        (None, "1 of 11 models came without a manifest"),
    ],
)
def test_losses_that_were_made_differently_are_told(
    world_db: Path, other: str | None, sentence: str | None
) -> None:
    with_it = "NULL" if other is None else f"'{other}'"
    change(
        world_db,
        f"UPDATE manifests SET manifest = '{manifest()}'",
        f"UPDATE manifests SET manifest = {with_it} WHERE model = 'ant'",
    )
    found = coverage.provenance(at(world_db), "words")
    assert (found == []) if sentence is None else (len(found) == 1 and sentence in found[0])


def test_prefixes_of_other_families_may_differ(world_db: Path) -> None:
    change(
        world_db,
        f"UPDATE manifests SET manifest = '{manifest()}'",
        f"""UPDATE manifests SET manifest = '{manifest(prefix={"token": "</s>"})}'
            WHERE model IN (SELECT model FROM models WHERE family = 'wild')""",
    )
    assert coverage.provenance(at(world_db), "words") == []


# Figures


def test_missing_cells_say_their_share_and_hostile_names_are_escaped() -> None:
    shares = pd.DataFrame({"<b>x": [0.0, 1.0], "y": [0.5, 1.0]}, index=["<i>run 1000", "b"])
    [cells] = coverage_figure(shares, "the documents").data
    assert [list(row) for row in cells.text] == [["0%", "50%"], ["", ""]]
    assert list(cells.x) == ["&lt;b&gt;x", "y"]
    assert cells.y[0].startswith("&lt;i&gt;")


def test_the_tree_has_every_model_once_under_its_family() -> None:
    table = pd.DataFrame(
        [
            {"model": f"{family}-{size}-{run}-{step}", "family": family, "n_params": size,
             "step": step, "stage": "base", "run": run, "train_tokens": step, "split": side}
            for family in ("A", "<b>") for size in (10_000, 20_000)
            for run in (None, "seed2")
            for step, side in ((1, "train"), (2, "test"), (3, None))
        ]
    )  # fmt: skip
    figure = tree_figure(table, {"A": "#111111", "<b>": "#222222"})
    shown = [name for trace in figure.data if trace.text is not None for name in trace.text]
    assert sorted(shown) == sorted(table["model"].str.replace("<b>", "&lt;b&gt;"))
    families, labels = figure.data[0].y
    assert list(families) == ["&lt;b&gt;", "A"] * 4
    runs = [f"{size} base{run}" for size in ("0.01 M", "0.02 M") for run in (" seed2", "")]
    assert list(labels) == [run for run in runs for _ in range(2)]
    positions = [x for trace in figure.data if trace.text is not None for x in trace.x]
    assert max(positions) == 3  # a repetition's checkpoints are in its own row
