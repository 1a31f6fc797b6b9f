"""The steps of making the zoo: train and evaluate, publish; each skips what is done."""

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

from zoo_build.runs import Job, is_done, jobs, status, waiting

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
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for step in ("train", "publish") if options.step == "all" else (options.step,):
        STEPS[step](options)


def train_all(options: argparse.Namespace) -> None:
    """Train and evaluate every run, cheapest first, each in a process of its own."""
    running: list[subprocess.Popen[bytes]] = []
    failed = []
    for job in waiting(options.work, options.family, options.size):
        while len(running) >= options.jobs:
            time.sleep(POLL_SECONDS)
            running, ended = _split_ended(running)
            failed += [process.args for process in ended if process.returncode]
        running.append(subprocess.Popen(_command(options.work, job)))
    failed += [process.args for process in running if process.wait()]
    if failed:
        raise SystemExit(f"failed, call again to retry: {failed}")


def _split_ended(
    processes: Sequence["subprocess.Popen[bytes]"],
) -> tuple[list["subprocess.Popen[bytes]"], list["subprocess.Popen[bytes]"]]:
    """Those still running, and those that ended."""
    going = [process for process in processes if process.poll() is None]
    return going, [process for process in processes if process not in going]


def _command(work: Path, job: Job) -> list[str]:
    """A process whose command line names this package, so that it can be paused by name."""
    parts = ["--work", str(work), "--family", job.family.name, "--size", job.size.name, "run"]
    return [sys.executable, "-m", "zoo_build", *parts]


def run_one(options: argparse.Namespace) -> None:
    """Train one run to its end and evaluate its checkpoints, in this process."""
    _prepare_process()
    for job in waiting(options.work, options.family, options.size):
        from zoo_build import train

        with _alone(options.work / "runs" / job.name) as alone:
            if not alone:
                log.info("%s is being trained by another process", job.name)
                continue
            train.train(job.family, job.size, options.work)
            evaluate_run(options.work / "runs" / job.name)


def evaluate_all(options: argparse.Namespace) -> None:
    """Evaluate all checkpoints there are, those of unfinished runs too, in this process."""
    _prepare_process()
    for run in sorted((options.work / "runs").iterdir()):
        if not options.family or run.name.rpartition("-")[0] in options.family:
            evaluate_run(run)


def evaluate_run(run: Path) -> None:
    """Write the `accuracy.json` of each checkpoint that has none: task to accuracy and items."""
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    from zoo_build import evaluate, tasks

    for folder in checkpoints(run):
        path = folder / "accuracy.json"
        found = json.loads(path.read_text()) if path.exists() else {}
        missing = [name for name in tasks.TASKS if name not in found]
        if not missing:
            continue
        model: Any = AutoModelForCausalLM.from_pretrained(folder)
        model.eval()
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        for name in missing:
            found[name] = evaluate.accuracy(model, tokenizer, tasks.TASKS[name])
        log.info("%s %s", folder.name, {name: value for name, (value, _) in found.items()})
        building = folder / ".accuracy.json.part"
        building.write_text(json.dumps(found))
        building.replace(path)


def show(options: argparse.Namespace) -> None:
    """Print what is trained and measured, one line a checkpoint."""
    for line in status(options.work, options.family):
        sys.stdout.write(line + "\n")


def publish_all(options: argparse.Namespace) -> None:
    """Score the validation corpus with every checkpoint and write the bundled files."""
    from zoo_build.publish import publish

    _prepare_process()
    asked = jobs(options.family, options.size)
    done = [job for job in asked if is_done(options.work, job)]
    for job in asked:
        if job not in done:
            log.warning("%s is not finished and left out", job.name)
    folders = [folder for job in done for folder in checkpoints(options.work / "runs" / job.name)]
    publish(folders, options.work, options.zoo)


def check(options: argparse.Namespace) -> None:
    """Make the runs asked for in a folder of their own and compare their accuracies."""
    from zoo_build.check import agreements

    if options.work == DEFAULT_WORK:
        raise SystemExit("check makes runs anew: name an empty folder, --work FOLDER")
    train_all(options)
    runs = [options.work / "runs" / job.name for job in jobs(options.family, options.size)]
    folders = [folder for run in runs for folder in checkpoints(run)]
    found = list(agreements(folders, options.zoo / "accuracies.csv"))
    for one in found:
        verdict = "agree" if one.holds else "DIFFER"
        sys.stdout.write(
            f"{one.task}: {one.n_models} models {verdict}, mean squared difference "
            f"{one.difference:.1e}, by chance {one.floor:.1e}\n"
        )
    if not all(one.holds for one in found):
        raise SystemExit(1)


def checkpoints(run: Path) -> list[Path]:
    """Folders of a run's finished checkpoints, by step."""
    found = run.glob(f"{run.name}-step*")  # not one half written, whose name begins with a dot
    return sorted(found, key=lambda path: int(path.name.rpartition("step")[2]))


@contextmanager
def _alone(run: Path) -> Iterator[bool]:
    """Whether this process holds the run's lock; the system frees it however the process ends."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _prepare_process() -> None:
    """One thread a process, and quiet libraries."""
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
}
