"""The command that starts the dashboard."""

import os
import socket
import sys
from pathlib import Path

import click

from csvcore import store
from csvcore.cli.base import database, echo, main
from csvcore.errors import InputError
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
        tasks = [task.task for task in store.tasks(db)]
    if queue.recent(database):
        return False  # it was tried, or is under way
    queue.submit_compares(database, ZOO, ZOO_SPLIT, tasks)
    return True


def in_use(port: int) -> bool:
    """Check if a server answers at this port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@main.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8501, show_default=True, help="Port."
)
@click.option(
    "--models",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    envvar="CSVCORE_MODELS",
    help="Folder of models that the Collect page may score; repeat for several.",
)
@database
def dashboard(db: Path, port: int, models: tuple[Path, ...]) -> None:
    """Start the dashboard on this database, for a browser on this machine."""
    if in_use(port):
        raise InputError(f"port {port} is in use; give another with --port")
    if queue_first_fits(db):
        echo("The bundled measurements are fitted in the background, in about a minute.")
    environment = os.environ | {
        "CSVCORE_DB": str(db.resolve()),
        "CSVCORE_MODELS": os.pathsep.join(str(folder.resolve()) for folder in models),
    }
    echo(f"The dashboard is at http://127.0.0.1:{port}")
    sys.stdout.flush()
    # An address of one's own keeps Streamlit from asking the internet for it.
    where = [f"--server.port={port}", "--server.address=127.0.0.1"]
    command = [sys.executable, "-m", "streamlit", "run", str(SERVER), *where]
    os.execve(sys.executable, command, environment)
