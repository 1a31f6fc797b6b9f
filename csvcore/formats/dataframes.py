"""Tables of a notebook, as files or as DataFrames."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from csvcore.errors import InputError

File = str | os.PathLike[str]
Table = File | pd.DataFrame
SPANS = ("byte_start", "byte_end", "nll", "token_id")  # of a token; lists in a loss pack


def as_file(table: Table, folder: Path, name: str) -> Path:
    """Return the path of a file, or write a DataFrame into the folder in its file format.

    The corpus becomes JSON lines, losses a loss pack, everything else CSV.
    """
    if not isinstance(table, pd.DataFrame):
        return Path(table)
    if name == "losses":
        path = folder / f"{name}.parquet"
        by_document(table).to_parquet(path, index=False)
    elif name == "corpus":
        path = folder / f"{name}.jsonl"
        table.to_json(path, orient="records", lines=True, force_ascii=False)
    else:
        path = folder / f"{name}.csv"
        table.to_csv(path, index=False)
    return path


def as_files(
    tables: Table | Sequence[File], folder: Path | None = None, name: str = ""
) -> list[Path]:
    """Return the paths of one file or several, or of a DataFrame written into the folder."""
    if isinstance(tables, pd.DataFrame):
        if folder is None:
            raise InputError("losses are files here, got a DataFrame; write it with to_parquet")
        return [as_file(tables, folder, name)]
    if isinstance(tables, str | os.PathLike):
        return [Path(tables)]
    return [Path(str(file)) for file in tables]


def by_document(losses: pd.DataFrame) -> pd.DataFrame:
    """Return losses with a row per model and document; rows of single tokens become lists.

    Raises:
        InputError: a column is missing.
    """
    missing = [name for name in ("model", "doc_id", *SPANS[:3]) if name not in losses]
    if missing:
        raise InputError(
            f"losses need columns model, doc_id, byte_start, byte_end and nll; {missing[0]} is "
            "missing"
        )
    if losses.empty or not pd.api.types.is_numeric_dtype(losses["nll"]):
        return losses
    columns = [name for name in SPANS if name in losses]
    groups = losses.groupby(["model", "doc_id"], sort=False, observed=True)
    return groups[columns].agg(list).reset_index()
