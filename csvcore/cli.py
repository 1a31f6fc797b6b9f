"""The `csvcore` command: a skin over `pipeline`; no number is computed here."""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from csvcore import __version__, store
from csvcore.errors import CollectError, CsvcoreError
from csvcore.records import Fit, Method

FILE = click.Path(exists=False, dir_okay=False, path_type=Path)
METHODS = ("csv", "all-token", "label-token", "source-token")


class Refusals(click.Group):
    """Turns errors meant for the user into one line and exit status 1; 130 when interrupted."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except CsvcoreError as error:
            click.echo(f"csvcore: {error}", err=True)
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


@main.command()
@click.option("--zoo", is_flag=True, help="Load the bundled measurements.")
@database
def init(db: Path, zoo: bool) -> None:
    """Make the database."""
    from csvcore import pipeline

    click.echo(pipeline.init(db, zoo))


@main.group("import")
def import_() -> None:
    """Bring in files; each import is all or nothing."""


@import_.command("corpus")
@click.argument("file", type=FILE)
@click.option("--name", required=True)
@database
def import_corpus(db: Path, file: Path, name: str) -> None:
    """Documents of a JSONL file."""
    from csvcore import pipeline

    click.echo(pipeline.import_corpus(db, file, name))


@import_.command("losses")
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--corpus", help="Needed for packs without a manifest.")
@database
def import_losses(db: Path, files: tuple[Path, ...], corpus: str | None) -> None:
    """Loss packs."""
    from csvcore import pipeline

    click.echo(pipeline.import_losses(db, files, corpus))


@import_.command("models")
@click.argument("file", type=FILE)
@database
def import_models(db: Path, file: Path) -> None:
    """Model cards of a CSV file."""
    from csvcore import pipeline

    click.echo(pipeline.import_models(db, file))


@import_.command("tasks")
@click.argument("file", type=FILE)
@database
def import_tasks(db: Path, file: Path) -> None:
    """Tasks and chance levels of a CSV file."""
    from csvcore import pipeline

    click.echo(pipeline.import_tasks(db, file))


@import_.command("accuracies")
@click.argument("files", type=FILE, nargs=-1, required=True)
@database
def import_accuracies(db: Path, files: tuple[Path, ...]) -> None:
    """Accuracies of CSV files."""
    from csvcore import pipeline

    click.echo(pipeline.import_accuracies(db, files))


@import_.command("completions")
@click.argument("url")
@click.option("--served", required=True, help="The model's name on the server.")
@click.option("--reference", required=True, help="The same model: folder, .gguf or hub name.")
@click.option("--corpus", required=True)
@click.option("--name", help="What to store it as.")
@click.option("--tolerance", type=click.FloatRange(0), default=0.02, show_default=True)
@click.option("--key", envvar="OPENAI_API_KEY", help="The server's key, or $OPENAI_API_KEY.")
@database
def import_completions(db: Path, corpus: str, **options: Any) -> None:
    """Token losses of a server (URL up to /v1), once two documents agree with the model itself."""
    from csvcore import pipeline

    with progress() as report:
        message = pipeline.import_completions(
            db,
            corpus,
            pipeline.ServerConfig(**options),
            lambda done, total: report(done, total, "asking the server"),
        )
    click.echo(message)


@import_.command("split")
@click.argument("file", type=FILE)
@click.option("--name", required=True)
@database
def import_split(db: Path, file: Path, name: str) -> None:
    """A split of the models."""
    from csvcore import pipeline

    click.echo(pipeline.import_split(db, file, name))


@main.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--corpus", required=True)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda, cuda:1, mps, several with commas, or balanced: one model over all GPUs.",
)
@click.option("--dtype", default="float32", show_default=True)
@click.option("--batch-tokens", type=click.IntRange(1), help="Tokens of one forward pass.")
@click.option("--context", type=click.IntRange(2), help="Window over long documents, in tokens.")
@click.option("--stride", type=click.IntRange(1), help="How far windows move; half the context.")
@click.option("--prefix", default="auto", show_default=True, help="auto, bos, eos or separator.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--ray", help="Address of a Ray cluster; without it one is started here.")
@click.option("--gpus", type=click.FloatRange(0), default=0.0, help="GPUs of one Ray task.")
@click.option("--shards", help="Folder or URL for work in progress; beside the database if unset.")
@click.option("--trust-remote-code", is_flag=True, help="Run the model repository's own code.")
@click.option("--dry-run", is_flag=True, help="Load and try each model, then stop.")
@click.option("--out", type=FILE, help="Also write the losses as a pack.")
@database
def collect(
    db: Path,
    models: tuple[str, ...],
    corpus: str,
    dry_run: bool,
    out: Path | None,
    **options: Any,
) -> None:
    """Per-token losses of MODELS: local folders, .gguf files or hub names; goes on where it was."""
    from csvcore import pipeline

    config = pipeline.CollectConfig(**options)
    collection = pipeline.prepare(db, models, corpus, config, whisper("looking at"))
    click.echo(plan_table(collection.plans), err=True)
    for note in collection.notes:
        click.echo(f"note: {note}", err=True)
    if dry_run:
        finish_collection([tried_line(tried) for tried in pipeline.try_out(collection)])
        return
    n_tokens = sum(plan.total_tokens for plan in collection.plans if not plan.stored)
    with tqdm(total=n_tokens, unit="tok", unit_scale=True, leave=False, disable=None) as bar:

        def report(step: Any) -> None:
            bar.update(step.n_tokens)
            if step.message:
                bar.set_postfix_str(step.model)
                tqdm.write(f"{step.model}: {step.message}", file=sys.stderr)

        done = list(pipeline.collect(collection, report))
    kept = [found.model for found in done if found.status != "failed"]
    if out is not None and kept:
        click.echo(pipeline.export_losses(db, corpus, kept, out))
    finish_collection([collected_line(found) for found in done])


def whisper(doing: str) -> Callable[[str], None]:
    """Says what is being done on standard error, where that is a terminal."""

    def say(name: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"{doing} {name}", err=True)

    return say


def plan_table(plans: Sequence[Any]) -> str:
    """What a collection will take, model by model, before any is loaded."""
    rows = []
    for plan in plans:
        state = plan.problem or ("stored already" if plan.stored else "to score")
        size = "-" if plan.n_params is None else f"{plan.n_params / 1e6:,.1f} M"
        memory = "-" if plan.n_bytes is None else f"{plan.n_bytes / 2**30:.2f} GiB"
        tiling = "exact" if not plan.n_approximate else f"{plan.n_approximate} approximate"
        rows.append(
            [
                *(plan.model, size, memory, f"{plan.total_tokens:,}"),
                *("any" if plan.context is None else f"{plan.context:,}", tiling, state),
            ]
        )
    header = ["model", "parameters", "memory", "tokens", "context", "alignment", "state"]
    return text_table(header, rows)


def tried_line(tried: Any) -> tuple[str, bool]:
    """A model tried out, and whether it failed."""
    time = "" if tried.seconds is None else f"; about {duration(tried.seconds)} for the corpus"
    return f"{tried.model}: {tried.message}{time}", tried.failed


def collected_line(found: Any) -> tuple[str, bool]:
    """What became of a model, and whether it failed."""
    if found.status == "failed":
        return found.reason, True
    if found.status == "found":
        return f"{found.model}: {found.message}", False
    speed = f", {found.n_tokens / found.seconds:,.0f} tokens/s" if found.seconds else ""
    return (
        f"{found.model}: stored, {found.n_tokens:,} tokens, "
        f"{found.bits_per_byte:.4f} bits per byte, {duration(found.seconds)}{speed}"
    ), False


def finish_collection(lines: Sequence[tuple[str, bool]]) -> None:
    """Print what became of each model; exit status 1 if any failed."""
    for line, failed in lines:
        click.echo(f"{'FAILED ' if failed else ''}{line}", err=failed)
    n_failed = sum(failed for _, failed in lines)
    if n_failed:
        rest = "" if n_failed == len(lines) else "; the others are done"
        raise CollectError(f"{n_failed} of {len(lines)} models failed{rest}")


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def fit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that fit and compare share."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
        click.option("--scorer", help="Folder or hub name of the scoring model."),
        click.option("--mask-first-token", is_flag=True, help="Leave out any model's first token."),
        click.option("--seed", type=int, default=0, show_default=True),
        click.option("--learning-rate", type=click.FloatRange(0, min_open=True)),
        click.option("--steps", type=click.IntRange(0), default=300, show_default=True),
        click.option("--task", "tasks", multiple=True, help="One or more, e.g. --task mmlu bbh."),
        click.argument("more_tasks", nargs=-1, metavar="[TASK]..."),  # those behind the first
        click.option("--split", required=True),
        click.option("--corpus", required=True),
    ):
        command = option(command)
    return command


def settings(
    steps: int,
    learning_rate: float | None,
    seed: int,
    scorer: str | None,
    mask_first_token: bool,
) -> Any:
    """A FitConfig of the options given."""
    from csvcore import pipeline

    config = pipeline.FitConfig(steps=steps, seed=seed, mask_first_token=mask_first_token)
    if learning_rate is not None:
        config = replace(config, learning_rate=learning_rate)
    return config if scorer is None else replace(config, scorer=scorer)


@main.command()
@fit_options
@click.option("--method", type=click.Choice(METHODS), default="csv", show_default=True)
@database
def fit(
    db: Path,
    corpus: str,
    split: str,
    tasks: tuple[str, ...],
    more_tasks: tuple[str, ...],
    method: Method,
    as_json: bool,
    **options: Any,
) -> None:
    """One fit per task (all tasks if none is named), all optimised together."""
    from csvcore import pipeline

    tasks += more_tasks
    if not tasks:
        with store.connect(db, read_only=True) as connection:
            tasks = tuple(task.task for task in store.tasks(connection))
    wanted = [(task, method) for task in tasks]
    with progress() as report:
        fits = pipeline.fit(db, corpus, split, wanted, settings(**options), report)
    if as_json:
        click.echo(json.dumps({"fits": [fit_json(found) for found in fits]}))
        return
    rows = [
        [
            *(found.task, found.fit, f"{found.alpha:.3g}", f"{found.beta:.3g}", str(found.steps)),
            *mse_cells(found),
        ]
        for found in fits
    ]
    header = ["task", "fit", "alpha", "beta", "step", "train", "validation", "test", "noise floor"]
    click.echo(text_table(header, rows))


@main.command()
@fit_options
@database
def compare(
    db: Path,
    corpus: str,
    split: str,
    tasks: tuple[str, ...],
    more_tasks: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Every method on the same split: test MSE with its 90 % interval, and the noise floor."""
    from csvcore import pipeline

    with progress() as report:
        rows = pipeline.compare(db, corpus, split, tasks + more_tasks, settings(**options), report)
    if as_json:
        click.echo(json.dumps({"rows": [asdict(row) for row in rows]}))
        return
    cells = [
        [
            *(row.task, row.method, f"{row.test_mse:.2e}", span(row.low, row.high)),
            f"{100 * row.test_mae:.1f}",
            *map(short, (row.r2, row.spearman, row.pairwise)),
            figure(row.noise_floor),
        ]
        for row in rows
    ]
    header = ["task", "method", "test MSE", "90 %", "points off", "R2", "rank", "pairs", "floor"]
    click.echo(text_table(header, cells))


