"""How far off forecasts of untrained models are: `python benchmarks/forecast.py FOLDER`.

FOLDER is as for `real_data.py`. Gemstones: the largest models are forecast from those of at most a
quarter of the compute, and the largest shapes from shapes of at most a quarter of the parameters.
open_lm: 1.4 and 6.9 billion parameters from at most 0.4 billion, each corpus by itself. The zoo:
its split `forecast`. Beside each forecast stand the two forms that the literature uses most, fitted
to the same models: two steps over the mean loss of all text in size and tokens (OLMo ladder), and
-log accuracy in compute (2512.08894), and the largest model carried forward. Last, the rest of
every run of the zoo and of Gemstones from its first half and its first quarter.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from public_data import sources
from real_data import circumstances

from csvcore import store
from csvcore.forecasting.forecaster import Forecaster, forecaster, run_forecaster
from csvcore.forecasting.forms import form_names
from csvcore.forecasting.known import known_of
from csvcore.forecasting.ladder import Ladder
from csvcore.formats import csv_tables
from csvcore.formats.bundled import ZOO
from csvcore.records import Floats, Mask, Side

STEP_TOKENS = 2048 * 2048  # of Gemstones, 2048 rows of 2048 tokens
LAST_TOKENS = 350_000_000_000  # of a Gemstones run
RIVALS = ("All tokens, by size and tokens", "direct, by compute", "carried forward")
BOUNDS = (1.0, 2.0, 4.0, 10.0, 100.0)


@dataclass(frozen=True, slots=True)
class Case:
    """A ladder with the models to forecast from it."""

    ladder: Ladder
    targets: Ladder


def main() -> None:
    """Print a table for each set, and coverage by horizon."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--zoo", type=Path, default=ZOO, help="another zoo than the bundled one")
    options = parser.parse_args()
    print(circumstances())
    print(f"{'set':28}{'forecast':>9}{'two-step':>9}{'direct':>9}{'carried':>9}{'ratio':>7}"
          f"{'backtest':>9}{'seconds':>9}  intervals held, by horizon")  # fmt: skip
    for name, cases in every_set(options.folder, options.zoo):
        print(line(name, cases), flush=True)
    ladders = {
        "zoo": [ladder for ladder, _ in zoo_ladders(options.zoo)],
        "Gemstones": [whole_ladder(gemstone_models(options.folder))],
    }
    for name, own in ladders.items():
        for share in (0.5, 0.25):
            print(runs_line(f"{name}, runs from {share:.0%}", own, share), flush=True)


def every_set(folder: Path, zoo: Path) -> Iterator[tuple[str, list[Case]]]:
    """Yield the name and the cases of every set."""
    gemstones = whole_ladder(gemstone_models(folder))
    compute, size = gemstones.compute, gemstones.n_params
    most = compute.max()
    yield "Gemstones, compute / 4", [case(gemstones, compute <= most / 4, compute > most / 1.5)]
    yield "Gemstones, compute / 16", [case(gemstones, compute <= most / 16, compute > most / 1.5)]
    large = size >= size.max() / 1.25
    yield "Gemstones, parameters / 4", [case(gemstones, size <= size.max() / 4, large)]
    yield "open_lm, 0.4 B to 7 B", list(open_lm(folder))
    yield "zoo, forecast", list(zoo_families(zoo))


def gemstone_models(folder: Path) -> sources.Measured:
    """Read Gemstones with the training tokens of every checkpoint, as one family."""
    measured = sources.items(folder)
    cards = [
        replace(
            card,
            family="gemstone",
            run=card.family,
            train_tokens=LAST_TOKENS if card.step == 10**6 else (card.step or 0) * STEP_TOKENS,
        )
        for card in measured.cards
    ]
    return replace(measured, cards=cards)


def open_lm(folder: Path) -> Iterator[Case]:
    """Yield a case for each training corpus of open_lm."""
    measured = sources.corpora(folder)
    for family in sorted({card.family for card in measured.cards}):
        ladder = whole_ladder(measured, family)
        yield case(ladder, ladder.n_params < 1e9, ladder.n_params > 1e9)


def zoo_families(zoo: Path) -> Iterator[Case]:
    """Yield a case for each family of the zoo that has test models in its split `forecast`."""
    for ladder, tests in zoo_ladders(zoo):
        if tests.any() and ladder.take(np.flatnonzero(~tests)).long_enough:
            yield case(ladder, ~tests, tests)


def zoo_ladders(zoo: Path) -> Iterator[tuple[Ladder, Mask]]:
    """Yield each family of the zoo, with a mask of the test models of its split `forecast`."""
    with TemporaryDirectory() as folder:
        database = Path(folder) / "zoo.duckdb"
        sources.load_files(zoo, database, "losses/zoo/*.parquet")
        sides = csv_tables.read_split(zoo / "splits" / "forecast.csv")
        with store.connect(database) as db:
            store.add_split(db, "all", {name: "train" for name in sides})
            known = known_of(store.trained(db, sources.CORPUS, "all"))
    for family in known.families():
        rows = known.rows((family,), known.usual_stage())
        for tasks in known.task_groups(rows):
            ladder = known.ladder(rows, tasks)
            yield ladder, np.array([sides[name] == "test" for name in ladder.names])


