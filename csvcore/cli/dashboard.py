"""The command that starts the dashboard."""

import errno
import importlib.util
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from csvcore import store
from csvcore.cli.base import FILE, database, echo, main
from csvcore.errors import InputError, reason
from csvcore.formats import login_file, rights
from csvcore.jobs import queue

ZOO, ZOO_SPLIT = "zoo", "by-size"
SERVER = Path(__file__).parents[2] / "dashboard" / "server.py"


def queue_first_fits(database: Path) -> bool:
    """Queue a comparison on the bundled zoo if the database has no fits yet.

    Raises:
        StoreError: the file is missing or no database, before anything starts.
    """
    with store.connect(database, read_only=True) as db:
        has_zoo = ZOO in store.corpora(db)["corpus"].tolist() and ZOO_SPLIT in store.splits(db)
        if not has_zoo or not store.fits(db).empty:
            return False
        tasks = store.imported_tasks(db)  # the first is the one that the dashboard opens on
    if queue.recent(database):
        return False  # it was tried, or is under way
    queue.submit_compares(database, ZOO, ZOO_SPLIT, tasks)
    return True


def check_address(host: str, port: int) -> None:
    """Check that this user may serve at an address.

    Raises:
        InputError: it is not of this machine, in use, or for administrators alone.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind(address)
            probe.listen()
    except PermissionError as error:
        raise InputError(
            f"port {port} is for administrators alone; give one above 1023 with --port"
        ) from error
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} is in use; give another with --port") from error
        raise InputError(
            f"the dashboard cannot be served at {host}, port {port}: {reason(error)}; "
            "give an address of this machine with --host"
        ) from error


def streamlit_options(host: str, port: int, login: Path | None) -> list[str]:
    """Return Streamlit's options for an address and a login file.

    A name for browsers keeps Streamlit from asking the internet for this machine's address.

    Raises:
        InputError: the host is not of this machine alone and there is no login, or it is unsafe.
    """
    found = login_file.read(login) if login else None
    if found is None and host not in login_file.LOOPBACK:
        raise InputError(
            f"--host {host} opens the dashboard to other machines, which needs a login: name its "
            "file with --login, see docs/team.md; or leave out --host"
        )
    if found and importlib.util.find_spec("authlib") is None:
        raise InputError("a login needs Authlib; `pip install 'csvcore[login]'` installs it")
    name = found.host if found else host
    names = dict.fromkeys([name, *login_file.LOOPBACK])
    options = [
        f"--server.port={port}",
        f"--server.address={host}",
        f"--browser.serverAddress={name}",
        *(f"--server.allowedHosts={each}" for each in names),
    ]
    return options if login is None else [*options, f"--secrets.files={login.resolve()}"]


@main.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8501, show_default=True, help="Port."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to serve at; any but this machine's own needs --login.",
)
@click.option(
    "--login",
    type=FILE,
    help="File with the login and who may come in (docs/team.md).",
)
@click.option("--read-only", is_flag=True, help="Start no job and change nothing.")
@click.option(
    "--models",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    envvar="CSVCORE_MODELS",
    help="Folder of models that the Collect page may score; repeat for several.",
)
@database
def dashboard(
    db: Path,
    port: int,
    host: str,
    login: Path | None,
    read_only: bool,
    models: tuple[Path, ...],
) -> None:
    """Start the dashboard on this database, for a browser on this machine or a team's."""
    if read_only:
        os.environ[rights.VARIABLE] = "1"  # before the database is looked at
    if find_spec("streamlit") is None:
        raise InputError("the dashboard needs Streamlit; `pip install 'csvcore[dashboard]'`")
    options = streamlit_options(host, port, login)
    check_address(host, port)
    with store.connect(db, read_only=True):
        pass  # a database that cannot be opened is refused before anything starts
    if store.writable(db) and queue_first_fits(db):
        echo("The bundled measurements are fitted in the background, in a few minutes.")
    environment = os.environ | {
        "CSVCORE_DB": str(db.resolve()),
        "CSVCORE_MODELS": os.pathsep.join(str(folder.resolve()) for folder in models),
        "CSVCORE_LOGIN": "1" if login else "",
    }
    echo(f"The dashboard is at http://{host}:{port}")
    sys.stdout.flush()
    command = [sys.executable, "-m", "streamlit", "run", str(SERVER), *options]
    os.execve(sys.executable, command, environment)