@main.command()
@click.option("--fit", "fit_id", required=True)
@click.option("--out", type=FILE, required=True)
@database
def weights(db: Path, fit_id: str, out: Path) -> None:
    """The salience of every token, as Parquet."""
    from csvcore import pipeline

    click.echo(pipeline.export_weights(db, fit_id, out))


@main.command()
@database
def fits(db: Path) -> None:
    """The stored fits, newest first."""
    with store.connect(db, read_only=True) as connection:
        table = store.fits(connection)
    if table.empty:
        click.echo("no fits yet; make some with csvcore fit")
        return
    names = ["fit", "corpus", "split", "mse_train", "mse_test", "created"]
    click.echo(text_table(names, table[names].astype(str).to_numpy().tolist()))


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


def fit_json(fit: Fit) -> dict[str, Any]:
    """A fit as the contract's JSON; the trace stays in the database."""
    record = asdict(fit)
    del record["trace"], record["config"]
    return record


def mse_cells(fit: Fit) -> list[str]:
    """MSE by side and the test models' noise floor, for the text table."""
    sides = [fit.mse.get(side) for side in ("train", "validation", "test")]
    return [figure(value) for value in (*sides, fit.noise_floor.get("test"))]


def figure(value: float | None) -> str:
    """A squared error, or a dash where it is not known."""
    return "-" if value is None else f"{value:.2e}"


def short(value: float | None) -> str:
    """A correlation, or a dash where it is not defined."""
    return "-" if value is None else f"{value:.2f}"


def span(low: float | None, high: float | None) -> str:
    """An interval, or a dash."""
    return "-" if low is None or high is None else f"{low:.1e} to {high:.1e}"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces, the header first."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join(
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    )
