"""Laws of exports: nothing is lost on the way out, folders appear whole, names stay names."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import Result

from csvcore import store
from csvcore.errors import InputError
from csvcore.fitting.config import FitConfig
from csvcore.formats import csv_tables
from csvcore.pipeline import exports
from csvcore.pipeline.fit import fit
from csvcore.records import Fit
from csvcore.report import export_figures
from tests.support.world import DOCS, change, contents

Invoke = Callable[..., Result]
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def fitted(_world_made: Path, tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up world with one fit, for tests that only read it."""
    folder = tmp_path_factory.mktemp("export") / "db"
    shutil.copytree(_world_made, folder)
    config = FitConfig(scorer=str(tiny_lm))
    wanted = [("adding", "all-token"), ("adding", "label-token")]
    fit(folder / "world.duckdb", "words", "sides", wanted, config)
    return folder / "world.duckdb"


@pytest.fixture(scope="module")
def record(fitted: Path) -> Fit:
    with store.connect(fitted, read_only=True) as db:
        return store.fit(db, str(store.fits(db)["fit"].iloc[0]))


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_every_table_but_the_large_ones_is_exported_row_for_row(
    fitted: Path, invoke: Invoke, tmp_path: Path, form: str
) -> None:
    done = invoke("export", "tables", "--out", tmp_path / "out", "--format", form, db=fitted)
    assert done.exit_code == 0, done.output
    rows = {name: len(own) for name, own in contents(fitted).items()}
    found = {path.stem: path for path in (tmp_path / "out").iterdir()}
    assert set(rows) - set(found) == {"losses", "weights", "item_results"}
    for name, path in found.items():
        if form == "csv":
            with path.open(newline="", encoding="utf-8") as stream:
                assert len(list(csv.DictReader(stream))) == rows[name]
        else:
            assert pq.read_table(path).to_pylist() == _as_stored(fitted, name)


def _as_stored(database: Path, name: str) -> list[dict[str, object]]:
    with store.connect(database, read_only=True) as db:
        rows: list[dict[str, object]] = store.table(db, name).to_pylist()
    return rows


def test_exported_cards_tasks_and_accuracies_can_be_imported_again(
    fitted: Path, tmp_path: Path
) -> None:
    exports.export_tables(fitted, tmp_path)
    with store.connect(fitted, read_only=True) as db:
        assert sorted(csv_tables.read_models(tmp_path / "models.csv"), key=str) == sorted(
            store.models(db), key=str
        )
        assert csv_tables.read_tasks(tmp_path / "tasks.csv") == store.tasks(db)
        assert csv_tables.read_accuracies([tmp_path / "accuracies.csv"]) == sorted(
            store.accuracies(db), key=lambda one: (one.model, one.task)
        )


