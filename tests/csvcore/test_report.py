"""Laws of a fit's report: everything on one page, nothing from elsewhere, nothing executed."""

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html import escape
from pathlib import Path

import pytest
from click.testing import Result

from csvcore.analysis import comparison
from csvcore.errors import InputError
from csvcore.figures.html import Part, report
from csvcore.fitting.config import FitConfig
from csvcore.methods import label
from csvcore.pipeline import compare
from csvcore.report import export_figures, write_report
from tests.support.world import change

pytestmark = pytest.mark.slow

Invoke = Callable[..., Result]


@pytest.fixture
def rows(world_db: Path, config: FitConfig) -> list[comparison.Comparison]:
    quick = replace(config, penalty=1e-4)
    return compare.compare(world_db, "words", "sides", ["reading"], quick)


def own(rows: list[comparison.Comparison], method: str) -> str:
    return next(row.fit for row in rows if row.method == method and row.fit)


def test_a_report_has_the_fit_its_rivals_and_every_model(
    rows: list[comparison.Comparison], world_db: Path, invoke: Invoke, tmp_path: Path
) -> None:
    out = tmp_path / "fit.html"
    done = invoke("report", "--fit", own(rows, "csv"), "--out", out, db=world_db)
    assert done.exit_code == 0, done.output
    page = out.read_text(encoding="utf-8")
    for row in rows:
        name = escape(label(row.method))
        assert f"<td>{name}</td><td>{row.mse:.2e}</td>" in page
        told = ["" if v is None else f"{v:.2f}" for v in (row.r2, row.spearman, row.pairwise)]
        assert f"<td>{'</td><td>'.join(told)}</td></tr>" in page
    assert "Darker" not in page  # on a dark page more is lighter
    assert page.count("Plotly.newPlot") == 3
    assert 'title="weight ' in page


def test_a_report_loads_nothing_from_the_network(
    rows: list[comparison.Comparison], world_db: Path, tmp_path: Path
) -> None:
    write_report(world_db, own(rows, "csv"), tmp_path / "fit.html")
    page = (tmp_path / "fit.html").read_text(encoding="utf-8")
    outside = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)\s*=|url\(|@import", outside)
    assert "<script src" not in page


def test_hostile_names_and_texts_stay_text(
    rows: list[comparison.Comparison], world_db: Path, tmp_path: Path
) -> None:
    bad = "<img src=x onerror=alert(1)>"
    change(world_db, f"UPDATE fits SET notes = ['{bad}']", f"UPDATE models SET family = '{bad}'")
    write_report(world_db, own(rows, "csv"), tmp_path / "fit.html")
    page = (tmp_path / "fit.html").read_text(encoding="utf-8")
    assert bad not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_a_fit_that_is_not_there_leaves_no_file(world_db: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no fit 'nothing'"):
        write_report(world_db, "nothing", tmp_path / "fit.html")
    assert not list(tmp_path.glob("*.html*"))


def test_headings_lines_and_cells_are_escaped() -> None:
    page = report("<t>", [Part("<h>", lines=["<l>"], header=["<c>"], rows=[["<d>"]])])
    assert not re.search(r"<[thlcd]>", page)
    assert page.count("&lt;") == 6  # the title stands twice


def allowed(page: str) -> set[str]:
    """The scripts that the page's policy lets run."""
    [policy] = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy.split("style-src")[0]
    return set(re.search(r"script-src ([^;]*);", policy)[1].split())  # type: ignore[index]


def digests(page: str) -> set[str]:
    scripts = filter(None, re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL))
    return {f"'sha256-{b64encode(sha256(one.encode()).digest()).decode()}'" for one in scripts}


def test_every_page_lets_its_own_scripts_run_and_nothing_else(
    rows: list[comparison.Comparison], world_db: Path, tmp_path: Path
) -> None:
    fit = own(rows, "csv")
    write_report(world_db, fit, tmp_path / "fit.html")
    page = (tmp_path / "fit.html").read_text(encoding="utf-8")
    assert allowed(page) == digests(page)
    assert len(digests(page)) > 2
    export_figures(world_db, fit, tmp_path / "figures")
    for file in (tmp_path / "figures").glob("*.html"):
        page = file.read_text(encoding="utf-8")
        assert allowed(page) - {"'self'", "file:", "'none'"} == digests(page)
    assert allowed(report("t", [])) == {"'none'"}
