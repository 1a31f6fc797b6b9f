import re
import shutil
from functools import partial
from pathlib import Path

import click
import pytest

from csvcore import cli
from csvcore.fitting import config
from tests.support.docs import (
    ROOT,
    blocks,
    commands,
    exists,
    module_exists,
    modules,
    paths,
)
from tests.support.world import PACK

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "data" / "README.md"]


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in cli.main.commands:
        assert f"csvcore {name}" in readme
    for name in cli.import_.commands:
        assert f"import {name}" in readme
    for group in (cli.remove, cli.replace):
        assert all(name in readme for name in group.commands)
    for name in cli.export.commands:
        assert f"csvcore export {name}" in readme


def test_the_two_commands_stand_first_in_the_readme() -> None:
    code = (ROOT / "README.md").read_text(encoding="utf-8").split("```")[1]
    assert [line.split("#")[0].strip() for line in code.splitlines()[1:]] == [
        "make app",
        "make test",
    ]


@pytest.mark.parametrize("folder", ["zoo", "evidence"])
def test_the_data_readme_tells_where_every_file_comes_from(folder: str) -> None:
    told = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    names = [path.name for path in (ROOT / "data" / folder).glob("*")]
    assert names
    assert [name for name in names if f"{folder}/{name}" not in told] == []


def test_requirements_are_pinned_and_name_torch_once() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert all("==" in line for line in lines)
    assert lines.count("torch==2.13.0") == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    own = [link for link in links if "://" not in link]
    assert [link for link in own if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_of_the_repository_that_a_page_names_exists(page: Path) -> None:
    assert [name for name in paths(page) if not exists(name, page)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    assert [name for name in modules(page) if not module_exists(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_into_a_page_leads_to_a_heading(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = [
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    ]
    assert [link for link in re.findall(r"\]\(#([^)]+)\)", text) if link not in headings] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_documents_parses(page: Path) -> None:
    for arguments in commands(page):
        context = cli.main.make_context("csvcore", list(arguments))
        while isinstance(context.command, click.Group):
            rest = [*context._protected_args, *context.args]
            name, command, rest = context.command.resolve_command(context, rest)
            assert command is not None
            context = command.make_context(name, rest, parent=context)


def test_there_are_commands_and_paths_to_check() -> None:
    assert len(paths(ROOT / "docs" / "architecture.md")) > 20
    assert len(commands(ROOT / "README.md")) > 8
    assert sum(len(commands(page)) for page in PAGES) > 16


def test_the_python_of_the_readme_runs_on_files_of_these_names(
    world_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in world_files.glob("*.*"):
        shutil.copy(path, tmp_path)
    shutil.copy(world_files / "splits" / "sides.csv", tmp_path / "split.csv")
    for name in ("losses.parquet", "new-model.parquet"):
        shutil.copy(world_files / PACK, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    quick = partial(config.FitConfig, members=1, penalty=1e-4)
    monkeypatch.setattr(config, "FitConfig", quick)
    [code] = blocks(ROOT / "README.md", "python")
    assert len(code.splitlines()) <= 10
    names: dict[str, object] = {}
    exec(code, names)
    assert {"lab", "fits"} <= set(names)


def test_the_proxy_of_a_team_takes_uploads_as_large_as_the_dashboard_does() -> None:
    team = (ROOT / "docs" / "team.md").read_text(encoding="utf-8")
    config = (ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    proxy = re.search(r"client_max_body_size (\d+)m;", team)
    ours = re.search(r"maxUploadSize = (\d+)", config)
    assert proxy is not None
    assert ours is not None
    assert proxy[1] == ours[1]