def test_lists_in_csv_are_json(fitted: Path, tmp_path: Path) -> None:
    exports.export_tables(fitted, tmp_path)
    with (tmp_path / "documents.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["text"] for row in rows] == [doc.text for doc in DOCS]
    assert [json.loads(row["answers"]) for row in rows] == [
        [list(span) for span in doc.answers] for doc in DOCS
    ]


def test_a_table_that_is_not_there_is_refused(fitted: Path) -> None:
    with (
        store.connect(fitted, read_only=True) as db,
        pytest.raises(InputError, match="there is no table 'nothing'; stored: accuracies"),
    ):
        store.table(db, "nothing")


def test_weights_are_a_folder_by_the_rules_of_datasets(
    fitted: Path, record: Fit, invoke: Invoke, tmp_path: Path
) -> None:
    out = tmp_path / "weights"
    done = invoke("export", "weights", "--fit", record.fit, "--out", out, db=fitted)
    assert done.exit_code == 0, done.output
    card = (out / "README.md").read_text(encoding="utf-8")
    header = re.fullmatch(r"---\n(.*?)\n---\n.*", card, re.DOTALL)
    assert header is not None
    paths = re.findall(r"path: (\S+)", header[1])
    assert sorted(paths) == sorted(str(path.relative_to(out)) for path in out.rglob("*.parquet"))
    assert record.fit in card.split("```json")[1]
    tokens = pq.read_table(out / "data" / "tokens.parquet").to_pandas()
    texts = pq.read_table(out / "data" / "documents.parquet").to_pandas()
    exports.export_weights(fitted, record.fit, tmp_path / "one.parquet")
    assert tokens.equals(pq.read_table(tmp_path / "one.parquet").to_pandas())
    for doc, (_, row) in zip(DOCS, texts.iterrows(), strict=True):
        own = tokens[tokens["doc_id"] == doc.doc_id]
        assert (row["doc_id"], row["source"], row["text"]) == (doc.doc_id, doc.source, doc.text)
        for column in ("byte_start", "byte_end", "weight"):
            assert np.array_equal(row[column], own[column])


def test_weights_load_with_datasets_where_it_is_installed(
    fitted: Path, record: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    exports.export_weights_dataset(fitted, record.fit, tmp_path / "weights")
    kept = {"cache_dir": str(tmp_path / "cache")}
    tokens = datasets.load_dataset(str(tmp_path / "weights"), split="train", **kept)
    texts = datasets.load_dataset(str(tmp_path / "weights"), "documents", split="train", **kept)
    assert tokens.column_names == ["doc_id", "token_index", "byte_start", "byte_end", "weight"]
    assert list(texts["text"]) == [doc.text for doc in DOCS]


def test_figures_are_pages_that_ask_the_network_nothing(
    fitted: Path, record: Fit, invoke: Invoke, tmp_path: Path
) -> None:
    out = tmp_path / "figures"
    done = invoke("export", "figures", "--fit", record.fit, "--out", out, db=fitted)
    assert done.exit_code == 0, done.output
    pages = {path.name: path.read_text(encoding="utf-8") for path in out.glob("*.html")}
    assert set(pages) == {
        *("baselines.html", "curve.html", "growth.html", "parity.html", "salience.html"),
    }
    assert (out / "plotly.min.js").is_file()
    for page in pages.values():
        assert set(re.findall(r'src="([^"]*)"', page)) <= {"plotly.min.js"}
        assert "https://cdn" not in page
    assert 'title="weight ' in pages["salience.html"]


def test_hostile_names_stay_text_in_figures_and_cards(
    fitted: Path, record: Fit, tmp_path: Path
) -> None:
    shutil.copytree(fitted.parent, tmp_path / "db")
    database = tmp_path / "db" / fitted.name
    change(
        database,
        f"UPDATE models SET model = '{HOSTILE}', family = '{HOSTILE}' WHERE model = 'ant'",
        f"UPDATE predictions SET model = '{HOSTILE}' WHERE model = 'ant'",
        f"UPDATE fits SET split = '```{HOSTILE}'",
    )
    export_figures(database, record.fit, tmp_path / "figures")
    for page in (tmp_path / "figures").glob("*.html"):
        assert "<img" not in page.read_text(encoding="utf-8")
    exports.export_weights_dataset(database, record.fit, tmp_path / "weights")
    card = (tmp_path / "weights" / "README.md").read_text(encoding="utf-8")
    assert not [line for line in card.splitlines()[:-1] if line.startswith("```<")]
    assert card.count("\n```") == 4  # two blocks, as the card has without


def test_a_file_in_place_of_the_folder_and_an_unknown_fit_are_refused(
    fitted: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file is a file; name a folder"):
        exports.export_tables(fitted, tmp_path / "file")
    for write in (exports.export_weights_dataset, export_figures):
        with pytest.raises(InputError, match="there is no fit 'nothing'"):
            write(fitted, "nothing", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("form", "head"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_figures_are_exported_for_print(
    fitted: Path, record: Fit, invoke: Invoke, tmp_path: Path, form: str, head: bytes
) -> None:
    done = invoke(
        "export", "figures", "--fit", record.fit, "--out", tmp_path / "out", "--format", form,
        "--width", 3.4, "--font-size", 8, "--theme", "grey", db=fitted,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    files = sorted((tmp_path / "out").iterdir())
    assert {"curve", "growth"} <= {file.stem for file in files}
    assert all(file.suffix == f".{form}" for file in files)
    assert all(file.read_bytes().startswith(head) for file in files)


def test_settings_for_print_are_refused_for_html_and_out_of_range(
    fitted: Path, record: Fit, invoke: Invoke, tmp_path: Path
) -> None:
    of = ("export", "figures", "--fit", record.fit, "--out", tmp_path / "out")
    html = invoke(*of, "--width", 3.4, db=fitted)
    assert html.exit_code == 2
    assert "--width is of svg, pdf and png; add --format svg" in html.output
    wide = invoke(*of, "--format", "svg", "--width", 99, db=fitted)
    assert wide.exit_code == 1
    assert "a width of 99 inches is outside 1.5 to 20; choose another" in wide.output
    assert not (tmp_path / "out").exists()


def test_losses_that_are_not_there_are_not_exported(world_db: Path, tmp_path: Path) -> None:
    pack = tmp_path / "out.parquet"
    with pytest.raises(InputError, match="no losses of yak on words"):
        exports.export_losses(world_db, "words", ["ant", "yak"], pack)
    with pytest.raises(InputError, match="there is no corpus 'wrods'"):
        exports.export_losses(world_db, "wrods", [], pack)
    assert not pack.exists()


# What a spreadsheet would run

RUN = ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "\nx", "＝1"]


@pytest.mark.parametrize("safe", [True, False])
def test_safe_tables_have_no_cell_that_a_spreadsheet_would_run(
    world_db: Path, tmp_path: Path, safe: bool
) -> None:
    change(world_db, *(f"INSERT INTO models (model, family) VALUES ('{x}', 'f')" for x in RUN))
    exports.export_tables(world_db, tmp_path / "out", safe=safe)
    with (tmp_path / "out" / "models.csv").open(newline="", encoding="utf-8") as stream:
        names = [row["model"] for row in csv.DictReader(stream)]
    assert [name in names for name in RUN] == [not safe] * len(RUN)
    assert [f"'{name}" in names for name in RUN] == [safe] * len(RUN)


def test_a_safe_table_of_a_command_guards_text_and_keeps_numbers(tmp_path: Path) -> None:
    rows = [{"=task": "-x", "error": -0.5}, {"=task": None, "error": 1.0}]
    exports.write_rows(rows, exports.TableFile(tmp_path / "t.csv", safe=True))
    with (tmp_path / "t.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [["'=task", "error"], ["'-x", "-0.5"], ["", "1"]]
    exports.write_rows(rows, exports.TableFile(tmp_path / "t.parquet", safe=True))
    assert pq.read_table(tmp_path / "t.parquet")["=task"].to_pylist() == ["-x", None]
