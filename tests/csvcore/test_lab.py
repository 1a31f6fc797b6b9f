"""Laws of the Python API: the same results as the commands, files all or nothing, nothing heavy."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit
from tqdm.auto import tqdm

import csvcore
from csvcore import store
from csvcore.errors import InputError, StoreError
from csvcore.fitting.config import FitConfig
from csvcore.lab import Lab, Settings
from csvcore.methods import label
from csvcore.pipeline import compare
from csvcore.scaling import sigmoid_law
from tests.support.world import PACK, World, contents, pack_rows, write_pack

pytestmark = pytest.mark.slow


def files(folder: Path) -> dict[str, Path]:
    return {
        "corpus": folder / "documents.jsonl",
        "models": folder / "models.csv",
        "tasks": folder / "tasks.csv",
        "accuracies": folder / "accuracies.csv",
        "losses": folder / PACK,
        "split": folder / "splits" / "sides.csv",
    }


def test_accuracies_may_be_result_folders_of_the_harness(
    world_files: Path, world: World, tiny_lm: Path, tmp_path: Path
) -> None:
    for entry in world.accuracies:
        folder = tmp_path / "results" / entry.model / entry.task
        folder.mkdir(parents=True)
        told = {"results": {entry.task: {"acc,none": entry.accuracy}}, "model_name": entry.model}
        (folder / "results_2026-01-01T00-00-00.json").write_text(json.dumps(told))
    given = files(world_files) | {"accuracies": tmp_path / "results"}
    lab = csvcore.load(**given, scorer=str(tiny_lm), results="lm-eval")
    with store.connect(lab.database, read_only=True) as db:
        found = {(one.model, one.task): one.accuracy for one in store.accuracies(db)}
    assert found == {(one.model, one.task): one.accuracy for one in world.accuracies}


def test_import_csvcore_loads_neither_torch_nor_streamlit_nor_pandas() -> None:
    code = (
        "import csvcore, sys; assert 'load' in dir(csvcore); "
        "assert not {'torch', 'streamlit', 'pandas', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_stored_is_read_without_torch_or_streamlit(lab: Lab) -> None:
    lab.fit("reading", method="all-token")
    code = (
        f"import csvcore, sys; lab = csvcore.open({str(lab.database)!r}); "
        "lab.fits().figure(); assert len(lab.fits().table()) and len(lab.models()); "
        "assert not {'torch', 'transformers', 'streamlit'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_csvcore_does_not_have_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        csvcore.nothing  # noqa: B018


def test_one_corpus_and_one_split_need_no_name(lab: Lab) -> None:
    assert (lab.corpus, lab.split) == ("words", "sides")


def test_a_corpus_that_is_not_stored_is_refused_with_those_that_are(lab: Lab) -> None:
    with pytest.raises(InputError, match="say which corpus: words is stored, got 'nothing'"):
        csvcore.open(lab.database, corpus="nothing")
    with pytest.raises(StoreError, match="there is no database"):
        csvcore.open(lab.database.with_name("none.duckdb"))


def test_a_fit_is_the_pipelines_and_is_made_once(lab: Lab) -> None:
    fits = lab.fit(method="all-token")
    with store.connect(lab.database, read_only=True) as db:
        assert {one.task for one in fits} == {"reading", "adding"}
        for one in fits:
            assert store.fit(db, one.fit) == one
    before = contents(lab.database)
    assert [one.fit for one in lab.fit(method="all-token")] == [one.fit for one in fits]
    assert contents(lab.database) == before
    with pytest.raises(FrozenInstanceError):
        fits[0].alpha = 0.0


def test_fits_give_a_row_each_and_a_panel_each(lab: Lab) -> None:
    fits = lab.fit("reading", "adding", method="all-token")
    table = fits.table()
    assert table["fit"].tolist() == [one.fit for one in fits]
    assert table["mse_test"].tolist() == [one.mse["test"] for one in fits]
    placed = fits.predictions()
    assert len(placed) == sum(len(one.predictions) for one in fits)
    assert set(placed["task"]) == {"reading", "adding"}
    titles = [note.text for note in fits.figure().layout.annotations]
    assert titles[:2] == ["reading, all-token", "adding, all-token"]
    assert "<td>reading</td>" in fits._repr_html_()
    assert str(fits) == f"Fits:\n{table}"


def test_no_fits_have_nothing_to_draw(lab: Lab) -> None:
    empty = lab.fit("reading", method="all-token")
    nothing = type(empty)((), empty.table().head(0), (), lab)
    assert nothing.predictions().empty
    with pytest.raises(InputError, match="no fits to draw"):
        nothing.figure()


def test_a_comparison_is_the_pipelines_and_draws_one_task(lab: Lab, tiny_lm: Path) -> None:
    settings = {"penalty": 1e-4, "members": 2}
    compared = lab.compare("reading", "adding", **settings)
    config = FitConfig(scorer=str(tiny_lm), **settings)
    rows = compare.compare(lab.database, "words", "sides", ["reading", "adding"], config)
    assert list(compared) == rows
    table = compared.table()
    assert table.groupby("task")["mse"].apply(lambda mse: mse.is_monotonic_increasing).all()
    drawn = {name for trace in compared.figure("reading").data for name in trace.y}
    assert drawn == {label(one.method) for one in rows if one.task == "reading"}
    with pytest.raises(InputError, match="name one task of adding, reading, got None"):
        compared.figure()


def test_a_forecast_of_a_pack_is_that_of_the_models_own_losses(lab: Lab, world_files: Path) -> None:
    [fit] = lab.fit("reading", method="all-token")
    named = lab.predict(fit, models=["jay", "kid"])
    packed = lab.predict(fit.fit, losses=world_files / PACK)
    by_name = {one.model: one.predicted for one in packed}
    for one in named:
        assert one.predicted == pytest.approx(by_name[one.model], abs=1e-9)
    observed = {one.model: one.accuracy for one in fit.predictions}
    table = named.table().set_index("model")
    assert table["accuracy"].to_dict() == {name: observed[name] for name in ("jay", "kid")}
    assert len(named.figure().data)


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"algorithm": "papr"}, "algorithm is one of 'fast', 'paper', got 'papr'"),
        ({"activation": "relu"}, "activation is one of 'exp', 'softplus', got 'relu'"),
        ({"members": 0}, "members is a number of at least 1, got 0"),
        ({"seed": "x"}, "seed is a number of at least 0, got 'x'"),
        ({"penalti": 3}, "there is no setting 'penalti'; there are algorithm, steps"),
    ],
)
def test_settings_that_no_fit_can_have_are_refused(
    lab: Lab, settings: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(InputError, match=refusal):
        lab.fit("reading", **settings)


def test_weights_have_a_row_a_token_with_mean_one(lab: Lab) -> None:
    [fit] = lab.fit("reading", method="all-token")
    weights = lab.weights(fit)
    assert weights["weight"].abs().mean() == pytest.approx(1.0)
    assert weights.equals(lab.weights(fit.fit))


def test_files_become_a_lab_in_a_folder_that_goes_with_it(world_files: Path) -> None:
    lab = csvcore.load(**files(world_files))
    assert (lab.corpus, lab.split) == ("documents", "sides")
    assert {task.task for task in lab.tasks()} == {"reading", "adding"}
    folder = lab.database.parent
    del lab
    assert not folder.exists()


def test_files_become_a_database_that_stays(world_files: Path, tmp_path: Path) -> None:
    lab = csvcore.load(**files(world_files), database=tmp_path / "mine.duckdb")
    assert lab.database == tmp_path / "mine.duckdb"
    assert csvcore.open(lab.database).models().equals(lab.models())
    assert not list(tmp_path.glob(".csvcore-*"))
    with pytest.raises(InputError, match=r"mine.duckdb is there already; csvcore.open\("):
        csvcore.load(**files(world_files), database=tmp_path / "mine.duckdb")


def test_one_wrong_file_leaves_nothing_behind(world_files: Path, tmp_path: Path) -> None:
    rows = pack_rows_of_nobody(tmp_path)
    with pytest.raises(InputError, match="losses name the model 'nobody'"):
        csvcore.load(**files(world_files) | {"losses": rows}, database=tmp_path / "mine.duckdb")
    assert [path.name for path in tmp_path.iterdir()] == ["nobody.parquet"]


def pack_rows_of_nobody(folder: Path) -> Path:
    from tests.support.world import made_up_world

    rows = [row | {"model": "nobody"} for row in pack_rows(made_up_world(), ["ant"])]
    return write_pack(folder / "nobody.parquet", rows)


# A notebook


def test_fits_of_a_task_are_taken_by_its_name(lab: Lab) -> None:
    fits = lab.fit(method="all-token")
    assert [one.task for one in fits["reading"]] == ["reading"]
    assert fits["reading"].table()["fit"].tolist() == [fits["reading"][0].fit]
    assert fits["reading"].plot() == fits["reading"].figure()
    with pytest.raises(InputError, match="no fit is of the task 'mmlu'; there are fits of"):
        fits["mmlu"]


def test_parameters_have_the_standard_errors_of_scipys_curve(lab: Lab) -> None:
    fits = lab.fit("reading", method="all-token")
    [row] = fits.params.to_dict("records")
    placed = fits.predictions()
    used = placed[placed["split"] != "test"]
    found, variance = curve_fit(
        lambda x, alpha, beta: sigmoid_law(x, alpha, beta, fits[0].gamma),
        *(used["score"].to_numpy(), used["accuracy"].to_numpy()),
        p0=(row["alpha"], row["beta"]),
    )
    assert (row["alpha"], row["beta"]) == pytest.approx(found, rel=1e-3)
    errors = (row["alpha_se"], row["beta_se"])
    assert errors == pytest.approx(np.sqrt(np.diag(variance)), rel=1e-2)
    summary = fits.summary()["reading, all-token"]
    assert summary["fit"] == fits[0].fit
    assert f"({row['alpha_se']:.2g})" in summary["alpha"]


def test_a_stack_has_no_law_of_one_score(lab: Lab) -> None:
    fits = lab.fit("reading", method="stack")
    assert fits.params["alpha_se"].isna().all()


def test_weights_have_the_text_of_their_tokens(lab: Lab) -> None:
    weights = lab.fit("reading", method="all-token")["reading"].weights
    documents = lab.documents().set_index("doc_id")
    for doc_id, rows in weights.groupby("doc_id", sort=False):
        encoded = documents.loc[doc_id, "text"].encode()
        starts = [0, *rows["byte_end"].iloc[:-1]]
        assert rows["byte_start"].tolist() == starts
        assert rows["text"].tolist() == [
            encoded[start:end].decode(errors="replace")
            for start, end in zip(starts, rows["byte_end"], strict=True)
        ]
        assert set(rows["source"]) == {documents.loc[doc_id, "source"]}


def test_predictions_of_fits_are_those_of_the_lab(lab: Lab) -> None:
    fits = lab.fit("reading", method="all-token")
    model = lab.models()["model"].iloc[0]
    [row] = fits.predict(models=[model]).to_dict("records")
    [same] = lab.predict(fits[0], models=[model]).table().to_dict("records")
    assert row == {"task": "reading", "method": "all-token"} | same


def test_the_typed_settings_are_those_of_a_fit() -> None:
    assert set(Settings.__annotations__) == {field.name for field in fields(FitConfig)}


def test_a_bar_is_drawn_unless_the_caller_reports(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csvcore.lab.tqdm", lambda **how: tqdm(**how | {"disable": False}))
    lab.fit("reading", method="label-token", seed=1)
    assert capsys.readouterr().err
    seen: list[str] = []
    lab.fit(
        "adding", method="label-token", report=lambda step, total, message: seen.append(message)
    )
    assert not capsys.readouterr().err


def test_mixes_and_families_are_tables_of_the_commands(lab: Lab) -> None:
    mixes = lab.mixes("reading", budget_tokens=60)
    assert mixes["error"].is_monotonic_increasing
    assert (mixes["task"] == "reading").all()
    table = lab.leave_one_family_out("reading")
    assert set(table["split"]) == {f"without-{family}" for family in table["family"]}


def test_data_frames_make_the_same_database_as_their_files(
    world_files: Path, tiny_lm: Path
) -> None:
    paths = files(world_files)
    losses = pd.read_parquet(paths["losses"])
    given = {
        "corpus": pd.read_json(paths["corpus"], lines=True),
        "models": pd.read_csv(paths["models"]),
        "tasks": pd.read_csv(paths["tasks"]),
        "accuracies": pd.read_csv(paths["accuracies"]),
        "split": pd.read_csv(paths["split"]),
    }
    spans = ["byte_start", "byte_end", "nll"]
    from_files = csvcore.load(**paths, scorer=str(tiny_lm))
    for frame in (losses, losses.drop(columns="token_id").explode(spans).astype({"nll": float})):
        lab = csvcore.load(**given, losses=frame, scorer=str(tiny_lm))
        assert (lab.corpus, lab.split) == ("corpus", "split")
        assert lab.models().equals(from_files.models())
        assert lab.documents().equals(from_files.documents())
        for one, two in zip(
            lab.fit(method="all-token"), from_files.fit(method="all-token"), strict=True
        ):
            assert one.mse == two.mse
    with pytest.raises(InputError, match="nll is missing"):
        csvcore.load(**given, losses=losses.drop(columns="nll"))
