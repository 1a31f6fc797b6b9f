"""The command line that builds the zoo: train, evaluate and publish, skipping finished work."""

import argparse
import fcntl
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from csvcore.formats import atomic
from zoo_build.families import Run
from zoo_build.runs import accuracies, chosen, is_done, status, waiting

DEFAULT_WORK = Path(__file__).parents[1] / "zoo_work"
DEFAULT_ZOO = Path(__file__).parents[1] / "zoo"
POLL_SECONDS = 2.0

log = logging.getLogger(__name__)


def main() -> None:
    """Run the step named, or train and publish."""
    parser = argparse.ArgumentParser(
        prog="python -m zoo_build",
        description="Make the zoo again; stop it at any time, it goes on where it was.",
    )
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="checkpoints and states")
    parser.add_argument("--zoo", type=Path, default=DEFAULT_ZOO, help="what `publish` writes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--family", action="append", help="this family only (may be repeated)")
    parser.add_argument("--size", action="append", help="this size only (may be repeated)")
    parser.add_argument("step", nargs="?", default="all", choices=["all", *STEPS])
    parser.add_argument("run", nargs="?", help="of the step `run`: this run only")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for step in ("train", "publish") if options.step == "all" else (options.step,):
        STEPS[step](options)


def train_all(options: argparse.Namespace) -> None:
    """Train and evaluate every run, smallest first, each in a separate process.

    A decayed run starts after its parent run has ended.
    """
    running: list[subprocess.Popen[bytes]] = []
    failed = []
    for run in waiting(options.work, options.family, options.size):
        while len(running) >= options.jobs or (run.decayed and _is_among(running, run.parent)):
            time.sleep(POLL_SECONDS)
            running, ended = _split_ended(running)
            failed += [process.args for process in ended if process.returncode]
        running.append(subprocess.Popen(_command(options.work, run)))
    failed += [process.args for process in running if process.wait()]
    if failed:
        raise SystemExit(f"failed, call again to retry: {failed}")


def _is_among(processes: Sequence["subprocess.Popen[bytes]"], run: Run) -> bool:
    """Tell whether one of these processes trains this run."""
    return any(isinstance(p.args, list) and p.args[-1] == run.name for p in processes)


def _split_ended(
    processes: Sequence["subprocess.Popen[bytes]"],
) -> tuple[list["subprocess.Popen[bytes]"], list["subprocess.Popen[bytes]"]]:
    """Split processes into those still running and those that ended."""
    going = [process for process in processes if process.poll() is None]
    return going, [process for process in processes if process not in going]


def _command(work: Path, run: Run) -> list[str]:
    """Return the command line of a run; it contains the package name, to find the process by."""
    return [sys.executable, "-m", "zoo_build", "--work", str(work), "run", run.name]


def run_one(options: argparse.Namespace) -> None:
    """Train one run to its end and evaluate its checkpoints, in this process."""
    _prepare_process()
    for run in waiting(options.work, options.family, options.size):
        from zoo_build import train

        if options.run and run.name != options.run:
            continue
        folder = options.work / "runs" / run.name
        with _alone(folder) as alone:
            if not alone:
                log.info("%s is being trained by another process", run.name)
                continue
            train.train(run, options.work)
            evaluate_run(folder)


def evaluate_all(options: argparse.Namespace) -> None:
    """Evaluate all checkpoints, including those of unfinished runs, in this process."""
    _prepare_process()
    for run in sorted((options.work / "runs").iterdir()):
        if not options.family or run.name.rpartition("-")[0] in options.family:
            evaluate_run(run)


def evaluate_run(run: Path) -> None:
    """Write the missing `items.json` of checkpoints: for each task a 0 or 1 per item."""
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    from zoo_build import evaluate, tasks

    for folder in checkpoints(run):
        path = folder / "items.json"
        right = json.loads(path.read_text()) if path.exists() else {}
        missing = [name for name in tasks.TASKS if name not in right]
        if not missing:
            continue
        model: Any = AutoModelForCausalLM.from_pretrained(folder)
        model.eval()
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        for name in missing:
            correct = evaluate.right_items(model, tokenizer, tasks.TASKS[name])
            right[name] = "".join("01"[is_right] for is_right in correct)
        with atomic.file(path) as building:
            building.write_text(json.dumps(right))
        log.info("%s %s", folder.name, accuracies(folder))


def show(options: argparse.Namespace) -> None:
    """Print the training and evaluation state, one line a checkpoint."""
    for line in status(options.work, options.family):
        sys.stdout.write(line + "\n")


def publish_all(options: argparse.Namespace) -> None:
    """Score the validation corpus with every checkpoint and write the bundled files."""
    from zoo_build.publish import publish

    _prepare_process()
    runs = chosen(options.family, options.size)
    done = [run for run in runs if is_done(options.work, run)]
    for run in runs:
        if run not in done:
            log.warning("%s is not finished and left out", run.name)
    publish(done, options.work, options.zoo)


def check(options: argparse.Namespace) -> None:
    """Train the named runs anew and compare their accuracies with the bundled ones."""
    from zoo_build.check import agreements

    if options.work == DEFAULT_WORK:
        raise SystemExit("check makes runs anew: name an empty folder, --work FOLDER")
    train_all(options)
    runs = [options.work / "runs" / run.name for run in chosen(options.family, options.size)]
    folders = [folder for run in runs for folder in checkpoints(run)]
    results = list(agreements(folders, options.zoo / "accuracies.csv"))
    for result in results:
        verdict = "agree" if result.holds else "DIFFER"
        sys.stdout.write(
            f"{result.task}: {result.n_models} models {verdict}, mean squared difference "
            f"{result.difference:.1e}, by chance {result.floor:.1e}\n"
        )
    if not all(result.holds for result in results):
        raise SystemExit(1)


def summarise(options: argparse.Namespace) -> None:
    """Print the table of data/README.md, measured on the published zoo."""
    from zoo_build.summary import markdown

    sys.stdout.write(markdown(options.zoo) + "\n")


def checkpoints(run: Path) -> list[Path]:
    """Return the folders of a run's finished checkpoints, by step."""
    folders = run.glob(f"{run.name}-step*")  # unfinished ones begin with a dot
    return sorted(folders, key=lambda path: int(path.name.rpartition("step")[2]))


@contextmanager
def _alone(run: Path) -> Iterator[bool]:
    """Lock the run and yield true, or yield false if another process holds the lock.

    The operating system frees the lock at the end of the process.
    """
    run.mkdir(parents=True, exist_ok=True)
    with (run / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _prepare_process() -> None:
    """Limit the process to one thread and silence libraries."""
    import torch
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.set_num_threads(1)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    os.environ["TQDM_DISABLE"] = "1"


STEPS = {
    "train": train_all,
    "run": run_one,
    "evaluate": evaluate_all,
    "status": show,
    "publish": publish_all,
    "check": check,
    "table": summarise,
}
