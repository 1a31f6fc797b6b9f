"""The README's way from result files and two local models to a table of comparisons."""

import re

import pytest
from click.testing import CliRunner

from csvcore import cli
from tests.support.docs import ROOT, blocks, commands

pytestmark = pytest.mark.slow

HEADING = "## From your evaluation results to a comparison"


def test_four_commands_lead_from_result_files_and_two_models_to_a_comparison(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = tmp_path_factory.mktemp("readme") / "section.md"
    section.write_text(readme.split(HEADING)[1].split("\n## ")[0], encoding="utf-8")
    monkeypatch.chdir(ROOT)
    database = tmp_path_factory.mktemp("four") / "mine.duckdb"
    steps = commands(section)
    assert [step[0] for step in steps] == ["init", "collect", "import", "compare"]
    for step in steps:
        done = CliRunner().invoke(cli.main, ["--db", str(database), *step])
        assert done.exit_code == 0, done.output
    told, shown = done.stdout, blocks(section, "text")[0]
    assert "split without-ebb on ebb-l, ebb-xs: " in done.stderr
    assert names(told) == names(shown)  # the figures differ a little between machines
    assert "csv" in names(told)


def names(table: str) -> set[str]:
    """Tasks and methods of a printed comparison."""
    return set(re.findall(r"^facts +([a-z-]+) ", table, re.MULTILINE))
