"""Speed, memory and truth of the fast fit, on planted worlds: `python benchmarks/fit.py WHAT`.

speed   paper scale (165,000 tokens of width 2,048; 38 + 11 + 10 models; six tasks): six plain fits,
        six full ones (penalty chosen inside train, five members), and beside them in the same run
        the paper's loop as a researcher would write it: plain autograd, one task at a time
scale   seconds and memory of a plain fit at 20 k, 80 k, 320 k and 1.3 M tokens; the last from disk
basis   what the projection on 128 directions, and half precision, change
truth   area under the ROC curve of the weights for the planted tokens, and test MSE over an
        oracle's; then worlds without signal: permutation p-values, and how often CSV looks better

The worlds are made up (csvcore/synthetic.py); what they show is speed and recovery, nothing of
language models. The scorer's own pass over the text is not counted.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kstest

from csvcore import salience
from csvcore.analysis.intervals import bootstrap_difference
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, task_models
from csvcore.fitting.identity import fit_requests
from csvcore.fitting.learn import learn
from csvcore.fitting.outcome import FitResult
from csvcore.fitting.units import Units
from csvcore.formats.csv_tables import corpus_sha256
from csvcore.optimise import (
    FastConfig,
    HeadProblem,
    TokenTable,
    choose_heads,
    permutation_control,
    token_features,
)
from csvcore.records import Accuracy, Document, ModelCard, Task
from csvcore.scaling import fit_sigmoid_law, fit_sigmoid_laws, sigmoid_law
from csvcore.synthetic import World, make_world

SIDES = np.array(["train"] * 38 + ["validation"] * 11 + ["test"] * 10)
FITTED = SIDES != "test"
PLAIN = FastConfig(strengths=(1e-5,), members=1)
RATES = (1e-3, 1e-2)  # the paper's, and one that suits it better
STEPS = 300


def world(n_tokens: int, width: int, n_tasks: int, seed: int = 0, signal: bool = True) -> World:
    """Return a planted world of 59 models."""
    return make_world(n_tokens, width, SIDES.size, n_tasks, signal=signal, seed=seed)


def table_of(made: World, states: np.ndarray) -> TokenTable:
    """Return the tokens, with losses of train and validation models alone."""
    n_sources = int(made.source.max()) + 1
    ones = np.ones((1, made.source.size), dtype=np.float32)
    return TokenTable(states, made.nll[FITTED], made.source, n_sources, ones, made.n_chars)


def problems_of(made: World) -> list[HeadProblem]:
    """Return the tasks; accuracies of test models are not handed over."""
    train, validation = (side == SIDES for side in ("train", "validation"))
    return [
        HeadProblem(f"task-{k}", made.gamma, own[FITTED], train[FITTED], validation[FITTED])
        for k, own in enumerate(made.accuracy)
    ]


def wrong(made: World, task: int, weight: np.ndarray) -> np.ndarray:
    """Return the squared errors of all models by the law of these weights, (n_models,)."""
    score = salience.capability_score(weight, made.nll, made.n_chars)[None]
    accuracy, gamma = made.accuracy[task][None], np.array([made.gamma])
    share = ((SIDES == "train") / (SIDES == "train").sum())[None]
    predicted = fit_sigmoid_laws(score, accuracy, gamma, share).predict(score, gamma)
    return np.asarray(np.square(predicted - accuracy)[0])


def mse(made: World, task: int, weight: np.ndarray, side: str) -> float:
    """Return the mean squared error on one side."""
    return float(wrong(made, task, weight)[side == SIDES].mean())


def roc_area(weight: np.ndarray, salient: np.ndarray) -> float:
    """Return the chance that a salient token weighs more than another one."""
    rank = weight.argsort().argsort()
    n_salient = int(salient.sum())
    above = rank[salient].sum() - n_salient * (n_salient - 1) / 2
    return float(above / (n_salient * (salient.size - n_salient)))


def peak() -> float:
    """Return the largest resident memory of this process so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def paper_loop(made: World, hidden: torch.Tensor, task: int, rate: float) -> tuple[float, float]:
    """Run Algorithm 2 in plain autograd; return seconds and its best validation MSE."""
    started = time.perf_counter()
    nll = torch.from_numpy(made.nll[FITTED])
    accuracy = torch.from_numpy(made.accuracy[task][FITTED]).float()
    train = torch.from_numpy((SIDES == "train")[FITTED])
    torch.manual_seed(0)
    head = torch.nn.Linear(hidden.shape[1], 1)
    torch.nn.init.normal_(head.weight, std=1e-3)
    adam = torch.optim.Adam(head.parameters(), lr=rate)
    best, law = np.inf, None
    for _ in range(STEPS + 1):
        weight = torch.nn.functional.softplus(head(hidden))[:, 0]
        score = nll @ weight / made.n_chars
        seen = score.detach().double().numpy()
        observed = accuracy.double().numpy()
        found = fit_sigmoid_law(seen[train], observed[train], made.gamma, start=law)
        law = (found.alpha, found.beta)
        share = torch.sigmoid(found.alpha * (score - found.beta))
        error = (made.gamma + (1.0 - made.gamma) * share - accuracy).square()
        best = min(best, error[~train].mean().item())
        adam.zero_grad()
        error[train].mean().backward()  # type: ignore[no-untyped-call]
        adam.step()
    return time.perf_counter() - started, best


