from pathlib import Path

import pytest
from public_data import sources

from csvcore.fitting.config import FitConfig
from csvcore.pipeline import leave_one_family_out

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PUBLIC = ROOT.parent / "shared" / "data"


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """A database with 104 public models and their losses on 8 corpora."""
    if not (PUBLIC / "open_lm_scaling").is_dir():
        pytest.skip("the public measurements are not beside the repository")
    database = tmp_path / "public.duckdb"
    sources.load(sources.corpora(PUBLIC), database, tmp_path / "losses.parquet")
    return database


def test_on_public_models_of_a_corpus_unseen_csv_beats_the_plain_loss(corpora: Path) -> None:
    config = FitConfig(members=1)
    tasks = ["hellaswag", "lambada_openai"]
    found = leave_one_family_out.leave_one_family_out(corpora, "public", tasks, config)
    assert {one.family for one in found} == {"c4_original", "rpj", "rw_original"}
    median = {
        (task, method): mse for task, method, mse, _, _ in leave_one_family_out.medians(found)
    }
    for task in tasks:
        assert median[task, "csv"] < median[task, "all-token"] / 2
        assert median[task, "csv"] < median[task, "train-mean"] / 5
