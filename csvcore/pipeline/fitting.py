"""A fit from stored losses and accuracies to a stored law, predictions and weights."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from csvcore import salience, store
from csvcore.alignment import Aligner
from csvcore.errors import FitError, InputError
from csvcore.intervals import residual_band
from csvcore.metrics import mean_squared_error, noise_floor
from csvcore.optimise import HeadProblem, HeadResult, OptimiseConfig, optimise_heads, standardise
from csvcore.pipeline.importing import ZOO
from csvcore.pipeline.units import Units, scoring_units, without_first_tokens
from csvcore.records import (
    SPLITS,
    Accuracy,
    Document,
    Fit,
    Floats,
    Method,
    Prediction,
    Split,
    Task,
    TraceStep,
)
from csvcore.scaling import fit_sigmoid_law, sigmoid_law

Report = Callable[[int, int, str], None]
WEIGHTED_METHODS: tuple[Method, ...] = ("csv", "all-token", "label-token", "source-token")
# An accuracy this many standard errors above chance is not chance; without n_items, this far.
CHANCE_ERRORS, CHANCE_MARGIN = 3.0, 0.02


@dataclass(frozen=True, slots=True)
class FitConfig:
    """Settings of a fit; each is a flag of `csvcore fit`. The scorer is a folder or hub name.

    mask_first_token: leave out, for every model, the bytes that are the first token of any.
    """

    steps: int = 300
    learning_rate: float = 1e-2
    seed: int = 0
    scorer: str = str(ZOO / "scorer")
    mask_first_token: bool = False


@dataclass(frozen=True, slots=True)
class Dataset:
    """All that a fit reads: nll is (n_models, n_tokens) on the units, one row a name in models.

    counts: (n_tokens,) which units are part of the score; the others have nll 0. n_chars: N_c,
    characters of the validation text that count.
    """

    corpus: str
    corpus_sha256: str
    docs: list[Document]
    units: Units
    models: list[str]
    nll: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    split_name: str
    split: dict[str, Split]
    tasks: dict[str, Task]
    accuracies: dict[tuple[str, str], Accuracy]
    counts: np.ndarray[tuple[int], np.dtype[np.bool_]]
    n_chars: int


@dataclass(frozen=True, slots=True)
class TaskModels:
    """The models a fit of one task uses: rows of `Dataset.nll`, and what is known of each."""

    task: Task
    rows: list[int]
    names: list[str]
    sides: list[Split]
    accuracy: Floats
    n_items: list[int | None]
    left_out: tuple[str, ...]

    def on(self, side: Split) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which of them stand on a side, (n_models,)."""
        return np.array([own == side for own in self.sides], dtype=bool)


def load_dataset(database: Path, corpus: str, split: str, config: FitConfig) -> Dataset:
    """Read everything a fit on this corpus and split needs, the losses mapped to the units."""
    with store.connect(database, read_only=True) as db:
        sha256 = store.corpus_sha256(db, corpus)
        docs = store.documents(db, corpus)
        sides = store.split(db, split)
        tasks = {task.task: task for task in store.tasks(db)}
        accuracies = {(entry.model, entry.task): entry for entry in store.accuracies(db)}
        covered = store.coverage(db, corpus)
        full = [name for name in sides if covered.get(name) == len(docs)]
        losses = store.losses(db, corpus, full)
    units = scoring_units(database, sha256, docs, config.scorer)
    counts = np.ones(units.hidden.shape[0], dtype=bool)
    n_chars = sum(len(doc.text) for doc in docs)
    if config.mask_first_token:
        units, counts, n_chars = without_first_tokens(units, docs, losses)
    aligner = Aligner([doc.text for doc in docs], units.edges)
    nll = np.empty((len(losses), units.hidden.shape[0]), dtype=np.float32)
    for row, entry in enumerate(losses):
        nll[row] = aligner.map(entry) * counts
    models = [entry.model for entry in losses]
    return Dataset(
        *(corpus, sha256, docs, units, models, nll, split, sides, tasks, accuracies),
        counts=counts,
        n_chars=n_chars,
    )


