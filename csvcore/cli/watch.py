"""The command that follows a run which is being trained."""

from pathlib import Path
from typing import Any

import click

from csvcore.cli.base import database, echo, main
from csvcore.cli.collect import collected_line
from csvcore.cli.forecast import COUNT, course_text
from csvcore.errors import CsvcoreError


@main.command("watch")
@click.argument("place", metavar="DIR|HUB_NAME")
@click.option("--corpus", required=True, help="Name of a stored corpus.")
@click.option(
    "--every",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="Look once, for cron and batch systems.")
@click.option("--revisions", help="Watch the branches of a hub name of this form, such as 'step*'.")
@click.option("--split", help="With --tokens: forecast the run from this split's models.")
@click.option("--tokens", type=COUNT, help="Training tokens at the end of the run, such as 4T.")
@click.option("--family", help="Family of the run.  [default: model type]")
@click.option(
    "--tokens-per-step", type=COUNT, help="Training tokens of a step, where no file tells them."
)
@click.option("--device", default="auto", show_default=True, help="As in csvcore collect.")
@click.option("--dtype", default="float32", show_default=True, help="Data type of the weights.")
@database
def watch_command(
    db: Path, place: str, corpus: str, every: float, once: bool, **options: Any
) -> None:
    """Collect the checkpoints in DIR as they appear, and forecast the rest of the run.

    Each is a folder in transformers' format whose name ends in its step. It is collected when it is
    whole. Stop and start at any time: what is stored is not collected again.
    """
    from csvcore.pipeline.collect import CollectConfig
    from csvcore.pipeline.watch import Watch, watch

    names = ("revisions", "family", "tokens_per_step")
    watched = Watch(place, corpus, **{name: options[name] for name in names})
    config = CollectConfig(device=options["device"], dtype=options["dtype"])

    def say(message: str) -> None:
        echo(message, err=True)

    for done in watch(db, watched, config, None if once else every, say):
        for result in done:
            line, failed = collected_line(result)
            echo(f"{'FAILED ' if failed else ''}{line}", err=failed)
        stored = any(result.status == "stored" for result in done)
        if options["split"] and options["tokens"] and (stored or once):
            _tell_course(db, corpus, options["split"], watched.run, options["tokens"])


def _tell_course(db: Path, corpus: str, split: str, run: str, end: int) -> None:
    """Print the run's course, or why it cannot be forecast yet."""
    from csvcore.pipeline.forecast import course

    try:
        echo(course_text(course(db, corpus, split, run, end)))
    except CsvcoreError as error:
        echo(f"no forecast yet: {error}", err=True)