def speed() -> None:
    """Time six plain fits, six full fits and Algorithm 2."""
    made = world(165_000, 2048, 6)
    print(f"world made, {peak():.1f} GB; {torch.get_num_threads()} threads", flush=True)
    problems = problems_of(made)
    groups = {str(f): (made.family == f)[FITTED] for f in range(5)}
    run = made.run[FITTED]
    started = time.perf_counter()
    states = token_features(made.hidden)
    reduced = time.perf_counter() - started
    print(f"features: {reduced:.1f} s", flush=True)
    table = table_of(made, states)
    results = {}
    for name, config, asked in (
        ("one plain fit", PLAIN, problems[:1]),
        ("six plain fits", PLAIN, problems),
        ("six full fits", FastConfig(), problems),
    ):
        started = time.perf_counter()
        fits = choose_heads(table, asked, groups if config is not PLAIN else {}, run, config)
        seconds = time.perf_counter() - started + reduced
        by_side = {
            side: [mse(made, k, fit.weight, side) for k, fit in enumerate(fits)]
            for side in ("validation", "test")
        }
        results[name] = seconds / len(asked), by_side
        print(
            f"{name}: {seconds:.1f} s with the features, {seconds / len(asked):.2f} s a task; "
            f"MSE validation {np.mean(by_side['validation']):.2e}, "
            f"test {np.mean(by_side['test']):.2e}; {peak():.1f} GB",
            flush=True,
        )
    ones = np.ones(made.source.size)
    for name, rows in (("all tokens", [ones] * 6), ("oracle", list(made.salient.astype(float)))):
        print(
            f"{name}: MSE test {np.mean([mse(made, k, w, 'test') for k, w in enumerate(rows)]):.2e}"
        )
    hidden = torch.from_numpy(made.hidden.astype(np.float32))
    hidden = (hidden - hidden.mean(0)).div_(hidden.std(0))
    paper = [paper_loop(made, hidden, 0, rate) for rate in RATES]
    for rate, (seconds, best) in zip(RATES, paper, strict=True):
        print(f"paper's loop, task 0, rate {rate:g}: {seconds:.1f} s, MSE validation {best:.2e}")
    seconds = min(one[0] for one in paper)
    for name, (own, by_side) in results.items():
        print(
            f"{name}: {seconds / own:.0f} times the paper's loop a task; "
            f"task 0 MSE validation {by_side['validation'][0]:.2e}"
        )