def task_models(data: Dataset, name: str) -> TaskModels:
    """The split's models that have both losses and an accuracy on the task; the others are named.

    Raises:
        InputError: the task is unknown, or fewer than 3 train models are left.
        FitError: every train model is at chance, so there is nothing to learn from.
    """
    if name not in data.tasks:
        raise InputError(f"there is no task {name!r}; stored: {', '.join(data.tasks) or 'none'}")
    used = [
        (row, model) for row, model in enumerate(data.models) if (model, name) in data.accuracies
    ]
    entries = [data.accuracies[model, name] for _, model in used]
    names = {model for _, model in used}
    chosen = TaskModels(
        task=data.tasks[name],
        rows=[row for row, _ in used],
        names=[model for _, model in used],
        sides=[data.split[model] for _, model in used],
        accuracy=np.array([entry.accuracy for entry in entries], dtype=np.float64),
        n_items=[entry.n_items for entry in entries],
        left_out=tuple(model for model in data.split if model not in names),
    )
    n_train = int(chosen.on("train").sum())
    if n_train < 3:
        raise InputError(
            f"{name} has {n_train} train models with losses on every document and an accuracy; "
            f"a fit needs 3, and {len(chosen.left_out)} of the split were left out"
        )
    _refuse_chance(chosen)
    return chosen


def _refuse_chance(chosen: TaskModels) -> None:
    gamma = chosen.task.chance
    for i in np.flatnonzero(chosen.on("train")):
        n_items = chosen.n_items[i]
        spread = CHANCE_MARGIN
        if n_items:
            spread = CHANCE_ERRORS * np.sqrt(max(gamma, 1 / n_items) * (1 - gamma) / n_items)
        if chosen.accuracy[i] > gamma + spread:
            return
    best = chosen.accuracy[chosen.on("train")].max()
    raise FitError(
        f"all {chosen.on('train').sum()} train models are at chance on {chosen.task.task} "
        f"(best {best:.3f}, chance {gamma:g}); put models that have the ability into train"
    )


def fit(
    database: Path,
    corpus: str,
    split: str,
    wanted: Sequence[tuple[str, Method]],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
    only_missing: bool = False,
) -> list[Fit]:
    """Fit (task, method) pairs and store them in one transaction; CSV heads share one loop.

    Args:
        database: the results database.
        corpus: name of a stored corpus.
        split: name of a stored split.
        wanted: (task, method) pairs, methods of WEIGHTED_METHODS.
        config: steps, learning rate, seed, scorer.
        report: called with (step, steps, message); may raise to stop, then nothing is stored.
        only_missing: take what is stored already with the same data and settings.

    Returns:
        The fits, in the order of wanted.
    """
    report(0, config.steps, "reading losses")
    data = load_dataset(database, corpus, split, config)
    chosen = {task: task_models(data, task) for task in dict.fromkeys(t for t, _ in wanted)}
    ids = {pair: fit_id(data, chosen[pair[0]], pair[1], config) for pair in wanted}
    stored = _stored(database, set(ids.values())) if only_missing else {}
    missing = [pair for pair in wanted if ids[pair] not in stored]
    heads = _optimise(data, chosen, [t for t, m in missing if m == "csv"], config, report)
    results = []
    for task, method in missing:
        started = time.perf_counter()
        if method == "csv":
            head, seconds = heads[task]
            weight, step, trace = head.weight, head.step, head.trace
        else:
            weight, step, trace, seconds = fixed_weight(data, method, chosen[task].task), 0, (), 0.0
        record, scaled = finish(
            data, chosen[task], method, weight, step, trace, config, ids[task, method]
        )
        seconds += time.perf_counter() - started
        results.append((replace(record, seconds=seconds), scaled))
    report(config.steps, config.steps, "storing")
    with store.connect(database) as db:
        for record, scaled in results:
            store.add_fit(db, record, [d.doc_id for d in data.docs], data.units.edges, scaled)
    made = stored | {record.fit: record for record, _ in results}
    return [made[ids[pair]] for pair in wanted]


def _stored(database: Path, ids: set[str]) -> dict[str, Fit]:
    with store.connect(database, read_only=True) as db:
        return {name: store.fit(db, name) for name in ids if store.has_fit(db, name)}


def _optimise(
    data: Dataset,
    chosen: dict[str, TaskModels],
    tasks: Sequence[str],
    config: FitConfig,
    report: Report,
) -> dict[str, tuple[HeadResult, float]]:
    """Heads of these tasks, each with its share of the seconds."""
    if not tasks:
        return {}
    started = time.perf_counter()
    problems = []
    for task in tasks:
        models = chosen[task]
        accuracy = np.full(len(data.models), np.nan)
        accuracy[models.rows] = models.accuracy
        sides = {side: np.zeros(len(data.models), dtype=bool) for side in SPLITS}
        for row, side in zip(models.rows, models.sides, strict=True):
            sides[side][row] = True
        problems.append(
            HeadProblem(task, models.task.chance, accuracy, sides["train"], sides["validation"])
        )
    results = optimise_heads(
        standardise(data.units.hidden),
        data.nll,
        data.n_chars,
        problems,
        OptimiseConfig(config.steps, config.learning_rate, config.seed),
        lambda step, total: report(step, total, f"optimising {len(tasks)} tasks"),
    )
    share = (time.perf_counter() - started) / len(tasks)
    return {result.task: (result, share) for result in results}


