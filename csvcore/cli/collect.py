"""The `collect` command: plan, progress and result of each model."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from csvcore.cli.base import OUT, LogLines, database, duration, echo, main, on_terminal, text_table
from csvcore.cli.options import ENGINE, RAY
from csvcore.errors import CollectError
from csvcore.pipeline import exports


@main.command("collect")
@click.argument("models", nargs=-1, required=True)
@click.option("--corpus", required=True, help="Name of a stored corpus.")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Compute here: cpu, cuda, cuda:1, mps, several by commas, or balanced over all GPUs.",
)
@click.option("--dtype", default="float32", show_default=True, help="Data type of the weights.")
@click.option("--batch-tokens", type=click.IntRange(1), help="Number of tokens in a forward pass.")
@click.option(
    "--context", type=click.IntRange(2), help="Window size for long documents, in tokens."
)
@click.option(
    "--stride", type=click.IntRange(1), help="Shift between windows, in tokens.  [default: half]"
)
@click.option(
    "--prefix", default="auto", show_default=True, help="Prefix token: auto, bos, eos, separator."
)
@ENGINE
@RAY
@click.option(
    "--gpus", type=click.FloatRange(0), default=0.0, help="Number of GPUs for a Ray task."
)
@click.option("--shards", help="Folder or URL for unfinished work.  [default: beside --db]")
@click.option("--trust-remote-code", is_flag=True, help="Run the model repository's own code.")
@click.option("--dry-run", is_flag=True, help="Load and test each model, then stop.")
@click.option("--out", type=OUT, help="Also write the losses as a loss pack.")
@database
def collect_command(
    db: Path,
    models: tuple[str, ...],
    corpus: str,
    dry_run: bool,
    out: Path | None,
    **options: Any,
) -> None:
    """Compute per-token losses of MODELS: folders, .gguf files or Hub names. Resumes if stopped."""
    from csvcore.pipeline.collect import CollectConfig, collect, prepare
    from csvcore.pipeline.dry_run import try_out

    config = CollectConfig(**options)
    collection = prepare(db, models, corpus, config, whisper("looking at"))
    echo(plan_table(collection.plans), err=True)
    for note in collection.notes:
        echo(f"note: {note}", err=True)
    if dry_run:
        finish_collection([tried_line(tried) for tried in try_out(collection)])
        return
    n_tokens = sum(plan.total_tokens for plan in collection.plans if not plan.stored)
    with tqdm(total=n_tokens, unit="tok", unit_scale=True, leave=False, disable=None) as bar:
        lines, n_done = LogLines("tokens"), 0

        def report(step: Any) -> None:
            nonlocal n_done
            n_done += step.n_tokens
            bar.update(step.n_tokens)
            lines.report(n_done, n_tokens, step.model or "collecting")
            if step.message:
                bar.set_postfix_str(step.model)
                tqdm.write(f"{step.model}: {step.message}", file=sys.stderr)

        done = list(collect(collection, report))
    kept = [result.model for result in done if result.status != "failed"]
    if out is not None and kept:
        echo(exports.export_losses(db, corpus, kept, out))
    finish_collection([collected_line(result) for result in done])


def whisper(doing: str) -> Callable[[str], None]:
    """Return a function that reports progress on standard error, if that is a terminal."""

    def say(name: str) -> None:
        if on_terminal(sys.stderr):
            echo(f"{doing} {name}", err=True)

    return say


def plan_table(plans: Sequence[Any]) -> str:
    """Return a text table of the plans: size, memory and tokens of each model."""
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
    """Return the line of a model in a dry run, and true if it failed."""
    time = "" if tried.seconds is None else f"; about {duration(tried.seconds)} for the corpus"
    return f"{tried.model}: {tried.message}{time}", tried.failed


def collected_line(result: Any) -> tuple[str, bool]:
    """Return the result line of a model, and true if it failed."""
    if result.status == "failed":
        return result.reason, True
    if result.status == "found":
        return f"{result.model}: {result.message}", False
    speed = f", {result.n_tokens / result.seconds:,.0f} tokens/s" if result.seconds else ""
    return (
        f"{result.model}: stored, {result.n_tokens:,} tokens, "
        f"{result.bits_per_byte:.4f} bits per byte, {duration(result.seconds)}{speed}"
    ), False


def finish_collection(lines: Sequence[tuple[str, bool]]) -> None:
    """Print the result line of each model.

    Raises:
        CollectError: a model failed.
    """
    for line, failed in lines:
        echo(f"{'FAILED ' if failed else ''}{line}", err=failed)
    n_failed = sum(failed for _, failed in lines)
    if n_failed:
        rest = "" if n_failed == len(lines) else "; the others are done"
        raise CollectError(f"{n_failed} of {len(lines)} models failed{rest}")