def scale() -> None:
    """Run each size in a separate process, so that peak memory is separate."""
    with tempfile.TemporaryDirectory() as folder:
        for n_tokens in (20_000, 80_000, 320_000, 1_300_000):
            command = [sys.executable, __file__, "one", "--tokens", str(n_tokens)]
            files = Path(folder) / str(n_tokens)
            files.mkdir()
            subprocess.run([*command, "--folder", str(files), "--make"], check=True)
            done = subprocess.run(
                [*command, "--folder", str(files)], check=True, capture_output=True, text=True
            )
            found = json.loads(done.stdout)
            print(
                f"{n_tokens:9,d} tokens: {found['seconds']:6.1f} s, "
                f"{1e6 * found['seconds'] / n_tokens:5.1f} s a million tokens, "
                f"peak {found['peak']:.2f} GB (of it {found['idle']:.2f} before the fit)",
                flush=True,
            )
            for file in files.iterdir():
                file.unlink()


def one(n_tokens: int, folder: Path, make: bool) -> None:
    """Make one world on disk, or fit it from there."""
    names = "hidden", "nll", "states"
    files = {name: folder / f"{name}.npy" for name in names}
    if make:
        shape = (n_tokens, 2048)
        hidden = np.lib.format.open_memmap(files["hidden"], "w+", np.float16, shape)
        made = make_world(n_tokens, 2048, SIDES.size, 1, hidden=hidden)
        hidden.flush()
        np.save(files["nll"], made.nll[FITTED])
        np.savez(folder / "rest.npz", accuracy=made.accuracy, source=made.source)
        return
    nll = np.load(files["nll"], mmap_mode="r")
    hidden = np.load(files["hidden"], mmap_mode="r")
    rest = np.load(folder / "rest.npz")
    idle = peak()
    started = time.perf_counter()
    room = np.lib.format.open_memmap(files["states"], "w+", np.float32, (n_tokens, 128))
    states = token_features(hidden, out=room)
    ones = np.ones((1, n_tokens), dtype=np.float32)
    table = TokenTable(states, nll, rest["source"], 5, ones, 4 * n_tokens)
    train = (SIDES == "train")[FITTED]
    problem = HeadProblem("task", 0.25, rest["accuracy"][0][FITTED], train, ~train)
    choose_heads(table, [problem], {}, np.arange(train.size), PLAIN)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak": peak(), "idle": idle}))


def basis() -> None:
    """Compare fits on the whole width, on 128 directions, and on half-precision states."""
    made = world(20_000, 1024, 6)
    groups = {str(f): (made.family == f)[FITTED] for f in range(5)}
    config = FastConfig(members=1)
    for name, rank, dtype in (
        ("float32, whole width", None, np.float32),
        ("float32, 128 directions", 128, np.float32),
        ("float16, 128 directions", 128, np.float16),
        ("float32, 32 directions", 32, np.float32),
    ):
        started = time.perf_counter()
        table = table_of(made, token_features(made.hidden.astype(dtype), rank))
        fits = choose_heads(table, problems_of(made), groups, made.run[FITTED], config)
        errors = [mse(made, k, fit.weight, "test") for k, fit in enumerate(fits)]
        area = np.mean([roc_area(f.weight, made.salient[k]) for k, f in enumerate(fits)])
        seconds = time.perf_counter() - started
        print(f"{name}: test MSE {np.mean(errors):.3e}, ROC area {area:.3f}, {seconds:.1f} s")


def dataset_of(made: World, sides: np.ndarray) -> Dataset:
    """Return a one-task world as the product reads it: a document a source, four bytes a token."""
    n_tokens = np.bincount(made.source)
    docs = [Document(f"doc-{k}", f"source-{k}", "word" * n) for k, n in enumerate(n_tokens)]
    names = [f"model-{k}" for k in range(sides.size)]
    return Dataset(
        corpus="planted",
        corpus_sha256=corpus_sha256(docs),
        docs=docs,
        units=Units([4 * np.arange(n + 1) for n in n_tokens], made.hidden.astype("f4"), "planted"),
        models=names,
        cards=[
            ModelCard(name, f"family-{family}", run=f"run-{run}")
            for name, family, run in zip(names, made.family, made.run, strict=True)
        ],
        nll=made.nll,
        split_name="planted",
        split=dict(zip(names, sides.tolist(), strict=True)),
        tasks={"task": Task("task", made.gamma)},
        accuracies={
            (name, "task"): Accuracy(name, "task", float(value), made.n_items)
            for name, value in zip(names, made.accuracy[0], strict=True)
        },
        counts=np.ones(made.source.size, dtype=bool),
        n_chars=made.n_chars,
        span=np.full(sides.size, 4.0),
    )


