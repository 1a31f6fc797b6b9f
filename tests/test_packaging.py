"""Contents of the wheel; `make wheel-check` installs it and uses it."""

import os
import socket
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from packaging.version import Version

from csvcore import cli, store
from csvcore.cli import dashboard
from csvcore.errors import InputError
from csvcore.formats import bundled
from csvcore.jobs import queue
from csvcore.pipeline import imports

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETTINGS = PROJECT["tool"]["setuptools"]


def test_every_folder_with_code_is_packaged() -> None:
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("csvcore", "dashboard")
        for path in (ROOT / top).rglob("*.py")
    }
    # folders of data that could be imported too, or the build warns of them
    data = {
        ".".join([package, *path.relative_to(ROOT / folder).parts])
        for package, folder in SETTINGS["package-dir"].items()
        for path in (ROOT / folder).rglob("*")
        if path.is_dir()
        and all(part.isidentifier() for part in path.relative_to(ROOT).parts)
        and package != "csvcore.docs"
    }
    assert set(SETTINGS["packages"]) == found | set(SETTINGS["package-dir"]) | data


def test_every_other_file_of_the_packages_is_packaged_or_a_list_of_requirements() -> None:
    others = {
        path
        for top in ("csvcore", "dashboard")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".txt")
    }
    packaged = {
        path
        for package, patterns in SETTINGS["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    assert others - packaged == set()


def test_the_dashboard_brings_its_settings_along() -> None:
    own = ROOT / "dashboard" / ".streamlit" / "config.toml"
    assert own.read_bytes() == (ROOT / ".streamlit" / "config.toml").read_bytes()


def test_the_measurements_of_the_wheel_are_those_of_the_checkout() -> None:
    for package, folder in SETTINGS["package-dir"].items():
        assert ROOT / folder == bundled.folder(package.rpartition(".")[2])
    assert sum(file.stat().st_size for file in (ROOT / "data" / "zoo").rglob("*")) < 25e6


def requirements(name: str) -> dict[str, str]:
    """Pinned version by package."""
    lines = (ROOT / name).read_text(encoding="utf-8").split()
    return dict(line.split("==") for line in lines if "==" in line)


def test_what_the_wheel_declares_is_what_is_pinned_and_its_lowest_version_is_tested() -> None:
    pinned, lowest = requirements("requirements.txt"), requirements("tests/lowest.txt")
    extras = PROJECT["project"]["optional-dependencies"]
    declared = dict(
        line.split(">=")
        for extra in ("dashboard", "notebook")
        for line in [*PROJECT["project"]["dependencies"], *extras[extra]]
    )
    assert declared.keys() == pinned.keys()
    for package, least in declared.items():
        assert Version(least) <= Version(pinned[package]), package
        tested = lowest.get(package, pinned[package])  # torch and what needs it: the pinned one
        assert Version(tested).release[: len(Version(least).release)] == Version(least).release


@pytest.mark.parametrize("extra", ["ray", "gguf", "balanced", "login"])
def test_extras_allow_the_version_that_is_pinned_for_the_tests(extra: str) -> None:
    pinned = requirements("requirements-dev.txt")
    for line in PROJECT["project"]["optional-dependencies"][extra]:
        if not line.startswith("csvcore["):
            package, least = line.split(">=")
            assert Version(least) <= Version(pinned[package])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Record the server command instead of starting it."""
    calls: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    monkeypatch.delenv("CSVCORE_MODELS", raising=False)
    monkeypatch.setenv("CSVCORE_READ_ONLY", "")  # which the command sets
    monkeypatch.setattr(dashboard, "check_address", lambda host, port: None)
    return calls


def run_dashboard(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def test_the_dashboard_command_becomes_the_server(tmp_path: Path, started: list[Any]) -> None:
    store.create(tmp_path / "x.duckdb")
    done = run_dashboard(
        *("--db", tmp_path / "x.duckdb", "dashboard", "--port", 8600),
        *("--models", tmp_path, "--models", ROOT),
    )
    assert done.exit_code == 0, done.output
    assert "http://127.0.0.1:8600" in done.output
    [(program, command, environment)] = started
    assert program == sys.executable
    assert Path(command[4]) == ROOT / "dashboard" / "server.py"
    assert command[5] == "--server.port=8600"
    assert environment["CSVCORE_DB"] == str(tmp_path / "x.duckdb")
    assert environment["CSVCORE_MODELS"] == f"{tmp_path}{os.pathsep}{ROOT}"


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (PermissionError(13, "Permission denied"), "port 80 is for administrators alone; give one"),
        (OSError(99, "Cannot assign requested address"), "Cannot assign requested address; give"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known; give an"),
    ],
)
def test_an_address_that_this_machine_does_not_give_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, raised: OSError, said: str
) -> None:
    def refuse(*_: Any) -> None:
        raise raised

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(InputError, match=said):
        dashboard.check_address("127.0.0.1", 80)


def test_a_port_that_is_taken_starts_and_queues_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execve", lambda *call: pytest.fail("it was started"))
    store.create(tmp_path / "x.duckdb")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_dashboard("--db", tmp_path / "x.duckdb", "dashboard", "--port", port)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"port {port} is in use; give another with --port" in done.stderr


def test_without_streamlit_the_dashboard_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda name: None)
    store.create(tmp_path / "x.duckdb")
    done = run_dashboard("--db", tmp_path / "x.duckdb", "dashboard")
    assert done.exit_code == 1
    assert "the dashboard needs Streamlit; `pip install 'csvcore[dashboard]'`" in done.stderr


def test_the_database_may_be_named_behind_the_command(tmp_path: Path, started: list[Any]) -> None:
    store.create(tmp_path / "x.duckdb")
    assert run_dashboard("dashboard", "--db", tmp_path / "x.duckdb").exit_code == 0
    assert started[0][2]["CSVCORE_DB"] == str(tmp_path / "x.duckdb")


def test_folders_of_models_may_come_from_the_environment(
    tmp_path: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create(tmp_path / "x.duckdb")
    both = f"{tmp_path}{os.pathsep}{ROOT}"
    monkeypatch.setenv("CSVCORE_MODELS", both)
    assert run_dashboard("--db", tmp_path / "x.duckdb", "dashboard").exit_code == 0
    assert started[0][2]["CSVCORE_MODELS"] == both


@pytest.mark.parametrize(
    ("text", "refusal"), [(None, "there is no database"), ("no database", "cannot be opened")]
)
def test_without_a_database_nothing_is_started(
    tmp_path: Path, started: list[Any], text: str | None, refusal: str
) -> None:
    if text is not None:
        (tmp_path / "x.duckdb").write_text(text)
    done = run_dashboard("--db", tmp_path / "x.duckdb", "dashboard")
    assert done.exit_code == 1
    assert refusal in done.output
    assert started == []


def test_the_first_fits_of_the_bundled_zoo_are_queued_once(
    tmp_path: Path,
    world_files: Path,
    started: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue, "ensure_worker", lambda database: None)
    monkeypatch.setattr(imports, "ZOO", world_files)
    monkeypatch.setattr(dashboard, "ZOO_SPLIT", "sides")
    database = tmp_path / "x.duckdb"
    store.create(database)
    assert "fitted" not in run_dashboard("--db", database, "dashboard").output
    assert queue.recent(database) == []  # nothing there to fit
    imports.init(database, zoo=True)
    assert "fitted in the background" in run_dashboard("--db", database, "dashboard").output
    queued = [(job.kind, job.params) for job in queue.recent(database)]
    where = {"corpus": "zoo", "split": "sides"}
    with store.connect(database, read_only=True) as db:
        order = store.imported_tasks(db)
    assert set(order) == {"adding", "reading"}
    assert queued == [("compare", where | {"tasks": [task]}) for task in reversed(order)]
    queue.cancel(database, 1)
    queue.cancel(database, 2)
    assert "fitted" not in run_dashboard("--db", database, "dashboard").output
    assert not any(job.live for job in queue.recent(database))
    assert len(started) == 3


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "lab.example.org"])
def test_an_address_for_other_machines_needs_a_login(
    tmp_path: Path, started: list[Any], host: str
) -> None:
    store.create(tmp_path / "x.duckdb")
    done = run_dashboard("--db", tmp_path / "x.duckdb", "dashboard", "--host", host)
    assert (done.exit_code, done.stdout, started) == (1, "", [])
    assert (
        f"--host {host} opens the dashboard to other machines, which needs a login" in done.stderr
    )


def test_a_login_names_the_hosts_and_its_file(tmp_path: Path, started: list[Any]) -> None:
    store.create(tmp_path / "x.duckdb")
    login = tmp_path / "login.toml"
    keys = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
    values = {key: "x" * 32 for key in keys} | {
        "redirect_uri": "https://a.example/oauth2callback",
        "server_metadata_url": "https://id.example/.well-known/openid-configuration",
    }
    lines = [f'{key} = "{value}"' for key, value in values.items()]
    login.write_text("\n".join(["[auth]", *lines, "[access]", 'viewers = ["@a.example"]']))
    done = run_dashboard(
        *("--db", tmp_path / "x.duckdb", "dashboard", "--host", "0.0.0.0", "--login", login),
        "--read-only",
    )
    assert done.exit_code == 0, done.output
    [(_, command, environment)] = started
    assert "--server.address=0.0.0.0" in command
    assert "--browser.serverAddress=a.example" in command
    assert "--server.allowedHosts=a.example" in command
    assert f"--secrets.files={login}" in command
    assert (environment["CSVCORE_LOGIN"], environment["CSVCORE_READ_ONLY"]) == ("1", "1")
