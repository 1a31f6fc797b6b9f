"""The steps of making the zoo: train, evaluate, score, publish; each skips what is done."""

import argparse
import json
import logging
import multiprocessing
import os
from pathlib import Path
from typing import Any

WORK = Path(__file__).parents[1] / "zoo_work"
ZOO = Path(__file__).parents[1] / "zoo"

log = logging.getLogger(__name__)


def main() -> None:
    """Run the steps named, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m zoo_build",
        description="Make the bundled zoo again; stop it at any time, it goes on where it was.",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    steps = {"train": train_all, "evaluate": evaluate_all, "publish": publish_all}
    parser.add_argument("steps", nargs="*", help=f"of {', '.join(steps)}")
    options = parser.parse_args()
    for step in options.steps or steps:
        steps[step](options.jobs)


def train_all(jobs: int) -> None:
    """Every run, larger sizes first."""
    from zoo_build.families import FAMILIES

    runs = [(f, s) for s in (3, 2, 1, 0) for f in range(len(FAMILIES))]
    with multiprocessing.get_context("spawn").Pool(jobs, prepare_process) as pool:
        pool.map(train_one, runs, chunksize=1)


def evaluate_all(jobs: int) -> None:
    """Every checkpoint on every task."""
    folders = [folder for folder in checkpoints() if not (folder / "accuracy.json").exists()]
    with multiprocessing.get_context("spawn").Pool(jobs, prepare_process) as pool:
        pool.map(evaluate_one, folders, chunksize=1)


def publish_all(jobs: int) -> None:
    """Score the validation corpus with every checkpoint and write `data/zoo`."""
    from zoo_build.publish import publish

    prepare_process()
    publish(checkpoints(), WORK, ZOO)


def checkpoints() -> list[Path]:
    """Folders of all finished checkpoints, by run and step."""
    return sorted(
        (WORK / "runs").glob("*/*-step*"),
        key=lambda folder: (folder.parent.name, int(folder.name.rpartition("step")[2])),
    )


def prepare_process() -> None:
    """One thread a process, and quiet libraries."""
    import torch

    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    os.environ["TQDM_DISABLE"] = "1"


def train_one(job: tuple[int, int]) -> None:
    """Train family number and size number."""
    from zoo_build import families, train

    family = families.FAMILIES[job[0]]
    train.train(family, family.sizes[job[1]], WORK)


def evaluate_one(folder: Path) -> None:
    """Write a checkpoint's `accuracy.json`: for each task the accuracy and the number of items."""
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    from zoo_build import evaluate

    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    model.eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    found = {
        name: evaluate.accuracy(model, tokenizer, task) for name, task in evaluate.TASKS.items()
    }
    log.info("%s %s", folder.name, {name: value for name, (value, _) in found.items()})
    building = folder / ".accuracy.json.part"
    building.write_text(json.dumps(found))
    building.replace(folder / "accuracy.json")