def fits_of(made: World, sides: np.ndarray, *methods: str) -> dict[str, FitResult]:
    """Return the product's fits of a one-task world by some methods."""
    data = dataset_of(made, sides)
    chosen = {"task": task_models(data, "task")}
    config = FitConfig(members=1)
    wanted = [("task", method) for method in methods]
    fits = learn(data, chosen, fit_requests(data, chosen, wanted, config), config)
    return {one.fit.method: one for one in fits}


def squares(fit: FitResult) -> np.ndarray:
    """Return the squared errors of the test models."""
    tested = [one for one in fit.fit.predictions if one.side == "test"]
    return np.square([one.predicted - one.accuracy for one in tested])


def truth() -> None:
    """Check that planted tokens are found, and none where none is planted."""
    sides = np.array(["train"] * 36 + ["validation"] * 12 + ["test"] * 12)
    for seed in range(10):
        made = make_world(20_000, 64, sides.size, n_families=6, seed=seed)
        fits = fits_of(made, sides, "csv", "stack", "all-token")
        score = salience.capability_score(made.salient.astype(float), made.nll, made.n_chars)[0]
        known, accuracy = sides != "test", made.accuracy[0]
        law = fit_sigmoid_law(score[known], accuracy[known], made.gamma)
        guess = sigmoid_law(score, law.alpha, law.beta, made.gamma)
        oracle = np.square(guess - accuracy)[~known].mean()
        errors = {method: squares(fit).mean() for method, fit in fits.items()}
        print(
            f"seed {seed}: ROC area {roc_area(fits['csv'].weight, made.salient[0]):.3f}, test MSE "
            f"{errors['csv']:.2e}, {errors['csv'] / oracle:.2f} times the oracle's; stack "
            f"{errors['stack']:.2e}, {errors['stack'] / oracle:.2f} times; all tokens "
            f"{errors['all-token']:.2e}",
            flush=True,
        )
    p_values, better = [], dict.fromkeys(("csv", "stack"), 0)
    for seed in range(100):
        made = make_world(500, 16, sides.size, n_families=6, signal=False, seed=seed)
        known = sides != "test"
        table = TokenTable(
            token_features(made.hidden), made.nll[known], made.source[:500],
            int(made.source.max()) + 1, np.ones((1, 500), dtype=np.float32), made.n_chars,
        )  # fmt: skip
        problem = HeadProblem(
            "task", made.gamma, made.accuracy[0][known],
            *((side == sides)[known] for side in ("train", "validation")),
        )  # fmt: skip
        p_values.append(permutation_control(table, problem, FastConfig(), 99).p_value)
        fits = fits_of(made, sides, "csv", "stack", "all-token")
        run = made.run[~known].tolist()
        for method in better:
            pair = squares(fits[method]), squares(fits["all-token"])
            better[method] += bootstrap_difference(*pair, run, np.random.default_rng(0))[1] < 0
    print(
        f"no signal, 100 worlds: p-values below 0.1 in {np.mean(np.array(p_values) <= 0.1):.0%}, "
        f"Kolmogorov-Smirnov against uniform p = {kstest(p_values, 'uniform').pvalue:.2f}; "
        f"significantly better than all-token: CSV in {better['csv']}, stack in {better['stack']}"
    )


def main() -> None:
    """Run what is named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["speed", "scale", "basis", "truth", "one"])
    parser.add_argument("--tokens", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.what == "one":
        one(asked.tokens, asked.folder, asked.make)
    else:
        {"speed": speed, "scale": scale, "basis": basis, "truth": truth}[asked.what]()


if __name__ == "__main__":
    main()
