"""`csvcore dashboard`: the pages in a browser."""

import os
import sys
from pathlib import Path

import click

from csvcore import store
from csvcore.cli.base import FILE, database, main

SERVER = Path(__file__).parents[2] / "dashboard" / "server.py"


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@click.option("--db", "named", type=FILE, help="As before the command.")
@click.option(
    "--models",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    envvar="CSVCORE_MODELS",
    help="Folder of models that the Collect page may score; may be given more than once.",
)
@database
def dashboard(db: Path, port: int, named: Path | None, models: tuple[Path, ...]) -> None:
    """The dashboard on this database, for a browser of this machine."""
    db = named or db
    with store.connect(db, read_only=True):
        pass  # a file that is missing or no database is refused here, before anything starts
    environment = os.environ | {
        "CSVCORE_DB": str(db.resolve()),
        "CSVCORE_MODELS": os.pathsep.join(str(folder.resolve()) for folder in models),
    }
    click.echo(f"The dashboard is at http://127.0.0.1:{port}")
    sys.stdout.flush()
    command = [sys.executable, "-m", "streamlit", "run", str(SERVER), f"--server.port={port}"]
    os.execve(sys.executable, command, environment)
