"""The root of the `csvcore` command, and what its commands share."""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from csvcore import __version__
from csvcore.errors import CsvcoreError

FILE = click.Path(exists=False, dir_okay=False, path_type=Path)


class _Output(click.Path):
    """A file to write, in a folder that is there: told before the work, not after it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        path = Path(str(super().convert(value, param, ctx)))
        if not path.absolute().parent.is_dir():
            self.fail(f"there is no folder {path.absolute().parent}; make it first", param, ctx)
        return path


class _Table(_Output):
    """Such a file that says by its name what it is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        path = super().convert(value, param, ctx)
        if path.suffix not in (".csv", ".parquet"):
            self.fail(f"{path.name} ends neither in .csv nor in .parquet", param, ctx)
        return path


OUT = _Output(exists=False, dir_okay=False, path_type=Path)
TABLE = _Table(exists=False, dir_okay=False, path_type=Path)
PATH = click.Path(exists=False, path_type=Path)  # a file or a folder


class Refusals(click.Group):
    """Turns errors meant for the user into one line and exit status 1; 130 when interrupted."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except CsvcoreError as error:
            click.echo(f"csvcore: {error}", err=True)
            ctx.exit(1)
        except BrokenPipeError:
            raise  # who reads the output has had enough
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            click.echo(f"csvcore: {error.strerror or error}{where}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("csvcore: interrupted; nothing stored was lost", err=True)
            ctx.exit(130)


@click.group(cls=Refusals)
@click.option("--db", type=FILE, default=Path("csvcore.duckdb"), help="The results database.")
@click.version_option(__version__)
@click.pass_context
def main(ctx: click.Context, db: Path) -> None:
    """Predict what a language model can do from the loss it gives to text."""
    ctx.obj = db
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def database(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command the database's path as its first argument."""
    return click.pass_obj(command)


def table_option(command: Callable[..., None]) -> Callable[..., None]:
    """Adds --table."""
    told = "Write the rows here too, as CSV or Parquet by its name."
    return click.option("--table", type=TABLE, help=told)(command)


class progress:
    """A bar on standard error, where that is a terminal; the block gets what moves it."""

    def __enter__(self) -> Callable[[int, int, str], None]:
        """Start the bar."""
        shape = "{desc} {bar} {n_fmt}/{total_fmt}"
        self.bar = tqdm(total=1, leave=False, disable=None, bar_format=shape)
        return self.report

    def report(self, step: int, total: int, message: str) -> None:
        """Move the bar to step of total."""
        self.bar.total = total
        self.bar.set_description_str(message, refresh=False)
        self.bar.update(step - self.bar.n)

    def __exit__(self, *error: object) -> None:
        """Clear the bar."""
        self.bar.close()


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces, the header first."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join(
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    )
