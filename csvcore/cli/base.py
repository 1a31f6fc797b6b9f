"""The root command `csvcore`, and the file types, progress bar and text formats of its commands."""

import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TextIO

import click
from tqdm import tqdm

from csvcore import __version__
from csvcore.errors import explained, shortened
from csvcore.pipeline.exports import TableFile

LOG_SECONDS = 30.0  # between two lines of progress
FILE = click.Path(exists=False, dir_okay=False, path_type=Path)


class _Output(click.Path):
    """A file to write in an existing folder; checked before the command runs."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = Path(str(super().convert(value, param, ctx)))
        if not path.absolute().parent.is_dir():
            self.fail(f"there is no folder {path.absolute().parent}; make it first", param, ctx)
        return path


class _Table(_Output):
    """A CSV or Parquet file to write, by its suffix."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = super().convert(value, param, ctx)
        if path.suffix not in (".csv", ".parquet"):
            self.fail(f"{path.name} ends neither in .csv nor in .parquet", param, ctx)
        return path


OUT = _Output(exists=False, dir_okay=False, path_type=Path)
TABLE = _Table(exists=False, dir_okay=False, path_type=Path)
PATH = click.Path(exists=False, path_type=Path)  # a file or a folder


def echo(message: str = "", err: bool = False, nl: bool = True) -> None:
    """Print a message; what would steer the terminal is shown as its escape, as in JSON."""
    click.echo(escaped(message), err=err, nl=nl)


def escaped(message: str) -> str:
    """Return a text with every character that is not printed as its escape, but line ends."""
    if message.isprintable():
        return message
    return "".join(
        char if char.isprintable() or char in "\n\t" else json.dumps(char)[1:-1] for char in message
    )


class ErrorGroup(click.Group):
    """A group of commands that reports expected errors in one line, with exit status 1.

    An interrupt has exit status 130; a fault of the program keeps its traceback.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, click.ClickException, BrokenPipeError):
            raise  # of click's own, or the reader of the output closed it
        except KeyboardInterrupt:
            echo("csvcore: interrupted; nothing stored was lost", err=True)
            ctx.exit(130)
        except Exception as error:
            told = explained(error)
            if told is None:
                raise
            echo(f"csvcore: {shortened(str(told))}", err=True)
            ctx.exit(1)


class RootGroup(ErrorGroup):
    """The root group; its --db may stand anywhere before a `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move every --db to the front, in order: the last one counts."""
        end = args.index("--") if "--" in args else len(args)
        front: list[str] = []
        rest: list[str] = []
        words = iter(args[:end])
        for word in words:
            if word == "--db":
                front += [word, *([following] if (following := next(words, None)) else [])]
            else:
                (front if word.startswith("--db=") else rest).append(word)
        return super().parse_args(ctx, front + rest + args[end:])


@click.group(cls=RootGroup)
@click.option(
    "--db",
    type=FILE,
    default=Path("csvcore.duckdb"),
    show_default=True,
    envvar="CSVCORE_DB",
    show_envvar=True,
    help="Results database; before or after the command.",
)
@click.version_option(__version__)
@click.pass_context
def main(ctx: click.Context, db: Path) -> None:
    """Predict the accuracies of language models from their losses on text."""
    ctx.obj = db.resolve()  # what lies beside the database lies beside the file, not a link to it
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def database(command: Callable[..., None]) -> Callable[..., None]:
    """Pass the database's path to the command as its first argument."""
    return click.pass_obj(command)


SAFE_CSV = click.option(
    "--safe-csv",
    is_flag=True,
    help="Put an apostrophe before text that a spreadsheet would run as a formula.",
)


def table_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --table and --safe-csv; the command gets one `TableFile` or None as `table`."""

    @wraps(command)
    def with_table(*args: Any, table: Path | None, safe_csv: bool, **options: Any) -> None:
        command(*args, table=TableFile(table, safe_csv) if table else None, **options)

    help_text = "Also write the rows to this CSV or Parquet file."
    return click.option("--table", type=TABLE, help=help_text)(SAFE_CSV(with_table))


def on_terminal(stream: TextIO | None) -> bool:
    """Return whether a standard stream is a terminal; one that is closed is None."""
    return stream is not None and stream.isatty()


class LogLines:
    """Progress as lines on standard error where that is no terminal, one each LOG_SECONDS."""

    def __init__(self, unit: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock; unit is that of the steps, such as tokens."""
        self._unit, self._clock = unit, clock
        self._begun = self._last = clock()

    def report(self, done: int, total: int, message: str) -> None:
        """Print a line if one is due: what is done, its speed, and the time that is left."""
        now = self._clock()
        if on_terminal(sys.stderr) or now - self._last < LOG_SECONDS or not 0 < done < total:
            return
        self._last = now
        speed = done / (now - self._begun)
        fast = f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}"
        echo(
            f"{message}: {done:,} of {total:,} {self._unit}, {fast} {self._unit}/s, "
            f"{duration((total - done) / speed)} left",
            err=True,
        )


def duration(seconds: float) -> str:
    """Format seconds as s, min or h."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class progress:
    """Progress on standard error: a bar on a terminal, else lines; the block gets its `report`."""

    def __enter__(self) -> Callable[[int, int, str], None]:
        """Start the bar."""
        shape = "{desc} {bar} {n_fmt}/{total_fmt}"
        self.bar = tqdm(total=1, leave=False, disable=None, bar_format=shape)
        self.lines = LogLines("steps")
        return self.report

    def report(self, step: int, total: int, message: str) -> None:
        """Move the bar to step of total."""
        self.bar.total = total
        self.bar.set_description_str(escaped(message), refresh=False)
        self.bar.update(step - self.bar.n)
        self.lines.report(step, total, message)

    def __exit__(self, *error: object) -> None:
        """Clear the bar."""
        self.bar.close()


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns aligned by spaces, the header first."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join(
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    )


def format_number(value: float | None) -> str:
    """Return a squared error with three digits, or a dash for None."""
    return "-" if value is None else f"{value:.2e}"


def format_decimal(value: float | None) -> str:
    """Return a ratio or correlation with two decimals, or a dash for None."""
    return "-" if value is None else f"{value:.2f}"


def format_interval(low: float | None, high: float | None) -> str:
    """Return an interval of squared errors, or a dash where an end is None."""
    return "-" if low is None or high is None else f"{low:.1e} to {high:.1e}"