def whole_ladder(measured: sources.Measured, family: str | None = None) -> Ladder:
    """Return the ladder of all models of a set, or of a family."""
    with TemporaryDirectory() as folder:
        database = Path(folder) / "set.duckdb"
        everything: dict[str, Side] = {card.model: "train" for card in measured.cards}
        whole = replace(measured, splits={"all": everything})
        sources.load(whole, database, database.with_suffix(".parquet"))
        with store.connect(database) as db:
            known = known_of(store.trained(db, sources.CORPUS, "all"))
    rows = known.rows([family] if family else known.families(), known.usual_stage())
    return known.ladder(rows, known.tasks)


def case(ladder: Ladder, trained: Mask, targets: Mask) -> Case:
    """Return the case of two masks."""
    return Case(ladder.take(np.flatnonzero(trained)), ladder.take(np.flatnonzero(targets)))


def line(name: str, cases: Sequence[Case]) -> str:
    """Return a set's errors in points, means over cases and tasks, and its coverage."""
    started = time.perf_counter()
    made = [forecaster(one.ladder) for one in cases]
    seconds = time.perf_counter() - started
    errors = np.array([of_forms(one, fitted) for one, fitted in zip(cases, made, strict=True)])
    ours, two_step, direct, carried = errors.mean(axis=0)
    tested = np.mean([np.abs(one.tested.error).mean() for one in made if one.tested.share.size])
    held = np.concatenate([covered(one, fit) for one, fit in zip(cases, made, strict=True)], axis=1)
    parts = []
    for low, high in zip((0.0, *BOUNDS), BOUNDS, strict=False):
        on = (held[0] > low) & (held[0] <= high)
        if on.any():
            parts.append(f"<={high:g}: {held[1][on].mean():.2f}")
    widths = np.mean([widths_of(one, fit) for one, fit in zip(cases, made, strict=True)], axis=0)
    parts.append(f"width {widths[0]:.1f}, without the limit on falls {widths[1]:.1f}")
    return (
        f"{name:28}{ours:9.2f}{two_step:9.2f}{direct:9.2f}{carried:9.2f}"
        f"{ours / min(two_step, direct):7.2f}{100 * tested:9.2f}{seconds:9.1f}  {', '.join(parts)}"
    )


def runs_line(name: str, ladders: Sequence[Ladder], share: float) -> str:
    """Return how the rest of runs is forecast from a share of their tokens, means over runs.

    Runs without another one to test the forecast on are left out.
    """
    rows = []
    for ladder in ladders:
        for run in dict.fromkeys(ladder.run):
            own = ladder.of_run(run)
            end = ladder.train_tokens[own].max()
            rest = own[ladder.train_tokens[own] > share * end]
            known = ladder.take(np.setdiff1d(np.arange(len(ladder.names)), rest))
            if own.size - rest.size < 2 or not rest.size or not known.long_enough:
                continue
            fitted = run_forecaster(known, run, float(end))
            if fitted.tested.fold.size:
                rows.append(_of_run(fitted, ladder.take(rest)))
    error, carried, *parts = np.mean(rows, axis=0).tolist()
    return (
        f"{name:28}{error:9.2f}{'':18}{carried:9.2f}  {len(rows)} runs, intervals held "
        f"{parts[0]:.2f}, width {parts[1]:.1f}; without the limit on falls {parts[2]:.2f}, "
        f"{parts[3]:.1f}"
    )


def _of_run(fitted: Forecaster, rest: Ladder) -> list[float]:
    """Return errors of the forecast and of the last accuracy, and coverage and width of intervals.

    Errors and widths are in points; intervals are those with the limit on falls, then without.
    """
    at, truth = (rest.n_params, rest.train_tokens), rest.accuracy
    bands = fitted.predict(*at), replace(fitted, fall=np.ones_like(fitted.fall)).predict(*at)
    last = fitted.forms.carried[:, None]
    values = [100 * float(np.abs(told - truth).mean()) for told in (bands[0].predicted, last)]
    for band in bands:
        values.append(float(((band.low <= truth) & (truth <= band.high)).mean()))
        values.append(100 * float((band.high - band.low).mean()))
    return values


def of_forms(one: Case, fitted: Forecaster) -> list[float]:
    """Return mean absolute errors in points: the forecast, two-step, direct, carried."""
    n, d = one.targets.n_params, one.targets.train_tokens
    by_form = fitted.forms.predict(n, d)
    places = [form_names(fitted.ladder).index(name) for name in RIVALS]
    told = [fitted.predict(n, d).predicted, *(by_form[:, place] for place in places)]
    return [100 * float(np.abs(part - one.targets.accuracy).mean()) for part in told]


def widths_of(one: Case, fitted: Forecaster) -> list[float]:
    """Return the mean width of intervals in points, and of those without the limit on falls."""
    at = one.targets.n_params, one.targets.train_tokens
    bands = fitted.predict(*at), replace(fitted, fall=np.ones_like(fitted.fall)).predict(*at)
    return [100 * float((band.high - band.low).mean()) for band in bands]


def covered(one: Case, fitted: Forecaster) -> Floats:
    """Return the horizon of every forecast, and whether its interval held, (2, n)."""
    band = fitted.predict(one.targets.n_params, one.targets.train_tokens)
    truth = one.targets.accuracy
    held = (band.low <= truth) & (truth <= band.high)
    return np.stack([np.tile(band.horizon, len(truth)), held.ravel().astype(float)])


if __name__ == "__main__":
    main()
