"""Commands on stored fits: their list, two of them side by side, and their names and pins."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from csvcore.cli.base import database, echo, format_number, main, text_table
from csvcore.cli.options import json_option

if TYPE_CHECKING:
    from csvcore.frames import TwoFits

PAIR = 2
SHOWN = 15  # tokens that changed most, and models


@main.command()
@click.argument("two", nargs=-1, metavar="[FIT FIT]")
@json_option
@database
def fits(db: Path, two: tuple[str, ...], as_json: bool) -> None:
    """List the stored fits, pinned ones first, then newest first; or compare two FITs.

    Two fits, by id or name: settings that differ, predictions, errors, weights, and the tokens that
    changed most.
    """
    if two:
        if len(two) != PAIR:
            raise click.UsageError(f"give two fits to compare, got {len(two)}")
        _compare(db, two[0], two[1], as_json)
        return
    from csvcore import store

    with store.connect(db, read_only=True) as connection:
        table = store.fits(connection)
    table = table.sort_values("pinned", ascending=False, kind="stable")
    names = ["fit", "corpus", "split", "mse_train", "mse_test", "created"]
    labels = table["name"].fillna("").astype(str)
    if as_json:
        columns = [*names, "task", "method", "name", "note", "pinned"]
        echo(
            json.dumps(
                {"fits": json.loads(table[columns].to_json(orient="records", date_format="iso"))}
            )
        )
        return
    if table.empty:
        echo("no fits yet; make some with csvcore fit")
        return
    shown = table[names].astype({"created": "datetime64[s]"}).astype({"created": str})
    for name in ("mse_train", "mse_test"):
        shown[name] = [format_number(None if math.isnan(value) else value) for value in table[name]]
    if labels.any() or table["pinned"].any():
        shown.insert(1, "name", labels)
        shown.insert(2, "pin", ["*" if pinned else "" for pinned in table["pinned"]])
    echo(text_table([str(name) for name in shown], shown.to_numpy().tolist()))


def _compare(db: Path, a: str, b: str, as_json: bool) -> None:
    from csvcore.pipeline.compare_fits import compare_fits

    found = compare_fits(db, a, b)
    echo(json.dumps(_record(found)) if as_json else _text(found))


def _record(found: "TwoFits") -> dict[str, object]:
    tables = {"settings": found.settings, "predictions": found.predictions}
    if found.weights is not None:
        tables["tokens"] = found.weights.head(SHOWN)
    return {
        "a": found.a.fit,
        "b": found.b.fit,
        "errors": found.errors and asdict(found.errors),
        "agreement": found.agreement and asdict(found.agreement),
        "why_not": found.why_not,
        **{name: json.loads(table.to_json(orient="records")) for name, table in tables.items()},
    }


def _text(found: "TwoFits") -> str:
    from csvcore.analysis.two_fits import agreement_sentence, error_sentence

    lines = [f"A: {found.a.fit}", f"B: {found.b.fit}", ""]
    if found.settings.empty:
        lines += ["All settings are equal.", ""]
    else:
        cells = found.settings.fillna("-").to_numpy().tolist()
        lines += [text_table(["setting", "A", "B"], cells), ""]
    if found.errors is not None:
        lines += [error_sentence(found.errors), ""]
    rows = [
        [str(row["model"]), *(f"{row[key]:.3f}" for key in "ab"), f"{row['difference']:+.3f}"]
        for row in found.predictions.head(SHOWN).to_dict("records")
    ]
    header = ["model", "predicted by A", "by B", "difference"]
    lines += [text_table(header, rows), ""]
    if found.weights is None or found.agreement is None:
        lines.append(f"Weights are not compared: {found.why_not}.")
        return "\n".join(lines)
    lines.append(agreement_sentence(found.agreement))
    cells = [
        [
            *(repr(row["text"]), str(row["doc_id"])),
            *(f"{row[key]:.2f}" for key in "ab"),
            f"{row['difference']:+.2f}",
        ]
        for row in found.weights.head(SHOWN).to_dict("records")
    ]
    lines.append(text_table(["token", "document", "weight in A", "in B", "difference"], cells))
    return "\n".join(lines)


@main.command("label")
@click.argument("fit")
@click.option("--name", help="Name to call the fit by; an empty one removes it.")
@click.option("--note", help="Note to keep with the fit; an empty one removes it.")
@click.option("--pin/--unpin", default=None, help="List the fit before others, or no longer.")
@database
def label_command(db: Path, fit: str, name: str | None, note: str | None, pin: bool | None) -> None:
    """Name FIT (an id or a name), note something with it, or pin it."""
    from csvcore import store

    if name is None and note is None and pin is None:
        raise click.UsageError("give --name, --note or --pin")
    with store.connect(db) as connection:
        fit_id = store.fit_named(connection, fit)
        old = store.fit_label(connection, fit_id)
        label = store.FitLabel(
            old.name if name is None else name.strip(),
            old.note if note is None else note.strip(),
            old.pinned if pin is None else pin,
        )
        store.label_fit(connection, fit_id, label)
    called = f"called {label.name!r}" if label.name else "without a name"
    echo(f"{fit_id}: {called}, {'pinned' if label.pinned else 'not pinned'}")
