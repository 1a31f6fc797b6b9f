from pathlib import Path

import pytest

from csvcore import cli

ROOT = Path(__file__).parents[1]


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in cli.main.commands:
        assert f"csvcore {name}" in readme
    for name in cli.import_.commands:
        assert f"import {name}" in readme


def test_the_two_commands_stand_first_in_the_readme() -> None:
    code = (ROOT / "README.md").read_text(encoding="utf-8").split("```")[1]
    assert [line.split("#")[0].strip() for line in code.splitlines()[1:]] == [
        "make app",
        "make test",
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "data" / "zoo").glob("*")), ids=lambda p: p.name)
def test_the_data_readme_tells_where_every_file_comes_from(path: Path) -> None:
    assert f"zoo/{path.name}" in (ROOT / "data" / "README.md").read_text(encoding="utf-8")


def test_requirements_are_pinned_and_name_torch_once() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert all("==" in line for line in lines)
    assert lines.count("torch==2.13.0") == 1