def fixed_weight(data: Dataset, method: Method, task: Task) -> Floats:
    """Weights of a baseline: (n_tokens,), nothing learnt."""
    if method == "all-token":
        return salience.uniform_weight(data.nll.shape[1])
    if method == "label-token":
        return salience.label_weight(data.docs, data.units.edges, task.sources)
    if method == "source-token":
        return salience.source_weight(data.docs, data.units.edges, task.sources)
    raise InputError(f"method must be one of {', '.join(WEIGHTED_METHODS)}, got {method!r}")


def finish(
    data: Dataset,
    chosen: TaskModels,
    method: Method,
    weight: Floats,
    step: int,
    trace: tuple[TraceStep, ...],
    config: FitConfig,
    name: str,
) -> tuple[Fit, Floats]:
    """The law of given weights on the train models, and every model's prediction from it."""
    counted = weight * data.counts
    scaled = counted / salience.mean_absolute(counted[data.counts])
    nll = data.nll[chosen.rows].astype(np.float64)
    score = salience.capability_score(scaled, nll, data.n_chars)
    train = chosen.on("train")
    gamma = chosen.task.chance
    try:
        law = fit_sigmoid_law(score[train], chosen.accuracy[train], gamma)
    except FitError as error:
        raise FitError(f"{chosen.task.task}, {method}: {error}") from error
    predicted = sigmoid_law(score, law.alpha, law.beta, gamma)
    judge = chosen.on("validation") if chosen.on("validation").any() else train
    band = residual_band((chosen.accuracy - predicted)[judge])
    scorer = {"scorer": Path(config.scorer).name}
    masked = {"mask_first_token": config.mask_first_token}
    settings = asdict(config) | scorer if method == "csv" else scorer | masked
    record = Fit(
        fit=name,
        corpus=data.corpus,
        split=data.split_name,
        task=chosen.task.task,
        method=method,
        alpha=law.alpha,
        beta=law.beta,
        gamma=gamma,
        steps=step,
        seconds=0.0,
        n_models={side: int(chosen.on(side).sum()) for side in SPLITS},
        mse=_by_side(chosen, lambda on: mean_squared_error(chosen.accuracy[on], predicted[on])),
        noise_floor=_noise_floors(chosen),
        predictions=_predictions(chosen, score, predicted, band),
        left_out=chosen.left_out,
        config=settings | {"scorer_sha256": data.units.scorer_sha256},
        trace=trace,
    )
    return record, scaled


def _predictions(
    chosen: TaskModels, score: Floats, predicted: Floats, band: float
) -> tuple[Prediction, ...]:
    columns = zip(
        chosen.names,
        chosen.sides,
        score.tolist(),
        chosen.accuracy.tolist(),
        predicted.tolist(),
        np.maximum(predicted - band, 0.0).tolist(),
        np.minimum(predicted + band, 1.0).tolist(),
        strict=True,
    )
    return tuple(Prediction(*row) for row in columns)


def _by_side(
    chosen: TaskModels, figure: Callable[[np.ndarray[tuple[int], np.dtype[np.bool_]]], float]
) -> dict[str, float]:
    return {side: figure(chosen.on(side)) for side in SPLITS if chosen.on(side).any()}


def _noise_floors(chosen: TaskModels) -> dict[str, float]:
    floors: dict[str, float] = {}
    for side in SPLITS:
        on = chosen.on(side)
        counts = [n for n, own in zip(chosen.n_items, on, strict=True) if own]
        known = [n for n in counts if n is not None]
        if known and len(known) == len(counts):
            floors[side] = noise_floor(chosen.accuracy[on], np.array(known, dtype=np.float64))
    return floors


def fit_id(data: Dataset, chosen: TaskModels, method: Method, config: FitConfig) -> str:
    """Name of a fit made of its content: the same data and settings give the same id."""
    settings = asdict(config) | {"scorer": data.units.scorer_sha256} if method == "csv" else {}
    known: dict[str, object] = {
        "corpus": [data.corpus, data.corpus_sha256, [doc.answers for doc in data.docs]],
        "units": data.units.scorer_sha256,
        "split": data.split_name,
        "task": asdict(chosen.task),
        "method": method,
        "models": [chosen.names, chosen.sides, chosen.accuracy.tolist(), chosen.n_items],
        "settings": settings,
    }
    if config.mask_first_token:
        known["mask_first_token"] = True
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(data.nll[chosen.rows]).tobytes())
    return f"{chosen.task.task}-{method}-{digest.hexdigest()[:8]}"
