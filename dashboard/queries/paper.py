"""The paper's tables, this replication's evidence, and the differences between the two."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from csvcore import paper_claims
from csvcore.figures.paper import OF_LAWS, draw
from csvcore.formats import bundled

TABLES = {
    "Table 1": "Test MSE of accuracy by the loss a prediction is made from.",
    "Table 2": "The models that train, validate and test, as printed, and their names in Tables 3 "
    "and 4; empty where these have no result.",
    "Table 3": "Accuracy of open models, percent (OpenCompass), first part.",
    "Table 4": "Accuracy of open models, percent (OpenCompass), second part.",
}
PARTS = ("splits", "steps", "mixes", "highlights")
# What the paper shows, and the table of ours that answers it.
EVIDENCE = {
    "Table 1": "splits",
    "Figure 1": "zoo",
    "Figure 2": "Figure 2",
    "Figure 4": "Figure 4",
    "Figure 5": "Figure 5",
    "Figure 6": "Figure 6",
    "Figure 7": "Figure 7",
    "Figure 8": "mixes",
    "Figure 9": "highlights",
}
OF_MODELS = (*OF_LAWS, "Figure 7")  # their points have the colours of families
UNPUBLISHED = (
    "**Code and data.** The text names nothing to download: no code, no weights, no losses.",
    "**Weights.** No Capability Salience Vector as numbers; Figure 9 shades one worked example.",
    "**Losses and texts.** No model's token losses, and not the 550 texts: 100 from each benchmark "
    "(C-Eval and CMMLU share theirs, from which of the two is not said) and 50 worked answers "
    "for BBH.",
    "**Scorer.** InternLM2.5 1.8B, frozen, with a linear layer on its final hidden states. Not "
    "said: before or after the final norm, which non-linearity follows, how the layer starts.",
    "**Optimisation.** SGD, learning rate 1e-3, mostly under 300 steps. Not said: any penalty, the "
    "batch, the stopping rule, and by which models the best step is chosen.",
    "**Fits.** No alpha, beta or gamma, and no model's predicted accuracy: points without numbers.",
    "**Their own two series.** Neither sizes, data shares, losses nor accuracies as numbers.",
    "**Tokens.** Not said: what precedes the first token, and whether it counts.",
    "**Uncertainty.** No item counts, noise floors, intervals or repeats, and no baseline without "
    "a loss.",
)
DIFFERENT = (
    "**Tasks** are six of our own that mirror the paper's; models see invented people, towns, "
    "sums and swaps.",
    "**The fit** is Gauss-Newton, with a cross-validated penalty and weights in two levels (a "
    "scale a source, a factor a token). The paper's Algorithm 2, with Adam in place of SGD, is "
    "`--algorithm paper`.",
    "**The score** is per character, as equation 1 prints it. Algorithm 1 runs on UTF-8 bytes and "
    "adds up; as printed it loses mass where tokens share a character.",
    "**The scorer** is one of the zoo's own models; `--scorer` takes any other.",
    "**Label tokens** are the answers in the corpus, not each benchmark's whole test set.",
    "**Beside every error** stand its interval, the noise floor and predictors that know no loss.",
)


@st.cache_data(show_spinner=False)
def _read(path: str, changed: int) -> pd.DataFrame:
    """Return the table of a CSV, JSON or Parquet file."""
    if path.endswith(".parquet"):
        return pd.read_parquet(path)
    if path.endswith(".json"):
        return pd.DataFrame(json.loads(Path(path).read_text(encoding="utf-8")))
    return pd.read_csv(path)


def _bundled(folder: str, file: str) -> pd.DataFrame | None:
    path = bundled.folder(folder) / file
    return _read(str(path), path.stat().st_mtime_ns) if path.exists() else None


def table(name: str) -> pd.DataFrame | None:
    """Return a table of the paper as printed, None if it is not installed."""
    return _bundled("paper", f"{name.lower().replace(' ', '-')}.csv")


def evidence() -> dict[str, pd.DataFrame]:
    """Return the tables of `python benchmarks/evidence` by part and figure, and `zoo`.

    `zoo` has a row per model and task. Parts that are not measured or installed are missing.
    """
    tables = {part: _bundled("evidence", f"{part}.json") for part in PARTS}
    for name in EVIDENCE:
        tables[name] = _bundled("evidence", f"{name.lower().replace(' ', '-')}.parquet")
    cards, scores = _bundled("zoo", "models.csv"), _bundled("zoo", "accuracies.csv")
    if cards is not None and scores is not None:
        tables["zoo"] = scores.merge(cards, on="model")
    return {name: rows for name, rows in tables.items() if rows is not None}


def verdicts(parts: dict[str, pd.DataFrame], printed: pd.DataFrame) -> list[paper_claims.Claim]:
    """Return the claims of the paper that the evidence can check; none without the zoo."""
    first = paper_claims.table_1(parts["splits"], printed) if "splits" in parts else []
    return first + (paper_claims.figures(parts, parts["zoo"]) if "zoo" in parts else [])


def figure(name: str, parts: dict[str, pd.DataFrame]) -> Any:
    """Return this replication's figure, None where it is a table."""
    return None if name in ("Table 1", "Figure 9") else draw(name, parts)


def numbers(name: str, parts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the numbers behind one of EVIDENCE; for Table 1 test MSE, a column per method."""
    rows = parts[EVIDENCE[name]]
    if name != "Table 1":
        return rows
    by_size = rows[rows["split"] == "by-size"]
    wide = by_size.pivot(index="task", columns="method", values="test_mse")
    return wide.assign(noise_floor=by_size.groupby("task")["noise_floor"].first()).reset_index()


def contradictions(split: pd.DataFrame, results: pd.DataFrame) -> list[str]:
    """Return the contradictions between the paper's Table 2 and Tables 3 and 4 as sentences.

    Args:
        split: Table 2: printed, model (its name in the results, missing if it has none).
        results: Tables 3 and 4: model.
    """
    named = split["model"].dropna()
    tables = {
        "Table 2 lists more than once": sorted(set(named[named.duplicated()])),
        "Table 2 lists without a result": sorted(set(split.loc[split["model"].isna(), "printed"])),
        "Tables 3 and 4 have results of, but Table 2 leaves out": sorted(
            set(results["model"]) - set(named)
        ),
    }
    return [f"{what}: {', '.join(names)}." for what, names in tables.items() if names]


def scale(zoo: pd.DataFrame) -> str:
    """Return the number and sizes of the zoo's models as a sentence."""
    models = zoo.drop_duplicates("model")
    runs = len(models.drop_duplicates(["family", "n_params"]))
    low, high = models["n_params"].min(), models["n_params"].max()
    return (
        f"{len(models)} checkpoints of {runs} models with {low / 1e6:.2f} to {high / 1e6:.2f} "
        "million parameters, trained here on made-up worlds; the paper has 1.5 to 72 billion."
    )
